-- Where a field's value comes from: which mapping, as it was then, took a change in, and when it was captured. What is
-- appended in the order of time is found again by a summary of its pages, which costs a change next to nothing.
ALTER TABLE revisions
    ADD COLUMN mapping_id uuid,
    ADD COLUMN mapping_revision bigint,
    ADD COLUMN lane text,
    ADD COLUMN taken_at timestamptz;
CREATE INDEX revisions_taken ON revisions USING brin (taken_at) WITH (pages_per_range = 16, autosummarize = on);

-- What caused a conflict, and the version of the record that came of it.
ALTER TABLE conflicts
    ADD COLUMN cause text NOT NULL DEFAULT '',
    ADD COLUMN version bigint NOT NULL DEFAULT 0,
    ADD COLUMN mapping_id uuid,
    ADD COLUMN mapping_revision bigint;
CREATE INDEX conflicts_by_field ON conflicts (record_id, field, id);

-- The last write that a vendor applied and that no listing has shown yet.
ALTER TABLE links
    ADD COLUMN written uuid,
    ADD COLUMN written_version bigint;

-- What vendors were asked to write, what they answered, and when it was seen there.
CREATE TABLE writes (
    id               uuid PRIMARY KEY,
    record_id        uuid        NOT NULL,
    link_id          uuid        NOT NULL,
    mapping_id       uuid        NOT NULL,
    mapping_revision bigint      NOT NULL,
    version          bigint      NOT NULL,
    cause            text        NOT NULL,
    lane             text,
    taken_at         timestamptz NOT NULL,
    asked_at         timestamptz NOT NULL,
    creates          boolean     NOT NULL,
    fields           json        NOT NULL,
    state            text        NOT NULL DEFAULT 'asked',
    answer           text,
    answered_at      timestamptz,
    answered         json,
    vendor_version   bigint,
    category         text,
    message          text,
    echo             text,
    echoed_at        timestamptz
) WITH (fillfactor = 70);
CREATE INDEX writes_by_record ON writes (record_id, version);
CREATE INDEX writes_taken ON writes USING brin (taken_at) WITH (pages_per_range = 16, autosummarize = on);

-- Issues that somebody wants tried again, until the background has done it; the open ones in the order of the list.
ALTER TABLE issues
    ADD COLUMN wanted_by text,
    ADD COLUMN wanted_at timestamptz;
CREATE INDEX issues_wanted ON issues (organization_id, id) WHERE wanted_by IS NOT NULL;
CREATE INDEX issues_waiting ON issues (organization_id, at DESC, id DESC) WHERE state IN ('open', 'retrying');
