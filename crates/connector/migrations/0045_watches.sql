-- What vendors were asked to tell at an address of ours. A row is there from before the vendor is asked, because it calls the
-- address before it answers.
CREATE TABLE watches (
    -- Part of the address.
    id          uuid PRIMARY KEY,
    connection  uuid NOT NULL,
    vendor      text NOT NULL,
    feed        text NOT NULL,
    address     text NOT NULL,
    -- The digest of what the vendor has to say each time.
    secret      bytea NOT NULL,
    begun_at    timestamptz NOT NULL,
    -- What the vendor agreed to; none before it did. Its times are the vendor's.
    external_id text,
    resource    text,
    renewed_at  timestamptz,
    ends_at     timestamptz,
    is_proven   boolean NOT NULL DEFAULT false,
    -- When something was last told, by our clock.
    pushed_at   timestamptz,
    -- The vendor said that it ends unless it is renewed; that it has ended.
    is_ending   boolean NOT NULL DEFAULT false,
    is_ended    boolean NOT NULL DEFAULT false
);
CREATE INDEX watches_of_feeds ON watches (connection, feed);
-- How the news of a feed arrive, and why.
CREATE TABLE arrivals (
    connection  uuid NOT NULL,
    feed        text NOT NULL,
    -- pushed, polled
    state       text NOT NULL,
    message     text,
    since       timestamptz NOT NULL,
    pushed_at   timestamptz,
    PRIMARY KEY (connection, feed)
);
