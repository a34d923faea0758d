-- What happens is counted by the vendor's object; what was counted before is of no object.
ALTER TABLE activity
    ADD COLUMN vendor_object  text     NOT NULL DEFAULT '',
    -- Canaries: our own writes, from the wish to write until the vendor's listing showed it here again.
    ADD COLUMN canary_max_ms  bigint   NOT NULL DEFAULT 0,
    ADD COLUMN canary_buckets bigint[] NOT NULL DEFAULT array_fill(0::bigint, ARRAY[20]);
ALTER TABLE activity DROP CONSTRAINT activity_pkey;
ALTER TABLE activity ADD PRIMARY KEY (connection_id, minute, vendor_object);

-- Of which event each was stored, by its place in the stream too: clocks of connectors differ.
ALTER TABLE connections
    ADD COLUMN state_seq   bigint NOT NULL DEFAULT 0,
    ADD COLUMN objects_seq bigint NOT NULL DEFAULT 0,
    ADD COLUMN budget_at   timestamptz,
    ADD COLUMN budget_seq  bigint NOT NULL DEFAULT 0;
