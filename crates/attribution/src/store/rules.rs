//! Conversion rules, and what they know of records.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{ConnectionId, ConversionId, ConversionRuleId, OrganizationId, Value};
use proto::attribution as wire;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{
    facts::{stored, word},
    maybe_time, time,
};
use crate::{
    Error,
    rules::{
        Rule,
        decide::{Known, Left, Recorded, Stands, Why},
    },
    text,
};

const COLUMNS: &str = "id, organization, connection, vendor_object, spec::text AS spec, enabled, since, read_at, \
                       created_at, created_by";

fn rule(row: &PgRow) -> Result<Rule, Error> {
    let spec: &str = row.try_get("spec")?;
    Ok(Rule {
        id: ConversionRuleId::from_uuid(row.try_get("id")?),
        organization: OrganizationId::from_uuid(row.try_get("organization")?),
        connection: ConnectionId::from_uuid(row.try_get("connection")?),
        vendor_object: row.try_get("vendor_object")?,
        spec: serde_json::from_str(spec).map_err(|error| stored("a conversion rule", error))?,
        enabled: row.try_get("enabled")?,
        since: time(row, "since")?,
        read_at: maybe_time(row, "read_at")?,
        created_at: time(row, "created_at")?,
        created_by: row.try_get("created_by")?,
    })
}

/// Stores a rule, or what changed of it.
pub(crate) async fn put(tx: &mut PgConnection, rule: &Rule) -> Result<(), Error> {
    let spec = serde_json::to_string(&rule.spec).map_err(|error| stored("a conversion rule", error))?;
    sqlx::query(
        "INSERT INTO conversion_rules (id, organization, connection, vendor_object, spec, enabled, since, read_at,
                                       created_at, created_by)
         VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7, $8, $9, $10)
         ON CONFLICT (id) DO UPDATE SET spec = EXCLUDED.spec, enabled = EXCLUDED.enabled, since = EXCLUDED.since,
                                        read_at = EXCLUDED.read_at",
    )
    .bind(rule.id.uuid())
    .bind(rule.organization.uuid())
    .bind(rule.connection.uuid())
    .bind(&rule.vendor_object)
    .bind(spec)
    .bind(rule.enabled)
    .bind(rule.since.to_sqlx())
    .bind(rule.read_at.map(|at| at.to_sqlx()))
    .bind(rule.created_at.to_sqlx())
    .bind(&rule.created_by)
    .execute(tx)
    .await?;
    Ok(())
}

/// A rule, locked.
pub(crate) async fn find(
    tx: &mut PgConnection,
    organization: OrganizationId,
    id: ConversionRuleId,
) -> Result<Option<Rule>, Error> {
    let sql =
        format!("SELECT {COLUMNS} FROM conversion_rules WHERE organization = $1 AND id = $2 FOR UPDATE");
    let row =
        sqlx::query(AssertSqlSafe(sql)).bind(organization.uuid()).bind(id.uuid()).fetch_optional(tx).await?;
    row.as_ref().map(rule).transpose()
}

/// All rules of an organization, newest first, with what came of them.
pub(crate) async fn list(
    pool: &PgPool,
    organization: OrganizationId,
) -> Result<Vec<wire::ConversionRule>, Error> {
    let sql = format!(
        "SELECT {COLUMNS}, came.* FROM conversion_rules CROSS JOIN LATERAL (
             SELECT count(*) FILTER (WHERE event IS NOT NULL) AS recorded, max(recorded_at) AS last,
                    count(*) FILTER (WHERE status = 'waiting') AS waiting
             FROM rule_records WHERE rule = conversion_rules.id AND status IS NOT NULL
         ) AS came WHERE organization = $1 ORDER BY id DESC"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(organization.uuid()).fetch_all(pool).await?;
    let to_wire = |row: &PgRow| {
        let count =
            |column| row.try_get::<i64, _>(column).map(|count| u64::try_from(count).unwrap_or_default());
        Ok(wire::ConversionRule {
            recorded: count("recorded")?,
            waiting: count("waiting")?,
            last_recorded_at: maybe_time(row, "last")?.map(proto::to_wire_time),
            ..rule(row)?.to_wire()
        })
    };
    rows.iter().map(to_wire).collect()
}

/// Those of some organizations that have rules at work.
pub(crate) async fn organizations(
    pool: &PgPool,
    some: &BTreeSet<OrganizationId>,
) -> Result<HashSet<OrganizationId>, Error> {
    let some: Vec<Uuid> = some.iter().map(|organization| organization.uuid()).collect();
    let found: Vec<Uuid> = sqlx::query_scalar(
        "SELECT DISTINCT organization FROM conversion_rules WHERE organization = ANY($1) AND enabled",
    )
    .bind(some)
    .fetch_all(pool)
    .await?;
    Ok(found.into_iter().map(OrganizationId::from_uuid).collect())
}

