-- An idempotency key belongs to the credential that sent it and to the kind of object, and stands for one request. Its row
-- is also the lock: it is written before the record, and whoever sends the same key meanwhile waits for it. Keys of before
-- tell neither whose they were nor what came with them, so they are forgotten; their records stay.
DELETE FROM created_by_key;
ALTER TABLE created_by_key
    ADD COLUMN actor   text  NOT NULL,
    ADD COLUMN object  text  NOT NULL,
    ADD COLUMN request bytea NOT NULL,
    DROP CONSTRAINT created_by_key_pkey,
    DROP CONSTRAINT created_by_key_record_id_fkey,
    ADD PRIMARY KEY (organization_id, actor, object, key),
    ADD FOREIGN KEY (record_id) REFERENCES records DEFERRABLE INITIALLY DEFERRED;
