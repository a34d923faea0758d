-- Parts of vendors' schemas that do not fit one event, until all parts of a reading are there.
CREATE TABLE schema_parts (
    organization_id uuid        NOT NULL,
    connection_id   uuid        NOT NULL,
    reading         uuid        NOT NULL,
    number          int         NOT NULL,
    at              timestamptz NOT NULL,
    objects         jsonb       NOT NULL,
    PRIMARY KEY (organization_id, connection_id, reading, number)
);
