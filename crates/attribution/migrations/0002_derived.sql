-- What was derived from the facts, and how it came to stand as it does.

-- The shares of clicks in an event. Of the sets of one event the one that is not closed stands.
CREATE TABLE attributions (
    id           uuid PRIMARY KEY,
    organization uuid NOT NULL,
    event        uuid NOT NULL REFERENCES events (id),
    generation   integer NOT NULL,
    click        text NOT NULL,
    partner      uuid NOT NULL,
    program      uuid NOT NULL,
    model        text NOT NULL,
    numerator    bigint NOT NULL CHECK (numerator >= 0),
    denominator  bigint NOT NULL CHECK (denominator > 0),
    ts           timestamptz NOT NULL,
    opened_at    timestamptz NOT NULL,
    closed_at    timestamptz
) WITH (fillfactor = 90);
CREATE INDEX attributions_event ON attributions (event);
CREATE INDEX attributions_partner ON attributions (organization, partner, ts) WHERE closed_at IS NULL;

-- The weights of a set are 1 together, to the last digit.
CREATE FUNCTION weights_are_one() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong uuid;
BEGIN
    -- Set by set, so that no plan can read more of the table than these.
    SELECT sets.event INTO wrong
    FROM (SELECT DISTINCT event, generation FROM fresh) AS sets
        CROSS JOIN LATERAL (
            SELECT sum(numerator) AS whole, min(denominator) AS least, max(denominator) AS most FROM attributions
            WHERE event = sets.event AND generation = sets.generation
        ) AS stored
    WHERE whole <> least OR least <> most LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'the weights of event % are not 1 together', wrong USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER weights_are_one AFTER INSERT ON attributions REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION weights_are_one();

-- What one rule pays for one click in one event: always the same row, wherever it stands at present.
CREATE TABLE commissions (
    id           uuid PRIMARY KEY,
    organization uuid NOT NULL,
    event        uuid NOT NULL REFERENCES events (id),
    click        text NOT NULL,
    rule         smallint NOT NULL,
    attribution  uuid NOT NULL,
    partner      uuid NOT NULL,
    program      uuid NOT NULL,
    terms        integer NOT NULL,
    currency     text NOT NULL,
    -- What it is worth now, and what payouts took for it.
    due          bigint NOT NULL CHECK (due >= 0),
    paid         bigint NOT NULL,
    status       text NOT NULL CHECK (status IN ('accrued', 'approved', 'paid', 'reversed')),
    reason       text NOT NULL,
    held         boolean NOT NULL,
    -- Why it is held where nobody said so.
    suspicion    text,
    accrued_at   timestamptz NOT NULL,
    mature_at    timestamptz NOT NULL,
    hold_days    integer NOT NULL,
    approved_at  timestamptz,
    paid_at      timestamptz,
    payout       uuid,
    UNIQUE (event, click, rule)
) WITH (fillfactor = 80);
CREATE INDEX commissions_newest ON commissions (organization, id DESC);
CREATE INDEX commissions_partner ON commissions (organization, partner, id DESC);
CREATE INDEX commissions_payable ON commissions (organization, partner)
    WHERE status = 'approved' OR (status IN ('paid', 'reversed') AND due <> paid);
CREATE INDEX commissions_maturing ON commissions (mature_at) WHERE status = 'accrued' AND NOT held;

-- The ledger. An entry is of one partner and one currency and moves amounts (minor units) between the four accounts:
-- what the organization spends on commissions, its cash, and what the partner has accrued and is owed. They sum to zero in
-- each entry, so that they do in all.
CREATE TABLE entries (
    id                 uuid PRIMARY KEY,
    organization       uuid NOT NULL,
    kind               text NOT NULL
        CHECK (kind IN ('accrual', 'approval', 'reversal', 'adjustment', 'clawback', 'payout')),
    commission         uuid,
    payout             uuid,
    partner            uuid NOT NULL,
    currency           text NOT NULL,
    commission_expense bigint NOT NULL,
    cash               bigint NOT NULL,
    accrued            bigint NOT NULL,
    payable            bigint NOT NULL,
    reason             text NOT NULL,
    at                 timestamptz NOT NULL,
    CONSTRAINT balanced CHECK (commission_expense + cash + accrued + payable = 0),
    CONSTRAINT moves_something
        CHECK (commission_expense <> 0 OR cash <> 0 OR accrued <> 0 OR payable <> 0),
    CONSTRAINT about_something CHECK (commission IS NOT NULL OR payout IS NOT NULL)
);
CREATE INDEX entries_partner ON entries (organization, partner, currency) INCLUDE (accrued, payable);
CREATE INDEX entries_commission ON entries (commission) WHERE commission IS NOT NULL;
CREATE INDEX entries_payout ON entries (payout) WHERE payout IS NOT NULL;
CREATE INDEX entries_newest ON entries (organization, id DESC);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON attributions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON commissions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
REVOKE UPDATE, DELETE, TRUNCATE ON entries FROM PUBLIC, CURRENT_USER;

-- Customers that something changed for which they are not derived by yet.
CREATE TABLE stale (
    organization uuid NOT NULL,
    user_key     text NOT NULL,
    PRIMARY KEY (organization, user_key)
);
