-- How often the connection was paused: whoever resumes it wants it read at once, however short the pause was.
ALTER TABLE connections ADD COLUMN pauses bigint NOT NULL DEFAULT 0;
