use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::OrganizationId;
use sqlx::{PgConnection, PgPool, Row as _};

use super::{facts::word, maybe_time, since_id};
use crate::{
    Error,
    domain::{
        facts::CommissionKey,
        guard::{Guards, Seen},
    },
    store::{commissions::Mature, facts::Customer},
};

/// The settings of an organization as they are stored, secrets sealed.
#[derive(Clone, Debug)]
pub(crate) struct StoredGuards {
    pub(crate) guards: Guards,
    pub(crate) secret: Option<Vec<u8>>,
    pub(crate) secret_created_at: Option<Timestamp>,
    pub(crate) previous_secret: Option<Vec<u8>>,
}

/// Reads them; none where nobody set any.
pub(crate) async fn find(
    executor: impl sqlx::PgExecutor<'_>,
    organization: OrganizationId,
) -> Result<Option<StoredGuards>, Error> {
    let row = sqlx::query("SELECT * FROM guards WHERE organization = $1")
        .bind(organization.uuid())
        .fetch_optional(executor)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let count = |column| row.try_get::<i32, _>(column).map(i32::unsigned_abs);
    Ok(Some(StoredGuards {
        guards: Guards {
            signing: word(&row, "signed_identify")?,
            users_per_click: count("users_per_click")?,
            identifies_per_address_hour: count("identifies_per_address_hour")?,
            events_per_partner_hour: count("events_per_partner_hour")?,
            one_stitch_per_day: row.try_get("one_stitch_per_day")?,
            known_customers_wait: row.try_get("known_customers_wait")?,
        },
        secret: row.try_get("secret")?,
        secret_created_at: maybe_time(&row, "secret_created_at")?,
        previous_secret: row.try_get("previous_secret")?,
    }))
}

/// Stores the settings; secrets stay.
pub(crate) async fn put(
    tx: &mut PgConnection,
    organization: OrganizationId,
    guards: &Guards,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO guards (organization, signed_identify, users_per_click, identifies_per_address_hour,
                             events_per_partner_hour, one_stitch_per_day, known_customers_wait)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (organization) DO UPDATE SET
             signed_identify = excluded.signed_identify, users_per_click = excluded.users_per_click,
             identifies_per_address_hour = excluded.identifies_per_address_hour,
             events_per_partner_hour = excluded.events_per_partner_hour,
             one_stitch_per_day = excluded.one_stitch_per_day, known_customers_wait = excluded.known_customers_wait",
    )
    .bind(organization.uuid())
    .bind(guards.signing.name())
    .bind(guards.users_per_click.cast_signed())
    .bind(guards.identifies_per_address_hour.cast_signed())
    .bind(guards.events_per_partner_hour.cast_signed())
    .bind(guards.one_stitch_per_day)
    .bind(guards.known_customers_wait)
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores a new secret, sealed; the one before it stays beside it.
pub(crate) async fn put_secret(
    tx: &mut PgConnection,
    organization: OrganizationId,
    sealed: &[u8],
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE guards SET previous_secret = secret, secret = $2, secret_created_at = $3 WHERE organization = $1",
    )
    .bind(organization.uuid())
    .bind(sealed)
    .bind(now.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}

/// What is known elsewhere of a click that is to be tied to a customer.
pub(crate) async fn seen(
    pool: &PgPool,
    customer: &Customer,
    click: &str,
    person: &str,
    since: Timestamp,
) -> Result<Seen, Error> {
    let row = sqlx::query(
        "SELECT (SELECT count(DISTINCT user_key) FROM identifies
                 WHERE click = clicks.id AND user_key <> $2) AS users_of_click,
                (SELECT count(*) FROM identifies JOIN clicks AS others ON others.id = identifies.click
                 WHERE identifies.organization = $1 AND address = clicks.ip_hash AND address <> ''
                   AND at >= $5 AND others.partner = clicks.partner) AS of_address,
                EXISTS (SELECT FROM identifies
                        WHERE organization = $1 AND person = $4 AND user_key <> $2) AS same_person
         FROM clicks WHERE clicks.id = $3",
    )
    .bind(customer.organization.uuid())
    .bind(&customer.user_key)
    .bind(click)
    .bind(person)
    .bind(since.to_sqlx())
    .fetch_one(pool)
    .await?;
    let count = |column| row.try_get::<i64, _>(column).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    Ok(Seen {
        users_of_click: count("users_of_click")?,
        of_address: count("of_address")?,
        same_person: row.try_get("same_person")?,
    })
}

/// A commission of a partner who earns by more events in an hour than is allowed.
#[derive(Clone, Debug)]
pub(crate) struct Rushed {
    pub(crate) of: Mature,
    pub(crate) events: i64,
    pub(crate) allowed: i32,
}

/// Accrued commissions of the last hour that nobody decided about, of partners who earned by too many events in it.
pub(crate) async fn rushed(pool: &PgPool, since: Timestamp, limit: i64) -> Result<Vec<Rushed>, Error> {
    let rows = sqlx::query(
        "WITH counted AS (
             SELECT commissions.organization, partner, count(DISTINCT event) AS events, events_per_partner_hour AS allowed
             FROM guards JOIN commissions ON commissions.organization = guards.organization
             WHERE events_per_partner_hour > 0 AND commissions.id >= $1 AND accrued_at >= $2
             GROUP BY 1, 2, 4 HAVING count(DISTINCT event) > events_per_partner_hour)
         SELECT commissions.organization, event, click, rule, user_key, counted.events, allowed
         FROM counted
         JOIN commissions ON commissions.organization = counted.organization AND commissions.partner = counted.partner
             AND commissions.id >= $1 AND accrued_at >= $2
         JOIN events ON events.id = event
         WHERE commissions.status = 'accrued' AND NOT held AND NOT EXISTS (
             SELECT FROM decisions WHERE decisions.event = commissions.event AND decisions.click = commissions.click
                 AND decisions.rule = commissions.rule AND decisions.event IS NOT NULL)
         LIMIT $3",
    )
    .bind(since_id(since))
    .bind(since.to_sqlx())
    .bind(limit)
    .persistent(false)
    .fetch_all(pool)
    .await?;
    let rushed = |row: sqlx::postgres::PgRow| {
        let rule: i16 = row.try_get("rule")?;
        let key = CommissionKey {
            conversion: model::ConversionId::from_uuid(row.try_get("event")?),
            click: row.try_get::<&str, _>("click")?.into(),
            rule: u8::try_from(rule).map_err(|error| super::facts::stored("rule", error))?,
        };
        let organization = OrganizationId::from_uuid(row.try_get("organization")?);
        let customer = Customer { organization, user_key: row.try_get("user_key")? };
        let of = Mature { customer, key };
        Ok(Rushed { of, events: row.try_get("events")?, allowed: row.try_get("allowed")? })
    };
    rows.into_iter().map(rushed).collect()
}
