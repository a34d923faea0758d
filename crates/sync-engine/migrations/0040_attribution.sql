-- What conversion events are attributed to, as the attribution room said last.
CREATE TABLE attributed (
    event           uuid        PRIMARY KEY,
    organization_id uuid        NOT NULL,
    generation      integer     NOT NULL,
    -- The match key of the contact whose event it is, where the user id is an e-mail address.
    person          text,
    -- The vendor's record that the event tells of.
    connection_id   uuid,
    vendor_object   text,
    vendor_id       text,
    occurred_at     timestamptz NOT NULL,
    -- What is written to records; none: the event is attributed to nobody.
    told            json
);
CREATE INDEX attributed_to_person ON attributed (organization_id, person) WHERE person IS NOT NULL;
CREATE INDEX attributed_to_record ON attributed (connection_id, vendor_object, vendor_id) WHERE vendor_id IS NOT NULL;
CREATE INDEX attributed_by_event ON attributed (organization_id, event);

-- Connections whose CRM is told of attributions, and who wanted that.
CREATE TABLE attribution_writing (
    connection_id   uuid        PRIMARY KEY,
    organization_id uuid        NOT NULL,
    actor           text        NOT NULL,
    at              timestamptz NOT NULL
);
CREATE INDEX attribution_writing_of ON attribution_writing (organization_id);

-- Organizations all of whose attributed records are to be looked at again, and how far that is.
CREATE TABLE attribution_sweeps (
    organization_id uuid    PRIMARY KEY,
    after           uuid    NOT NULL,
    -- Grows when it begins again.
    round           integer NOT NULL
);
