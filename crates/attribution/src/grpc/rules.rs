//! Conversion rules: who sets them, and what came of them.

use std::collections::BTreeSet;

use bus::outbox;
use jiff::Timestamp;
use model::{ConnectionId, ConversionRuleId, OrganizationId, Scope, WatchRequested};
use proto::attribution::{self as wire, conversion_rules_server::ConversionRules};
use sqlx::PgConnection;
use tonic::{Request, Response, Status};

use super::{Asker, Service, id, reading};
use crate::{
    Error,
    error::Refusal,
    publisher,
    rules::{
        Rule,
        spec::{Spec, User},
        waiting::{Explained, explain},
    },
    store::{
        self,
        rules::{Place, Waiting, WaitingFilter},
    },
    text,
};

const LONGEST_NAME: usize = 255;
/// The most rules of an organization, disabled ones included.
const MOST_RULES: usize = 500;

impl Rule {
    pub(crate) fn to_wire(&self) -> wire::ConversionRule {
        wire::ConversionRule {
            id: self.id.to_string(),
            spec: Some(wire::ConversionRuleSpec {
                connection_id: self.connection.to_string(),
                vendor_object: self.vendor_object.clone(),
                ..self.spec.to_wire()
            }),
            enabled: self.enabled,
            since: Some(proto::to_wire_time(self.since)),
            read_at: self.read_at.map(proto::to_wire_time),
            created_at: Some(proto::to_wire_time(self.created_at)),
            created_by: self.created_by.clone(),
            ..wire::ConversionRule::default()
        }
    }
}

fn rule_id(text: &str) -> Result<ConversionRuleId, Refusal> {
    id("conversion_rule_not_found", "conversion rule", text)
}

fn missing() -> Refusal {
    Refusal::missing("conversion_rule_not_found", "There is no such conversion rule.")
}

fn specified(spec: Option<&wire::ConversionRuleSpec>) -> Result<&wire::ConversionRuleSpec, Refusal> {
    spec.ok_or_else(|| Refusal::invalid("spec", "required", "spec is required."))
}

/// Where a place in a list of records is said: the moment in microseconds and the record's id.
fn place(cursor: &str) -> Result<Option<(Timestamp, String)>, Refusal> {
    if cursor.is_empty() {
        return Ok(None);
    }
    let wrong = || Refusal::invalid("cursor", "cursor_invalid", "cursor is not one that was given.");
    let (at, record) = cursor.split_once(' ').filter(|_| !cursor.contains('\0')).ok_or_else(wrong)?;
    let at = at.parse().ok().and_then(|at| Timestamp::from_microsecond(at).ok()).ok_or_else(wrong)?;
    Ok(Some((at, record.to_owned())))
}

/// The same among the records of all rules: the moment, the rule and the record's id.
fn place_of_all(cursor: &str) -> Result<Option<Place>, Refusal> {
    let wrong = || Refusal::invalid("cursor", "cursor_invalid", "cursor is not one that was given.");
    let Some((changed_at, rest)) = place(cursor)? else { return Ok(None) };
    let (rule, record) = rest.split_once(' ').ok_or_else(wrong)?;
    let rule = rule.parse().map_err(|_| wrong())?;
    Ok(Some(Place { changed_at, record: record.to_owned(), rule }))
}

/// A record that waits, and why in words.
fn waiting_to_wire(waiting: Waiting) -> wire::WaitingRecord {
    let Waiting { place, rule, why, fields } = waiting;
    let Explained { value, currency, message, repair } = explain(&rule.spec, &fields, why);
    wire::WaitingRecord {
        rule_id: rule.id.to_string(),
        rule_name: rule.spec.name,
        event_type: rule.spec.event_type,
        connection_id: rule.connection.to_string(),
        vendor_object: rule.vendor_object,
        record_id: place.record,
        value,
        currency: currency.to_owned(),
        changed_at: Some(proto::to_wire_time(place.changed_at)),
        reason: why.name().to_owned(),
        message,
        repair,
    }
}

