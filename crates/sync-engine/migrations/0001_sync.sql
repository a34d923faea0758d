-- Canonical records. `cells` holds every field's value with its stamp: when, by whom.
CREATE TABLE records (
    id              uuid PRIMARY KEY,
    organization_id uuid        NOT NULL,
    object          text        NOT NULL,
    version         bigint      NOT NULL,
    title           text        NOT NULL,
    cells           jsonb       NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    archived_at     timestamptz
);
CREATE INDEX records_by_object ON records (organization_id, object, id);

-- Normalized values by which records are recognized as the same thing.
CREATE TABLE match_keys (
    organization_id uuid NOT NULL,
    object          text NOT NULL,
    key             text NOT NULL,
    record_id       uuid NOT NULL REFERENCES records ON DELETE CASCADE,
    PRIMARY KEY (organization_id, object, key, record_id)
);
CREATE INDEX match_keys_by_record ON match_keys (record_id);

-- What a request with an idempotency key created.
CREATE TABLE created_by_key (
    organization_id uuid        NOT NULL,
    key             text        NOT NULL,
    record_id       uuid        NOT NULL REFERENCES records,
    at              timestamptz NOT NULL,
    PRIMARY KEY (organization_id, key)
);

-- One row per change of a record: what changed, why, by whom.
CREATE TABLE revisions (
    record_id uuid        NOT NULL REFERENCES records,
    version   bigint      NOT NULL,
    at        timestamptz NOT NULL,
    actor     text        NOT NULL,
    cause     text        NOT NULL,
    vendor    text,
    changes   jsonb       NOT NULL,
    PRIMARY KEY (record_id, version)
);

-- Fields that an organization added to a canonical object.
CREATE TABLE custom_fields (
    organization_id uuid  NOT NULL,
    object          text  NOT NULL,
    name            text  NOT NULL,
    schema          jsonb NOT NULL,
    PRIMARY KEY (organization_id, object, name)
);

-- What the sync-engine knows of connections, from their events.
CREATE TABLE connections (
    id              uuid PRIMARY KEY,
    organization_id uuid        NOT NULL,
    vendor          text        NOT NULL,
    state           text        NOT NULL,
    objects         jsonb       NOT NULL DEFAULT '[]',
    changed_at      timestamptz NOT NULL
);

-- Object mappings with their field mappings.
CREATE TABLE mappings (
    id              uuid PRIMARY KEY,
    organization_id uuid        NOT NULL,
    connection_id   uuid        NOT NULL,
    vendor          text        NOT NULL,
    object          text        NOT NULL,
    vendor_object   text        NOT NULL,
    state           text        NOT NULL,
    revision        bigint      NOT NULL,
    settings        jsonb       NOT NULL,
    created_at      timestamptz NOT NULL,
    activated_at    timestamptz,
    activated_by    text,
    UNIQUE (connection_id, object, vendor_object)
);
CREATE INDEX mappings_by_organization ON mappings (organization_id);

-- A plan of an activation, and how far its application is.
CREATE TABLE plans (
    mapping_id uuid PRIMARY KEY REFERENCES mappings,
    state      text        NOT NULL,
    revision   bigint      NOT NULL,
    hash       text,
    read       bigint      NOT NULL DEFAULT 0,
    total      bigint      NOT NULL DEFAULT 0,
    applied    bigint      NOT NULL DEFAULT 0,
    to_apply   bigint      NOT NULL DEFAULT 0,
    result     jsonb,
    changed_at timestamptz NOT NULL
);

-- A vendor's record and its canonical record under one object mapping. `fields` holds base, seen and pending per
-- mapped field; `staged` holds what was read before the mapping was activated.
CREATE TABLE links (
    id           uuid PRIMARY KEY,
    mapping_id   uuid        NOT NULL REFERENCES mappings,
    vendor_id    text,
    record_id    uuid REFERENCES records,
    state        text        NOT NULL,
    seen_version bigint      NOT NULL,
    seen_at      timestamptz,
    write_id     uuid,
    fields       jsonb       NOT NULL,
    staged       jsonb
);
CREATE UNIQUE INDEX links_by_vendor ON links (mapping_id, vendor_id) WHERE vendor_id IS NOT NULL;
CREATE UNIQUE INDEX links_by_record ON links (record_id, mapping_id) WHERE record_id IS NOT NULL;
CREATE INDEX links_staged ON links (mapping_id, id) WHERE staged IS NOT NULL;

-- Both sides moved: what stands, what lost, and why.
CREATE TABLE conflicts (
    id                uuid PRIMARY KEY,
    organization_id   uuid        NOT NULL,
    connection_id     uuid        NOT NULL,
    record_id         uuid        NOT NULL,
    object            text        NOT NULL,
    field             text        NOT NULL,
    policy            text        NOT NULL,
    winner            text        NOT NULL,
    kept              jsonb       NOT NULL,
    lost              jsonb       NOT NULL,
    pii               boolean     NOT NULL,
    within_clock_skew boolean     NOT NULL,
    at                timestamptz NOT NULL,
    restored_at       timestamptz
);
CREATE INDEX conflicts_by_connection ON conflicts (connection_id, id);
CREATE INDEX conflicts_by_record ON conflicts (record_id, id);

-- What could not be synced, why, and what to do; cleared by itself on success.
CREATE TABLE issues (
    id              uuid PRIMARY KEY,
    organization_id uuid        NOT NULL,
    connection_id   uuid        NOT NULL,
    link_id         uuid        NOT NULL,
    record_id       uuid,
    vendor_id       text,
    field           text        NOT NULL DEFAULT '',
    category        text        NOT NULL,
    message         text        NOT NULL,
    state           text        NOT NULL,
    at              timestamptz NOT NULL
);
CREATE UNIQUE INDEX issues_open ON issues (link_id, field) WHERE state IN ('open', 'retrying');
CREATE INDEX issues_by_connection ON issues (connection_id, at);

-- Per minute and connection: how many changes were applied, and how late.
CREATE TABLE activity (
    connection_id uuid        NOT NULL,
    minute        timestamptz NOT NULL,
    applied       bigint      NOT NULL,
    failed        bigint      NOT NULL,
    echoes        bigint      NOT NULL,
    conflicts     bigint      NOT NULL,
    lag_max_ms    bigint      NOT NULL,
    lag_buckets   bigint[]    NOT NULL,
    PRIMARY KEY (connection_id, minute)
);
