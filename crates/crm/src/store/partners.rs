use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{OrganizationId, PartnerId};
use sqlx::PgConnection;

use crate::Error;

/// How a partner stands.
#[derive(Clone, Debug)]
pub(crate) struct Partner {
    pub(crate) partner: PartnerId,
    pub(crate) organization: OrganizationId,
    pub(crate) status: String,
    pub(crate) at: Timestamp,
}

/// Whether a partner was revoked. Of whom nothing was told was not.
pub(crate) async fn is_revoked(
    db: &mut PgConnection,
    organization: OrganizationId,
    partner: PartnerId,
) -> Result<bool, Error> {
    let found: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM partners WHERE organization = $1 AND partner = $2 AND status = 'revoked')",
    )
    .bind(organization.uuid())
    .bind(partner.uuid())
    .fetch_one(db)
    .await?;
    Ok(found)
}

/// Stores how a partner stands, unless something later is known.
pub(crate) async fn put(db: &mut PgConnection, partner: &Partner) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO partners (partner, organization, status, at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (partner) DO UPDATE SET status = $3, at = $4 WHERE partners.at <= $4",
    )
    .bind(partner.partner.uuid())
    .bind(partner.organization.uuid())
    .bind(&partner.status)
    .bind(partner.at.to_sqlx())
    .execute(db)
    .await?;
    Ok(())
}
