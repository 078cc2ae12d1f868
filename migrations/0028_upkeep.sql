-- oldest-program: 3
-- What the janitor needs: whose turn it is, how far it has come, and an index for each of its deletions. The tables that get
-- an index here hold what people did by hand, thousands of rows and not millions, so that building it takes milliseconds.

-- Which process removes old rows now. One at a time, so that what it costs others does not grow with the fleet.
CREATE TABLE syncline.upkeep_turn (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    holder     uuid NOT NULL,
    held_until timestamptz NOT NULL
);

-- What became of each kind of old rows.
CREATE TABLE syncline.upkeep (
    kind         text PRIMARY KEY,
    removed      bigint NOT NULL DEFAULT 0,
    -- When it was last gone through to its end.
    swept_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When the oldest row that is still there should have been removed; null when none should have been.
    behind_since timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE syncline.upkeep IS 'What the janitor removed, by kind, and whether it keeps up.';

CREATE INDEX audit_at ON syncline.audit (at);
-- Removing an episode removes its silences.
CREATE INDEX alert_silence_alert ON syncline.alert_silence (alert_id) WHERE alert_id IS NOT NULL;

-- So that a kind that nobody has gone through is seen to be behind from the start.
INSERT INTO syncline.upkeep (kind)
SELECT unnest(ARRAY['steps', 'dead_steps', 'runs', 'pages', 'verifications', 'logs', 'drift', 'alerts', 'reminders', 'silences',
                    'workers', 'gates', 'audit']);
