-- oldest-program: 3
-- Comments and worklogs that Jira does not show to everyone who sees their issue say so: whoever passes them on must know.

ALTER TABLE syncline.comment
    ADD COLUMN restriction_type text,
    ADD COLUMN restricted_to    text,
    ADD COLUMN is_internal      boolean NOT NULL DEFAULT false;
ALTER TABLE syncline.worklog
    ADD COLUMN restriction_type text,
    ADD COLUMN restricted_to    text;
COMMENT ON COLUMN syncline.comment.restriction_type IS 'What shows the comment: role or group; null where everyone who sees the issue sees it. unknown: Jira says so in a way that cannot be read. Another word is one that Jira has begun to use since.';
COMMENT ON COLUMN syncline.comment.restricted_to IS 'The name of the role or group; null where everyone who sees the issue sees the comment.';
COMMENT ON COLUMN syncline.comment.is_internal IS 'Whether the customers of a service project do not see the comment (Cloud tells this).';
COMMENT ON COLUMN syncline.worklog.restriction_type IS 'What shows the worklog: role or group; null where everyone who sees the issue sees it. unknown: Jira says so in a way that cannot be read. Another word is one that Jira has begun to use since.';
COMMENT ON COLUMN syncline.worklog.restricted_to IS 'The name of the role or group; null where everyone who sees the issue sees the worklog.';
