-- The whole of Syncline's state. Three rules of reading:
--   * every time is timestamptz; leases and ready times are compared by this server's clock, never by a pod's;
--   * ids are UUIDv7 (they sort by the time they were made), except Jira's own numeric ids;
--   * `sync_step` is checkpoint and queue in one: a step's effects, its 'done' and its successors are one transaction.
CREATE SCHEMA IF NOT EXISTS syncline;

-- ---------------------------------------------------------------------------------------------------- configuration

CREATE TABLE syncline.site (
    id              uuid PRIMARY KEY,
    name            text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    base_url        text NOT NULL,
    kind            text NOT NULL DEFAULT 'cloud' CHECK (kind IN ('cloud')),
    account_email   text NOT NULL,
    credential      text NOT NULL CHECK (credential ~ '^(env:|file:|enc:v1:)'),
    max_concurrency integer NOT NULL DEFAULT 8 CHECK (max_concurrency BETWEEN 1 AND 64),
    field_map       jsonb,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN syncline.site.credential IS 'A reference (env:NAME, file:PATH) or a value encrypted with the configured key (enc:v1:…); never plain.';

CREATE TABLE syncline.project (
    id          uuid PRIMARY KEY,
    site_id     uuid NOT NULL REFERENCES syncline.site,
    jira_id     bigint,
    key         text NOT NULL CHECK (key ~ '^[A-Z][A-Z0-9_]{0,254}$'),
    name        text NOT NULL DEFAULT '',
    state       text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'removed')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (site_id, key)
);
CREATE INDEX project_key ON syncline.project (key);

