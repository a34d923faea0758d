use jiff::{Timestamp, tz::TimeZone};
use jiff_sqlx::ToSqlx;
use model::{CampaignId, ConnectionId, OrganizationId};
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{maybe_time, time};
use crate::{Error, domain::campaign::Window};

/// One mail of a campaign, as it was written.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) after_days: u32,
    /// Empty of a later one that answers the mail before.
    pub(crate) subject: String,
    pub(crate) text: String,
}

/// Mails that are sent to many.
#[derive(Clone)]
pub(crate) struct Campaign {
    pub(crate) id: CampaignId,
    pub(crate) organization: OrganizationId,
    pub(crate) name: String,
    pub(crate) connection: ConnectionId,
    pub(crate) vendor: String,
    /// `draft`, `running` or `paused`.
    pub(crate) state: String,
    /// Why it was paused by itself.
    pub(crate) pause_reason: String,
    pub(crate) starts_at: Option<Timestamp>,
    pub(crate) window: Option<Window>,
    pub(crate) created_by: String,
    pub(crate) created_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    /// Counts on whenever the draft is changed.
    pub(crate) version: i64,
    pub(crate) steps: Vec<Step>,
}

impl Campaign {
    /// After how many days each step is due.
    pub(crate) fn delays(&self) -> Vec<u32> {
        self.steps.iter().map(|step| step.after_days).collect()
    }
}

fn read(row: &PgRow) -> Result<Campaign, Error> {
    let zone: Option<String> = row.try_get("time_zone")?;
    let minute = |column| -> Result<u16, sqlx::Error> {
        let minute: Option<i16> = row.try_get(column)?;
        Ok(minute.and_then(|minute| u16::try_from(minute).ok()).unwrap_or_default())
    };
    let window = match zone {
        None => None,
        Some(zone) => {
            let zone = TimeZone::get(&zone);
            let unknown = |error| Error::Stored(format!("a time zone that is not known here: {error}"));
            let zone = zone.map_err(unknown)?;
            let (from, until) = (minute("from_minute")?, minute("until_minute")?);
            Some(Window { zone, from, until, weekdays: row.try_get("weekdays_only")? })
        }
    };
    Ok(Campaign {
        id: CampaignId::from_uuid(row.try_get("id")?),
        organization: OrganizationId::from_uuid(row.try_get("organization")?),
        name: row.try_get("name")?,
        connection: ConnectionId::from_uuid(row.try_get("connection")?),
        vendor: row.try_get("vendor")?,
        state: row.try_get("state")?,
        pause_reason: row.try_get("pause_reason")?,
        starts_at: maybe_time(row, "starts_at")?,
        window,
        created_by: row.try_get("created_by")?,
        created_at: time(row, "created_at")?,
        started_at: maybe_time(row, "started_at")?,
        version: row.try_get("version")?,
        steps: Vec::new(),
    })
}

/// Reads campaigns with their steps, in the order of the rows.
async fn whole(db: &mut PgConnection, rows: &[PgRow]) -> Result<Vec<Campaign>, Error> {
    let mut found: Vec<Campaign> = rows.iter().map(read).collect::<Result<_, _>>()?;
    let ids: Vec<Uuid> = found.iter().map(|it| it.id.uuid()).collect();
    let steps: Vec<(Uuid, i32, String, String)> = sqlx::query_as(
        "SELECT campaign, after_days, subject, text FROM campaign_steps WHERE campaign = ANY($1) ORDER BY place",
    )
    .bind(&ids)
    .fetch_all(db)
    .await?;
    for (campaign, days, subject, text) in steps {
        let after_days = u32::try_from(days).unwrap_or_default();
        let of = found.iter_mut().find(|it| it.id.uuid() == campaign);
        if let Some(of) = of {
            of.steps.push(Step { after_days, subject, text });
        }
    }
    Ok(found)
}

