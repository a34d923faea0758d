-- When the connection was last connected anew after it was disconnected: writes from before are not made.
ALTER TABLE connections ADD COLUMN alive_since timestamptz NOT NULL DEFAULT 'epoch';
