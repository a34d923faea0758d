-- What is believed without asking. Without a row the usual settings hold. Secrets are sealed by the vault.
CREATE TABLE guards (
    organization                uuid PRIMARY KEY,
    signed_identify             text NOT NULL CHECK (signed_identify IN ('off', 'on', 'required')),
    users_per_click             integer NOT NULL CHECK (users_per_click >= 0),
    identifies_per_address_hour integer NOT NULL CHECK (identifies_per_address_hour >= 0),
    events_per_partner_hour     integer NOT NULL CHECK (events_per_partner_hour >= 0),
    one_stitch_per_day          boolean NOT NULL,
    known_customers_wait        boolean NOT NULL,
    secret                      bytea,
    secret_created_at           timestamptz,
    previous_secret             bytea
);

-- What was odd when a click was tied to a user, as it was seen then; whether the user id was signed; by what the same
-- person under another address is known; and the address that clicked.
ALTER TABLE identifies
    ADD COLUMN suspicion text,
    ADD COLUMN signed    boolean NOT NULL DEFAULT false,
    ADD COLUMN person    text NOT NULL DEFAULT '',
    ADD COLUMN address   text NOT NULL DEFAULT '';
CREATE INDEX identifies_person ON identifies (organization, person);
CREATE INDEX identifies_address ON identifies (organization, address, at) WHERE address <> '';

-- What waits for a person.
CREATE INDEX commissions_held ON commissions (organization, id DESC) WHERE held;
