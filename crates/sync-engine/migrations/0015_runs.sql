-- Runs that changed records: readings of a vendor, applications of a mapping, and runs put back. What belongs to a run
-- is found by when it was captured, and by its cause where all of it names the same.
CREATE TABLE runs (
    id              uuid PRIMARY KEY,
    organization_id uuid        NOT NULL,
    connection_id   uuid        NOT NULL,
    vendor          text        NOT NULL,
    vendor_object   text        NOT NULL,
    kind            text        NOT NULL,
    state           text        NOT NULL,
    actor           text        NOT NULL,
    cause           text,
    lane            text,
    started_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    read            bigint      NOT NULL DEFAULT 0,
    total           bigint      NOT NULL DEFAULT 0,
    done            bigint      NOT NULL DEFAULT 0,
    put_back        bigint      NOT NULL DEFAULT 0,
    stayed          bigint      NOT NULL DEFAULT 0,
    undo_of         uuid,
    undone_by       uuid
);
CREATE INDEX runs_by_organization ON runs (organization_id, started_at DESC, id DESC);
CREATE UNIQUE INDEX runs_by_cause ON runs (cause) WHERE cause IS NOT NULL;
CREATE INDEX runs_working ON runs (started_at) WHERE state = 'working' AND kind = 'undo';

-- Records of a run that are still to be put back.
CREATE TABLE run_records (
    run_id    uuid NOT NULL REFERENCES runs ON DELETE CASCADE,
    record_id uuid NOT NULL,
    PRIMARY KEY (run_id, record_id)
);
