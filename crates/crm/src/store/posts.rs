use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{ConnectionId, DealRegistrationId, NotificationRuleId, OrganizationId, PostId};
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::Error;

/// A message that a vendor was asked to post.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) id: PostId,
    pub(crate) organization: OrganizationId,
    pub(crate) connection: ConnectionId,
    pub(crate) vendor: String,
    pub(crate) rule: NotificationRuleId,
    pub(crate) channel: String,
    pub(crate) registration: Option<DealRegistrationId>,
    /// The status of it that the message shows.
    pub(crate) shown: String,
    /// The post whose message it puts another in the place of.
    pub(crate) replaces: Option<PostId>,
    /// The vendor's id of the message.
    pub(crate) message: Option<String>,
}

fn read(row: &PgRow) -> Result<Post, Error> {
    let maybe = |column| row.try_get::<Option<Uuid>, _>(column);
    Ok(Post {
        id: PostId::from_uuid(row.try_get("id")?),
        organization: OrganizationId::from_uuid(row.try_get("organization")?),
        connection: ConnectionId::from_uuid(row.try_get("connection")?),
        vendor: row.try_get("vendor")?,
        rule: NotificationRuleId::from_uuid(row.try_get("rule")?),
        channel: row.try_get("channel")?,
        registration: maybe("registration")?.map(DealRegistrationId::from_uuid),
        shown: row.try_get("shown")?,
        replaces: maybe("replaces")?.map(PostId::from_uuid),
        message: row.try_get("message")?,
    })
}

/// Stores one; false where it is known.
pub(crate) async fn insert(tx: &mut PgConnection, post: &Post, now: Timestamp) -> Result<bool, Error> {
    let done = sqlx::query(
        "INSERT INTO posts (id, organization, connection, vendor, rule, channel, registration, shown, replaces, asked_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING",
    )
    .bind(post.id.uuid())
    .bind(post.organization.uuid())
    .bind(post.connection.uuid())
    .bind(&post.vendor)
    .bind(post.rule.uuid())
    .bind(&post.channel)
    .bind(post.registration.map(DealRegistrationId::uuid))
    .bind(&post.shown)
    .bind(post.replaces.map(PostId::uuid))
    .bind(now.to_sqlx())
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// One, for whoever changes it.
pub(crate) async fn lock(
    tx: &mut PgConnection,
    organization: OrganizationId,
    connection: ConnectionId,
    id: PostId,
) -> Result<Option<Post>, Error> {
    let row =
        sqlx::query("SELECT * FROM posts WHERE id = $1 AND organization = $2 AND connection = $3 FOR UPDATE")
            .bind(id.uuid())
            .bind(organization.uuid())
            .bind(connection.uuid())
            .fetch_optional(tx)
            .await?;
    row.as_ref().map(read).transpose()
}

/// Those that first told of a registration, for whoever changes them.
pub(crate) async fn lock_of(
    tx: &mut PgConnection,
    organization: OrganizationId,
    registration: DealRegistrationId,
) -> Result<Vec<Post>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM posts WHERE organization = $1 AND registration = $2 AND replaces IS NULL
         ORDER BY id FOR UPDATE",
    )
    .bind(organization.uuid())
    .bind(registration.uuid())
    .fetch_all(tx)
    .await?;
    rows.iter().map(read).collect()
}

/// Keeps what the vendor answered.
pub(crate) async fn answered(
    tx: &mut PgConnection,
    id: PostId,
    message: Option<&str>,
    error: &str,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE posts SET message = COALESCE($2, message), error = $3, answered_at = $4 WHERE id = $1",
    )
    .bind(id.uuid())
    .bind(message)
    .bind(error)
    .bind(now.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}

/// Keeps what its message shows.
pub(crate) async fn show(tx: &mut PgConnection, id: PostId, shown: &str) -> Result<(), Error> {
    sqlx::query("UPDATE posts SET shown = $2 WHERE id = $1").bind(id.uuid()).bind(shown).execute(tx).await?;
    Ok(())
}

/// Forgets those of before that are of no registration.
pub(crate) async fn forget(pool: &PgPool, before: Timestamp) -> Result<(), Error> {
    sqlx::query("DELETE FROM posts WHERE registration IS NULL AND asked_at < $1")
        .bind(before.to_sqlx())
        .execute(pool)
        .await?;
    Ok(())
}
