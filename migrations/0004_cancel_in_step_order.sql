-- oldest-program: 3
-- A step's end locks the step, then its run; a cancellation holds the run and reaches for its steps. Where the two meet in
-- one row each would wait for the other: the cancellation passes over rows that are being changed, and looks again at
-- those that turn out to wait all the same (a claim takes no lock on the run, so it ends by itself).
CREATE OR REPLACE FUNCTION syncline.cancel_run(run uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    r syncline.sync_run%ROWTYPE;
    stopped integer := 0;
    found_now integer;
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
    FOR look IN 1..100 LOOP
        UPDATE syncline.sync_step t SET state = 'cancelled', finished_at = clock_timestamp()
         WHERE t.id IN (SELECT w.id FROM syncline.sync_step w
                         WHERE w.run_id = run AND w.state IN ('ready', 'later') AND w.kind <> 'finalize_run'
                           FOR UPDATE SKIP LOCKED);
        GET DIAGNOSTICS found_now = ROW_COUNT;
        stopped := stopped + found_now;
        EXIT WHEN NOT EXISTS (SELECT 1 FROM syncline.sync_step w
                               WHERE w.run_id = run AND w.state IN ('ready', 'later') AND w.kind <> 'finalize_run');
        PERFORM pg_sleep(0.001);
    END LOOP;
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
