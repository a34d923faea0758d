-- Facts. Nothing here is changed after it was written, but for a program's and a partner's face (names, places).

-- Whoever changes programs, terms, partners or links raises the version of the organization's catalog; writers that
-- remember a catalog compare it.
CREATE TABLE catalogs (
    organization uuid PRIMARY KEY,
    version      bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE programs (
    id              uuid PRIMARY KEY,
    organization    uuid NOT NULL,
    name            text NOT NULL,
    destination_url text NOT NULL,
    allowed_domains text[] NOT NULL,
    starts_at       timestamptz,
    ends_at         timestamptz,
    extra           jsonb NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL
);
CREATE INDEX programs_organization ON programs (organization, created_at DESC);

-- The terms of a program, each version from a moment on; an event is paid by those of its own time.
CREATE TABLE terms (
    program        uuid NOT NULL REFERENCES programs (id),
    version        integer NOT NULL CHECK (version > 0),
    effective_from timestamptz NOT NULL,
    -- accord.attribution.v1.Terms
    terms          bytea NOT NULL,
    PRIMARY KEY (program, version)
);

-- Another model for what the terms up to a version hold for, events of the past included. The newest counts.
CREATE TABLE model_changes (
    id            uuid PRIMARY KEY,
    program       uuid NOT NULL REFERENCES programs (id),
    model         text NOT NULL,
    up_to_version integer NOT NULL,
    actor         text NOT NULL,
    at            timestamptz NOT NULL
);
CREATE INDEX model_changes_program ON model_changes (program);

CREATE TABLE partners (
    id           uuid PRIMARY KEY,
    organization uuid NOT NULL,
    email        text NOT NULL,
    name         text NOT NULL,
    metadata     jsonb NOT NULL,
    created_at   timestamptz NOT NULL,
    revoked_at   timestamptz
);
CREATE UNIQUE INDEX partners_email ON partners (organization, lower(email));
CREATE INDEX partners_newest ON partners (organization, created_at DESC, id DESC);

CREATE TABLE links (
    organization    uuid NOT NULL,
    key             text NOT NULL,
    partner         uuid NOT NULL REFERENCES partners (id),
    program         uuid NOT NULL REFERENCES programs (id),
    destination_url text NOT NULL,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (organization, key)
);
CREATE INDEX links_key ON links (key, created_at);
CREATE INDEX links_partner ON links (organization, partner);

-- A click's id is what a visitor carries, unknown to others and unique in the whole house.
CREATE TABLE clicks (
    id           text PRIMARY KEY,
    organization uuid NOT NULL,
    link_key     text NOT NULL,
    partner      uuid NOT NULL,
    program      uuid NOT NULL,
    ts           timestamptz NOT NULL,
    recorded_at  timestamptz NOT NULL,
    landing_url  text NOT NULL,
    ip_hash      text NOT NULL,
    user_agent   text NOT NULL,
    referer      text NOT NULL,
    flagged      boolean NOT NULL
);
CREATE INDEX clicks_partner ON clicks (organization, partner, ts);

-- A click is a user's. `user_key` is the form in which user ids are compared.
CREATE TABLE identifies (
    organization uuid NOT NULL,
    user_key     text NOT NULL,
    click        text NOT NULL REFERENCES clicks (id),
    id           uuid NOT NULL,
    at           timestamptz NOT NULL,
    PRIMARY KEY (organization, user_key, click)
);
CREATE INDEX identifies_click ON identifies (click);

-- Conversion events. Below the line: what they are attributed to at present, which is derived. `answer` is the first
-- answer, given again to a repeat; `key` is what a repeat is recognized by.
CREATE TABLE events (
    id                uuid PRIMARY KEY,
    organization      uuid NOT NULL,
    user_key          text NOT NULL,
    user_id           text NOT NULL,
    type              text NOT NULL,
    value             bigint CHECK (value >= 0),
    currency          text NOT NULL CHECK (length(currency) = 3),
    metadata          jsonb NOT NULL,
    ts                timestamptz NOT NULL,
    received_at       timestamptz NOT NULL,
    external_event_id text,
    key               uuid,
    answer            bytea NOT NULL,
    --
    status            text NOT NULL,
    -- Why it is attributed to nobody.
    reason            text,
    model             text,
    generation        integer NOT NULL
) WITH (fillfactor = 90);
CREATE UNIQUE INDEX events_key ON events (organization, key) WHERE key IS NOT NULL;
CREATE INDEX events_user ON events (organization, user_key);
CREATE INDEX events_newest ON events (organization, id DESC);

CREATE TABLE corrections (
    id           uuid NOT NULL,
    organization uuid NOT NULL,
    user_key     text NOT NULL,
    event        uuid NOT NULL REFERENCES events (id),
    -- What a repeat is recognized by.
    key          text NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('value', 'void', 'restore', 'refund')),
    amount       bigint CHECK (amount >= 0),
    reason       text NOT NULL,
    actor        text NOT NULL,
    at           timestamptz NOT NULL,
    recorded_at  timestamptz NOT NULL,
    PRIMARY KEY (organization, event, key),
    CHECK ((kind IN ('value', 'refund')) = (amount IS NOT NULL))
);
CREATE INDEX corrections_user ON corrections (organization, user_key);

