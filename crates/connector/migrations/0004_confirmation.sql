-- What the vendor gave with the browser waits, sealed, until whoever began the flow confirms that it is theirs.
ALTER TABLE authorizations
    ADD COLUMN confirm_hash bytea UNIQUE,
    ADD COLUMN code         bytea,
    ADD COLUMN confirmed_at timestamptz;
