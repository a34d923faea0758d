-- Since when, and since how many records, a backfill was not told of yet: what it published before a restart counts too.
ALTER TABLE checkpoints ADD COLUMN since timestamptz NOT NULL DEFAULT now();
ALTER TABLE checkpoints ADD COLUMN since_read bigint NOT NULL DEFAULT 0;
UPDATE checkpoints SET since_read = read;
