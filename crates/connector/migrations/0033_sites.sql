-- Vendors with several places to sign in, and with an address of its own for each account.
ALTER TABLE authorizations ADD COLUMN site text NOT NULL DEFAULT '';
ALTER TABLE connections ADD COLUMN site text NOT NULL DEFAULT '';
ALTER TABLE tokens ADD COLUMN api_url text;
-- Some access tokens end when the vendor says so, and not before.
ALTER TABLE tokens ALTER COLUMN expires_at DROP NOT NULL;
