-- No record is ever deleted, and a revision is written with its record, in one transaction: looking the record up once
-- more for each revision found nothing, and cost more than the row itself.
ALTER TABLE revisions DROP CONSTRAINT revisions_record_id_fkey;
