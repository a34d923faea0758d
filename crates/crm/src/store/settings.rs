use model::OrganizationId;
use sqlx::{PgConnection, Row as _};

use crate::Error;

/// What an organization set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// For how many days an approved registration is protected.
    pub(crate) protected_days: u32,
    /// After how many days a registration expires that nobody decided.
    pub(crate) review_days: u32,
    /// Domains of free e-mail addresses besides those that everybody knows.
    pub(crate) free_domains: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { protected_days: 90, review_days: 90, free_domains: Vec::new() }
    }
}

/// Reads them.
pub(crate) async fn find(db: &mut PgConnection, organization: OrganizationId) -> Result<Settings, Error> {
    let row = sqlx::query("SELECT * FROM settings WHERE organization = $1")
        .bind(organization.uuid())
        .fetch_optional(db)
        .await?;
    let Some(row) = row else { return Ok(Settings::default()) };
    Ok(Settings {
        protected_days: row.try_get::<i32, _>("protected_days")?.unsigned_abs(),
        review_days: row.try_get::<i32, _>("review_days")?.unsigned_abs(),
        free_domains: row.try_get("free_domains")?,
    })
}

/// Stores them.
pub(crate) async fn put(
    db: &mut PgConnection,
    organization: OrganizationId,
    settings: &Settings,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO settings (organization, protected_days, review_days, free_domains) VALUES ($1, $2, $3, $4)
         ON CONFLICT (organization) DO UPDATE SET protected_days = $2, review_days = $3, free_domains = $4",
    )
    .bind(organization.uuid())
    .bind(settings.protected_days.cast_signed())
    .bind(settings.review_days.cast_signed())
    .bind(&settings.free_domains)
    .execute(db)
    .await?;
    Ok(())
}
