-- Where merchants want to be told what happened; secrets are sealed by the vault. After failures an endpoint rests.
CREATE TABLE webhooks (
    id            uuid PRIMARY KEY,
    organization  uuid NOT NULL,
    url           text NOT NULL,
    events        text[] NOT NULL,
    label         text NOT NULL,
    active        boolean NOT NULL,
    secret        bytea NOT NULL,
    secret_prefix text NOT NULL,
    created_at    timestamptz NOT NULL,
    last_used_at  timestamptz,
    failures      integer NOT NULL DEFAULT 0,
    resting_until timestamptz
);
CREATE INDEX webhooks_organization ON webhooks (organization, id DESC);

-- What an endpoint is told, written in the transaction of what happened and sent after it. Whoever sends it has it until
-- `leased_until`.
CREATE TABLE webhook_deliveries (
    id              uuid PRIMARY KEY,
    webhook         uuid NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event_id        text NOT NULL,
    event           text NOT NULL,
    payload         text NOT NULL,
    status          text NOT NULL CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts        integer NOT NULL DEFAULT 0,
    http_status     integer,
    error           text NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL,
    last_attempt_at timestamptz,
    delivered_at    timestamptz,
    next_attempt_at timestamptz,
    leased_until    timestamptz,
    UNIQUE (webhook, event_id)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook, next_attempt_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_newest ON webhook_deliveries (webhook, id DESC);
