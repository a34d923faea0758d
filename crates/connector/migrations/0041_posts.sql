-- Messages that a vendor was asked to post. A row is there from before the first call, so that the message is looked for before
-- it is posted again, in whatever process.
CREATE TABLE posts (
    id       uuid PRIMARY KEY,
    -- When the first try began that may have posted it.
    begun_at timestamptz NOT NULL,
    -- The vendor's id of it, once it is known to be there.
    message  text
);
CREATE INDEX posts_begun ON posts (begun_at);
