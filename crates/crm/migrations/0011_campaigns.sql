-- Mails that are sent to many, in one step or several.
CREATE TABLE campaigns (
    id            uuid PRIMARY KEY,
    organization  uuid NOT NULL,
    name          text NOT NULL,
    -- The mailbox.
    connection    uuid NOT NULL,
    vendor        text NOT NULL,
    -- draft, running, paused
    state         text NOT NULL,
    -- Why it was paused by itself; empty where somebody did.
    pause_reason  text NOT NULL DEFAULT '',
    starts_at     timestamptz,
    -- The hours in which mails are sent; all null where they always are.
    time_zone     text,
    from_minute   smallint,
    until_minute  smallint,
    weekdays_only boolean NOT NULL DEFAULT false,
    created_by    text NOT NULL,
    created_at    timestamptz NOT NULL,
    started_at    timestamptz,
    CHECK ((time_zone IS NULL) = (from_minute IS NULL) AND (time_zone IS NULL) = (until_minute IS NULL))
);
CREATE INDEX campaigns_organization ON campaigns (organization, id DESC);
CREATE INDEX campaigns_running ON campaigns (connection) WHERE state = 'running';

CREATE TABLE campaign_steps (
    campaign   uuid NOT NULL REFERENCES campaigns,
    place      smallint NOT NULL,
    after_days integer NOT NULL,
    -- Empty of a later step: it answers the mail before.
    subject    text NOT NULL,
    text       text NOT NULL,
    PRIMARY KEY (campaign, place)
);

CREATE TABLE recipients (
    id           uuid PRIMARY KEY,
    campaign     uuid NOT NULL REFERENCES campaigns,
    organization uuid NOT NULL,
    -- As it was told, and as it is compared.
    email        text NOT NULL,
    address      text NOT NULL,
    name         text NOT NULL,
    contact      uuid,
    fields       jsonb NOT NULL,
    state        text NOT NULL,
    reason       text NOT NULL DEFAULT '',
    -- How many steps were sent.
    step         smallint NOT NULL DEFAULT 0,
    -- When the next mail is due; null while the mailbox is asked, before the start and after the end.
    due_at       timestamptz,
    changed_at   timestamptz NOT NULL,
    UNIQUE (campaign, address)
);
CREATE INDEX recipients_due ON recipients (campaign, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX recipients_address ON recipients (organization, address);
CREATE INDEX recipients_page ON recipients (campaign, id);

-- Mails that mailboxes were asked to send. They are never forgotten: the link of each opts out forever.
CREATE TABLE mails (
    id           uuid PRIMARY KEY,
    organization uuid NOT NULL,
    connection   uuid NOT NULL,
    campaign     uuid NOT NULL,
    recipient    uuid NOT NULL REFERENCES recipients,
    step         smallint NOT NULL,
    -- Of the link by which the recipient opts out.
    token_hash   bytea NOT NULL UNIQUE,
    asked_at     timestamptz NOT NULL,
    -- asked, sent, failed
    state        text NOT NULL,
    answered_at  timestamptz,
    -- The vendor's ids, once it is sent.
    external_id  text,
    thread       text,
    error        text NOT NULL DEFAULT ''
);
-- Each step is sent once to each recipient.
CREATE UNIQUE INDEX mails_step ON mails (recipient, step) WHERE state <> 'failed';
CREATE INDEX mails_mailbox ON mails (connection, asked_at);
CREATE INDEX mails_thread ON mails (organization, thread) WHERE thread IS NOT NULL;
CREATE INDEX mails_campaign ON mails (campaign) WHERE state = 'sent';

-- The connections that campaigns send through. Whoever sends holds the row.
CREATE TABLE mailboxes (
    connection   uuid PRIMARY KEY,
    organization uuid NOT NULL,
    per_minute   integer NOT NULL,
    per_day      integer NOT NULL
);
CREATE INDEX mailboxes_organization ON mailboxes (organization);

-- Who gets no mail.
CREATE TABLE suppressions (
    organization uuid NOT NULL,
    address      text NOT NULL,
    -- opted_out, bounced, manual
    reason       text NOT NULL,
    campaign     uuid,
    at           timestamptz NOT NULL,
    PRIMARY KEY (organization, address)
);
CREATE INDEX suppressions_page ON suppressions (organization, at DESC, address);
