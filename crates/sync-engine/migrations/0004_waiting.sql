-- References whose other record is not linked yet: inward by the vendor's id, outward by ours.
CREATE TABLE waiting (
    link_id       uuid NOT NULL REFERENCES links ON DELETE CASCADE,
    field         text NOT NULL,
    connection_id uuid NOT NULL,
    vendor_object text NOT NULL,
    object        text NOT NULL,
    vendor_id     text,
    record_id     uuid,
    PRIMARY KEY (link_id, field)
);
