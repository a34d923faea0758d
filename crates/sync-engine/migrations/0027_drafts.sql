-- All settings of a mapping as they would be with the changes that are not applied yet.
ALTER TABLE mappings ADD COLUMN draft jsonb;

-- What a vendor's records were last seen with while such changes wait, for their plan and its application: the sync that
-- goes on meanwhile takes of it what is mapped now, and forgets the rest.
CREATE TABLE beside (
    mapping_id      uuid        NOT NULL REFERENCES mappings ON DELETE CASCADE,
    vendor_id       text        NOT NULL,
    organization_id uuid        NOT NULL,
    version         bigint      NOT NULL,
    at              timestamptz NOT NULL,
    fields          jsonb       NOT NULL,
    -- When fields were set there, where that is known better than by the record's modification.
    times           jsonb       NOT NULL,
    PRIMARY KEY (mapping_id, vendor_id)
);
