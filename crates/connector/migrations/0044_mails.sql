-- Mails that a vendor was asked to send. A row is there from before the first call, and the draft's id from before the mail is
-- handed over, so that a repeat in whatever process looks for it before it makes or sends anything.
CREATE TABLE mails (
    id          uuid PRIMARY KEY,
    connection  uuid NOT NULL,
    -- When the first try began that may have made a draft.
    begun_at    timestamptz NOT NULL,
    -- The vendor's id of the draft, once it is known.
    draft       text,
    -- Whether the vendor was asked to send the draft and has not said that it did not.
    handed_over boolean NOT NULL DEFAULT false,
    -- What became of it: nothing more is done with it then.
    state       text CHECK (state IN ('sent', 'failed', 'unsure'))
);
CREATE INDEX mails_begun ON mails (begun_at);
