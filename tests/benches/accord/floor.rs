//! The floor: the least that any pipeline with the same promises does. A batch of changes is one transaction of
//! inbox, two tables and outbox through UNNEST; then it is acknowledged, and the outbox goes out in atomic batches.
//! It merges nothing, decides nothing and audits nothing. Reading and publishing go through the same client as ours.

use anyhow::Result;
use bus::{Bus, ConsumerConfig, Delivery, Message, inbox, outbox, subject};
use jiff_sqlx::ToSqlx;
use model::{ChangeEvent, kind};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{servers::Servers, stage::Started};

const TABLES: &str = "
    CREATE TABLE records (
        organization uuid, id text, version bigint, body jsonb, PRIMARY KEY (organization, id));
    CREATE TABLE history (
        organization uuid, id text, version bigint, at timestamptz, body jsonb,
        PRIMARY KEY (organization, id, version));";

const MIGRATIONS: [chassis::Migration; 2] = [
    chassis::Migration { version: 1, name: "bus", sql: outbox::MIGRATION },
    chassis::Migration { version: 2, name: "floor", sql: TABLES },
];

pub(crate) async fn start(servers: &Servers) -> Result<Started> {
    let bus = servers.bus("floor").await?;
    let pool = chassis::pool(servers.postgres.url(), "floor", 8).await?;
    chassis::migrate(&pool, "floor", &MIGRATIONS).await?;
    let started = Started::default();
    let relay = outbox::Relay::new(pool.clone(), bus.clone(), "floor");
    let waker = relay.waker();
    started.tasks.spawn(relay.run(started.shutdown.clone()));
    let shutdown = started.shutdown.clone();
    started.tasks.spawn(async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            Err(error) = consume(&bus, &pool, &waker) => eprintln!("the floor fell: {error:#}"),
        }
    });
    Ok(started)
}

async fn consume(bus: &Bus, pool: &PgPool, waker: &outbox::Waker) -> Result<()> {
    let config = ConsumerConfig::new(subject::CHANGES, "floor").filtered([subject::ALL_CHANGES]);
    let mut consumer = bus.consumer(config).await?;
    loop {
        let batch = consumer.next_batch().await?;
        if !batch.is_empty() {
            store(pool, &batch).await?;
            waker.wake();
            bus::ack_all(batch).await?;
        }
    }
}

async fn store(pool: &PgPool, batch: &[Delivery]) -> Result<()> {
    let mut tx = pool.begin().await?;
    let ids: Vec<String> = batch.iter().map(|delivery| delivery.message.envelope.id.clone()).collect();
    let fresh = inbox::fresh(&mut tx, "floor", &ids).await?;
    let mut changes: Vec<(&Message, ChangeEvent)> = Vec::with_capacity(batch.len());
    for message in batch.iter().map(|delivery| &delivery.message) {
        if fresh.contains(&message.envelope.id) {
            changes.push((message, message.decode()?));
        }
    }
    let organizations: Vec<Uuid> = changes.iter().map(|(m, _)| m.envelope.organization.uuid()).collect();
    let ids: Vec<&str> = changes.iter().map(|(_, change)| change.id.as_str()).collect();
    let versions: Vec<i64> = changes.iter().map(|(_, change)| change.version).collect();
    let bodies: Vec<&str> =
        changes.iter().map(|(message, _)| std::str::from_utf8(&message.body)).collect::<Result<_, _>>()?;
    sqlx::query(
        "INSERT INTO records SELECT DISTINCT ON (o, id) o, id, v, body::jsonb
             FROM UNNEST($1::uuid[], $2::text[], $3::bigint[], $4::text[]) AS given (o, id, v, body)
             ORDER BY o, id, v DESC
         ON CONFLICT (organization, id) DO UPDATE SET version = excluded.version, body = excluded.body
             WHERE records.version < excluded.version",
    )
    .bind(&organizations)
    .bind(&ids)
    .bind(&versions)
    .bind(&bodies)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO history SELECT o, id, v, at, body::jsonb
             FROM UNNEST($1::uuid[], $2::text[], $3::bigint[], $4::timestamptz[], $5::text[])
                  AS given (o, id, v, at, body)
         ON CONFLICT DO NOTHING",
    )
    .bind(&organizations)
    .bind(&ids)
    .bind(&versions)
    .bind(changes.iter().map(|(_, change)| change.changed_at.to_sqlx()).collect::<Vec<_>>())
    .bind(&bodies)
    .execute(&mut *tx)
    .await?;
    outbox::enqueue(&mut tx, &changes.iter().map(|(message, _)| answer(message)).collect::<Vec<_>>()).await?;
    tx.commit().await?;
    Ok(())
}

/// What goes out for a change: its own body under another subject.
fn answer(message: &Message) -> Message {
    let mut out = message.clone();
    out.subject = subject::record(&message.envelope.organization, "company");
    kind::RECORD_CHANGED.clone_into(&mut out.envelope.kind);
    out.envelope.id = bus::event_id_at(message.envelope.time, &["floor", &message.envelope.id]);
    out.envelope.cause = Some(message.envelope.id.clone());
    out
}
