-- Addresses that a CRM's own webhook is pointed at.
CREATE TABLE ingest_urls (
    id               uuid PRIMARY KEY,
    organization     uuid NOT NULL,
    name             text NOT NULL,
    vendor           text NOT NULL CHECK (vendor IN ('pipedrive', 'close', 'copper', 'other')),
    -- ingest::mapping::Mapping
    mapping          jsonb NOT NULL,
    -- What the sender proves itself by, sealed; none where it is still to come.
    secret           bytea,
    created_at       timestamptz NOT NULL,
    created_by       text NOT NULL,
    revoked_at       timestamptz,
    last_received_at timestamptz,
    received         bigint NOT NULL DEFAULT 0,
    recorded         bigint NOT NULL DEFAULT 0,
    refused          bigint NOT NULL DEFAULT 0
);
CREATE INDEX ingest_urls_organization ON ingest_urls (organization, id DESC);

-- The last bodies that came, sealed, for a day: they are other people's data.
CREATE TABLE ingest_bodies (
    id          uuid PRIMARY KEY,
    url         uuid NOT NULL REFERENCES ingest_urls (id),
    received_at timestamptz NOT NULL,
    body        bytea NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('recorded', 'skipped', 'refused')),
    message     text NOT NULL,
    event       uuid
);
CREATE INDEX ingest_bodies_url ON ingest_bodies (url, id DESC);
CREATE INDEX ingest_bodies_age ON ingest_bodies (received_at);
