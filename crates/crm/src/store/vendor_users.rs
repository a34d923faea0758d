use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{ConnectionId, OrganizationId, UserId};
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::maybe_time;
use crate::Error;

/// A person at a vendor.
#[derive(Clone, Debug)]
pub(crate) struct VendorUser {
    pub(crate) connection: ConnectionId,
    pub(crate) id: String,
    pub(crate) vendor: String,
    pub(crate) name: String,
    /// Empty where the vendor does not tell it.
    pub(crate) email: String,
    /// Who it is here, once an admin confirmed that.
    pub(crate) person: Option<UserId>,
    pub(crate) confirmed_by: String,
    pub(crate) confirmed_at: Option<Timestamp>,
    pub(crate) seen_at: Option<Timestamp>,
}

fn read(row: &PgRow) -> Result<VendorUser, Error> {
    Ok(VendorUser {
        connection: ConnectionId::from_uuid(row.try_get("connection")?),
        id: row.try_get("id")?,
        vendor: row.try_get("vendor")?,
        name: row.try_get("name")?,
        email: row.try_get("email")?,
        person: row.try_get::<Option<Uuid>, _>("person")?.map(UserId::from_uuid),
        confirmed_by: row.try_get::<Option<String>, _>("confirmed_by")?.unwrap_or_default(),
        confirmed_at: maybe_time(row, "confirmed_at")?,
        seen_at: maybe_time(row, "seen_at")?,
    })
}

/// All of an organization's.
pub(crate) async fn list(
    db: &mut PgConnection,
    organization: OrganizationId,
) -> Result<Vec<VendorUser>, Error> {
    let rows =
        sqlx::query("SELECT * FROM vendor_users WHERE organization = $1 ORDER BY connection, name, id")
            .bind(organization.uuid())
            .fetch_all(db)
            .await?;
    rows.iter().map(read).collect()
}

/// One, for whoever changes it.
pub(crate) async fn lock(
    tx: &mut PgConnection,
    organization: OrganizationId,
    connection: ConnectionId,
    id: &str,
) -> Result<Option<VendorUser>, Error> {
    let row = sqlx::query(
        "SELECT * FROM vendor_users WHERE organization = $1 AND connection = $2 AND id = $3 FOR UPDATE",
    )
    .bind(organization.uuid())
    .bind(connection.uuid())
    .bind(id)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// A vendor said who somebody is, which is better than what comes with a click.
pub(crate) async fn told(
    tx: &mut PgConnection,
    organization: OrganizationId,
    user: &VendorUser,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO vendor_users (connection, id, organization, vendor, name, email)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (connection, id) DO UPDATE
             SET name = CASE WHEN $5 = '' THEN vendor_users.name ELSE $5 END,
                 email = CASE WHEN $6 = '' THEN vendor_users.email ELSE $6 END
             WHERE vendor_users.organization = $3",
    )
    .bind(user.connection.uuid())
    .bind(&user.id)
    .bind(organization.uuid())
    .bind(&user.vendor)
    .bind(&user.name)
    .bind(&user.email)
    .execute(tx)
    .await?;
    Ok(())
}

/// Somebody clicked something: keeps what the click tells of the person, and returns who it is here. A name without an
/// address is what the person is called in clicks; one that was looked up stays.
pub(crate) async fn seen(
    tx: &mut PgConnection,
    organization: OrganizationId,
    user: &VendorUser,
) -> Result<Option<UserId>, Error> {
    let found: Option<Option<Uuid>> = sqlx::query_scalar(
        "INSERT INTO vendor_users (connection, id, organization, vendor, name, email, seen_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (connection, id) DO UPDATE
             SET name = CASE WHEN $5 = '' OR ($6 = '' AND vendor_users.name <> '') THEN vendor_users.name
                            ELSE $5 END,
                 email = CASE WHEN $6 = '' THEN vendor_users.email ELSE $6 END, seen_at = $7
             WHERE vendor_users.organization = $3
         RETURNING person",
    )
    .bind(user.connection.uuid())
    .bind(&user.id)
    .bind(organization.uuid())
    .bind(&user.vendor)
    .bind(&user.name)
    .bind(&user.email)
    .bind(user.seen_at.map(ToSqlx::to_sqlx))
    .fetch_optional(tx)
    .await?;
    Ok(found.flatten().map(UserId::from_uuid))
}

/// An admin says who somebody is.
pub(crate) async fn confirm(
    tx: &mut PgConnection,
    organization: OrganizationId,
    user: &VendorUser,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO vendor_users (connection, id, organization, vendor, name, email, person, confirmed_by, confirmed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (connection, id) DO UPDATE SET person = $7, confirmed_by = $8, confirmed_at = $9
             WHERE vendor_users.organization = $3",
    )
    .bind(user.connection.uuid())
    .bind(&user.id)
    .bind(organization.uuid())
    .bind(&user.vendor)
    .bind(&user.name)
    .bind(&user.email)
    .bind(user.person.map(UserId::uuid))
    .bind(&user.confirmed_by)
    .bind(user.confirmed_at.map(ToSqlx::to_sqlx))
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets somebody.
pub(crate) async fn remove(tx: &mut PgConnection, connection: ConnectionId, id: &str) -> Result<(), Error> {
    sqlx::query("DELETE FROM vendor_users WHERE connection = $1 AND id = $2")
        .bind(connection.uuid())
        .bind(id)
        .execute(tx)
        .await?;
    Ok(())
}
