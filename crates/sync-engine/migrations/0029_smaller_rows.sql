-- What a record and a link keep of their fields takes half the room that it took. A page holds twice as many rows, and
-- less of it has to stay free for the next one to be rewritten in place.
ALTER TABLE records SET (fillfactor = 70);
ALTER TABLE links SET (fillfactor = 70);
