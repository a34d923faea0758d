-- What writers look up by its whole key has one index that can serve it. Statements are planned while the tables are
-- empty, where an index on the organization alone looks as good, and reads all of the organization when they are not.

-- For lists, which say so.
DROP INDEX events_newest;
CREATE INDEX events_newest ON events (organization, id DESC) WHERE generation >= 0;

-- Repeats are looked up by the key alone.
DROP INDEX events_key;
CREATE UNIQUE INDEX events_key ON events (key, organization) WHERE key IS NOT NULL;

-- An event is of one organization.
ALTER TABLE corrections DROP CONSTRAINT corrections_pkey, ADD PRIMARY KEY (event, key);
DROP INDEX corrections_user;
