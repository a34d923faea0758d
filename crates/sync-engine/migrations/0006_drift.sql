-- Fields of active mappings that the vendor changed under them: what we knew, what is wrong, whether it is as before.
CREATE TABLE drifts (
    mapping_id   uuid NOT NULL REFERENCES mappings ON DELETE CASCADE,
    field        text NOT NULL,
    vendor_field text NOT NULL,
    change       text NOT NULL,
    message      text NOT NULL,
    expected     jsonb NOT NULL,
    returned     boolean NOT NULL DEFAULT false,
    at           timestamptz NOT NULL,
    PRIMARY KEY (mapping_id, field)
);
