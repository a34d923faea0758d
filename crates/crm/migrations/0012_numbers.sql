-- A place in the list that says no address.
ALTER TABLE suppressions ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY;
DROP INDEX suppressions_page;
CREATE INDEX suppressions_page ON suppressions (organization, at DESC, number);
