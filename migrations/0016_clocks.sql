-- oldest-program: 3
-- Workers decide by this database's clock; how far their machines' own are off is told.

ALTER TABLE syncline.worker ADD COLUMN clock_ahead_seconds double precision;
COMMENT ON COLUMN syncline.worker.clock_ahead_seconds IS 'How far the clock of the worker''s machine is ahead of this database''s (negative: behind), where it is more than a second; null: less, or not measured. It decides nothing.';
