-- Rules that make conversion events of what records of a CRM become.
CREATE TABLE conversion_rules (
    id            uuid PRIMARY KEY,
    organization  uuid NOT NULL,
    connection    uuid NOT NULL,
    vendor_object text NOT NULL,
    -- rules::spec::Spec
    spec          jsonb NOT NULL,
    enabled       boolean NOT NULL,
    -- Only what changed since then counts.
    since         timestamptz NOT NULL,
    -- When the records that were there already had been read.
    read_at       timestamptz,
    created_at    timestamptz NOT NULL,
    created_by    text NOT NULL
);
CREATE INDEX conversion_rules_organization ON conversion_rules (organization, id DESC);

-- What a rule knows of each record: the fields that it reads, whether they meet it, and what came of it.
CREATE TABLE rule_records (
    rule        uuid NOT NULL REFERENCES conversion_rules (id),
    record      text NOT NULL,
    -- The vendor's.
    version     bigint NOT NULL,
    changed_at  timestamptz NOT NULL,
    fields      jsonb NOT NULL,
    matched     boolean NOT NULL,
    -- The rule was changed since.
    stale       boolean NOT NULL,
    status      text CHECK (status IN ('waiting', 'recorded', 'voided')),
    reason      text,
    event       uuid REFERENCES events (id),
    user_id     text,
    -- What the event is worth, as it was told last.
    value       bigint,
    currency    text,
    -- Counts the events of the record: another currency is another event.
    cycle       integer NOT NULL,
    recorded_at timestamptz,
    PRIMARY KEY (rule, record),
    CHECK ((status IN ('recorded', 'voided')) IS NOT TRUE OR (event IS NOT NULL AND user_id IS NOT NULL AND currency IS NOT NULL))
) WITH (fillfactor = 80);
CREATE INDEX rule_records_status ON rule_records (rule, status, changed_at DESC) WHERE status IS NOT NULL;
CREATE INDEX rule_records_event ON rule_records (event) WHERE event IS NOT NULL;
