-- A set of touches is stored by one statement and never added to: each touch has its place in it, from 0 on. So what a
-- statement adds shows whether the weights of its sets are 1 together, and no set is looked up again.
ALTER TABLE attributions ADD COLUMN place integer NOT NULL DEFAULT 0 CHECK (place >= 0);
UPDATE attributions SET place = numbered.place
FROM (SELECT id, row_number() OVER (PARTITION BY event, generation ORDER BY id) - 1 AS place FROM attributions) AS numbered
WHERE attributions.id = numbered.id AND attributions.place <> numbered.place;
DROP INDEX attributions_event;
CREATE UNIQUE INDEX attributions_event ON attributions (event, generation, place);

CREATE OR REPLACE FUNCTION weights_are_one() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong uuid;
BEGIN
    -- With its first touch a statement begins a set, and nobody can begin it twice.
    SELECT event INTO wrong FROM fresh GROUP BY event, generation
    HAVING sum(numerator) <> min(denominator) OR min(denominator) <> max(denominator) OR min(place) <> 0 LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'the weights of event % are not 1 together', wrong USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
