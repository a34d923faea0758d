use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{CampaignId, OrganizationId, RecipientId, RecordId};
use sqlx::{PgConnection, Row as _, postgres::PgRow, types::Json};
use uuid::Uuid;

use super::{maybe_time, time};
use crate::{
    Error,
    domain::{
        campaign::{Standing, State},
        template::Fields,
    },
};

/// Somebody whom a campaign is sent to.
#[derive(Clone)]
pub(crate) struct Recipient {
    pub(crate) id: RecipientId,
    pub(crate) campaign: CampaignId,
    pub(crate) organization: OrganizationId,
    /// As it was told.
    pub(crate) email: String,
    /// As it is compared.
    pub(crate) address: String,
    pub(crate) name: String,
    pub(crate) contact: Option<RecordId>,
    pub(crate) fields: Fields,
    pub(crate) standing: Standing,
    pub(crate) changed_at: Timestamp,
}

fn read(row: &PgRow) -> Result<Recipient, Error> {
    let state: String = row.try_get("state")?;
    let unknown = || Error::Stored(format!("a recipient in the state {state}"));
    let Json(fields): Json<Fields> = row.try_get("fields")?;
    let step: i16 = row.try_get("step")?;
    Ok(Recipient {
        id: RecipientId::from_uuid(row.try_get("id")?),
        campaign: CampaignId::from_uuid(row.try_get("campaign")?),
        organization: OrganizationId::from_uuid(row.try_get("organization")?),
        email: row.try_get("email")?,
        address: row.try_get("address")?,
        name: row.try_get("name")?,
        contact: row.try_get::<Option<Uuid>, _>("contact")?.map(RecordId::from_uuid),
        fields,
        standing: Standing {
            state: State::from_name(&state).ok_or_else(unknown)?,
            reason: row.try_get("reason")?,
            step: usize::try_from(step).unwrap_or_default(),
            due_at: maybe_time(row, "due_at")?,
        },
        changed_at: time(row, "changed_at")?,
    })
}

/// Stores those whose address the campaign does not have yet; how many these are.
pub(crate) async fn insert(tx: &mut PgConnection, news: &[Recipient]) -> Result<u64, Error> {
    let text = |of: fn(&Recipient) -> &str| news.iter().map(of).collect::<Vec<_>>();
    let fields: Vec<serde_json::Value> = news.iter().map(|it| serde_json::json!(it.fields)).collect();
    let done = sqlx::query(
        "INSERT INTO recipients (id, campaign, organization, email, address, name, contact, fields, state, due_at,
                                 changed_at)
         SELECT * FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::uuid[],
                              $8::jsonb[], $9::text[], $10::timestamptz[], $11::timestamptz[])
         ON CONFLICT (campaign, address) DO NOTHING",
    )
    .bind(news.iter().map(|it| it.id.uuid()).collect::<Vec<_>>())
    .bind(news.iter().map(|it| it.campaign.uuid()).collect::<Vec<_>>())
    .bind(news.iter().map(|it| it.organization.uuid()).collect::<Vec<_>>())
    .bind(text(|it| &it.email))
    .bind(text(|it| &it.address))
    .bind(text(|it| &it.name))
    .bind(news.iter().map(|it| it.contact.map(RecordId::uuid)).collect::<Vec<_>>())
    .bind(fields)
    .bind(text(|it| it.standing.state.name()))
    .bind(news.iter().map(|it| it.standing.due_at.map(|at| at.to_sqlx())).collect::<Vec<_>>())
    .bind(news.iter().map(|it| it.changed_at.to_sqlx()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Those of a campaign above one, in the order in which they were enrolled; in one state, where it is not empty.
pub(crate) async fn page(
    db: &mut PgConnection,
    campaign: CampaignId,
    state: &str,
    above: Uuid,
    limit: i64,
) -> Result<Vec<Recipient>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM recipients WHERE campaign = $1 AND ($2 = '' OR state = $2) AND id > $3 ORDER BY id LIMIT $4",
    )
    .bind(campaign.uuid())
    .bind(state)
    .bind(above)
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(read).collect()
}

