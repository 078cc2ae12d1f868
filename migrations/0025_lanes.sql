-- oldest-program: 3
-- Steps that wait behind the same gates stand in one lane, by urgency and then by time. A claim looks at the head of each
-- lane: what stands behind a shut gate is passed over by one look, however much it is, and no site's steps hide those of
-- another. `sync_step_ready` stays: programs of the release before claim by it, and pulses and gauges look at it.
-- Not CONCURRENTLY: that waits for every old snapshot of the database, and for a second program that waits to migrate. The
-- index holds ready steps only; making it reads the table once.
CREATE INDEX sync_step_lane ON syncline.sync_step (queue, hash_array_extended(gates, 0), priority, ready_at) WHERE state = 'ready';
COMMENT ON COLUMN syncline.sync_step.priority IS 'How urgent: 10 and more for what a person waits for, 0 for schedules, below 0 for what comes late in a long run. Every level has a share of the claims.';