CREATE TABLE syncline.schedule (
    project_id   uuid PRIMARY KEY REFERENCES syncline.project ON DELETE CASCADE,
    cron         text NOT NULL,
    time_zone    text NOT NULL DEFAULT 'UTC',
    state        text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused')),
    -- The nominal slot (as cron says) and the instant at which this project starts in it (spread over the interval).
    next_slot_at timestamptz NOT NULL,
    next_run_at  timestamptz NOT NULL,
    last_slot_at timestamptz,
    missed_total bigint NOT NULL DEFAULT 0,
    updated_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX schedule_due ON syncline.schedule (next_run_at) WHERE state = 'active';

-- ---------------------------------------------------------------------------------------------------- runs and steps

CREATE TABLE syncline.sync_run (
    id                  uuid PRIMARY KEY,
    project_id          uuid NOT NULL REFERENCES syncline.project ON DELETE CASCADE,
    kind                text NOT NULL CHECK (kind IN ('incremental', 'full')),
    trigger             text NOT NULL CHECK (trigger IN ('schedule', 'manual', 'retry', 'repair')),
    state               text NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    requested_by        text NOT NULL,
    slot_at             timestamptz,
    retry_of            uuid,
    priority            smallint NOT NULL DEFAULT 0,
    -- Steps that have not ended, finalize_run not counted. Who brings it to 0 enqueues finalize_run, in the same
    -- transaction.
    open_steps          integer NOT NULL DEFAULT 0,
    cancel_requested_at timestamptz,
    window_from         timestamptz,
    window_to           timestamptz,
    estimated_issues    bigint,
    created_at          timestamptz NOT NULL DEFAULT now(),
    started_at          timestamptz,
    finished_at         timestamptz,
    pages               integer NOT NULL DEFAULT 0,
    issues_seen         bigint NOT NULL DEFAULT 0,
    issues_created      bigint NOT NULL DEFAULT 0,
    issues_updated      bigint NOT NULL DEFAULT 0,
    issues_unchanged    bigint NOT NULL DEFAULT 0,
    issues_rejected     bigint NOT NULL DEFAULT 0,
    comments_written    bigint NOT NULL DEFAULT 0,
    comments_removed    bigint NOT NULL DEFAULT 0,
    worklogs_written    bigint NOT NULL DEFAULT 0,
    worklogs_removed    bigint NOT NULL DEFAULT 0,
    steps               integer NOT NULL DEFAULT 0,
    retries             integer NOT NULL DEFAULT 0,
    rescues             integer NOT NULL DEFAULT 0,
    error_code          text,
    error_message       text,
    error_advice        text,
    error_category      text,
    error_severity      text,
    -- Issues to be read again by id, by Jira's ids: what a verification found to differ. A run with trigger 'repair' does
    -- nothing else; a kept run that meets a repair does both.
    repair_ids          bigint[] NOT NULL DEFAULT '{}',
    trace_context       text
) WITH (fillfactor = 70); -- each step's end counts here: room for the new version on the same page
-- Invariant 4: one active run per project, and at most one that is kept to run next.
CREATE UNIQUE INDEX sync_run_one_active ON syncline.sync_run (project_id) WHERE state = 'running';
CREATE UNIQUE INDEX sync_run_one_queued ON syncline.sync_run (project_id) WHERE state = 'queued';
-- Each slot of a schedule becomes a run at most once, however many schedulers look.
CREATE UNIQUE INDEX sync_run_slot ON syncline.sync_run (project_id, slot_at) WHERE slot_at IS NOT NULL;
CREATE INDEX sync_run_history ON syncline.sync_run (project_id, created_at DESC);
CREATE INDEX sync_run_recent ON syncline.sync_run (created_at DESC);
CREATE INDEX sync_run_finished ON syncline.sync_run (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE syncline.sync_step (
    id            uuid PRIMARY KEY,
    -- No foreign key: the row lock it takes on the run would be paid by every step; the janitor keeps the two together.
    run_id        uuid,
    queue         text NOT NULL CHECK (queue IN ('jira', 'store', 'control')),
    kind          text NOT NULL,
    key           text NOT NULL,
    -- ready: may be claimed. later: becomes ready at ready_at. running: claimed by `owner`. The rest are ends.
    state         text NOT NULL CHECK (state IN ('ready', 'later', 'running', 'done', 'dead', 'cancelled')),
    priority      smallint NOT NULL DEFAULT 0,
    payload       jsonb NOT NULL DEFAULT '{}',
    -- Gates that must be open: names in rate_gate.
    gates         text[] NOT NULL DEFAULT '{}',
    -- The fence: grows with each claim and is named by the commit.
    attempt       integer NOT NULL DEFAULT 0,
    failures      smallint NOT NULL DEFAULT 0,
    rescues       smallint NOT NULL DEFAULT 0,
    max_attempts  smallint NOT NULL DEFAULT 5, -- finalize_run has more: a run must end
    ready_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    owner         uuid,
    claimed_at    timestamptz,
    finished_at   timestamptz,
    error_code    text,
    error_message text,
    error_advice  text,
    trace_context text,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (run_id, kind, key)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
-- Claiming reads only this index, whatever waits behind timers or lies in history.
CREATE INDEX sync_step_ready ON syncline.sync_step (queue, priority DESC, ready_at) WHERE state = 'ready';
CREATE INDEX sync_step_later ON syncline.sync_step (ready_at) WHERE state = 'later';
CREATE INDEX sync_step_running ON syncline.sync_step (owner) WHERE state = 'running';
CREATE INDEX sync_step_dead ON syncline.sync_step (finished_at) WHERE state = 'dead';

-- One row per worker process: its lease covers every step it runs, so that renewing costs one row.
CREATE TABLE syncline.worker (
    id          uuid PRIMARY KEY,
    host        text NOT NULL,
    pid         integer NOT NULL,
    version     text NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_until timestamptz NOT NULL
) WITH (fillfactor = 50);

-- A gate that is shut keeps every step that names it from being claimed, on every pod.
CREATE TABLE syncline.rate_gate (
    key          text PRIMARY KEY,
    paused_until timestamptz NOT NULL,
    reason       text NOT NULL,
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE syncline.sync_log (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    run_id     uuid,
    project_id uuid,
    step_kind  text,
    level      text NOT NULL CHECK (level IN ('info', 'warn', 'error')),
    event      text NOT NULL,
    code       text,
    message    text NOT NULL,
    advice     text,
    details    jsonb
);
CREATE INDEX sync_log_run ON syncline.sync_log (run_id, id);
CREATE INDEX sync_log_project ON syncline.sync_log (project_id, id DESC);
CREATE INDEX sync_log_at ON syncline.sync_log (at);

-- ---------------------------------------------------------------------------------------------------- sync progress

-- How far each entity of a project has been applied. Moves forward only (invariant 5).
CREATE TABLE syncline.sync_state (
    project_id     uuid NOT NULL REFERENCES syncline.project ON DELETE CASCADE,
    entity         text NOT NULL CHECK (entity IN ('issue', 'comment', 'worklog')),
    cursor_at      timestamptz,
    last_sync_time timestamptz,
    status         text NOT NULL DEFAULT 'never' CHECK (status IN ('never', 'running', 'succeeded', 'failed', 'cancelled')),
    last_run_id    uuid,
    PRIMARY KEY (project_id, entity)
);

-- A run reads one or more ranges of `updated` side by side; each range is walked page by page.
CREATE TABLE syncline.sync_partition (
    run_id           uuid NOT NULL REFERENCES syncline.sync_run ON DELETE CASCADE,
    number           integer NOT NULL,
    window_from      timestamptz,
    window_to        timestamptz,
    estimated_issues bigint,
    next_walk        jsonb, -- the parameters of the next fetch, once it is known
    fetched_all      boolean NOT NULL DEFAULT false,
    -- The walk stands still because enough pages wait to be written; the next written page sets it going again.
    stalled          boolean NOT NULL DEFAULT false,
    pages_fetched    integer NOT NULL DEFAULT 0,
    pages_applied    integer NOT NULL DEFAULT 0,
    issues_seen      bigint NOT NULL DEFAULT 0,
    issues_created   bigint NOT NULL DEFAULT 0,
    issues_updated   bigint NOT NULL DEFAULT 0,
    issues_unchanged bigint NOT NULL DEFAULT 0,
    issues_rejected  bigint NOT NULL DEFAULT 0,
    comments_written bigint NOT NULL DEFAULT 0,
    comments_removed bigint NOT NULL DEFAULT 0,
    worklogs_written bigint NOT NULL DEFAULT 0,
    worklogs_removed bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, number)
) WITH (fillfactor = 50);

-- Pages as Jira sent them, compressed, until they are written: a crash after a fetch costs no second fetch.
CREATE TABLE syncline.sync_page (
    run_id            uuid NOT NULL REFERENCES syncline.sync_run ON DELETE CASCADE,
    partition         integer NOT NULL,
    seq               integer NOT NULL,
    body              bytea,
    body_bytes        integer NOT NULL,
    applied           boolean NOT NULL DEFAULT false,
    max_updated_at    timestamptz,
    -- Collections of this page's issues that were inlined short and are still being fetched.
    comments_pending  integer NOT NULL DEFAULT 0,
    worklogs_pending  integer NOT NULL DEFAULT 0,
    fetched_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_id, partition, seq)
);
ALTER TABLE syncline.sync_page ALTER COLUMN body SET STORAGE EXTERNAL; -- compressed already

-- ---------------------------------------------------------------------------------------------------- the replica

CREATE TABLE syncline.jira_user (
    site_id      uuid NOT NULL REFERENCES syncline.site,
    account_id   text NOT NULL,
    display_name text NOT NULL,
    email        text,
    active       boolean NOT NULL,
    time_zone    text,
    account_type text,
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (site_id, account_id)
);
COMMENT ON TABLE syncline.jira_user IS 'People as Jira shows them; e-mail and time zone are null when hidden.';

CREATE TABLE syncline.issue (
    site_id             uuid NOT NULL,
    id                  bigint NOT NULL,
    project_id          uuid NOT NULL REFERENCES syncline.project,
    key                 text NOT NULL,
    summary             text NOT NULL,
    description         text,
    issue_type          text NOT NULL,
    status              text NOT NULL,
    status_category     text NOT NULL,
    priority            text,
    resolution          text,
    assignee_account_id text,
    reporter_account_id text,
    creator_account_id  text,
    parent_id           bigint,
    parent_key          text,
    labels              text[] NOT NULL DEFAULT '{}',
    story_points        double precision,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    resolved_at         timestamptz,
    due_date            date,
    content_hash        bytea NOT NULL,
    synced_at           timestamptz NOT NULL,
    deleted_at          timestamptz,
    PRIMARY KEY (site_id, id)
);
CREATE INDEX issue_project_updated ON syncline.issue (project_id, updated_at);
CREATE INDEX issue_key ON syncline.issue (key);
COMMENT ON TABLE syncline.issue IS 'One row per Jira issue, by its id: a move to another project keeps the row and changes its key.';
COMMENT ON COLUMN syncline.issue.status_category IS 'Jira''s key of the category: new, indeterminate or done (undefined when Jira says so).';
COMMENT ON COLUMN syncline.issue.description IS 'Plain text of the rich-text body.';

CREATE TABLE syncline.comment (
    site_id                  uuid NOT NULL,
    id                       bigint NOT NULL,
    issue_id                 bigint NOT NULL,
    author_account_id        text,
    update_author_account_id text,
    body                     text NOT NULL,
    created_at               timestamptz NOT NULL,
    updated_at               timestamptz NOT NULL,
    content_hash             bytea NOT NULL,
    PRIMARY KEY (site_id, id)
);
CREATE INDEX comment_issue ON syncline.comment (site_id, issue_id);

CREATE TABLE syncline.worklog (
    site_id                  uuid NOT NULL,
    id                       bigint NOT NULL,
    issue_id                 bigint NOT NULL,
    author_account_id        text,
    update_author_account_id text,
    comment                  text,
    started_at               timestamptz NOT NULL,
    time_spent_seconds       integer NOT NULL,
    created_at               timestamptz NOT NULL,
    updated_at               timestamptz NOT NULL,
    content_hash             bytea NOT NULL,
    PRIMARY KEY (site_id, id)
);
CREATE INDEX worklog_issue ON syncline.worklog (site_id, issue_id);

-- What Jira sent in a shape that was not expected; one row per place, not per occurrence.
CREATE TABLE syncline.schema_drift (
    site_id       uuid NOT NULL REFERENCES syncline.site,
    entity        text NOT NULL,
    field         text NOT NULL,
    expected      text NOT NULL,
    found         text NOT NULL,
    occurrences   bigint NOT NULL DEFAULT 1,
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (site_id, entity, field, expected, found)
);

-- The issues that a verification has met in Jira so far: what the replica has besides is extra. Kept here and not in memory,
-- and not in a temporary table, which would hold a session; nothing is lost when a crash empties it.
CREATE UNLOGGED TABLE syncline.verify_seen (
    verification uuid NOT NULL, -- UUIDv7: tells when it began
    issue_id     bigint NOT NULL,
    PRIMARY KEY (verification, issue_id)
);

-- Who changed what by hand (CLI, SQL).
CREATE TABLE syncline.audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor   text NOT NULL,
    action  text NOT NULL,
    subject text NOT NULL,
    details jsonb
);

-- ---------------------------------------------------------------------------------------------------- functions

-- A UUIDv7, for rows made inside the database: 48 bits of milliseconds, then the version, then chance.
CREATE FUNCTION syncline.new_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(
        set_byte(
            overlay(uuid_send(gen_random_uuid())
                    PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                    FROM 1 FOR 6),
            6, (get_byte(uuid_send(gen_random_uuid()), 6) & 15) | 112),
        'hex')::uuid
$$;

-- The smallest id that could have been made at a time: old rows are found by their primary key.
CREATE FUNCTION syncline.id_floor(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT encode(overlay(decode(repeat('00', 16), 'hex')
                          PLACING substring(int8send((extract(epoch FROM at) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 'hex')::uuid
$$;

-- Makes a run active: its first step is enqueued and a worker woken, in the caller's transaction.
CREATE FUNCTION syncline.activate_run(run uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    r syncline.sync_run%ROWTYPE;
    site uuid;
BEGIN
    UPDATE syncline.sync_run SET state = 'running', open_steps = open_steps + 1 WHERE id = run RETURNING * INTO STRICT r;
    SELECT site_id INTO STRICT site FROM syncline.project WHERE id = r.project_id;
    INSERT INTO syncline.sync_step (id, run_id, queue, kind, key, state, priority, gates, trace_context)
    VALUES (syncline.new_id(), run, 'jira', 'plan_run', '', 'ready', r.priority, ARRAY['site:' || site], r.trace_context);
    PERFORM pg_notify('syncline_step', 'jira');
END $$;

-- Requests a run of a project and answers the id of the run that will serve the request. The project's row is locked
-- until the caller's transaction ends, so that requests and the end of a run see each other in turn.
CREATE FUNCTION syncline.request_run(
    project uuid, kind text, trigger text, requested_by text, slot timestamptz DEFAULT NULL,
    run_id uuid DEFAULT NULL, retried uuid DEFAULT NULL, trace text DEFAULT NULL, repair bigint[] DEFAULT '{}'
) RETURNS uuid LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    run uuid := coalesce(run_id, syncline.new_id());
    kept uuid;
BEGIN
    PERFORM 1 FROM syncline.project p WHERE p.id = project FOR NO KEY UPDATE;
    IF slot IS NOT NULL AND EXISTS (SELECT 1 FROM syncline.sync_run s WHERE s.project_id = project AND s.slot_at = slot) THEN
        RETURN (SELECT s.id FROM syncline.sync_run s WHERE s.project_id = project AND s.slot_at = slot);
    END IF;
    -- A request that meets a kept one is served by it; the wider kind wins, and a repair is done besides.
    UPDATE syncline.sync_run s
       SET kind = CASE WHEN 'full' IN (s.kind, request_run.kind) THEN 'full' ELSE s.kind END,
           trigger = CASE WHEN s.trigger = 'repair' THEN request_run.trigger ELSE s.trigger END,
           repair_ids = ARRAY(SELECT unnest(s.repair_ids) UNION SELECT unnest(repair)),
           priority = greatest(s.priority, CASE WHEN request_run.trigger = 'schedule' THEN 0 ELSE 10 END)
     WHERE s.project_id = project AND s.state = 'queued'
    RETURNING s.id INTO kept;
    IF kept IS NOT NULL THEN
        RETURN kept;
    END IF;
    INSERT INTO syncline.sync_run (id, project_id, kind, trigger, state, requested_by, slot_at, retry_of, priority, repair_ids, trace_context)
    VALUES (run, project, kind, trigger, 'queued', requested_by, slot, retried,
            CASE WHEN trigger = 'schedule' THEN 0 ELSE 10 END, repair,
            -- A W3C trace context, so that whoever works on the run adds to one trace.
            coalesce(trace, format('00-%s-%s-01', replace(gen_random_uuid()::text, '-', ''), left(replace(gen_random_uuid()::text, '-', ''), 16))));
    IF NOT EXISTS (SELECT 1 FROM syncline.sync_run s WHERE s.project_id = project AND s.state = 'running') THEN
        PERFORM syncline.activate_run(run);
    END IF;
    RETURN run;
END $$;

-- Finds a project by KEY or SITE/KEY, or says what to do.
CREATE FUNCTION syncline.find_project(project text) RETURNS uuid LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_variable
DECLARE
    ids uuid[];
    sites text;
BEGIN
    SELECT array_agg(p.id), string_agg(s.name || '/' || p.key, ', ' ORDER BY s.name) INTO ids, sites
      FROM syncline.project p JOIN syncline.site s ON s.id = p.site_id
     WHERE p.state <> 'removed'
       AND (p.key = upper(project) OR s.name || '/' || p.key = lower(split_part(project, '/', 1)) || '/' || upper(split_part(project, '/', 2)));
    IF ids IS NULL THEN
        RAISE EXCEPTION 'unknown project "%"', project USING
            ERRCODE = 'no_data_found',
            HINT = 'List the projects with "syncline project list" or SELECT key FROM syncline.project; add one with "syncline project add SITE KEY".';
    ELSIF cardinality(ids) > 1 THEN
        RAISE EXCEPTION 'project key "%" is used on several sites: %', project, sites USING
            ERRCODE = 'ambiguous_parameter', HINT = 'Name the site too, as SITE/KEY.';
    END IF;
    RETURN ids[1];
END $$;

-- The public way in: SELECT syncline.enqueue_sync('ACME', kind => 'full', requested_by => 'ana');
CREATE FUNCTION syncline.enqueue_sync(project text, kind text DEFAULT 'incremental', requested_by text DEFAULT current_user)
RETURNS uuid LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    found uuid;
BEGIN
    IF kind IS NULL OR kind NOT IN ('incremental', 'full') THEN
        RAISE EXCEPTION 'unknown kind "%"', coalesce(kind, 'NULL') USING
            ERRCODE = 'invalid_parameter_value', HINT = 'kind is ''incremental'' (what changed since the last sync) or ''full'' (everything).';
    END IF;
    IF project IS NULL OR project = '' THEN
        RAISE EXCEPTION 'project is missing' USING
            ERRCODE = 'invalid_parameter_value', HINT = 'Give the project''s key, for example enqueue_sync(''ACME'').';
    END IF;
    found := syncline.find_project(project);
    IF (SELECT p.state FROM syncline.project p WHERE p.id = found) = 'paused' THEN
        RAISE EXCEPTION 'project "%" is paused', project USING
            ERRCODE = 'object_not_in_prerequisite_state', HINT = format('Resume it first: syncline project resume %s', project);
    END IF;
    RETURN syncline.request_run(found, kind, 'manual', coalesce(requested_by, current_user));
END $$;
COMMENT ON FUNCTION syncline.enqueue_sync IS 'Requests a sync of a project (KEY or SITE/KEY), in the caller''s transaction; answers the id of the run that serves it.';

-- Requests that issues of a project be read again by id; answers the id of the run that does it.
CREATE FUNCTION syncline.request_repair(project uuid, ids bigint[], requested_by text) RETURNS uuid LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    p syncline.project%ROWTYPE;
BEGIN
    SELECT * INTO STRICT p FROM syncline.project q WHERE q.id = project;
    IF p.state <> 'active' THEN
        RAISE EXCEPTION 'project "%" is %', p.key, p.state USING
            ERRCODE = 'object_not_in_prerequisite_state', HINT = format('Resume it first: syncline project resume %s', p.key);
    END IF;
    RETURN syncline.request_run(project, 'incremental', 'repair', requested_by, repair => ids);
END $$;

-- Asks a run to stop: what has not started is cancelled now, what runs stops at its step's end. Answers the run's state.
CREATE FUNCTION syncline.cancel_run(run uuid) RETURNS text LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    r syncline.sync_run%ROWTYPE;
    stopped integer;
BEGIN
    SELECT * INTO r FROM syncline.sync_run s WHERE s.id = run FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown run %', run USING ERRCODE = 'no_data_found', HINT = 'List runs with "syncline run list".';
    END IF;
    IF r.state = 'queued' THEN
        UPDATE syncline.sync_run s SET state = 'cancelled', cancel_requested_at = clock_timestamp(), finished_at = clock_timestamp() WHERE s.id = run;
        RETURN 'cancelled';
    ELSIF r.state <> 'running' OR r.cancel_requested_at IS NOT NULL THEN
        RETURN CASE WHEN r.state = 'running' THEN 'cancelling' ELSE r.state END;
    END IF;
    UPDATE syncline.sync_step t SET state = 'cancelled', finished_at = clock_timestamp()
     WHERE t.run_id = run AND t.state IN ('ready', 'later') AND t.kind <> 'finalize_run';
    GET DIAGNOSTICS stopped = ROW_COUNT;
    UPDATE syncline.sync_run s SET cancel_requested_at = clock_timestamp(), open_steps = s.open_steps - stopped
     WHERE s.id = run RETURNING * INTO r;
    IF r.open_steps = 0 THEN
        INSERT INTO syncline.sync_step (id, run_id, queue, kind, key, state, priority, max_attempts, trace_context)
        VALUES (syncline.new_id(), run, 'store', 'finalize_run', '', 'ready', 30, 32767, r.trace_context)
        ON CONFLICT (run_id, kind, key) DO NOTHING;
        PERFORM pg_notify('syncline_step', 'store');
    END IF;
    RETURN 'cancelling';
END $$;
