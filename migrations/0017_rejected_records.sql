-- oldest-program: 3
-- What a run could not read is counted by entity, each record once, so that a run that rejects says so: 993 entries of a
-- history that cannot be read are no success without a word.

-- While a run goes on: a page that overlaps the one before rejects the same record again, and it is one record all the same.
-- The rows go when the run ends; their number stays on the run.
CREATE TABLE syncline.sync_rejected (
    run_id uuid NOT NULL REFERENCES syncline.sync_run ON DELETE CASCADE,
    entity text NOT NULL,
    record text NOT NULL,
    PRIMARY KEY (run_id, entity, record)
);
COMMENT ON TABLE syncline.sync_rejected IS 'Records that a run under way could not read: entity, and what names the record.';

ALTER TABLE syncline.sync_run
    ADD COLUMN rejected jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN syncline.sync_run.rejected IS 'Records that could not be read, by entity: {"issue": 1, "changelog": 993}; empty where there were none. issues_rejected is the number of issues among them.';

-- A run that fails must not let the cursor pass what it rejected; one that succeeds must, or it would read it for ever.
ALTER TABLE syncline.sync_page
    ADD COLUMN issues_rejected integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN syncline.sync_page.issues_rejected IS 'Issues of the page that could not be read; until the run has succeeded the cursor stays before such a page.';

ALTER TABLE syncline.project_health
    ADD COLUMN rejected       jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN rejected_since timestamptz;
COMMENT ON COLUMN syncline.project_health.rejected IS 'Records that the newest run which rejected any could not read, by entity; empty since a full run read everything.';
COMMENT ON COLUMN syncline.project_health.rejected_since IS 'Since when runs reject records.';
