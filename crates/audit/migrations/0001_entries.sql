-- The audit log. Rows are only ever added; `sequence` counts from 1 without gaps in each organization. An entry is
-- its own inbox: a message that comes twice has the same event_id.
CREATE TABLE entries (
    organization  uuid NOT NULL,
    sequence      bigint NOT NULL,
    occurred_at   timestamptz NOT NULL,
    recorded_at   timestamptz NOT NULL,
    connection    uuid,
    previous_hash bytea NOT NULL,
    hash          bytea NOT NULL,
    event_id      text NOT NULL,
    action        text NOT NULL,
    actor         text NOT NULL,
    target        text NOT NULL,
    outcome       text NOT NULL,
    cause         text NOT NULL,
    summary       text NOT NULL,
    details       text NOT NULL,
    PRIMARY KEY (organization, sequence),
    UNIQUE (organization, event_id)
);

CREATE INDEX entries_target ON entries (organization, target, sequence);

-- All but the flow of records that went well: what people do and what goes wrong is found without reading through it.
-- The queries of store/entries.rs repeat this condition word for word.
CREATE INDEX entries_notable ON entries (organization, sequence) WHERE (
    outcome <> 'ok' OR actor LIKE 'user:%' OR actor LIKE 'api_key:%' OR actor LIKE 'integration_key:%'
    OR NOT (action LIKE 'change.%' OR action LIKE 'write.%' OR action LIKE 'record.%'));

CREATE INDEX entries_occurred_at ON entries USING brin (occurred_at);

-- The newest entry of each organization: without it, entries taken from the end of a chain would not be missed.
CREATE TABLE heads (
    organization uuid PRIMARY KEY,
    sequence     bigint NOT NULL,
    hash         bytea NOT NULL
) WITH (fillfactor = 50);

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only: % of % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON heads
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER forward_only BEFORE UPDATE ON heads FOR EACH ROW
    WHEN (NEW.sequence <= OLD.sequence OR NEW.organization <> OLD.organization) EXECUTE FUNCTION refuse();

-- For owners that are no superuser; a superuser is stopped by the triggers alone.
REVOKE UPDATE, DELETE, TRUNCATE ON entries FROM PUBLIC, CURRENT_USER;
REVOKE DELETE, TRUNCATE ON heads FROM PUBLIC, CURRENT_USER;
