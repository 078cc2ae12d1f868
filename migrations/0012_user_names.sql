-- oldest-program: 3
-- Data Center names a user by a key that never changes and by a user name that may. The replica knows users by the key; JQL
-- takes the name.

ALTER TABLE syncline.jira_user ADD COLUMN username text;
COMMENT ON COLUMN syncline.jira_user.username IS 'What Data Center''s queries call the user; null on Cloud, where the account id serves for that, too.';
