use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::OrganizationId;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::error::Error;

/// The organization with this slug, made where there is none.
pub(crate) async fn ensure(
    tx: &mut PgConnection,
    name: &str,
    slug: &str,
    now: Timestamp,
) -> Result<OrganizationId, Error> {
    sqlx::query(
        "INSERT INTO organizations (id, name, slug, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (slug) DO NOTHING",
    )
    .bind(OrganizationId::generate(now).uuid())
    .bind(name)
    .bind(slug)
    .bind(now.to_sqlx())
    .execute(&mut *tx)
    .await?;
    let (id,): (Uuid,) =
        sqlx::query_as("SELECT id FROM organizations WHERE slug = $1").bind(slug).fetch_one(tx).await?;
    Ok(OrganizationId::from_uuid(id))
}

/// The slugs of all organizations.
pub(crate) async fn slugs(pool: &PgPool) -> Result<Vec<String>, Error> {
    Ok(sqlx::query_scalar("SELECT slug FROM organizations ORDER BY slug").fetch_all(pool).await?)
}

/// The organization with this slug.
pub(crate) async fn by_slug(pool: &PgPool, slug: &str) -> Result<Option<OrganizationId>, Error> {
    let id: Option<Uuid> = sqlx::query_scalar("SELECT id FROM organizations WHERE slug = $1")
        .bind(slug)
        .fetch_optional(pool)
        .await?;
    Ok(id.map(OrganizationId::from_uuid))
}

/// Its name and its slug.
pub(crate) async fn names(pool: &PgPool, id: OrganizationId) -> Result<Option<(String, String)>, Error> {
    let names = sqlx::query_as("SELECT name, slug FROM organizations WHERE id = $1");
    Ok(names.bind(id.uuid()).fetch_optional(pool).await?)
}

/// Holds off every other change of roles in this organization until the transaction ends. Rows that point at the
/// organization may be added meanwhile: whoever mints a key holds their own role and must not wait for this.
pub(crate) async fn lock(tx: &mut PgConnection, id: OrganizationId) -> Result<(), Error> {
    sqlx::query("SELECT 1 FROM organizations WHERE id = $1 FOR NO KEY UPDATE")
        .bind(id.uuid())
        .execute(tx)
        .await?;
    Ok(())
}
