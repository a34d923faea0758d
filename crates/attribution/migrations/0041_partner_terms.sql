-- The terms of one partner in a program, each version from a moment on. Versions count within the program, over these and
-- the program's own; without terms, the partner's own end and the program's hold again.
CREATE TABLE partner_terms (
    program        uuid NOT NULL REFERENCES programs (id),
    partner        uuid NOT NULL REFERENCES partners (id),
    version        integer NOT NULL CHECK (version > 0),
    effective_from timestamptz NOT NULL,
    -- accord.attribution.v1.Terms
    terms          bytea,
    actor          text NOT NULL,
    at             timestamptz NOT NULL,
    PRIMARY KEY (program, version)
);
CREATE INDEX partner_terms_partner ON partner_terms (partner);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON partner_terms
    FOR EACH STATEMENT EXECUTE FUNCTION refuse();