impl Service {
    async fn create_rule(
        &self,
        asker: &Asker,
        request: wire::CreateConversionRuleRequest,
    ) -> Result<wire::ConversionRule, Error> {
        let said = specified(request.spec.as_ref())?;
        let connection: ConnectionId = said.connection_id.parse().map_err(|_| {
            Refusal::invalid("connection_id", "connection_invalid", "connection_id is of the form conn_….")
        })?;
        if store::rules::list(&self.pool, asker.organization).await?.len() >= MOST_RULES {
            let message = format!("An organization has at most {MOST_RULES} conversion rules.");
            return Err(Refusal::conflict("too_many_rules", message).into());
        }
        let now = self.now();
        let rule = Rule {
            id: ConversionRuleId::generate(now),
            organization: asker.organization,
            connection,
            vendor_object: text::required("vendor_object", &said.vendor_object, LONGEST_NAME)?,
            spec: Spec::from_wire(said)?,
            enabled: true,
            since: now,
            read_at: None,
            created_at: now,
            created_by: asker.actor.clone(),
        };
        let mut tx = self.pool.begin().await?;
        store::rules::put(&mut tx, &rule).await?;
        watch(&mut tx, &rule, &asker.actor, now).await?;
        tx.commit().await?;
        self.waker.wake();
        Ok(rule.to_wire())
    }

    async fn update_rule(
        &self,
        asker: &Asker,
        request: wire::UpdateConversionRuleRequest,
    ) -> Result<wire::ConversionRule, Error> {
        let spec = Spec::from_wire(specified(request.spec.as_ref())?)?;
        let change = |rule: &mut Rule| rule.spec = spec;
        self.change_rule(asker, rule_id(&request.rule_id)?, change).await
    }

    async fn set_rule_enabled(
        &self,
        asker: &Asker,
        request: wire::SetConversionRuleEnabledRequest,
    ) -> Result<wire::ConversionRule, Error> {
        let change = |rule: &mut Rule| rule.enabled = request.enabled;
        self.change_rule(asker, rule_id(&request.rule_id)?, change).await
    }

    /// Changes a rule. What was known of records was known to the rule before; all of them are read again.
    async fn change_rule(
        &self,
        asker: &Asker,
        id: ConversionRuleId,
        change: impl FnOnce(&mut Rule) + Send,
    ) -> Result<wire::ConversionRule, Error> {
        let now = self.now();
        let mut tx = self.pool.begin().await?;
        // Before the row, as who plays it does.
        store::rules::lock(&mut tx, &BTreeSet::from([id])).await?;
        let before = store::rules::find(&mut tx, asker.organization, id).await?.ok_or_else(missing)?;
        let mut rule = before.clone();
        change(&mut rule);
        if (&rule.spec, rule.enabled) != (&before.spec, before.enabled) {
            (rule.since, rule.read_at) = (now, None);
            store::rules::put(&mut tx, &rule).await?;
            store::rules::outdate(&mut tx, id).await?;
            watch(&mut tx, &rule, &asker.actor, now).await?;
        }
        tx.commit().await?;
        self.waker.wake();
        Ok(rule.to_wire())
    }

    async fn list_rule_records(
        &self,
        asker: &Asker,
        request: wire::ListConversionRecordsRequest,
    ) -> Result<wire::ListConversionRecordsResponse, Error> {
        let status = request.status.as_str();
        if !matches!(status, "" | "recorded" | "voided" | "waiting") {
            let message = "status is recorded, voided or waiting.";
            return Err(Refusal::invalid("status", "status_invalid", message).into());
        }
        let (rule, behind) = (rule_id(&request.rule_id)?, place(&request.cursor)?);
        let mut tx = self.pool.begin().await?;
        store::rules::find(&mut tx, asker.organization, rule).await?.ok_or_else(missing)?;
        drop(tx);
        let limit = reading::limit(request.limit, 50, 500);
        let mut rows = store::rules::records(&self.pool, rule, status, behind, i64::from(limit) + 1).await?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > most;
        rows.truncate(most);
        let next = rows.last().filter(|_| more);
        let next_cursor = next.map(|(at, row)| format!("{} {}", at.as_microsecond(), row.record_id));
        let records = rows.into_iter().map(|(_, row)| row).collect();
        Ok(wire::ListConversionRecordsResponse { records, next_cursor: next_cursor.unwrap_or_default() })
    }

