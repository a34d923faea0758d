-- What a statement that stores new rows is given: rows, in one array for each table. An array for each column, unnested side
-- by side, costs Postgres several times as much before it stores the first.
CREATE TYPE new_event AS (
    id                uuid,
    organization      uuid,
    user_key          text,
    user_id           text,
    type              text,
    value             bigint,
    currency          text,
    metadata          text,
    ts                timestamptz,
    received_at       timestamptz,
    external_event_id text,
    key               uuid,
    answer            bytea,
    status            text,
    reason            text,
    model             text,
    generation        integer
);

CREATE TYPE new_touch AS (
    organization uuid,
    event        uuid,
    generation   integer,
    model        text,
    ts           timestamptz,
    id           uuid,
    click        text,
    partner      uuid,
    program      uuid,
    numerator    bigint,
    denominator  bigint,
    place        integer
);

CREATE TYPE new_commission AS (
    id           uuid,
    organization uuid,
    event        uuid,
    click        text,
    rule         smallint,
    attribution  uuid,
    partner      uuid,
    program      uuid,
    terms        integer,
    currency     text,
    due          bigint,
    paid         bigint,
    status       text,
    reason       text,
    held         boolean,
    accrued_at   timestamptz,
    mature_at    timestamptz,
    hold_days    integer,
    approved_at  timestamptz,
    paid_at      timestamptz,
    payout       uuid,
    suspicion    text
);

CREATE TYPE new_entry AS (
    id                 uuid,
    organization       uuid,
    kind               text,
    commission         uuid,
    payout             uuid,
    partner            uuid,
    currency           text,
    commission_expense bigint,
    cash               bigint,
    accrued            bigint,
    payable            bigint,
    reason             text
);
