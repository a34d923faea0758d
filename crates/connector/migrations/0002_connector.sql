-- One organization's authorized link to a vendor.
CREATE TABLE connections (
    id            uuid PRIMARY KEY,
    organization  uuid NOT NULL,
    vendor        text NOT NULL,
    partition     integer NOT NULL,
    account_id    text NOT NULL,
    account_name  text NOT NULL,
    tier          text,
    scopes        text[] NOT NULL,
    notices       text[] NOT NULL,
    state         text NOT NULL CHECK (state IN ('active', 'paused', 'error', 'reauth_required', 'disconnected')),
    reason        text,
    message       text,
    connected_by  text NOT NULL,
    connected_at  timestamptz NOT NULL,
    last_sync_at  timestamptz,
    UNIQUE (organization, vendor, account_id)
);
CREATE INDEX connections_by_partition ON connections (vendor, partition);

-- OAuth flows under way. Ticket, state and nonce are stored as SHA-256 only.
CREATE TABLE authorizations (
    id            uuid PRIMARY KEY,
    organization  uuid NOT NULL,
    vendor        text NOT NULL,
    connection    uuid REFERENCES connections,
    actor         text NOT NULL,
    return_path   text NOT NULL,
    ticket_hash   bytea NOT NULL UNIQUE,
    state_hash    bytea UNIQUE,
    nonce_hash    bytea,
    verifier      bytea,
    expires_at    timestamptz NOT NULL,
    completed_at  timestamptz
);
CREATE INDEX authorizations_by_nonce ON authorizations (nonce_hash);

-- The tokens, sealed; generation grows with every refresh. An intent says that a refresh is under way.
CREATE TABLE tokens (
    connection    uuid PRIMARY KEY REFERENCES connections,
    generation    bigint NOT NULL,
    access_token  bytea NOT NULL,
    refresh_token bytea NOT NULL,
    expires_at    timestamptz NOT NULL,
    lifetime_ms   bigint NOT NULL,
    intent_by     uuid,
    intent_until  timestamptz
);

-- Processes of the runtime that are alive.
CREATE TABLE replicas (
    id            uuid PRIMARY KEY,
    seen_at       timestamptz NOT NULL
);

-- Who owns a partition of a vendor. The fence grows with every change of owner.
CREATE TABLE leases (
    vendor        text NOT NULL,
    partition     integer NOT NULL,
    holder        uuid,
    fence         bigint NOT NULL DEFAULT 0,
    expires_at    timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (vendor, partition)
);

-- What the sync-engine wants read. generation grows when all history is to be read again.
CREATE TABLE captures (
    connection    uuid NOT NULL REFERENCES connections,
    object        text NOT NULL,
    fields        text[] NOT NULL,
    external_id   boolean NOT NULL,
    active        boolean NOT NULL,
    generation    bigint NOT NULL DEFAULT 0,
    revision      bigint NOT NULL DEFAULT 1,
    requested_at  timestamptz NOT NULL,
    last_poll_at  timestamptz,
    last_error    text,
    PRIMARY KEY (connection, object)
);

-- How far each lane has read. Written after the bus acknowledged everything before it, by the holder of the lease.
CREATE TABLE checkpoints (
    connection    uuid NOT NULL REFERENCES connections,
    object        text NOT NULL,
    lane          text NOT NULL,
    position      jsonb NOT NULL,
    until         timestamptz,
    finished      boolean NOT NULL DEFAULT false,
    read          bigint NOT NULL DEFAULT 0,
    total         bigint NOT NULL DEFAULT 0,
    fence         bigint NOT NULL,
    stored_at     timestamptz NOT NULL,
    PRIMARY KEY (connection, object, lane)
);

-- What was handed out lately, so that a re-scan hands out late rows only.
CREATE TABLE delivered (
    connection    uuid NOT NULL,
    object        text NOT NULL,
    id            text NOT NULL,
    version       bigint NOT NULL,
    changed_at    timestamptz NOT NULL,
    PRIMARY KEY (connection, object, id)
);
CREATE INDEX delivered_changed_at ON delivered USING brin (changed_at);

-- Deleted records that were handed out, as the vendor's last listing showed them.
CREATE TABLE deleted (
    connection    uuid NOT NULL,
    object        text NOT NULL,
    id            text NOT NULL,
    version       bigint NOT NULL,
    sweep         timestamptz NOT NULL,
    PRIMARY KEY (connection, object, id)
);

-- The vendor's objects and fields as last read.
CREATE TABLE schemas (
    connection    uuid PRIMARY KEY REFERENCES connections,
    objects       jsonb NOT NULL,
    refreshed_at  timestamptz NOT NULL
);

-- Calls and records per connection, minute and class of calls.
CREATE TABLE usage (
    connection      uuid NOT NULL,
    minute          timestamptz NOT NULL,
    class           text NOT NULL,
    calls           bigint NOT NULL,
    failed          bigint NOT NULL,
    rate_limited    bigint NOT NULL,
    records_read    bigint NOT NULL,
    records_written bigint NOT NULL,
    PRIMARY KEY (connection, minute, class)
);
CREATE INDEX usage_minute ON usage USING brin (minute);
