use std::collections::HashSet;

use jiff_sqlx::ToSqlx;
use model::{ConnectionId, OrganizationId};
use sqlx::{FromRow, PgConnection, PgPool, Postgres, QueryBuilder, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::filter::Filter;
use crate::{
    Error,
    domain::entry::{Draft, Entry, Sealed},
};

const COLUMNS: &str = "sequence, occurred_at, recorded_at, connection, previous_hash, hash, event_id, action, actor, \
                       target, outcome, cause, summary, details";

/// The constraint that an event is in its chain once.
pub(crate) const ONE_OF_EACH_EVENT: &str = "entries_organization_event_id_key";

/// The condition of the index `entries_notable`, word for word as in its migration.
const NOTABLE: &str = " AND (
    outcome <> 'ok' OR actor LIKE 'user:%' OR actor LIKE 'api_key:%' OR actor LIKE 'integration_key:%'
    OR NOT (action LIKE 'change.%' OR action LIKE 'write.%' OR action LIKE 'record.%'))";

impl FromRow<'_, PgRow> for Entry {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let occurred_at: jiff_sqlx::Timestamp = row.try_get("occurred_at")?;
        let recorded_at: jiff_sqlx::Timestamp = row.try_get("recorded_at")?;
        let connection: Option<Uuid> = row.try_get("connection")?;
        Ok(Self {
            sequence: row.try_get("sequence")?,
            event_id: row.try_get("event_id")?,
            action: row.try_get("action")?,
            actor: row.try_get("actor")?,
            target: row.try_get("target")?,
            connection: connection.map(ConnectionId::from_uuid),
            outcome: row.try_get("outcome")?,
            occurred_at: occurred_at.to_jiff(),
            recorded_at: recorded_at.to_jiff(),
            cause: row.try_get("cause")?,
            summary: row.try_get("summary")?,
            details: row.try_get("details")?,
            previous_hash: row.try_get("previous_hash")?,
            hash: row.try_get("hash")?,
        })
    }
}

/// Which of these events are in their chains already.
pub(crate) async fn known(tx: &mut PgConnection, drafts: &[Draft]) -> Result<HashSet<(Uuid, String)>, Error> {
    let organizations: Vec<Uuid> = drafts.iter().map(|draft| draft.organization.uuid()).collect();
    let ids: Vec<&str> = drafts.iter().map(|draft| draft.event_id.as_str()).collect();
    // Not kept as a prepared statement: a plan made while the table was small reads all of it later.
    let found: Vec<(Uuid, String)> = sqlx::query_as(
        "SELECT organization, event_id FROM entries
         JOIN UNNEST($1::uuid[], $2::text[]) AS given (organization, event_id) USING (organization, event_id)",
    )
    .bind(organizations)
    .bind(ids)
    .persistent(false)
    .fetch_all(tx)
    .await?;
    Ok(found.into_iter().collect())
}

/// Stores sealed entries, in their order.
pub(crate) async fn insert(tx: &mut PgConnection, entries: &[(Uuid, Sealed<'_>)]) -> Result<(), Error> {
    let text = |of: fn(&Draft) -> &str| entries.iter().map(|(_, entry)| of(entry.draft)).collect::<Vec<_>>();
    let organizations: Vec<Uuid> = entries.iter().map(|(organization, _)| *organization).collect();
    let sequences: Vec<i64> = entries.iter().map(|(_, entry)| entry.sequence).collect();
    let occurred: Vec<_> = entries.iter().map(|(_, entry)| entry.occurred_at.to_sqlx()).collect();
    let recorded: Vec<_> = entries.iter().map(|(_, entry)| entry.recorded_at.to_sqlx()).collect();
    let connections: Vec<Option<Uuid>> =
        entries.iter().map(|(_, entry)| entry.draft.connection.map(ConnectionId::uuid)).collect();
    let previous: Vec<&[u8]> =
        entries.iter().map(|(_, entry)| entry.previous_hash.bytes().as_slice()).collect();
    let hashes: Vec<&[u8]> = entries.iter().map(|(_, entry)| entry.hash.bytes().as_slice()).collect();
    sqlx::query(
        "INSERT INTO entries (organization, sequence, occurred_at, recorded_at, connection, previous_hash, hash,
                              event_id, action, actor, target, outcome, cause, summary, details)
         SELECT * FROM UNNEST($1::uuid[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::uuid[],
                              $6::bytea[], $7::bytea[], $8::text[], $9::text[], $10::text[], $11::text[],
                              $12::text[], $13::text[], $14::text[], $15::text[])",
    )
    .bind(organizations)
    .bind(sequences)
    .bind(occurred)
    .bind(recorded)
    .bind(connections)
    .bind(previous)
    .bind(hashes)
    .bind(text(|draft| &draft.event_id))
    .bind(text(|draft| &draft.action))
    .bind(text(|draft| &draft.actor))
    .bind(text(|draft| &draft.target))
    .bind(text(|draft| draft.outcome))
    .bind(text(|draft| &draft.cause))
    .bind(text(|draft| &draft.summary))
    .bind(text(|draft| &draft.details))
    .execute(tx)
    .await?;
    Ok(())
}

/// Entries of a chain that fit, newest first, below this sequence number.
pub(crate) async fn newest(
    pool: &PgPool,
    organization: OrganizationId,
    filter: &Filter,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Entry>, Error> {
    let mut query = select(organization, filter);
    if let Some(before) = before {
        query.push(" AND sequence < ").push_bind(before);
    }
    query.push(" ORDER BY sequence DESC LIMIT ").push_bind(limit);
    Ok(query.build_query_as().persistent(false).fetch_all(pool).await?)
}

/// Entries of a chain that fit, oldest first, above this sequence number.
pub(crate) async fn oldest<'c>(
    executor: impl sqlx::PgExecutor<'c>,
    organization: OrganizationId,
    filter: &Filter,
    after: i64,
    limit: i64,
) -> Result<Vec<Entry>, Error> {
    let mut query = select(organization, filter);
    query.push(" AND sequence > ").push_bind(after);
    query.push(" ORDER BY sequence LIMIT ").push_bind(limit);
    Ok(query.build_query_as().persistent(false).fetch_all(executor).await?)
}

fn select(organization: OrganizationId, filter: &Filter) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("SELECT ");
    query.push(COLUMNS).push(" FROM entries WHERE organization = ").push_bind(organization.uuid());
    if let Some(action) = &filter.action {
        match action.strip_suffix('*') {
            Some(prefix) => query.push(" AND starts_with(action, ").push_bind(prefix.to_owned()).push(")"),
            None => query.push(" AND action = ").push_bind(action.clone()),
        };
    }
    if let Some(actor) = &filter.actor {
        query.push(" AND actor = ").push_bind(actor.clone());
    }
    if let Some(target) = &filter.target {
        query.push(" AND target = ").push_bind(target.clone());
    }
    if let Some(connection) = filter.connection {
        query.push(" AND connection = ").push_bind(connection.uuid());
    }
    if let Some(outcome) = filter.outcome {
        query.push(" AND outcome = ").push_bind(outcome.name());
    }
    if let Some(from) = filter.from {
        query.push(" AND occurred_at >= ").push_bind(from.to_sqlx());
    }
    if let Some(to) = filter.to {
        query.push(" AND occurred_at < ").push_bind(to.to_sqlx());
    }
    if filter.is_notable() {
        query.push(NOTABLE);
    }
    query
}
