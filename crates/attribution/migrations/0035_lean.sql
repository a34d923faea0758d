-- What is written with every event costs no more than it has to.

-- The writer stores attributions and commissions with their event, or after it has read it under the lock of its customer,
-- and an event is never deleted: to look each up again and to lock it, as a foreign key does, finds nothing out.
ALTER TABLE attributions DROP CONSTRAINT attributions_event_fkey;
ALTER TABLE commissions DROP CONSTRAINT commissions_event_fkey;

-- Entries are listed by organization, the newest first, and never looked up otherwise: this one index serves.
ALTER TABLE entries DROP CONSTRAINT entries_pkey, ADD PRIMARY KEY (organization, id);
DROP INDEX entries_newest;

-- For lists, which say so, as before; but by a column that never changes. `generation` changes with every other
-- attribution, and a column of a condition is one of the index: all indexes were written again then.
DROP INDEX events_newest;
CREATE INDEX events_newest ON events (organization, id DESC) WHERE currency <> '';
