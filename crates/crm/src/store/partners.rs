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
    /// Empty where it was not told.
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) at: Timestamp,
}

/// Of those who were told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Active,
    Revoked,
}

/// How a partner stands; none: nothing was told of such a partner.
pub(crate) async fn known(
    db: &mut PgConnection,
    organization: OrganizationId,
    partner: PartnerId,
) -> Result<Option<Known>, Error> {
    let is_revoked: Option<bool> = sqlx::query_scalar(
        "SELECT status = 'revoked' FROM partners WHERE organization = $1 AND partner = $2",
    )
    .bind(organization.uuid())
    .bind(partner.uuid())
    .fetch_optional(db)
    .await?;
    Ok(is_revoked.map(|is_revoked| if is_revoked { Known::Revoked } else { Known::Active }))
}

/// What a partner is called; empty where that was not told.
pub(crate) async fn name(
    db: &mut PgConnection,
    organization: OrganizationId,
    partner: PartnerId,
) -> Result<Option<String>, Error> {
    let found = sqlx::query_scalar("SELECT name FROM partners WHERE organization = $1 AND partner = $2")
        .bind(organization.uuid())
        .bind(partner.uuid())
        .fetch_optional(db)
        .await?;
    Ok(found)
}

/// Stores how a partner stands, unless something later is known.
pub(crate) async fn put(db: &mut PgConnection, partner: &Partner) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO partners (partner, organization, status, at, name) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (partner) DO UPDATE
             SET status = $3, at = $4, name = CASE WHEN $5 = '' THEN partners.name ELSE $5 END
             WHERE partners.at <= $4",
    )
    .bind(partner.partner.uuid())
    .bind(partner.organization.uuid())
    .bind(&partner.status)
    .bind(partner.at.to_sqlx())
    .bind(&partner.name)
    .execute(db)
    .await?;
    Ok(())
}
