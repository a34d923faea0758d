-- How many calls of the vendor's API a connection may make in a window of this length, windows begin at the Unix epoch
-- and follow each other; from how many of them on people are told; and what they were told last, in which window.
CREATE TABLE budgets (
    connection    uuid PRIMARY KEY REFERENCES connections,
    calls         bigint NOT NULL CHECK (calls > 0),
    window_s      integer NOT NULL CHECK (window_s > 0),
    warn_percent  integer NOT NULL CHECK (warn_percent BETWEEN 1 AND 100),
    changed_by    text NOT NULL,
    changed_at    timestamptz NOT NULL,
    told          text NOT NULL DEFAULT 'ok',
    told_window   timestamptz
);

-- What the vendor's answers last said about its own limits.
CREATE TABLE limits (
    connection    uuid NOT NULL,
    name          text NOT NULL,
    calls         bigint NOT NULL,
    remaining     bigint NOT NULL,
    window_ms     bigint NOT NULL,
    said_at       timestamptz NOT NULL,
    PRIMARY KEY (connection, name)
);
