-- Of which fields it matters when they were set, and whether of history as well.
ALTER TABLE captures ADD COLUMN dated text[] NOT NULL DEFAULT '{}';
ALTER TABLE captures ADD COLUMN dated_history boolean NOT NULL DEFAULT false;
