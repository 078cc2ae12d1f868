-- What telemetry knows of each project and site, and how schedules are slowed down while something is wrong.
-- Rule: the base cadence (schedule.cron) is never overwritten; what is held back stands beside it.

ALTER TABLE syncline.sync_run ADD COLUMN error_retry_at timestamptz; -- when the other side said that it may be tried again
ALTER TABLE syncline.sync_run ADD COLUMN analysed_at timestamptz;
ALTER TABLE syncline.sync_run ADD COLUMN slow boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN syncline.sync_run.slow IS 'Took far longer than such runs of its project do; left out of the baseline for a week.';
-- Ended runs that telemetry has not read yet, in the order of their ends: nearly always empty.
CREATE INDEX sync_run_unread ON syncline.sync_run (project_id, finished_at)
    WHERE finished_at IS NOT NULL AND analysed_at IS NULL;
UPDATE syncline.sync_run SET analysed_at = finished_at WHERE finished_at IS NOT NULL;

ALTER TABLE syncline.schedule ADD COLUMN rung smallint NOT NULL DEFAULT 0 CHECK (rung >= 0);
ALTER TABLE syncline.schedule ADD COLUMN hold text CHECK (hold IN ('ladder', 'until', 'site', 'slow'));
ALTER TABLE syncline.schedule ADD COLUMN hold_code text;
ALTER TABLE syncline.schedule ADD COLUMN held_since timestamptz;
ALTER TABLE syncline.schedule ADD COLUMN hold_until timestamptz;
-- How long the next start is put off again while nobody has read yet how the last one ended.
ALTER TABLE syncline.schedule ADD COLUMN hold_seconds double precision NOT NULL DEFAULT 0;
COMMENT ON COLUMN syncline.schedule.hold IS 'Why the base cadence is not followed: ladder (failures), until (the other side named a time), site (one project of the site is tried for all), slow (runs take too long); null when it is followed.';

CREATE TABLE syncline.project_health (
    project_id      uuid PRIMARY KEY REFERENCES syncline.project ON DELETE CASCADE,
    last_run_id     uuid,
    last_run_at     timestamptz,          -- the end of the newest run that was read
    last_success_at timestamptz,
    last_success_started_at timestamptz,  -- the replica shows all that Jira had at this time
    success_streak  integer NOT NULL DEFAULT 0,
    failure_streak  integer NOT NULL DEFAULT 0,
    class_streak    integer NOT NULL DEFAULT 0,
    code            text,                 -- of the streak's newest failure
    failing_since   timestamptz,
    last_failure_at timestamptz,
    last_error      text,
    slow_streak     integer NOT NULL DEFAULT 0,
    slow_since      timestamptz,
    sluggish_streak integer NOT NULL DEFAULT 0, -- few issues per second, whatever the size
    sluggish_since  timestamptz,
    lag_streak      integer NOT NULL DEFAULT 0,
    lag_since       timestamptz,
    alerting        text[] NOT NULL DEFAULT '{}' -- classes of this project that are observed as firing
) WITH (fillfactor = 70);
INSERT INTO syncline.project_health (project_id, last_success_at)
SELECT p.id, (SELECT max(s.last_sync_time) FROM syncline.sync_state s WHERE s.project_id = p.id) FROM syncline.project p;

CREATE TABLE syncline.site_health (
    site_id         uuid PRIMARY KEY REFERENCES syncline.site ON DELETE CASCADE,
    cause           text CHECK (cause IN ('authentication', 'billing', 'limited', 'down')),
    code            text,
    failures        integer NOT NULL DEFAULT 0, -- in a row over all its projects, none having succeeded in between
    failed_projects uuid[] NOT NULL DEFAULT '{}',
    since           timestamptz,
    told            text,                       -- the code under which the event is told
    -- Set while the failures are seen as one event of the site.
    incident_since  timestamptz,
    rung            smallint NOT NULL DEFAULT 0,
    probe           uuid,                       -- the project that is tried for all
    next_probe_at   timestamptz,
    last_error      text,
    resolved_at     timestamptz,                -- when its last trouble was over: its projects get time to succeed
    -- Several projects fail on and off while others get through: told as one, and nobody is held back for it.
    unsteady_code   text,
    unsteady_since  timestamptz,
    unsteady_at     timestamptz,                -- when a project was last seen to be struck
    updated_at      timestamptz
);
