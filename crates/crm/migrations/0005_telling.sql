-- What partners are called, as far as it was told.
ALTER TABLE partners ADD COLUMN name text NOT NULL DEFAULT '';

-- Connections, as the connector tells of them.
CREATE TABLE connections (
    connection   uuid PRIMARY KEY,
    organization uuid NOT NULL,
    vendor       text NOT NULL,
    state        text NOT NULL,
    at           timestamptz NOT NULL
);

-- What people here may do: as identity told it when somebody with the right asked, and from then on as it says of every
-- change.
CREATE TABLE people (
    organization uuid NOT NULL,
    person       uuid NOT NULL,
    name         text NOT NULL,
    -- Empty of whoever was removed.
    role         text NOT NULL,
    -- When identity last spoke of a change; null where it has not so far.
    told_at      timestamptz,
    PRIMARY KEY (organization, person)
);

-- Which events are told in which channel.
CREATE TABLE notification_rules (
    id           uuid PRIMARY KEY,
    organization uuid NOT NULL,
    connection   uuid NOT NULL,
    vendor       text NOT NULL,
    channel      text NOT NULL,
    channel_name text NOT NULL,
    events       text[] NOT NULL,
    -- Why the last message could not be posted, as the vendor's code; empty where it could.
    error        text NOT NULL DEFAULT '',
    error_at     timestamptz,
    posted_at    timestamptz,
    UNIQUE (connection, channel)
);
CREATE INDEX notification_rules_organization ON notification_rules (organization);

-- Messages that vendors were asked to post.
CREATE TABLE posts (
    id           uuid PRIMARY KEY,
    organization uuid NOT NULL,
    connection   uuid NOT NULL,
    vendor       text NOT NULL,
    rule         uuid NOT NULL,
    channel      text NOT NULL,
    -- The deal registration that it is of, where it is of one.
    registration uuid,
    -- The status of it that the message shows.
    shown        text NOT NULL,
    -- The post whose message it puts another in the place of.
    replaces     uuid,
    -- The vendor's id of the message, once it is known.
    message      text,
    error        text NOT NULL DEFAULT '',
    asked_at     timestamptz NOT NULL,
    answered_at  timestamptz
);
CREATE INDEX posts_registration ON posts (organization, registration) WHERE registration IS NOT NULL;

-- People at vendors, and who of them is who here.
CREATE TABLE vendor_users (
    connection   uuid NOT NULL,
    id           text NOT NULL,
    organization uuid NOT NULL,
    vendor       text NOT NULL,
    name         text NOT NULL,
    email        text NOT NULL,
    -- Null until an admin confirmed it.
    person       uuid,
    confirmed_by text,
    confirmed_at timestamptz,
    -- When the person last clicked something.
    seen_at      timestamptz,
    PRIMARY KEY (connection, id),
    CHECK ((person IS NULL) = (confirmed_by IS NULL) AND (person IS NULL) = (confirmed_at IS NULL))
);
CREATE INDEX vendor_users_organization ON vendor_users (organization);
