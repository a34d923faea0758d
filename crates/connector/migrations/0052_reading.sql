-- What people chose about how a connection reads what people did: how often, where it is not as usual, and whether the whole
-- texts of mails are kept.
CREATE TABLE reading_settings (
    connection        uuid PRIMARY KEY REFERENCES connections,
    interval_minutes  integer CHECK (interval_minutes > 0),
    bodies            boolean NOT NULL,
    changed_by        text NOT NULL,
    changed_at        timestamptz NOT NULL
);
