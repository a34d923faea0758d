-- How far each feed of activities was read. The position is the vendor's own, and none before the first page and after the
-- vendor lost it.
CREATE TABLE feeds (
    connection   uuid NOT NULL,
    feed         text NOT NULL,
    position     text,
    -- Activities that were told since reading began at the beginning.
    read         bigint NOT NULL,
    -- Whether it was read to its end since then.
    whole        boolean NOT NULL,
    last_poll_at timestamptz,
    last_error   text,
    fence        bigint NOT NULL,
    PRIMARY KEY (connection, feed)
);