/// Stores a new one, or the draft as it is now.
pub(crate) async fn put(tx: &mut PgConnection, it: &Campaign) -> Result<(), Error> {
    let zone = it.window.as_ref().and_then(|window| window.zone.iana_name());
    let minute = |of: fn(&Window) -> u16| it.window.as_ref().and_then(|it| i16::try_from(of(it)).ok());
    sqlx::query(
        "INSERT INTO campaigns (id, organization, name, connection, vendor, state, starts_at, time_zone, from_minute,
                                until_minute, weekdays_only, created_by, created_at, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         ON CONFLICT (id) DO UPDATE SET name = $3, connection = $4, vendor = $5, starts_at = $7, time_zone = $8,
             from_minute = $9, until_minute = $10, weekdays_only = $11, version = $14",
    )
    .bind(it.id.uuid())
    .bind(it.organization.uuid())
    .bind(&it.name)
    .bind(it.connection.uuid())
    .bind(&it.vendor)
    .bind(&it.state)
    .bind(it.starts_at.map(|at| at.to_sqlx()))
    .bind(zone)
    .bind(minute(|window| window.from))
    .bind(minute(|window| window.until))
    .bind(it.window.as_ref().is_some_and(|window| window.weekdays))
    .bind(&it.created_by)
    .bind(it.created_at.to_sqlx())
    .bind(it.version)
    .execute(&mut *tx)
    .await?;
    sqlx::query("DELETE FROM campaign_steps WHERE campaign = $1")
        .bind(it.id.uuid())
        .execute(&mut *tx)
        .await?;
    for (place, step) in (0_i16..).zip(&it.steps) {
        sqlx::query(
            "INSERT INTO campaign_steps (campaign, place, after_days, subject, text) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(it.id.uuid())
        .bind(place)
        .bind(i32::try_from(step.after_days).unwrap_or(i32::MAX))
        .bind(&step.subject)
        .bind(&step.text)
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

pub(crate) async fn find(
    db: &mut PgConnection,
    organization: OrganizationId,
    id: CampaignId,
) -> Result<Option<Campaign>, Error> {
    let rows = sqlx::query("SELECT * FROM campaigns WHERE id = $1 AND organization = $2")
        .bind(id.uuid())
        .bind(organization.uuid())
        .fetch_all(&mut *db)
        .await?;
    Ok(whole(db, &rows).await?.pop())
}

/// The same, for whoever changes it or its recipients.
pub(crate) async fn lock(
    tx: &mut PgConnection,
    organization: OrganizationId,
    id: CampaignId,
) -> Result<Option<Campaign>, Error> {
    let rows = sqlx::query("SELECT * FROM campaigns WHERE id = $1 AND organization = $2 FOR UPDATE")
        .bind(id.uuid())
        .bind(organization.uuid())
        .fetch_all(&mut *tx)
        .await?;
    Ok(whole(tx, &rows).await?.pop())
}

/// Those of an organization below one, newest first.
pub(crate) async fn page(
    db: &mut PgConnection,
    organization: OrganizationId,
    below: Uuid,
    limit: i64,
) -> Result<Vec<Campaign>, Error> {
    let rows =
        sqlx::query("SELECT * FROM campaigns WHERE organization = $1 AND id < $2 ORDER BY id DESC LIMIT $3")
            .bind(organization.uuid())
            .bind(below)
            .bind(limit)
            .fetch_all(&mut *db)
            .await?;
    whole(db, &rows).await
}

/// Those that a mailbox sends now.
pub(crate) async fn running(db: &mut PgConnection, connection: ConnectionId) -> Result<Vec<Campaign>, Error> {
    // Nobody pauses one of them until its mails are asked for.
    let rows = sqlx::query(
        "SELECT * FROM campaigns WHERE connection = $1 AND state = 'running' ORDER BY started_at, id FOR SHARE",
    )
    .bind(connection.uuid())
    .fetch_all(&mut *db)
    .await?;
    whole(db, &rows).await
}

/// Keeps how one stands, and why where it is by itself.
pub(crate) async fn set_state(
    tx: &mut PgConnection,
    id: CampaignId,
    (state, reason): (&str, &str),
    started_at: Option<Timestamp>,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE campaigns SET state = $2, pause_reason = $3, started_at = COALESCE(started_at, $4) WHERE id = $1",
    )
    .bind(id.uuid())
    .bind(state)
    .bind(reason)
    .bind(started_at.map(|at| at.to_sqlx()))
    .execute(tx)
    .await?;
    Ok(())
}

/// Makes a draft of it again.
pub(crate) async fn withdraw(tx: &mut PgConnection, id: CampaignId) -> Result<(), Error> {
    sqlx::query("UPDATE campaigns SET state = 'draft', pause_reason = '', started_at = NULL WHERE id = $1")
        .bind(id.uuid())
        .execute(tx)
        .await?;
    Ok(())
}

/// Pauses one that runs; false where it does not.
pub(crate) async fn pause(tx: &mut PgConnection, id: CampaignId, reason: &str) -> Result<bool, Error> {
    let done = sqlx::query(
        "UPDATE campaigns SET state = 'paused', pause_reason = $2 WHERE id = $1 AND state = 'running'",
    )
    .bind(id.uuid())
    .bind(reason)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What came of campaigns so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    /// How many recipients are in which state.
    pub(crate) states: Vec<(String, u32)>,
    pub(crate) mails_sent: u32,
}

/// The numbers of these campaigns, in their order.
pub(crate) async fn numbers(db: &mut PgConnection, ids: &[CampaignId]) -> Result<Vec<Numbers>, Error> {
    let uuids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let mut numbers = vec![Numbers::default(); ids.len()];
    let place = |id: Uuid| uuids.iter().position(|it| *it == id).unwrap_or_default();
    let counted: Vec<(Uuid, String, i64)> = sqlx::query_as(
        "SELECT campaign, state, count(*) FROM recipients WHERE campaign = ANY($1) GROUP BY campaign, state",
    )
    .bind(&uuids)
    .fetch_all(&mut *db)
    .await?;
    for (id, state, count) in counted {
        numbers[place(id)].states.push((state, u32::try_from(count).unwrap_or(u32::MAX)));
    }
    let sent: Vec<(Uuid, i64)> = sqlx::query_as(
        "SELECT campaign, count(*) FROM mails WHERE campaign = ANY($1) AND state = 'sent' GROUP BY campaign",
    )
    .bind(&uuids)
    .fetch_all(db)
    .await?;
    for (id, count) in sent {
        numbers[place(id)].mails_sent = u32::try_from(count).unwrap_or(u32::MAX);
    }
    Ok(numbers)
}
