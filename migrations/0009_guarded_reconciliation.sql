-- oldest-program: 3
-- What the guard of a reconciliation found stands until one goes through, whatever other runs do meanwhile.

ALTER TABLE syncline.project_health
    ADD COLUMN guard_streak integer NOT NULL DEFAULT 0,
    ADD COLUMN guard_since  timestamptz,
    ADD COLUMN guard_error  text;
COMMENT ON COLUMN syncline.project_health.guard_streak IS 'Reconciliations that their guard stopped, since one went through.';

COMMENT ON COLUMN syncline.issue.deleted_reason IS 'deleted: Jira says that it does not exist, or would show it to the account as far as it tells. not_visible: gone or hidden, which look the same, or known to be hidden. moved: to a project that is not synchronised.';
COMMENT ON COLUMN syncline.project.reconcile_tried_at IS 'When the last reconciliation began, by the clock of schedules.';

-- A reconciliation also compares the content of a part of the issues, each night the next one.
ALTER TABLE syncline.project ADD COLUMN content_compared_to bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN syncline.project.content_compared_to IS 'The id of the last issue whose content a reconciliation has compared; the next one goes on from there.';
