-- oldest-program: 3
-- What counts is when Jira was asked, by this database's clock, and not what its answers are dated: clocks of Jira may be
-- wrong, and issues can be restored or imported with times of old.

ALTER TABLE syncline.sync_page
    ADD COLUMN asked_at     timestamptz,
    ADD COLUMN cursor_bound timestamptz;
COMMENT ON COLUMN syncline.sync_page.asked_at IS 'When Jira was asked for the page, by the database''s clock.';
COMMENT ON COLUMN syncline.sync_page.cursor_bound IS 'No cursor passes this time by the word of the page: when it was asked for, by the database''s clock or by Jira''s, the earlier of both.';

ALTER TABLE syncline.issue ADD COLUMN observed_at timestamptz;
ALTER TABLE syncline.comment ADD COLUMN observed_at timestamptz;
ALTER TABLE syncline.worklog ADD COLUMN observed_at timestamptz;
COMMENT ON COLUMN syncline.issue.observed_at IS 'When Jira was asked for what is stored here, by the database''s clock: an answer to an earlier question does not overwrite it. Null: written by an older program. Looks that found it as it was do not move it.';
COMMENT ON COLUMN syncline.comment.observed_at IS 'As in issue.';
COMMENT ON COLUMN syncline.worklog.observed_at IS 'As in issue.';

ALTER TABLE syncline.project
    ADD COLUMN cursor_stood_at    timestamptz,
    ADD COLUMN cursor_put_back_at timestamptz,
    ADD COLUMN cursor_put_back_to timestamptz;
COMMENT ON COLUMN syncline.project.cursor_stood_at IS 'Where the cursor stood when it was last found ahead of the clock; what was updated before cursor_put_back_at may have been passed over.';
COMMENT ON COLUMN syncline.project.cursor_put_back_at IS 'When the cursor was last found ahead of the clock and put back.';
COMMENT ON COLUMN syncline.project.cursor_put_back_to IS 'Where it was put; null: to the beginning.';
