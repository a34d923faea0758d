-- What an identify comes to must not depend on what came before it: whether it waits where the user was a customer before
-- the partner's first click, which later facts may show as well, and which click of the same partner and day it takes the
-- place of. Those that are here keep what was decided when they came.
ALTER TABLE identifies
    ADD COLUMN guarded    boolean NOT NULL DEFAULT false,
    ADD COLUMN instead_of text;