/// The rules at work of some organizations.
pub(crate) async fn enabled(
    pool: &PgPool,
    organizations: &BTreeSet<OrganizationId>,
) -> Result<Vec<Rule>, Error> {
    let organizations: Vec<Uuid> = organizations.iter().map(|organization| organization.uuid()).collect();
    let sql = format!(
        "SELECT {COLUMNS} FROM conversion_rules WHERE organization = ANY($1) AND enabled ORDER BY id"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(organizations).fetch_all(pool).await?;
    rows.iter().map(rule).collect()
}

/// The rules at work on one object.
pub(crate) async fn of_object(
    tx: &mut PgConnection,
    organization: OrganizationId,
    connection: ConnectionId,
    vendor_object: &str,
) -> Result<Vec<Rule>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM conversion_rules
         WHERE organization = $1 AND connection = $2 AND vendor_object = $3 AND enabled ORDER BY id"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(organization.uuid())
        .bind(connection.uuid())
        .bind(vendor_object)
        .fetch_all(tx)
        .await?;
    rows.iter().map(rule).collect()
}

/// The records of an object had been read at this moment; that says nothing of rules that began later.
pub(crate) async fn read(
    pool: &PgPool,
    organization: OrganizationId,
    connection: ConnectionId,
    vendor_object: &str,
    at: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE conversion_rules SET read_at = $4
         WHERE organization = $1 AND connection = $2 AND vendor_object = $3 AND read_at IS NULL AND since < $4",
    )
    .bind(organization.uuid())
    .bind(connection.uuid())
    .bind(vendor_object)
    .bind(at.to_sqlx())
    .execute(pool)
    .await?;
    Ok(())
}

/// What is known of the records of a rule was known to another rule.
pub(crate) async fn outdate(tx: &mut PgConnection, rule: ConversionRuleId) -> Result<(), Error> {
    sqlx::query("UPDATE rule_records SET stale = true WHERE rule = $1 AND NOT stale")
        .bind(rule.uuid())
        .execute(tx)
        .await?;
    Ok(())
}

/// Keeps other replicas from the records of these rules until the transaction ends.
pub(crate) async fn lock(tx: &mut PgConnection, rules: &BTreeSet<ConversionRuleId>) -> Result<(), Error> {
    let rules: Vec<Uuid> = rules.iter().map(|rule| rule.uuid()).collect();
    sqlx::query(
        "SELECT pg_advisory_xact_lock(hashtextextended('rule ' || id, 0))
         FROM (SELECT id::text FROM UNNEST($1::uuid[]) AS given (id) ORDER BY id) AS sorted",
    )
    .bind(rules)
    .execute(tx)
    .await?;
    Ok(())
}

/// What is known of these records.
pub(crate) async fn known(
    tx: &mut PgConnection,
    records: &[(ConversionRuleId, &str)],
) -> Result<HashMap<(ConversionRuleId, String), Known>, Error> {
    let (rules, records): (Vec<Uuid>, Vec<&str>) =
        records.iter().map(|(rule, record)| (rule.uuid(), *record)).unzip();
    let rows = sqlx::query(
        "SELECT rule, record, version, changed_at, fields::text AS fields, matched, stale, status, reason, event,
                user_id, value, currency, cycle
         FROM UNNEST($1::uuid[], $2::text[]) AS given (rule, record) JOIN rule_records USING (rule, record)",
    )
    .bind(rules)
    .bind(records)
    .fetch_all(tx)
    .await?;
    let mut known = HashMap::with_capacity(rows.len());
    for row in &rows {
        let rule = ConversionRuleId::from_uuid(row.try_get("rule")?);
        let fields: &str = row.try_get("fields")?;
        let one = Known {
            version: row.try_get("version")?,
            changed_at: time(row, "changed_at")?,
            fields: serde_json::from_str(fields).map_err(|error| stored("a record's fields", error))?,
            matched: row.try_get("matched")?,
            stale: row.try_get("stale")?,
            stands: stands(row)?,
            cycle: row.try_get("cycle")?,
        };
        known.insert((rule, row.try_get("record")?), one);
    }
    Ok(known)
}

fn stands(row: &PgRow) -> Result<Stands, Error> {
    let status: Option<&str> = row.try_get("status")?;
    let reason: Option<&str> = row.try_get("reason")?;
    let unknown = || stored("a record's reason", reason.unwrap_or("none"));
    let recorded = || {
        Ok::<_, Error>(Recorded {
            event: ConversionId::from_uuid(row.try_get("event")?),
            user_id: row.try_get("user_id")?,
            value: row.try_get("value")?,
            currency: word(row, "currency")?,
        })
    };
    Ok(match status {
        None => Stands::Nothing,
        Some("waiting") => Stands::Waiting(why(row)?),
        Some("recorded") => Stands::Recorded(recorded()?),
        Some(_) => {
            let left = Left::ALL.into_iter().find(|left| Some(left.name()) == reason);
            Stands::Voided(recorded()?, left.ok_or_else(unknown)?)
        }
    })
}

