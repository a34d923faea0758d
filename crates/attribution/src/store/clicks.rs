use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{OrganizationId, PartnerId, ProgramId};
use sqlx::{PgConnection, PgPool, Row as _};

use super::{facts::Customer, time};
use crate::{Error, domain::facts::Click};

/// A click that is to be recorded.
#[derive(Clone, Debug)]
pub(crate) struct NewClick {
    pub(crate) id: String,
    /// None: the link with this key, which only one organization may have then.
    pub(crate) organization: Option<OrganizationId>,
    pub(crate) link_key: String,
    pub(crate) landing_url: String,
    pub(crate) ip_hash: String,
    pub(crate) user_agent: String,
    pub(crate) referer: String,
    pub(crate) flagged: bool,
    pub(crate) ts: Timestamp,
}

/// What a click came upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Link(Landing),
    /// Several organizations have a link with this key, and the click says not whose it is on: it is recorded nowhere.
    Several,
    Nothing,
}

/// Where a click leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Landing {
    pub(crate) destination_url: String,
    pub(crate) allowed_domains: Vec<String>,
}

/// Records clicks on links that are open: the partner is not revoked, the program runs. Answers in their order. Clicks that are
/// known already are not recorded again.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    clicks: &[&NewClick],
    now: Timestamp,
) -> Result<Vec<Found>, Error> {
    macro_rules! column {
        (|$click:ident| $value:expr) => {
            clicks.iter().map(|$click| $value).collect::<Vec<_>>()
        };
    }
    let rows = sqlx::query(
        "WITH found AS (
             SELECT place, given.id, links.organization, link_key, links.partner, links.program, ts, landing_url, ip_hash,
                    user_agent, referer, flagged, destination, allowed_domains,
                    -- Whether its link is open or not: addresses of either were given to people.
                    given.organization IS NULL AND EXISTS (
                        SELECT FROM links AS other
                        WHERE other.key = given.link_key AND other.organization <> links.organization) AS several
             FROM UNNEST($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                         $8::boolean[], $9::timestamptz[]) WITH ORDINALITY
                 AS given (id, organization, link_key, landing_url, ip_hash, user_agent, referer, flagged, ts, place)
             CROSS JOIN LATERAL (
                 SELECT links.organization, links.partner, links.program, allowed_domains,
                        coalesce(nullif(links.destination_url, ''), programs.destination_url) AS destination
                 FROM links JOIN partners ON partners.id = links.partner JOIN programs ON programs.id = links.program
                 WHERE links.key = given.link_key
                   AND (given.organization IS NULL OR links.organization = given.organization)
                   AND partners.revoked_at IS NULL
                   AND (starts_at IS NULL OR starts_at <= $10) AND (ends_at IS NULL OR ends_at > $10)
                 ORDER BY links.created_at, links.organization LIMIT 1) AS links),
         recorded AS (
             INSERT INTO clicks (id, organization, link_key, partner, program, ts, recorded_at, landing_url, ip_hash,
                                 user_agent, referer, flagged)
             SELECT id, organization, link_key, partner, program, ts, $10, landing_url, ip_hash, user_agent, referer,
                    flagged
             FROM found WHERE NOT several ON CONFLICT (id) DO NOTHING)
         SELECT place, destination, allowed_domains, several FROM found",
    )
    .bind(column!(|click| click.id.as_str()))
    .bind(column!(|click| click.organization.map(OrganizationId::uuid)))
    .bind(column!(|click| click.link_key.as_str()))
    .bind(column!(|click| click.landing_url.as_str()))
    .bind(column!(|click| click.ip_hash.as_str()))
    .bind(column!(|click| click.user_agent.as_str()))
    .bind(column!(|click| click.referer.as_str()))
    .bind(column!(|click| click.flagged))
    .bind(column!(|click| click.ts.to_sqlx()))
    .bind(now.to_sqlx())
    .fetch_all(connection)
    .await?;
    let mut all = vec![Found::Nothing; clicks.len()];
    for row in rows {
        let place = usize::try_from(row.try_get::<i64, _>("place")? - 1).unwrap_or(usize::MAX);
        let found = match row.try_get("several")? {
            true => Found::Several,
            false => Found::Link(Landing {
                destination_url: row.try_get("destination")?,
                allowed_domains: row.try_get("allowed_domains")?,
            }),
        };
        if let Some(answer) = all.get_mut(place) {
            *answer = found;
        }
    }
    Ok(all)
}

/// A click, and whose it is.
pub(crate) async fn find(pool: &PgPool, id: &str) -> Result<Option<(OrganizationId, String, Click)>, Error> {
    let row = sqlx::query(
        "SELECT id, organization, link_key, partner, program, ts, flagged FROM clicks WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let at = time(&row, "ts")?;
    let click = Click {
        id: row.try_get::<&str, _>("id")?.into(),
        partner: PartnerId::from_uuid(row.try_get("partner")?),
        program: ProgramId::from_uuid(row.try_get("program")?),
        at,
        identified_at: at,
        flagged: row.try_get("flagged")?,
        suspicion: None,
        guarded: false,
        instead_of: None,
    };
    let organization = OrganizationId::from_uuid(row.try_get("organization")?);
    Ok(Some((organization, row.try_get("link_key")?, click)))
}

/// The customers whose click this is.
pub(crate) async fn customers(
    executor: impl sqlx::PgExecutor<'_>,
    organization: OrganizationId,
    click: &str,
) -> Result<Vec<Customer>, Error> {
    let keys: Vec<String> = sqlx::query_scalar(
        "SELECT user_key FROM identifies WHERE click = $1 AND organization = $2 ORDER BY user_key",
    )
    .bind(click)
    .bind(organization.uuid())
    .fetch_all(executor)
    .await?;
    Ok(keys.into_iter().map(|user_key| Customer { organization, user_key }).collect())
}
