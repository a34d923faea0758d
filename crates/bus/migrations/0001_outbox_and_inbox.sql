-- Messages that wait for their publishing. The relay reads from the front and deletes what the bus has stored, so
-- the table stays short; vacuum must follow closely.
CREATE TABLE outbox (
    seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject      text NOT NULL,
    id           text NOT NULL,
    source       text NOT NULL,
    kind         text NOT NULL,
    time         timestamptz NOT NULL,
    organization uuid NOT NULL,
    cause        text,
    actor        text,
    traceparent  text,
    body         bytea NOT NULL,
    enqueued_at  timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- Messages that a consumer has handled, written in the transaction of their effect.
CREATE TABLE inbox (
    consumer   text NOT NULL,
    id         text NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, id)
);
CREATE INDEX inbox_handled_at ON inbox USING brin (handled_at);
