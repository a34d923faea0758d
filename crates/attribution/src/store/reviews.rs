//! What waits for a person: commissions, with why they wait and what was decided about them before.

use std::collections::HashMap;

use model::{CommissionId, ConversionId, OrganizationId, PartnerId, ProgramId};
use proto::attribution as wire;
use sqlx::{AssertSqlSafe, PgPool, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::time;
use crate::{Error, text};

/// The actor of the guards' own decisions.
pub(crate) const GUARD: &str = "service:attribution";
/// Why a commission waits that a guard of events in an hour holds.
pub(crate) const EVENTS_PER_PARTNER: &str = "events_per_partner";

/// What a list of reviews is asked for; empty fields do not filter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Those that are held; else all that are accrued.
    pub(crate) only_held: bool,
    pub(crate) partner: Option<Uuid>,
    pub(crate) reason: String,
    pub(crate) below: Option<Uuid>,
}

/// Commissions that wait, with their reason and since when.
const WAITING: &str = "
    SELECT commissions.*, coalesce(suspicion, CASE WHEN NOT held THEN '' WHEN hold.actor = $5 THEN $6
                                                   ELSE 'held_by_hand' END) AS why,
           coalesce(CASE WHEN suspicion IS NULL THEN hold.at END, accrued_at) AS since
    FROM commissions LEFT JOIN LATERAL (
        SELECT actor, at FROM decisions
        WHERE decisions.event = commissions.event AND decisions.click = commissions.click
          AND decisions.rule = commissions.rule AND decisions.event IS NOT NULL AND verdict = 'hold'
        ORDER BY at DESC, id DESC LIMIT 1) AS hold ON held
    WHERE organization = $1 AND status IN ('accrued', 'approved') AND ($2 AND held OR NOT $2 AND status = 'accrued')
      AND ($3::uuid IS NULL OR partner = $3)";

