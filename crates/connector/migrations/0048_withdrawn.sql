-- Mails that are not to be sent any more. A withdrawal may come before its mail: then there is a row that was not begun.
ALTER TABLE mails ADD COLUMN withdrawn_at timestamptz;
ALTER TABLE mails ALTER COLUMN begun_at DROP NOT NULL;
