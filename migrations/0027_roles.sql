-- oldest-program: 3
-- Who may do what in this schema: the names of the roles that `syncline role` made, and the two ways in for outsiders, who
-- need no right to any table. Without such roles everything stays as it was: the user who owns the schema does everything.

CREATE TABLE syncline.role_name (
    part       text PRIMARY KEY CHECK (part IN ('owner', 'worker', 'enqueuer', 'reader')),
    name       text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE syncline.role_name IS 'The roles of this database, by their part. `syncline migrate` gives them their rights again after each change of the schema.';

-- ---------------------------------------------------------------------------------------------------- the ways in

-- The public way in: SELECT syncline.enqueue_sync('ACME', kind => 'full', requested_by => 'ana');
-- It works with its owner's rights, so that a caller needs EXECUTE and nothing else. What must hold: the search path is
-- fixed and ends with pg_temp, so that no caller's table, function or operator stands in for one of ours; nothing that the
-- caller gives is executed or becomes a payload; the caller gets the run's id and no row.
CREATE OR REPLACE FUNCTION syncline.enqueue_sync(project text, kind text DEFAULT 'incremental', requested_by text DEFAULT current_user)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, syncline, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    found uuid;
    name text;
    state text;
    kept_kind text;
    run uuid;
BEGIN
    IF kind IS NULL OR kind NOT IN ('incremental', 'full') THEN
        RAISE EXCEPTION 'unknown kind "%"', coalesce(kind, 'NULL') USING
            ERRCODE = 'invalid_parameter_value', HINT = 'kind is ''incremental'' (what changed since the last sync) or ''full'' (everything).';
    END IF;
    IF project IS NULL OR project = '' THEN
        RAISE EXCEPTION 'project is missing' USING
            ERRCODE = 'invalid_parameter_value', HINT = 'Give the project''s key, for example enqueue_sync(''ACME'').';
    END IF;
    IF length(requested_by) > 200 OR requested_by ~ '[[:cntrl:]]' THEN
        RAISE EXCEPTION 'requested_by is % characters long or holds control characters', length(requested_by) USING
            ERRCODE = 'invalid_parameter_value', HINT = 'Give a name of at most 200 printable characters: it is shown as who asked.';
    END IF;
    found := syncline.find_project(project);
    SELECT p.state, s.name || '/' || p.key INTO state, name
      FROM syncline.project p JOIN syncline.site s ON s.id = p.site_id WHERE p.id = found;
    IF state = 'paused' THEN
        RAISE EXCEPTION 'project "%" is paused', project USING
            ERRCODE = 'object_not_in_prerequisite_state', HINT = format('Resume it first: syncline project resume %s', project);
    END IF;
    -- As request_run does: requests see each other in turn.
    PERFORM 1 FROM syncline.project p WHERE p.id = found FOR NO KEY UPDATE;
    SELECT r.kind INTO kept_kind FROM syncline.sync_run r WHERE r.project_id = found AND r.state = 'queued';
    -- current_user is this function's owner here.
    requested_by := coalesce(nullif(requested_by, ''), session_user);
    run := syncline.request_run(found, kind, 'manual', requested_by);
    -- A request that an earlier one serves as it stands changes nothing: without this a loop of requests would fill the table.
    IF kept_kind IS NULL OR kept_kind <> kind AND kind = 'full' THEN
        INSERT INTO syncline.audit (actor, action, subject, details)
        VALUES (session_user, 'sync.request', name,
                jsonb_build_object('run', run, 'kind', kind, 'requested_by', requested_by,
                                   -- Who the session acts as, where it has said SET ROLE.
                                   'role', nullif(current_setting('role', true), 'none')));
    END IF;
    RETURN run;
END $$;

-- Requests a run that also compares the ids of all issues; answers the id of the run that does it.
CREATE OR REPLACE FUNCTION syncline.request_reconcile(project text, kind text DEFAULT 'incremental', requested_by text DEFAULT current_user)
RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, syncline, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    run uuid := syncline.enqueue_sync(project, kind, coalesce(requested_by, session_user));
BEGIN
    -- The run is either made by this transaction or waits behind another one: no worker has planned it.
    UPDATE syncline.sync_run r SET reconcile = true WHERE r.id = run;
    RETURN run;
END $$;

-- ---------------------------------------------------------------------------------------------------- nobody by default

-- PostgreSQL lets everybody execute a new function. Who was trusted with runs until now keeps what that needed.
DO $$
DECLARE
    f record;
    trusted record;
BEGIN
    FOR f IN SELECT p.oid::regprocedure AS signature FROM pg_proc p
              WHERE p.pronamespace = 'syncline'::regnamespace AND p.proname NOT IN ('new_id', 'id_floor')
                AND pg_has_role(p.proowner, 'USAGE')
    LOOP
        FOR trusted IN SELECT DISTINCT a.grantee::regrole AS name
                         FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
                        WHERE c.oid = 'syncline.sync_run'::regclass AND a.privilege_type = 'INSERT' AND a.grantee NOT IN (0, c.relowner)
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', f.signature, trusted.name);
        END LOOP;
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f.signature);
    END LOOP;
END $$;