/// Those that fit, newest first.
pub(crate) async fn list(
    pool: &PgPool,
    organization: OrganizationId,
    filter: &Filter,
    limit: i64,
) -> Result<Vec<wire::ReviewItem>, Error> {
    let sql = format!(
        "SELECT waiting.*, partners.name AS partner_name, programs.name AS program_name, events.type, events.user_id,
                events.metadata::text AS metadata
         FROM ({WAITING}) AS waiting JOIN events ON events.id = event JOIN partners ON partners.id = waiting.partner
         JOIN programs ON programs.id = waiting.program
         WHERE ($4 = '' OR why = $4) AND ($7::uuid IS NULL OR waiting.id < $7)
         ORDER BY waiting.id DESC LIMIT $8"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(organization.uuid())
        .bind(filter.only_held)
        .bind(filter.partner)
        .bind(&filter.reason)
        .bind(GUARD)
        .bind(EVENTS_PER_PARTNER)
        .bind(filter.below)
        .bind(limit)
        .persistent(false)
        .fetch_all(pool)
        .await?;
    let mut items: Vec<wire::ReviewItem> = rows.iter().map(item).collect::<Result<_, _>>()?;
    let mut notes = notes(pool, organization, &rows).await?;
    for (row, item) in rows.iter().zip(&mut items) {
        item.decisions = notes.remove(&row.try_get::<Uuid, _>("id")?).unwrap_or_default();
    }
    Ok(items)
}

/// What waits in all.
pub(crate) async fn totals(
    pool: &PgPool,
    organization: OrganizationId,
    filter: &Filter,
) -> Result<Vec<wire::ReviewTotal>, Error> {
    let sql = format!(
        "SELECT why, currency, count(*) AS count, sum(due)::bigint AS due FROM ({WAITING}) AS waiting
         WHERE $4 = '' OR why = $4 GROUP BY why, currency ORDER BY why, currency"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(organization.uuid())
        .bind(filter.only_held)
        .bind(filter.partner)
        .bind(&filter.reason)
        .bind(GUARD)
        .bind(EVENTS_PER_PARTNER)
        .persistent(false)
        .fetch_all(pool)
        .await?;
    let total = |row: &PgRow| {
        let currency: String = row.try_get("currency")?;
        Ok(wire::ReviewTotal {
            reason: row.try_get("why")?,
            amount: text::amount_of(row.try_get("due")?, &currency),
            currency,
            count: row.try_get::<i64, _>("count")?.unsigned_abs(),
        })
    };
    rows.iter().map(total).collect()
}

fn item(row: &PgRow) -> Result<wire::ReviewItem, Error> {
    let currency: String = row.try_get("currency")?;
    let reason: String = row.try_get("why")?;
    Ok(wire::ReviewItem {
        commission_id: CommissionId::from_uuid(row.try_get("id")?).to_string(),
        partner_id: PartnerId::from_uuid(row.try_get("partner")?).to_string(),
        partner_name: row.try_get("partner_name")?,
        program_id: ProgramId::from_uuid(row.try_get("program")?).to_string(),
        program_name: row.try_get("program_name")?,
        event_id: ConversionId::from_uuid(row.try_get("event")?).to_string(),
        event_type: row.try_get("type")?,
        user_id: row.try_get("user_id")?,
        metadata_json: row.try_get("metadata")?,
        click_id: row.try_get("click")?,
        amount: text::amount_of(row.try_get("due")?, &currency),
        currency,
        explanation: explanation(&reason).to_owned(),
        reason,
        since: Some(proto::to_wire_time(time(row, "since")?)),
        mature_at: Some(proto::to_wire_time(time(row, "mature_at")?)),
        held: row.try_get("held")?,
        status: row.try_get("status")?,
        decisions: Vec::new(),
    })
}

/// A reason for people.
fn explanation(reason: &str) -> &'static str {
    match reason {
        "self_referral" => "The customer's e-mail address is the partner's own, or of the partner's company.",
        "known_customer" => {
            "Nobody signed that this user came by the partner, and they were a customer before the partner's first click."
        }
        "duplicate_customer" => "The same inbox is known under another user id.",
        "users_per_click" => "More users were tied to this one click than the limit allows.",
        "identifies_per_address" => {
            "More users were tied to this partner's clicks from one address in an hour than the limit allows."
        }
        "early_event" => "The event says that it happened later than it was received.",
        EVENTS_PER_PARTNER => "The partner earned by more events in an hour than the limit allows.",
        "held_by_hand" => "Somebody held it back.",
        _ => "It waits for its approval.",
    }
}

/// What was decided about these commissions and their clicks, the newest first.
async fn notes(
    pool: &PgPool,
    organization: OrganizationId,
    rows: &[PgRow],
) -> Result<HashMap<Uuid, Vec<wire::DecisionNote>>, Error> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.try_get("id")).collect::<Result<_, _>>()?;
    let found = sqlx::query(
        "SELECT commissions.id, decided.* FROM commissions CROSS JOIN LATERAL (
             SELECT id AS decision, verdict, note, actor, at FROM decisions
             WHERE decisions.event = commissions.event AND decisions.event IS NOT NULL
               AND decisions.click = commissions.click AND decisions.rule = commissions.rule
             UNION ALL
             SELECT id, verdict, note, actor, at FROM decisions
             WHERE decisions.organization = $2 AND decisions.click = commissions.click AND decisions.event IS NULL
         ) AS decided
         WHERE commissions.id = ANY($1) ORDER BY at DESC, decision DESC",
    )
    .bind(ids)
    .bind(organization.uuid())
    .persistent(false)
    .fetch_all(pool)
    .await?;
    let mut notes: HashMap<Uuid, Vec<wire::DecisionNote>> = HashMap::new();
    for row in found {
        notes.entry(row.try_get("id")?).or_default().push(wire::DecisionNote {
            decision: row.try_get("verdict")?,
            note: row.try_get("note")?,
            actor: row.try_get("actor")?,
            at: Some(proto::to_wire_time(time(&row, "at")?)),
        });
    }
    Ok(notes)
}
