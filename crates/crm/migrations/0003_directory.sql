-- What the room knows of records: the fields by which people and companies are found, each as of the newest version of the
-- record that changed it, in whatever order they were told.
CREATE TABLE directory (
    record       uuid NOT NULL,
    -- email, secondary_email, domain; company_id, partner_id; stage; archived
    field        text NOT NULL,
    organization uuid NOT NULL,
    object       text NOT NULL,
    -- Empty where there is none.
    value        text NOT NULL,
    -- The record that a reference names.
    names        uuid,
    version      bigint NOT NULL,
    PRIMARY KEY (record, field)
);
CREATE INDEX directory_value ON directory (organization, value, field) WHERE value <> '';

-- Partners, as the attribution room tells of them.
CREATE TABLE partners (
    partner      uuid PRIMARY KEY,
    organization uuid NOT NULL,
    status       text NOT NULL,
    at           timestamptz NOT NULL
);
