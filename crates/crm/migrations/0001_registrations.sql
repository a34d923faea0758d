-- Deals that partners registered, as they stand.
CREATE TABLE registrations (
    id             uuid PRIMARY KEY,
    organization   uuid NOT NULL,
    partner        uuid NOT NULL,
    partner_record uuid,
    company_name   text NOT NULL,
    domain         text NOT NULL,
    contact_name   text NOT NULL,
    contact_email  text NOT NULL,
    deal_name      text NOT NULL,
    -- By which the same deal is known again.
    deal_key       text NOT NULL,
    -- In major units, with all decimals of the currency.
    amount         numeric,
    currency       text NOT NULL,
    expected_close date,
    note           text NOT NULL,
    -- What stood when it was submitted: [{kind, registration, partner, status}].
    conflicts      jsonb NOT NULL,
    submitted_at   timestamptz NOT NULL,
    submitted_by   text NOT NULL,
    status         text NOT NULL
                   CHECK (status IN ('submitted', 'under_review', 'approved', 'rejected', 'expired')),
    reviewer       text,
    decided_by     text,
    decided_at     timestamptz,
    reason         text NOT NULL,
    expires_at     timestamptz NOT NULL,
    deal           uuid,
    CHECK (status <> 'approved' OR deal IS NOT NULL),
    CHECK (status <> 'rejected' OR reason <> '')
);
CREATE INDEX registrations_newest ON registrations (organization, id DESC);
CREATE INDEX registrations_of_partner ON registrations (organization, partner, id DESC);
-- Those that stand.
CREATE INDEX registrations_domain ON registrations (organization, domain)
    WHERE status IN ('submitted', 'under_review', 'approved');
CREATE UNIQUE INDEX registrations_same_deal ON registrations (organization, partner, domain, deal_key)
    WHERE status IN ('submitted', 'under_review', 'approved');
CREATE INDEX registrations_due ON registrations (expires_at)
    WHERE status IN ('submitted', 'under_review', 'approved');

CREATE TABLE settings (
    organization   uuid PRIMARY KEY,
    protected_days integer NOT NULL CHECK (protected_days > 0),
    review_days    integer NOT NULL CHECK (review_days > 0),
    free_domains   text[] NOT NULL
);
