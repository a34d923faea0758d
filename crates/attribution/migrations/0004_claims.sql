-- What rules that reach over customers (tiers by a partner's volume, caps of a partner) ask for each event, in the order
-- in which they are settled, with what each came to and all that is needed to go on settling after it. So an event is
-- settled from the one before it on, and a late one changes no more than what comes after it.
CREATE TABLE claims (
    organization uuid NOT NULL,
    partner      uuid NOT NULL,
    program      uuid NOT NULL,
    rule         smallint NOT NULL,
    -- The order.
    at           timestamptz NOT NULL,
    event        uuid NOT NULL,
    click        text COLLATE "C" NOT NULL,
    user_key     text NOT NULL,
    terms        integer NOT NULL,
    currency     text NOT NULL,
    minor        bigint NOT NULL,
    note         text NOT NULL,
    -- What is asked, what was paid so far.
    state        json NOT NULL,
    -- A partner is of one organization.
    PRIMARY KEY (partner, program, rule, at, event, click)
) WITH (fillfactor = 80);
CREATE INDEX claims_customer ON claims (organization, user_key, partner, program, rule, at);

-- Who was derived before there was this table is derived once more.
INSERT INTO stale SELECT DISTINCT organization, user_key FROM identifies ON CONFLICT DO NOTHING;
