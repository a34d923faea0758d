use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{OrganizationId, PartnerId, ProgramId};
use proto::attribution as wire;
use sqlx::{PgConnection, PgPool, Row as _};

use super::time;
use crate::Error;

/// The unique index of keys.
pub(crate) const KEY: &str = "links_pkey";

/// A link that is to be stored.
#[derive(Clone, Debug)]
pub(crate) struct NewLink {
    pub(crate) key: String,
    pub(crate) partner: PartnerId,
    pub(crate) program: ProgramId,
    /// Empty: the program's.
    pub(crate) destination_url: String,
}

/// Stores a link.
pub(crate) async fn insert(
    tx: &mut PgConnection,
    organization: OrganizationId,
    link: &NewLink,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO links (organization, key, partner, program, destination_url, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(organization.uuid())
    .bind(&link.key)
    .bind(link.partner.uuid())
    .bind(link.program.uuid())
    .bind(&link.destination_url)
    .bind(now.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}

/// The links of a partner, newest first, with how often they were clicked since a time.
pub(crate) async fn list(
    pool: &PgPool,
    organization: OrganizationId,
    partner: PartnerId,
    since: Timestamp,
) -> Result<Vec<wire::Link>, Error> {
    let rows = sqlx::query(
        "SELECT links.key, program, coalesce(nullif(links.destination_url, ''), programs.destination_url) AS destination,
                links.created_at, coalesce(clicks, 0) AS clicks
         FROM links JOIN programs ON programs.id = links.program
         LEFT JOIN (SELECT link_key, count(*) AS clicks FROM clicks
                    WHERE organization = $1 AND partner = $2 AND ts >= $3 GROUP BY link_key) AS counted
             ON counted.link_key = links.key
         WHERE links.organization = $1 AND links.partner = $2 ORDER BY links.created_at DESC, links.key",
    )
    .bind(organization.uuid())
    .bind(partner.uuid())
    .bind(since.to_sqlx())
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(wire::Link {
                key: row.try_get("key")?,
                partner_id: partner.to_string(),
                program_id: ProgramId::from_uuid(row.try_get("program")?).to_string(),
                destination_url: row.try_get("destination")?,
                created_at: Some(proto::to_wire_time(time(row, "created_at")?)),
                clicks: row.try_get::<i64, _>("clicks")?.unsigned_abs(),
            })
        })
        .collect()
}