/// Why a record waits.
fn why(row: &PgRow) -> Result<Why, Error> {
    let reason: Option<&str> = row.try_get("reason")?;
    let why = Why::ALL.into_iter().find(|why| Some(why.name()) == reason);
    why.ok_or_else(|| stored("a record's reason", reason.unwrap_or("none")))
}

/// What a rule knows of a record now.
pub(crate) struct Seen<'a> {
    pub(crate) rule: ConversionRuleId,
    pub(crate) record: &'a str,
    pub(crate) known: &'a Known,
    /// Whether its event was recorded just now.
    pub(crate) is_new: bool,
}

/// Stores what rules know of records, each once.
pub(crate) async fn remember(tx: &mut PgConnection, seen: &[Seen<'_>], now: Timestamp) -> Result<(), Error> {
    if seen.is_empty() {
        return Ok(());
    }
    let column = |known: &Known| match &known.stands {
        Stands::Nothing => (None, None, None),
        Stands::Waiting(why) => (Some("waiting"), Some(why.name()), None),
        Stands::Recorded(recorded) => (Some("recorded"), None, Some(recorded.clone())),
        Stands::Voided(recorded, left) => (Some("voided"), Some(left.name()), Some(recorded.clone())),
    };
    let stands: Vec<_> = seen.iter().map(|one| column(one.known)).collect();
    let recorded = || stands.iter().map(|(.., recorded)| recorded.as_ref());
    let fields = seen.iter().map(|one| serde_json::to_string(&one.known.fields));
    let fields: Vec<String> =
        fields.collect::<Result<_, _>>().map_err(|error| stored("a record's fields", error))?;
    sqlx::query(
        "INSERT INTO rule_records (rule, record, version, changed_at, fields, matched, stale, status, reason, event,
                                   user_id, value, currency, cycle, recorded_at)
         SELECT rule, record, version, changed_at, fields::jsonb, matched, stale, status, reason, event, user_id, value,
                currency, cycle, CASE WHEN is_new THEN $15 END
         FROM UNNEST($1::uuid[], $2::text[], $3::bigint[], $4::timestamptz[], $5::text[], $6::boolean[], $7::boolean[],
                     $8::text[], $9::text[], $10::uuid[], $11::text[], $12::bigint[], $13::text[], $14::integer[],
                     $16::boolean[])
              AS x (rule, record, version, changed_at, fields, matched, stale, status, reason, event, user_id, value,
                    currency, cycle, is_new)
         ON CONFLICT (rule, record) DO UPDATE
         SET version = EXCLUDED.version, changed_at = EXCLUDED.changed_at, fields = EXCLUDED.fields,
             matched = EXCLUDED.matched, stale = EXCLUDED.stale, status = EXCLUDED.status, reason = EXCLUDED.reason,
             event = EXCLUDED.event, user_id = EXCLUDED.user_id, value = EXCLUDED.value, currency = EXCLUDED.currency,
             cycle = EXCLUDED.cycle, recorded_at = COALESCE(EXCLUDED.recorded_at, rule_records.recorded_at)",
    )
    .bind(seen.iter().map(|one| one.rule.uuid()).collect::<Vec<_>>())
    .bind(seen.iter().map(|one| one.record).collect::<Vec<_>>())
    .bind(seen.iter().map(|one| one.known.version).collect::<Vec<_>>())
    .bind(seen.iter().map(|one| one.known.changed_at.to_sqlx()).collect::<Vec<_>>())
    .bind(fields)
    .bind(seen.iter().map(|one| one.known.matched).collect::<Vec<_>>())
    .bind(seen.iter().map(|one| one.known.stale).collect::<Vec<_>>())
    .bind(stands.iter().map(|(status, ..)| *status).collect::<Vec<_>>())
    .bind(stands.iter().map(|(_, reason, _)| *reason).collect::<Vec<_>>())
    .bind(recorded().map(|one| one.map(|one| one.event.uuid())).collect::<Vec<_>>())
    .bind(recorded().map(|one| one.map(|one| one.user_id.as_str())).collect::<Vec<_>>())
    .bind(recorded().map(|one| one.and_then(|one| one.value)).collect::<Vec<_>>())
    .bind(recorded().map(|one| one.map(|one| one.currency.code())).collect::<Vec<_>>())
    .bind(seen.iter().map(|one| one.known.cycle).collect::<Vec<_>>())
    .bind(now.to_sqlx())
    .bind(seen.iter().map(|one| one.is_new).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Those of these users who were identified.
pub(crate) async fn identified(
    pool: &PgPool,
    organization: OrganizationId,
    user_keys: &[String],
) -> Result<BTreeSet<String>, Error> {
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT user_key FROM identifies WHERE organization = $1 AND user_key = ANY($2)",
    )
    .bind(organization.uuid())
    .bind(user_keys)
    .fetch_all(pool)
    .await?;
    Ok(found.into_iter().collect())
}

/// What came of a rule's records, the last changed first, behind a place.
pub(crate) async fn records(
    pool: &PgPool,
    rule: ConversionRuleId,
    status: &str,
    behind: Option<(Timestamp, String)>,
    limit: i64,
) -> Result<Vec<(Timestamp, wire::ConversionRecord)>, Error> {
    let (at, record) = behind.unzip();
    let rows = sqlx::query(
        "SELECT record, status, reason, event, user_id, value, currency, changed_at FROM rule_records
         WHERE rule = $1 AND status IS NOT NULL AND ($2 = '' OR status = $2)
           AND ($3::timestamptz IS NULL OR (changed_at, record) < ($3, $4))
         ORDER BY changed_at DESC, record DESC LIMIT $5",
    )
    .bind(rule.uuid())
    .bind(status)
    .bind(at.map(|at| at.to_sqlx()))
    .bind(record)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter().map(record_to_wire).collect()
}

fn record_to_wire(row: &PgRow) -> Result<(Timestamp, wire::ConversionRecord), Error> {
    let text = |column| row.try_get::<Option<String>, _>(column).map(Option::unwrap_or_default);
    let (changed_at, currency) = (time(row, "changed_at")?, text("currency")?);
    let value: Option<i64> = row.try_get("value")?;
    let event: Option<Uuid> = row.try_get("event")?;
    let record = wire::ConversionRecord {
        record_id: row.try_get("record")?,
        status: text("status")?,
        reason: text("reason")?,
        event_id: event.map(|event| ConversionId::from_uuid(event).to_string()).unwrap_or_default(),
        user_id: text("user_id")?,
        value: value.map(|minor| text::amount_of(minor, &currency)).unwrap_or_default(),
        currency,
        changed_at: Some(proto::to_wire_time(changed_at)),
    };
    Ok((changed_at, record))
}

/// A place among the records of all rules.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) changed_at: Timestamp,
    pub(crate) record: String,
    pub(crate) rule: ConversionRuleId,
}

