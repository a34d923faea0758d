-- What conversion rules want of an object beside what is synced. It is read whether it is synced (`active`) or not.
ALTER TABLE captures
    ADD COLUMN watched       text[] NOT NULL DEFAULT '{}',
    ADD COLUMN watched_dated text[] NOT NULL DEFAULT '{}',
    ADD COLUMN people        boolean NOT NULL DEFAULT false,
    -- When the wish was said that stands.
    ADD COLUMN watched_at    timestamptz;
