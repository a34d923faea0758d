-- Records and links are rewritten with every change. Room in each page lets Postgres do that in place: no index is
-- touched, and the log of the database gets the difference only. Their contents are read and written whole, so they
-- are kept as the text they are.
ALTER TABLE records SET (fillfactor = 50);
ALTER TABLE records ALTER COLUMN cells TYPE json USING cells::text::json;
ALTER TABLE links SET (fillfactor = 50);
ALTER TABLE links
    ALTER COLUMN fields TYPE json USING fields::text::json,
    ALTER COLUMN staged TYPE json USING staged::text::json;
ALTER TABLE revisions ALTER COLUMN changes TYPE json USING changes::text::json;
