-- oldest-program: 3
-- What was passed over because Jira withheld it is owed: it is asked for again, at once after the first refusal and less
-- often with each, at least once a day.

ALTER TABLE syncline.site_capability ADD COLUMN since timestamptz NOT NULL DEFAULT clock_timestamp();
COMMENT ON COLUMN syncline.site_capability.since IS 'Since when it is so; it was last seen to be so at checked_at.';

ALTER TABLE syncline.sync_state
    ADD COLUMN owed_from   timestamptz,
    ADD COLUMN owed_run_id uuid;
COMMENT ON COLUMN syncline.sync_state.owed_from IS 'Of issues updated from this time on, this entity was withheld by Jira and is to be asked for again; NULL where nothing is owed.';
COMMENT ON COLUMN syncline.sync_state.owed_run_id IS 'The run that last passed something over.';

-- Whether a feature that was withheld is due to be asked for again: it has been left alone for as long as it had been
-- withheld when it was last asked for, or for a day.
CREATE FUNCTION syncline.is_due_again(site uuid, name text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT NOT EXISTS (SELECT 1 FROM syncline.site_capability c
                        WHERE c.site_id = site AND c.feature = name AND c.state <> 'available'
                          AND c.checked_at > clock_timestamp() - least(interval '1 day', c.checked_at - c.since));
$$;