/// A record that meets a rule and has no event.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) place: Place,
    pub(crate) rule: Rule,
    pub(crate) why: Why,
    pub(crate) fields: BTreeMap<String, Value>,
}

/// Which of them are asked for; empty fields do not filter.
#[derive(Clone, Debug, Default)]
pub(crate) struct WaitingFilter {
    pub(crate) event_type: String,
    pub(crate) record: String,
    pub(crate) behind: Option<Place>,
}

/// The records that wait, of all rules at work, the last changed first. Each rule's are read by its index.
pub(crate) async fn waiting(
    pool: &PgPool,
    organization: OrganizationId,
    filter: &WaitingFilter,
    limit: i64,
) -> Result<Vec<Waiting>, Error> {
    let behind = filter.behind.as_ref();
    let sql = format!(
        "SELECT {COLUMNS}, waiting.* FROM conversion_rules CROSS JOIN LATERAL (
             SELECT record, reason, fields::text AS fields, changed_at FROM rule_records
             WHERE rule = conversion_rules.id AND status = 'waiting' AND ($3 = '' OR record = $3)
               AND ($4::timestamptz IS NULL OR (changed_at, record, rule) < ($4, $5, $6))
             ORDER BY changed_at DESC, record DESC LIMIT $7
         ) AS waiting
         WHERE organization = $1 AND enabled AND ($2 = '' OR spec->>'event_type' = $2)
         ORDER BY changed_at DESC, record DESC, id DESC LIMIT $7"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(organization.uuid())
        .bind(&filter.event_type)
        .bind(&filter.record)
        .bind(behind.map(|place| place.changed_at.to_sqlx()))
        .bind(behind.map(|place| place.record.as_str()))
        .bind(behind.map(|place| place.rule.uuid()))
        .bind(limit)
        .persistent(false)
        .fetch_all(pool)
        .await?;
    rows.iter().map(one_waiting).collect()
}

fn one_waiting(row: &PgRow) -> Result<Waiting, Error> {
    let (rule, fields) = (rule(row)?, row.try_get::<&str, _>("fields")?);
    let (changed_at, record) = (time(row, "changed_at")?, row.try_get("record")?);
    Ok(Waiting {
        place: Place { changed_at, record, rule: rule.id },
        rule,
        why: why(row)?,
        fields: serde_json::from_str(fields).map_err(|error| stored("a record's fields", error))?,
    })
}
