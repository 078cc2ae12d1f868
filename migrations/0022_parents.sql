-- no-transaction
-- oldest-program: 3
-- An issue whose key changes is found in the issues that belong to it.
CREATE INDEX CONCURRENTLY IF NOT EXISTS issue_parent ON syncline.issue (site_id, parent_key) WHERE parent_key IS NOT NULL;
