-- A body that changes what an earlier one recorded.
ALTER TABLE ingest_bodies DROP CONSTRAINT ingest_bodies_outcome_check,
    ADD CONSTRAINT ingest_bodies_outcome_check CHECK (outcome IN ('recorded', 'corrected', 'skipped', 'refused'));

-- What is known last of each record whose bodies correct its event, by the CRM's own time: bodies come in any order.
CREATE TABLE ingest_records (
    url            uuid NOT NULL REFERENCES ingest_urls (id),
    record         text NOT NULL,
    status         text CHECK (status IN ('won', 'lost', 'deleted')),
    status_at      timestamptz,
    value          bigint,
    currency       text,
    value_at       timestamptz,
    -- The event of the record, and what it was told last.
    event          uuid REFERENCES events (id),
    event_value    bigint,
    event_currency text,
    event_void     boolean NOT NULL,
    -- Counts the events of the record: another currency is another event.
    cycle          integer NOT NULL,
    PRIMARY KEY (url, record),
    CHECK ((status IS NULL) = (status_at IS NULL)),
    CHECK ((value IS NULL) = (value_at IS NULL) AND (value IS NULL) = (currency IS NULL)),
    CHECK ((event IS NULL) = (event_currency IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX ingest_records_event ON ingest_records (event) WHERE event IS NOT NULL;
