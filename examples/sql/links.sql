-- What is blocked by what.
SELECT i.key, i.status, l.relation, l.other_key, o.status AS other_status
  FROM jira.issue i
  LEFT JOIN jira.issue_link l ON l.site_id = i.site_id AND l.issue_id = i.id
  LEFT JOIN jira.issue o ON o.site_id = l.site_id AND o.id = l.other_issue_id
 WHERE i.deleted_at IS NULL
 ORDER BY i.key;
