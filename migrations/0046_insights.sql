-- oldest-program: 3
-- What insights need for longer than runs are kept: what the runs of a day add up to, and how large tables were.

CREATE TABLE syncline.run_daily (
    project_id       uuid NOT NULL REFERENCES syncline.project ON DELETE CASCADE,
    day              date NOT NULL,
    work             text NOT NULL CHECK (work IN ('incremental', 'full', 'reconcile')),
    state            text NOT NULL CHECK (state IN ('succeeded', 'failed', 'cancelled')),
    runs             bigint NOT NULL,
    issues_seen      bigint NOT NULL,
    issues_created   bigint NOT NULL,
    issues_updated   bigint NOT NULL,
    issues_deleted   bigint NOT NULL,
    issues_rejected  bigint NOT NULL,
    comments_written bigint NOT NULL,
    worklogs_written bigint NOT NULL,
    changes_written  bigint NOT NULL,
    requests         bigint NOT NULL,
    steps            bigint NOT NULL,
    retries          bigint NOT NULL,
    rescues          bigint NOT NULL,
    seconds          double precision NOT NULL,
    longest_seconds  double precision NOT NULL,
    PRIMARY KEY (project_id, day, work, state)
) WITH (fillfactor = 70); -- each run of the day counts here
CREATE INDEX run_daily_day ON syncline.run_daily (day);
COMMENT ON TABLE syncline.run_daily IS 'What the runs of a day add up to, by project, work and outcome. It stays when the runs are removed.';
COMMENT ON COLUMN syncline.run_daily.project_id IS 'The project: project.id.';
COMMENT ON COLUMN syncline.run_daily.day IS 'The day on which the runs were asked for, in UTC.';
COMMENT ON COLUMN syncline.run_daily.work IS 'incremental, full, or reconcile: an incremental run that also compared the ids of all issues.';
COMMENT ON COLUMN syncline.run_daily.state IS 'succeeded, failed or cancelled.';
COMMENT ON COLUMN syncline.run_daily.runs IS 'How many runs.';
COMMENT ON COLUMN syncline.run_daily.issues_seen IS 'Issues that were read.';
COMMENT ON COLUMN syncline.run_daily.issues_created IS 'Of those, new ones.';
COMMENT ON COLUMN syncline.run_daily.issues_updated IS 'Of those, changed ones.';
COMMENT ON COLUMN syncline.run_daily.issues_deleted IS 'Issues that were marked as gone.';
COMMENT ON COLUMN syncline.run_daily.issues_rejected IS 'Issues that could not be read.';
COMMENT ON COLUMN syncline.run_daily.comments_written IS 'Comments that were written.';
COMMENT ON COLUMN syncline.run_daily.worklogs_written IS 'Worklogs that were written.';
COMMENT ON COLUMN syncline.run_daily.changes_written IS 'New entries of histories.';
COMMENT ON COLUMN syncline.run_daily.requests IS 'Requests to Jira.';
COMMENT ON COLUMN syncline.run_daily.steps IS 'Steps that ended.';
COMMENT ON COLUMN syncline.run_daily.retries IS 'Steps that were tried again.';
COMMENT ON COLUMN syncline.run_daily.rescues IS 'Steps that were taken over from processes that fell silent.';
COMMENT ON COLUMN syncline.run_daily.seconds IS 'From start to end, of all runs together.';
COMMENT ON COLUMN syncline.run_daily.longest_seconds IS 'From start to end, of the longest run.';

-- With its owner's rights: whoever ends a run need not be allowed to change what was. At the end of the transaction that ends a run, when all that it counts has been counted.
CREATE FUNCTION syncline.roll_up_run() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, syncline, pg_temp AS $$
BEGIN
    INSERT INTO syncline.run_daily AS d
    SELECT r.project_id, date_trunc('day', r.created_at, 'UTC')::date,
           CASE WHEN r.kind = 'full' THEN 'full' WHEN r.reconcile THEN 'reconcile' ELSE 'incremental' END, r.state,
           1, r.issues_seen, r.issues_created, r.issues_updated, r.issues_deleted, r.issues_rejected, r.comments_written,
           r.worklogs_written, r.changes_written, r.requests, r.steps, r.retries, r.rescues, l.seconds, l.seconds
      FROM syncline.sync_run r
     CROSS JOIN LATERAL (SELECT coalesce(extract(epoch FROM r.finished_at - r.started_at), 0)::float8 AS seconds) l
     WHERE r.id = NEW.id AND r.finished_at IS NOT NULL
    ON CONFLICT (project_id, day, work, state) DO UPDATE
       SET runs = d.runs + 1, issues_seen = d.issues_seen + excluded.issues_seen,
           issues_created = d.issues_created + excluded.issues_created, issues_updated = d.issues_updated + excluded.issues_updated,
           issues_deleted = d.issues_deleted + excluded.issues_deleted, issues_rejected = d.issues_rejected + excluded.issues_rejected,
           comments_written = d.comments_written + excluded.comments_written,
           worklogs_written = d.worklogs_written + excluded.worklogs_written,
           changes_written = d.changes_written + excluded.changes_written, requests = d.requests + excluded.requests,
           steps = d.steps + excluded.steps, retries = d.retries + excluded.retries, rescues = d.rescues + excluded.rescues,
           seconds = d.seconds + excluded.seconds, longest_seconds = greatest(d.longest_seconds, excluded.longest_seconds);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION syncline.roll_up_run IS 'Adds a run that ended to its day.';

CREATE CONSTRAINT TRIGGER sync_run_rolled_up AFTER UPDATE OF finished_at ON syncline.sync_run
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL) EXECUTE FUNCTION syncline.roll_up_run();

INSERT INTO syncline.run_daily
SELECT r.project_id, date_trunc('day', r.created_at, 'UTC')::date,
       CASE WHEN r.kind = 'full' THEN 'full' WHEN r.reconcile THEN 'reconcile' ELSE 'incremental' END, r.state,
       count(*), sum(r.issues_seen), sum(r.issues_created), sum(r.issues_updated), sum(r.issues_deleted), sum(r.issues_rejected),
       sum(r.comments_written), sum(r.worklogs_written), sum(r.changes_written), sum(r.requests), sum(r.steps), sum(r.retries),
       sum(r.rescues), sum(l.seconds), max(l.seconds)
  FROM syncline.sync_run r
 CROSS JOIN LATERAL (SELECT coalesce(extract(epoch FROM r.finished_at - r.started_at), 0)::float8 AS seconds) l
 WHERE r.finished_at IS NOT NULL
 GROUP BY 1, 2, 3, 4;

CREATE TABLE syncline.size_daily (
    name  text NOT NULL,
    day   date NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (name, day)
);
CREATE INDEX size_daily_day ON syncline.size_daily (day);
COMMENT ON TABLE syncline.size_daily IS 'How large the database and its tables were on each day, as the janitor last saw them.';
COMMENT ON COLUMN syncline.size_daily.name IS 'The table, with its indexes; database for all of it.';
COMMENT ON COLUMN syncline.size_daily.day IS 'The day, in UTC.';
COMMENT ON COLUMN syncline.size_daily.bytes IS 'Bytes on disk.';

INSERT INTO syncline.upkeep (kind) VALUES ('summaries');