/// How many still get the first mail and have none or only a blank one of each of these fields; those without any are left
/// out.
pub(crate) async fn missing(
    db: &mut PgConnection,
    campaign: CampaignId,
    fields: &[&str],
) -> Result<Vec<(String, u32)>, Error> {
    let counted: Vec<(String, i64)> = sqlx::query_as(
        "SELECT field, count(*) FROM recipients CROSS JOIN UNNEST($2::text[]) AS field
         WHERE campaign = $1 AND state = 'scheduled' AND btrim(COALESCE(fields ->> field, '')) = ''
         GROUP BY field ORDER BY field",
    )
    .bind(campaign.uuid())
    .bind(fields)
    .fetch_all(db)
    .await?;
    let count = |(field, count)| (field, u32::try_from(count).unwrap_or(u32::MAX));
    Ok(counted.into_iter().map(count).collect())
}

/// The campaign starts: those who wait are due. How many they are.
pub(crate) async fn start(
    tx: &mut PgConnection,
    campaign: CampaignId,
    due_at: Timestamp,
) -> Result<u64, Error> {
    let done = sqlx::query("UPDATE recipients SET due_at = $2 WHERE campaign = $1 AND state = 'scheduled'")
        .bind(campaign.uuid())
        .bind(due_at.to_sqlx())
        .execute(tx)
        .await?;
    Ok(done.rows_affected())
}

/// The campaign is a draft again: nobody is due.
pub(crate) async fn withdraw(tx: &mut PgConnection, campaign: CampaignId) -> Result<(), Error> {
    sqlx::query("UPDATE recipients SET due_at = NULL WHERE campaign = $1 AND due_at IS NOT NULL")
        .bind(campaign.uuid())
        .execute(tx)
        .await?;
    Ok(())
}

/// Those who are due, for whoever sends to them; what somebody else sends to is passed over.
pub(crate) async fn lock_due(
    tx: &mut PgConnection,
    campaign: CampaignId,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Recipient>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM recipients WHERE campaign = $1 AND due_at <= $2 ORDER BY due_at, id LIMIT $3
         FOR UPDATE SKIP LOCKED",
    )
    .bind(campaign.uuid())
    .bind(now.to_sqlx())
    .bind(limit)
    .fetch_all(tx)
    .await?;
    rows.iter().map(read).collect()
}

/// One of a campaign, for whoever changes it.
pub(crate) async fn lock(
    tx: &mut PgConnection,
    organization: OrganizationId,
    id: RecipientId,
) -> Result<Option<Recipient>, Error> {
    let row = sqlx::query("SELECT * FROM recipients WHERE id = $1 AND organization = $2 FOR UPDATE")
        .bind(id.uuid())
        .bind(organization.uuid())
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(read).transpose()
}

/// One as it is.
pub(crate) async fn find(
    db: &mut PgConnection,
    campaign: CampaignId,
    id: RecipientId,
) -> Result<Option<Recipient>, Error> {
    let row = sqlx::query("SELECT * FROM recipients WHERE id = $1 AND campaign = $2")
        .bind(id.uuid())
        .bind(campaign.uuid())
        .fetch_optional(db)
        .await?;
    row.as_ref().map(read).transpose()
}

/// All with these addresses, in every campaign of the organization, for whoever changes them; in one order, so that two who
/// change the same cannot block each other.
pub(crate) async fn lock_addresses(
    tx: &mut PgConnection,
    organization: OrganizationId,
    addresses: &[&str],
) -> Result<Vec<Recipient>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM recipients WHERE organization = $1 AND address = ANY($2) ORDER BY id FOR UPDATE",
    )
    .bind(organization.uuid())
    .bind(addresses)
    .fetch_all(tx)
    .await?;
    rows.iter().map(read).collect()
}

/// Keeps how one stands.
pub(crate) async fn update(
    tx: &mut PgConnection,
    id: RecipientId,
    standing: &Standing,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE recipients SET state = $2, reason = $3, step = $4, due_at = $5, changed_at = $6 WHERE id = $1",
    )
    .bind(id.uuid())
    .bind(standing.state.name())
    .bind(&standing.reason)
    .bind(i16::try_from(standing.step).unwrap_or(i16::MAX))
    .bind(standing.due_at.map(|at| at.to_sqlx()))
    .bind(now.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}
