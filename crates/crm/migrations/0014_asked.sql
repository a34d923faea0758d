-- Those that a mailbox has not answered are few.
CREATE INDEX mails_asked ON mails (campaign) WHERE state = 'asked';
