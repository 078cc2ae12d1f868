-- oldest-program: 3
-- A listed user whom Jira does not know any more is left out of queries, so that the others are read for.

ALTER TABLE syncline.tracked_user ADD COLUMN unknown_since timestamptz;
COMMENT ON COLUMN syncline.tracked_user.unknown_since IS 'Since when Jira refuses queries that name the user, who is left out of them until a full run finds otherwise; null for a user whom Jira knows.';
COMMENT ON TABLE syncline.changelog IS 'The history of issues, one row per changed field. Jira''s history is not edited, so a row is changed only by a repair that found it to differ from Jira''s.';
