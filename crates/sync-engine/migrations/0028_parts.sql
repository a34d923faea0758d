-- What a vendor's record was told to have changed in before all of it was known, until it is read as a whole.
CREATE TABLE parts (
    mapping_id      uuid   NOT NULL REFERENCES mappings ON DELETE CASCADE,
    vendor_id       text   NOT NULL,
    organization_id uuid   NOT NULL,
    seen            json   NOT NULL,
    kept_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (mapping_id, vendor_id)
);
