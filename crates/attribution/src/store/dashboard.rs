//! A partner's numbers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{OrganizationId, PartnerId};
use proto::attribution as wire;
use sqlx::{AssertSqlSafe, PgPool};

use crate::{Error, text};

/// What is left of each of `events` after its corrections, as the domain counts it: `worth.net` and `worth.is_void`.
const WORTH: &str = "
    CROSS JOIN LATERAL (
        SELECT greatest(gross - refunded, 0) AS net, void OR coalesce(refunded > 0 AND refunded >= gross, false) AS is_void
        FROM (
            SELECT coalesce((array_agg(amount ORDER BY at DESC, id DESC) FILTER (WHERE kind = 'value'))[1],
                            events.value) AS gross,
                   coalesce(sum(amount) FILTER (WHERE kind = 'refund' AND NOT is_replaced), 0) AS refunded,
                   coalesce((array_agg(kind = 'void' ORDER BY at DESC, id DESC)
                             FILTER (WHERE kind IN ('void', 'restore')))[1], false) AS void
            FROM (
                SELECT kind, amount, at, id, coalesce(bool_or(kind = 'value') OVER (
                           ORDER BY at, id ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING), false) AS is_replaced
                FROM corrections WHERE organization = events.organization AND event = events.id) AS said
        ) AS summed
    ) AS worth";

fn money(minor: i64, currency: String) -> wire::Money {
    wire::Money { amount: text::amount_of(minor, &currency), currency }
}

/// What a partner's clicks came to since a time.
pub(crate) async fn dashboard(
    pool: &PgPool,
    organization: OrganizationId,
    partner: PartnerId,
    since: Timestamp,
) -> Result<wire::Dashboard, Error> {
    let clicks: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM clicks WHERE organization = $1 AND partner = $2 AND ts >= $3",
    )
    .bind(organization.uuid())
    .bind(partner.uuid())
    .bind(since.to_sqlx())
    .fetch_one(pool)
    .await?;
    let revenue: Vec<(String, i64, i64)> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT currency, count(DISTINCT event), coalesce(sum(round(net * numerator / denominator)), 0)::bigint
         FROM attributions JOIN events ON events.id = event {WORTH}
         WHERE attributions.organization = $1 AND partner = $2 AND attributions.ts >= $3 AND closed_at IS NULL
           AND NOT is_void
         GROUP BY currency ORDER BY currency"
    )))
    .bind(organization.uuid())
    .bind(partner.uuid())
    .bind(since.to_sqlx())
    .fetch_all(pool)
    .await?;
    let statuses: Vec<(String, String, i64, i64)> = sqlx::query_as(
        "SELECT status, currency, count(*), sum(due)::bigint FROM commissions
         WHERE organization = $1 AND partner = $2 AND accrued_at >= $3
         GROUP BY status, currency ORDER BY status, currency",
    )
    .bind(organization.uuid())
    .bind(partner.uuid())
    .bind(since.to_sqlx())
    .fetch_all(pool)
    .await?;
    let status = |(status, currency, count, due): (String, String, i64, i64)| wire::StatusTotal {
        status,
        count: count.unsigned_abs(),
        total: Some(money(due, currency)),
    };
    Ok(wire::Dashboard {
        partner_id: partner.to_string(),
        since: Some(proto::to_wire_time(since)),
        clicks: clicks.unsigned_abs(),
        attributed_events: revenue.iter().map(|(_, events, _)| events.unsigned_abs()).sum(),
        attributed_revenue: revenue.into_iter().map(|(currency, _, sum)| money(sum, currency)).collect(),
        commission_by_status: statuses.into_iter().map(status).collect(),
        links: Vec::new(),
    })
}

/// The same by day (UTC), for the days with something in them.
pub(crate) async fn days(
    pool: &PgPool,
    organization: OrganizationId,
    partner: PartnerId,
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<wire::Day>, Error> {
    let rows: Vec<(String, i32, Option<String>, i64, i64)> = sqlx::query_as(AssertSqlSafe(format!(
        "SELECT to_char(ts AT TIME ZONE 'UTC', 'YYYY-MM-DD'), 0, NULL, count(*), 0::bigint
         FROM clicks WHERE organization = $1 AND partner = $2 AND ts >= $3 AND ts < $4 GROUP BY 1
         UNION ALL
         SELECT to_char(attributions.ts AT TIME ZONE 'UTC', 'YYYY-MM-DD'), 1, currency, count(DISTINCT event),
                coalesce(sum(round(net * numerator / denominator)), 0)::bigint
         FROM attributions JOIN events ON events.id = event {WORTH}
         WHERE attributions.organization = $1 AND partner = $2 AND attributions.ts >= $3 AND attributions.ts < $4
           AND closed_at IS NULL AND NOT is_void GROUP BY 1, 3
         UNION ALL
         SELECT to_char(events.ts AT TIME ZONE 'UTC', 'YYYY-MM-DD'), 2, commissions.currency, count(*), sum(due)::bigint
         FROM commissions JOIN events ON events.id = event
         WHERE commissions.organization = $1 AND partner = $2 AND events.ts >= $3 AND events.ts < $4
           AND commissions.status <> 'reversed' GROUP BY 1, 3
         ORDER BY 1, 2, 3"
    )))
    .bind(organization.uuid())
    .bind(partner.uuid())
    .bind(since.to_sqlx())
    .bind(until.to_sqlx())
    .persistent(false)
    .fetch_all(pool)
    .await?;
    let mut days: BTreeMap<String, wire::Day> = BTreeMap::new();
    for (date, what, currency, count, sum) in rows {
        let day = days.entry(date.clone()).or_insert_with(|| wire::Day { date, ..wire::Day::default() });
        let currency = currency.unwrap_or_default();
        match what {
            0 => day.clicks = count.unsigned_abs(),
            1 => {
                day.events += count.unsigned_abs();
                day.revenue.push(money(sum, currency));
            }
            _ => day.commission.push(money(sum, currency)),
        }
    }
    Ok(days.into_values().collect())
}
