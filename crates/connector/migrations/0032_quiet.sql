-- What was published last of fields that change without moving their record's version, and when it was looked at.
CREATE TABLE quiet (
    connection  uuid NOT NULL,
    object      text NOT NULL,
    id          text NOT NULL,
    version     bigint NOT NULL,
    fields      text NOT NULL,
    looked_at   timestamptz NOT NULL,
    PRIMARY KEY (connection, object, id)
);
CREATE INDEX quiet_looked_at ON quiet (connection, object, looked_at);
