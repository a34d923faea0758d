//! The transactional outbox: messages are stored with the state they speak of, in one transaction, and a
//! [`Relay`] publishes them afterwards.

use bytes::Bytes;
use jiff_sqlx::ToSqlx;
use model::OrganizationId;
use sqlx::{FromRow, PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

pub use crate::relay::{Relay, Waker};
use crate::{Envelope, Error, Message, trace};

/// The tables `outbox` and `inbox`, to be run once in the schema of each room that uses them.
pub const MIGRATION: &str = include_str!("../migrations/0001_outbox_and_inbox.sql");

/// Stores messages to be published after the transaction commits, in this order. Call [`Waker::wake`] after the
/// commit.
///
/// # Errors
/// A message is not one that the bus carries, see [`crate::ErrorKind`]; or Postgres refuses or does not answer,
/// and the transaction is lost.
pub async fn enqueue(tx: &mut PgConnection, messages: &[Message]) -> Result<(), Error> {
    if messages.is_empty() {
        return Ok(());
    }
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
    let inserted = sqlx::query(
        "INSERT INTO outbox (subject, id, source, kind, time, organization, cause, actor, traceparent, body)
         SELECT * FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::uuid[],
                              $7::text[], $8::text[], $9::text[], $10::bytea[])",
    )
    .bind(column(|message| &message.subject))
    .bind(column(|message| &message.envelope.id))
    .bind(column(|message| &message.envelope.source))
    .bind(column(|message| &message.envelope.kind))
    .bind(times)
    .bind(organizations)
    .bind(optional(|message| message.envelope.cause.as_deref()))
    .bind(optional(|message| message.envelope.actor.as_deref()))
    .bind(traces)
    .bind(bodies)
    .execute(tx)
    .await;
    inserted.map_err(|error| Error::database("store messages in the outbox", error))?;
    Ok(())
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
