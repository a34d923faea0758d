-- What was done, once for each thing that a source tells.
CREATE TABLE activities (
    id           uuid PRIMARY KEY,
    organization uuid NOT NULL,
    source       text NOT NULL,
    external_id  text NOT NULL,
    version      bigint NOT NULL,
    kind         text NOT NULL,
    direction    text NOT NULL,
    at           timestamptz NOT NULL,
    subject      text NOT NULL,
    body         text NOT NULL,
    thread       text NOT NULL,
    url          text NOT NULL,
    participants integer NOT NULL,
    recorded_by  text NOT NULL,
    recorded_at  timestamptz NOT NULL,
    -- The words of the subject, the text and the participants, and the ids of the records that it concerns, as PostgreSQL's
    -- uuid spells them: so the words of one record's timeline are found together in one look at the index.
    words        tsvector NOT NULL,
    UNIQUE (organization, source, external_id)
);
CREATE INDEX activities_words ON activities USING gin (words);

CREATE TABLE participants (
    activity     uuid NOT NULL REFERENCES activities (id) ON DELETE CASCADE,
    place        integer NOT NULL,
    organization uuid NOT NULL,
    role         text NOT NULL,
    name         text NOT NULL,
    -- As it was told.
    email        text NOT NULL,
    -- As it is compared; empty where it is no address.
    address      text NOT NULL,
    domain       text NOT NULL,
    PRIMARY KEY (activity, place)
);
-- Whoever becomes known later is looked for by these.
CREATE INDEX participants_address ON participants (organization, address) WHERE address <> '';
CREATE INDEX participants_domain ON participants (organization, domain) WHERE domain <> '';

-- Which records an activity concerns, with what a timeline is read by.
CREATE TABLE concerns (
    activity     uuid NOT NULL REFERENCES activities (id) ON DELETE CASCADE,
    record       uuid NOT NULL,
    organization uuid NOT NULL,
    -- Whether it is a partner of the attribution room's: ptnr_… and not rec_….
    is_partner   boolean NOT NULL,
    kind         text NOT NULL,
    at           timestamptz NOT NULL,
    PRIMARY KEY (activity, record)
);
-- A page is read from this index alone, newest first.
CREATE INDEX concerns_timeline ON concerns (organization, record, at DESC, activity DESC) INCLUDE (kind);
