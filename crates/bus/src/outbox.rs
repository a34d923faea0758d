//! The transactional outbox: messages are stored with the state they speak of, in one transaction, and a
//! [`Relay`] publishes them afterwards.

use std::sync::LazyLock;

use bytes::Bytes;
use jiff_sqlx::ToSqlx;
use model::OrganizationId;
use sqlx::{
    FromRow, PgConnection, Postgres, Row as _,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use uuid::Uuid;

pub use crate::relay::{Relay, Waker};
use crate::{Envelope, Error, Message, trace};

/// The tables `outbox` and `inbox`, to be run once in the schema of each room that uses them.
pub const MIGRATION: &str = include_str!("../migrations/0001_outbox_and_inbox.sql");

type Storing<'q> = Query<'q, Postgres, PgArguments>;

/// Stores messages to be published after the transaction commits, in this order. Call [`Waker::wake`] after the
/// commit.
///
/// # Errors
/// A message is not one that the bus carries, see [`crate::ErrorKind`]; or Postgres refuses or does not answer,
/// and the transaction is lost.
pub async fn enqueue(tx: &mut PgConnection, messages: &[Message]) -> Result<(), Error> {
    static INSERT: LazyLock<String> = LazyLock::new(|| storing(1));
    if messages.is_empty() {
        return Ok(());
    }
    let inserted = bind(sqlx::query(INSERT.as_str()), messages)?.execute(tx).await;
    inserted.map_err(|error| Error::database("store messages in the outbox", error))?;
    Ok(())
}

/// The statement of [`enqueue`], for a larger one to have it as a part: its parameters are counted from `first` on and bound
/// by [`bind`].
#[must_use]
pub fn storing(first: usize) -> String {
    const TYPES: [&str; 10] =
        ["text", "text", "text", "text", "timestamptz", "uuid", "text", "text", "text", "bytea"];
    // Side by side in the list, not as one function: that keeps each column in a store of its own first.
    let columns: Vec<String> =
        (first..).zip(TYPES).map(|(number, type_of)| format!("UNNEST(${number}::{type_of}[])")).collect();
    format!(
        "INSERT INTO outbox (subject, id, source, kind, time, organization, cause, actor, traceparent, body)
         SELECT {}",
        columns.join(", ")
    )
}

/// Binds the messages to a statement that ends with [`storing`], after all its other parameters.
///
/// # Errors
/// A message is not one that the bus carries, see [`crate::ErrorKind`].
pub fn bind<'q>(query: Storing<'q>, messages: &'q [Message]) -> Result<Storing<'q>, Error> {
    for message in messages {
        message.check()?;
    }
    let here = trace::current();
    let column = |of: fn(&Message) -> &str| messages.iter().map(of).collect::<Vec<_>>();
    let optional = |of: fn(&Message) -> Option<&str>| messages.iter().map(of).collect::<Vec<_>>();
    let times: Vec<_> = messages.iter().map(|message| message.envelope.time.to_sqlx()).collect();
    let organizations: Vec<Uuid> =
        messages.iter().map(|message| message.envelope.organization.uuid()).collect();
    let traces: Vec<_> =
        messages.iter().map(|message| message.envelope.traceparent.as_deref().or(here.as_deref())).collect();
    let bodies: Vec<&[u8]> = messages.iter().map(|message| message.body.as_ref()).collect();
    Ok(query
        .bind(column(|message| &message.subject))
        .bind(column(|message| &message.envelope.id))
        .bind(column(|message| &message.envelope.source))
        .bind(column(|message| &message.envelope.kind))
        .bind(times)
        .bind(organizations)
        .bind(optional(|message| message.envelope.cause.as_deref()))
        .bind(optional(|message| message.envelope.actor.as_deref()))
        .bind(traces)
        .bind(bodies))
}

/// A stored message and its place in the outbox.
pub(crate) struct Row {
    pub(crate) seq: i64,
    pub(crate) message: Message,
}

impl FromRow<'_, PgRow> for Row {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let time: jiff_sqlx::Timestamp = row.try_get("time")?;
        let body: Vec<u8> = row.try_get("body")?;
        let envelope = Envelope {
            id: row.try_get("id")?,
            source: row.try_get("source")?,
            kind: row.try_get("kind")?,
            time: time.to_jiff(),
            organization: OrganizationId::from_uuid(row.try_get("organization")?),
            cause: row.try_get("cause")?,
            actor: row.try_get("actor")?,
            traceparent: row.try_get("traceparent")?,
        };
        let message = Message { subject: row.try_get("subject")?, envelope, body: Bytes::from(body) };
        Ok(Self { seq: row.try_get("seq")?, message })
    }
}
