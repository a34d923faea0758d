use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{CampaignId, OrganizationId};
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::time;
use crate::Error;

/// Somebody who gets no mail.
#[derive(Clone)]
pub(crate) struct Suppression {
    pub(crate) address: String,
    /// `opted_out`, `bounced` or `manual`.
    pub(crate) reason: String,
    pub(crate) campaign: Option<CampaignId>,
    pub(crate) at: Timestamp,
    /// Tells apart those of one moment.
    pub(crate) number: i64,
}

/// Those of these addresses that get no mail, with why.
pub(crate) async fn of(
    db: &mut PgConnection,
    organization: OrganizationId,
    addresses: &[&str],
) -> Result<BTreeMap<String, String>, Error> {
    let found: Vec<(String, String)> = sqlx::query_as(
        "SELECT address, reason FROM suppressions WHERE organization = $1 AND address = ANY($2)",
    )
    .bind(organization.uuid())
    .bind(addresses)
    .fetch_all(db)
    .await?;
    Ok(found.into_iter().collect())
}

/// Puts addresses on the list; how many are new there. Who opted out stays so; what came back or was put there by hand
/// becomes an opt-out.
pub(crate) async fn put(
    tx: &mut PgConnection,
    organization: OrganizationId,
    addresses: &[&str],
    (reason, campaign): (&str, Option<CampaignId>),
    at: Timestamp,
) -> Result<u32, Error> {
    let new: Vec<bool> = sqlx::query_scalar(
        "INSERT INTO suppressions (organization, address, reason, campaign, at)
         SELECT $1, address, $3, $4, $5 FROM UNNEST($2::text[]) AS address ORDER BY address
         ON CONFLICT (organization, address) DO UPDATE SET reason = $3, campaign = $4, at = $5
             WHERE $3 = 'opted_out' AND suppressions.reason <> 'opted_out'
         RETURNING xmax = 0",
    )
    .bind(organization.uuid())
    .bind(addresses)
    .bind(reason)
    .bind(campaign.map(CampaignId::uuid))
    .bind(at.to_sqlx())
    .fetch_all(tx)
    .await?;
    Ok(u32::try_from(new.into_iter().filter(|is_new| *is_new).count()).unwrap_or(u32::MAX))
}

/// Takes an address from the list; false where it is not on it.
pub(crate) async fn remove(
    tx: &mut PgConnection,
    organization: OrganizationId,
    address: &str,
) -> Result<bool, Error> {
    let done = sqlx::query("DELETE FROM suppressions WHERE organization = $1 AND address = $2")
        .bind(organization.uuid())
        .bind(address)
        .execute(tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Those below a place, newest first, whose addresses hold this text.
pub(crate) async fn page(
    db: &mut PgConnection,
    organization: OrganizationId,
    query: &str,
    (at, number): (Timestamp, i64),
    limit: i64,
) -> Result<Vec<Suppression>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM suppressions
         WHERE organization = $1 AND at <= $2 AND (at < $2 OR number > $3) AND position($4 IN address) > 0
         ORDER BY at DESC, number LIMIT $5",
    )
    .bind(organization.uuid())
    .bind(at.to_sqlx())
    .bind(number)
    .bind(query)
    .bind(limit)
    .fetch_all(db)
    .await?;
    let read = |row: &PgRow| {
        Ok(Suppression {
            address: row.try_get("address")?,
            reason: row.try_get("reason")?,
            campaign: row.try_get::<Option<Uuid>, _>("campaign")?.map(CampaignId::from_uuid),
            at: time(row, "at")?,
            number: row.try_get("number")?,
        })
    };
    rows.iter().map(read).collect()
}