-- What was decided about a click, or about what one rule pays for a click in an event.
CREATE TABLE decisions (
    id           uuid PRIMARY KEY,
    organization uuid NOT NULL,
    verdict      text NOT NULL CHECK (verdict IN ('flag', 'clear', 'approve', 'mature', 'reverse', 'hold', 'release')),
    click        text NOT NULL,
    event        uuid,
    rule         smallint,
    note         text NOT NULL,
    actor        text NOT NULL,
    at           timestamptz NOT NULL,
    CHECK ((verdict IN ('flag', 'clear')) = (event IS NULL)),
    CHECK ((event IS NULL) = (rule IS NULL))
);
CREATE INDEX decisions_click ON decisions (organization, click) WHERE event IS NULL;
CREATE INDEX decisions_event ON decisions (event) WHERE event IS NOT NULL;

-- When a partner was revoked and reinstated.
CREATE TABLE partner_decisions (
    id           uuid PRIMARY KEY,
    organization uuid NOT NULL,
    partner      uuid NOT NULL REFERENCES partners (id),
    verdict      text NOT NULL CHECK (verdict IN ('revoke', 'reinstate')),
    note         text NOT NULL,
    actor        text NOT NULL,
    at           timestamptz NOT NULL
);
CREATE INDEX partner_decisions_partner ON partner_decisions (organization, partner);

-- A payout and what it took for each commission; below zero where it took something back. `key` is what a payout rail is
-- called with. What is owed is written down here before any money moves; afterwards only the outcome is added.
CREATE TABLE payouts (
    id           uuid PRIMARY KEY,
    organization uuid NOT NULL,
    run          uuid NOT NULL,
    partner      uuid NOT NULL REFERENCES partners (id),
    currency     text NOT NULL,
    amount       bigint NOT NULL CHECK (amount > 0),
    key          text NOT NULL UNIQUE,
    status       text NOT NULL CHECK (status IN ('pending', 'paid', 'failed')),
    reference    text NOT NULL,
    actor        text NOT NULL,
    created_at   timestamptz NOT NULL,
    settled_at   timestamptz
);
CREATE INDEX payouts_newest ON payouts (organization, id DESC);

CREATE TABLE payout_runs (
    organization uuid NOT NULL,
    key          text NOT NULL,
    id           uuid NOT NULL,
    at           timestamptz NOT NULL,
    PRIMARY KEY (organization, key)
);

CREATE TABLE payout_lines (
    payout     uuid NOT NULL REFERENCES payouts (id),
    commission uuid NOT NULL,
    event      uuid NOT NULL REFERENCES events (id),
    amount     bigint NOT NULL,
    PRIMARY KEY (payout, commission)
);
CREATE INDEX payout_lines_event ON payout_lines (event);

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'this is append-only: % of % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON terms
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON model_changes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON clicks
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON identifies
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON corrections
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON decisions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON partner_decisions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payout_lines
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON payouts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER facts_stay BEFORE UPDATE ON payouts FOR EACH ROW
    WHEN (OLD.status <> 'pending' OR
          (NEW.id, NEW.organization, NEW.run, NEW.partner, NEW.currency, NEW.amount, NEW.key, NEW.created_at)
          IS DISTINCT FROM
          (OLD.id, OLD.organization, OLD.run, OLD.partner, OLD.currency, OLD.amount, OLD.key, OLD.created_at))
    EXECUTE FUNCTION refuse();
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER facts_stay BEFORE UPDATE ON events FOR EACH ROW
    WHEN ((NEW.id, NEW.organization, NEW.user_key, NEW.user_id, NEW.type, NEW.value, NEW.currency, NEW.metadata,
           NEW.ts, NEW.received_at, NEW.external_event_id, NEW.key, NEW.answer)
          IS DISTINCT FROM
          (OLD.id, OLD.organization, OLD.user_key, OLD.user_id, OLD.type, OLD.value, OLD.currency, OLD.metadata,
           OLD.ts, OLD.received_at, OLD.external_event_id, OLD.key, OLD.answer))
    EXECUTE FUNCTION refuse();
