-- The digest of the vendor's record as a listing last showed it.
ALTER TABLE links ADD COLUMN shown bigint;

-- The same of the vendor's records that a mapping does not sync: they have no link.
CREATE TABLE unsynced (
    mapping_id      uuid   NOT NULL,
    vendor_id       text   NOT NULL,
    organization_id uuid   NOT NULL,
    version         bigint NOT NULL,
    shown           bigint NOT NULL,
    PRIMARY KEY (mapping_id, vendor_id)
);

-- Comparisons of an object at both sides: first what is here is checked, then the vendor's records are read.
CREATE TABLE reconciles (
    id              uuid PRIMARY KEY,
    organization_id uuid        NOT NULL,
    connection_id   uuid        NOT NULL,
    vendor          text        NOT NULL,
    vendor_object   text        NOT NULL,
    state           text        NOT NULL,
    actor           text        NOT NULL,
    started_at      timestamptz NOT NULL,
    verified_at     timestamptz,
    finished_at     timestamptz,
    read            bigint      NOT NULL DEFAULT 0,
    total           bigint,
    buckets         bigint,
    sent            bigint,
    looked_at       bigint      NOT NULL DEFAULT 0,
    repaired        bigint      NOT NULL DEFAULT 0,
    held            bigint      NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX reconciles_working ON reconciles (connection_id, vendor_object)
    WHERE state IN ('wanted', 'reading');
CREATE INDEX reconciles_by_connection ON reconciles (connection_id, started_at DESC);

-- Of each bucket that differed, the ids of the vendor's records in it.
CREATE TABLE reconcile_buckets (
    reconcile_id    uuid   NOT NULL REFERENCES reconciles ON DELETE CASCADE,
    organization_id uuid   NOT NULL,
    bucket          int    NOT NULL,
    ids             text[] NOT NULL,
    PRIMARY KEY (reconcile_id, bucket)
);

-- What differed and was repaired.
CREATE TABLE reconcile_differences (
    reconcile_id    uuid        NOT NULL REFERENCES reconciles ON DELETE CASCADE,
    organization_id uuid        NOT NULL,
    link_id         uuid        NOT NULL,
    vendor_id       text,
    record_id       uuid,
    what            text        NOT NULL,
    fields          text[]      NOT NULL,
    at              timestamptz NOT NULL,
    PRIMARY KEY (reconcile_id, link_id)
);
