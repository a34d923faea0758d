-- Comparisons that the sync-engine wants: the sums of digests by bucket that it knows of an object.
CREATE TABLE verifies (
    connection uuid  NOT NULL,
    object     text  NOT NULL,
    run        uuid  NOT NULL,
    digests    jsonb NOT NULL,
    PRIMARY KEY (connection, object),
    FOREIGN KEY (connection, object) REFERENCES captures ON DELETE CASCADE
);
