-- Counts on whenever a draft is changed, so that nobody overwrites what somebody else wrote unseen.
ALTER TABLE campaigns ADD COLUMN version bigint NOT NULL DEFAULT 1;
