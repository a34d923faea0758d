-- A minute of a connection is counted up again and again: half of each page is left free, so that its new versions stay on
-- the page and no index has to follow them.
ALTER TABLE activity SET (fillfactor = 50);
