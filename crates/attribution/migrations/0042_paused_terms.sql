-- A version without terms: nobody is paid for events from its moment on until the next. A program whose start is moved has one.
ALTER TABLE terms ALTER COLUMN terms DROP NOT NULL;
