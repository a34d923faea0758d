-- How the changes of an object become known: by the vendor's stream, or by asking; and why. How far the stream is, is its
-- checkpoint.
CREATE TABLE streams (
    connection  uuid NOT NULL,
    object      text NOT NULL,
    state       text NOT NULL,
    message     text,
    since       timestamptz NOT NULL,
    -- The last change that came, and how long after it was made it was published.
    changed_at  timestamptz,
    lag_ms      bigint,
    PRIMARY KEY (connection, object)
);
-- Records that somebody wants read as they are now.
CREATE TABLE wanted (
    connection  uuid NOT NULL,
    object      text NOT NULL,
    id          text NOT NULL,
    asked_at    timestamptz NOT NULL,
    PRIMARY KEY (connection, object, id)
);
