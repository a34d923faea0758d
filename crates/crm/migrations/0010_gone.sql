-- Of what was deleted at its source, only its name and version stay, so that a late repeat does not bring it back.
ALTER TABLE activities ADD COLUMN gone boolean NOT NULL DEFAULT false;