    async fn list_waiting(
        &self,
        asker: &Asker,
        request: wire::ListWaitingRecordsRequest,
    ) -> Result<wire::ListWaitingRecordsResponse, Error> {
        let filter = WaitingFilter {
            event_type: text::optional("event_type", &request.event_type, text::LONGEST)?,
            record: text::optional("record_id", &request.record_id, text::LONGEST)?,
            behind: place_of_all(&request.cursor)?,
        };
        let limit = reading::limit(request.limit, 50, 500);
        let mut rows =
            store::rules::waiting(&self.pool, asker.organization, &filter, i64::from(limit) + 1).await?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > most;
        rows.truncate(most);
        let next = rows.last().filter(|_| more).map(|row| &row.place);
        let cursor = |at: &Place| format!("{} {} {}", at.changed_at.as_microsecond(), at.rule, at.record);
        let next_cursor = next.map(cursor).unwrap_or_default();
        let records = rows.into_iter().map(waiting_to_wire).collect();
        Ok(wire::ListWaitingRecordsResponse { records, next_cursor })
    }
}

/// Says what all rules of the object look at.
async fn watch(tx: &mut PgConnection, rule: &Rule, actor: &str, now: Timestamp) -> Result<(), Error> {
    let organization: OrganizationId = rule.organization;
    let rules = store::rules::of_object(tx, organization, rule.connection, &rule.vendor_object).await?;
    let fields: BTreeSet<&str> = rules.iter().flat_map(|rule| rule.spec.reads()).collect();
    let dated: BTreeSet<&str> = rules.iter().flat_map(|rule| rule.spec.decided_by()).collect();
    let owned = |names: BTreeSet<&str>| names.into_iter().map(str::to_owned).collect();
    let wish = WatchRequested {
        connection: rule.connection,
        vendor_object: rule.vendor_object.clone(),
        fields: owned(fields),
        dated: owned(dated),
        people: rules.iter().any(|rule| rule.spec.user == User::ContactEmail),
        backfill: rule.enabled,
    };
    outbox::enqueue(tx, &[publisher::watch_requested(organization, &wish, actor, now)?]).await?;
    Ok(())
}

#[tonic::async_trait]
impl ConversionRules for Service {
    async fn list_conversion_rules(
        &self,
        request: Request<wire::ListConversionRulesRequest>,
    ) -> Result<Response<wire::ListConversionRulesResponse>, Status> {
        let asker = self.asker(request.metadata(), Scope::CommissionsRead).await?;
        let rules = store::rules::list(&self.pool, asker.organization).await?;
        Ok(Response::new(wire::ListConversionRulesResponse { rules }))
    }

    async fn create_conversion_rule(
        &self,
        request: Request<wire::CreateConversionRuleRequest>,
    ) -> Result<Response<wire::ConversionRule>, Status> {
        let asker = self.asker(request.metadata(), Scope::ProgramsWrite).await?;
        Ok(Response::new(self.create_rule(&asker, request.into_inner()).await?))
    }

    async fn update_conversion_rule(
        &self,
        request: Request<wire::UpdateConversionRuleRequest>,
    ) -> Result<Response<wire::ConversionRule>, Status> {
        let asker = self.asker(request.metadata(), Scope::ProgramsWrite).await?;
        Ok(Response::new(self.update_rule(&asker, request.into_inner()).await?))
    }

    async fn set_conversion_rule_enabled(
        &self,
        request: Request<wire::SetConversionRuleEnabledRequest>,
    ) -> Result<Response<wire::ConversionRule>, Status> {
        let asker = self.asker(request.metadata(), Scope::ProgramsWrite).await?;
        Ok(Response::new(self.set_rule_enabled(&asker, request.into_inner()).await?))
    }

    async fn list_conversion_records(
        &self,
        request: Request<wire::ListConversionRecordsRequest>,
    ) -> Result<Response<wire::ListConversionRecordsResponse>, Status> {
        let asker = self.asker(request.metadata(), Scope::CommissionsRead).await?;
        Ok(Response::new(self.list_rule_records(&asker, request.into_inner()).await?))
    }

    async fn list_waiting_records(
        &self,
        request: Request<wire::ListWaitingRecordsRequest>,
    ) -> Result<Response<wire::ListWaitingRecordsResponse>, Status> {
        let asker = self.asker(request.metadata(), Scope::CommissionsRead).await?;
        Ok(Response::new(self.list_waiting(&asker, request.into_inner()).await?))
    }
}
