-- no-transaction
-- oldest-program: 3
CREATE INDEX CONCURRENTLY IF NOT EXISTS sync_run_by_state ON syncline.sync_run (state, created_at DESC)
