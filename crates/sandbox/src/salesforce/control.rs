//! The control API: what a test or a demo does to the org from outside the vendor's API.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::call::{Call, Outcome, Reply};
use super::errors::{Failure, Problem};
use super::faults::Fault;
use super::id::Id;
use super::living::INTERFACE;
use super::object::Object;
use super::org::{Touch, Transaction};
use super::seed::{self, Order};
use super::sim::Sim;
use super::time::parse_datetime;
use super::tooling::Metadata;
use super::values::check;
use super::{Edition, Environment};

/// `GET /_sandbox/health`
pub(crate) fn health(sim: &mut Sim, call: &Call) -> Outcome {
    let objects = sim.org.objects.iter();
    let records: Map<String, Value> =
        objects.map(|object| (object.schema.name.clone(), json!(object.live().count()))).collect();
    Reply::ok(
        &json!({"status": "ok", "organization_id": sim.org.id, "now_ms": call.now_ms, "records": records,
        "commit": sim.org.journal.newest()}),
    )
}

/// `POST /_sandbox/seed`
pub(crate) fn seed(sim: &mut Sim, call: &Call) -> Outcome {
    let order: Order = call.shape()?;
    let ids = seed::plant(&mut sim.org, &order, sim.settings.seed, call.now_ms)?;
    Reply::ok(
        &json!({"object": order.object, "created": ids.len(), "first_id": ids.first(), "last_id": ids.last()}),
    )
}

/// One thing that a user of the org does.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
enum Step {
    Create {
        object: String,
        fields: Map<String, Value>,
    },
    Edit {
        object: String,
        id: Id,
        fields: Map<String, Value>,
        /// Neither stamps nor change events, as when the vendor mends its own data.
        #[serde(default)]
        unnoticed: bool,
        /// Background processing: SystemModstamp moves, LastModifiedDate does not.
        #[serde(default)]
        system: bool,
    },
    Delete {
        object: String,
        id: Id,
    },
    Undelete {
        object: String,
        id: Id,
    },
    Merge {
        object: String,
        winner_id: Id,
        id: Id,
    },
    /// Makes an account, a contact and, with a name, an opportunity of a lead.
    Convert {
        id: Id,
        #[serde(default)]
        account_id: Option<Id>,
        #[serde(default)]
        opportunity: Option<String>,
    },
}

/// Who does it, and when it shows.
#[derive(Deserialize)]
struct Manner {
    #[serde(default)]
    user: Option<Id>,
    /// The `changeOrigin` of its events; the web interface without it.
    #[serde(default)]
    origin: Option<String>,
    /// Stamped now, visible so much later.
    #[serde(default)]
    commit_after_ms: i64,
}

#[derive(Deserialize)]
struct Steps {
    steps: Vec<Step>,
    #[serde(flatten)]
    manner: Manner,
}

/// `POST /_sandbox/transaction`: steps that become visible together.
pub(crate) fn transaction(sim: &mut Sim, call: &Call) -> Outcome {
    let Steps { steps, manner } = call.shape()?;
    let ids = perform(sim, call, &steps, &manner)?;
    Reply::ok(&json!({"ids": ids}))
}

/// `POST /_sandbox/{create,edit,delete,undelete,merge,convert}`: one step, told by the path.
pub(crate) fn step(sim: &mut Sim, call: &Call) -> Outcome {
    let mut body = call.object()?;
    let mut manner = Map::new();
    for key in ["user", "origin", "commit_after_ms"] {
        manner.extend(body.remove(key).map(|value| (key.to_owned(), value)));
    }
    body.insert("do".to_owned(), json!(call.path.trim_end_matches('/').rsplit('/').next()));
    let wrong = |error: serde_json::Error| Failure::bad("JSON_PARSER_ERROR", error.to_string());
    let step: Step = serde_json::from_value(Value::Object(body)).map_err(wrong)?;
    let manner: Manner = serde_json::from_value(Value::Object(manner)).map_err(wrong)?;
    let ids = perform(sim, call, &[step], &manner)?;
    let id = ids.first().copied().ok_or_else(Failure::not_found)?;
    let object = sim.org.object_of(id).map(|at| &sim.org.objects[at]);
    // A late transaction's new record is not there yet.
    let shown = object.and_then(|object| Some(show(object, object.get(id)?)));
    Reply::json(StatusCode::OK, &shown.unwrap_or_else(|| json!({"Id": id})))
}

fn show(object: &Object, record: &super::record::Record) -> Value {
    let mut fields = object.fields(record);
    fields.insert("Id".to_owned(), json!(record.id));
    fields.insert("IsDeleted".to_owned(), json!(!record.is_live()));
    json!(fields)
}

fn perform(sim: &mut Sim, call: &Call, steps: &[Step], manner: &Manner) -> Result<Vec<Id>, Failure> {
    let user = manner.user.unwrap_or_else(|| sim.org.users[1]);
    let origin = manner.origin.as_deref().unwrap_or(INTERFACE);
    let mut transaction = Transaction::new(user, origin, call.now_s());
    let mut ids = Vec::with_capacity(steps.len());
    for step in steps {
        match act(sim, call, &mut transaction, step) {
            Ok(id) => ids.push(id),
            Err(failure) => {
                sim.org.rollback(transaction);
                return Err(failure);
            }
        }
    }
    if manner.commit_after_ms > 0 {
        let commit_at_s = call.now_ms.saturating_add(manner.commit_after_ms).div_euclid(1_000);
        sim.org.hold(transaction, commit_at_s);
    } else {
        sim.org.commit(transaction, call.now_ms);
    }
    Ok(ids)
}

impl Sim {
    fn named(&self, object: &str) -> Result<usize, Failure> {
        self.org.find(object).ok_or_else(Failure::not_found)
    }

    fn living(&self, object: &str, id: Id) -> Result<usize, Failure> {
        let at = self.named(object)?;
        self.live_id(at, &id.to_string())?;
        if self.org.is_locked(at, id) {
            return Err(super::faults::lock(&id.to_string()).into());
        }
        Ok(at)
    }
}

fn act(sim: &mut Sim, call: &Call, to: &mut Transaction, step: &Step) -> Result<Id, Failure> {
    match step {
        Step::Create { object, fields } => {
            let at = sim.named(object)?;
            let values = check(&sim.org, at, None, fields)?;
            Ok(sim.org.insert(to, at, values))
        }
        Step::Edit { object, id, fields, unnoticed, system } => {
            let at = sim.living(object, *id)?;
            let values = check(&sim.org, at, Some(*id), fields)?;
            let touch = match (unnoticed, system) {
                (true, _) => Touch::None,
                (false, true) => Touch::System,
                (false, false) => Touch::User,
            };
            to.silent |= *unnoticed;
            sim.org.update(to, at, *id, values, touch);
            Ok(*id)
        }
        Step::Delete { object, id } => {
            let at = sim.living(object, *id)?;
            sim.org.delete(to, at, *id);
            Ok(*id)
        }
        Step::Undelete { object, id } => {
            let at = sim.named(object)?;
            if !sim.org.undelete(to, at, *id) {
                return Err(Problem::new("UNDELETE_FAILED", "Entity is not in the recycle bin").into());
            }
            Ok(*id)
        }
        Step::Merge { object, winner_id, id } => {
            let at = sim.living(object, *winner_id)?;
            sim.living(object, *id)?;
            if winner_id == id || !sim.org.objects[at].schema.mergeable {
                return Err(Failure::bad("INVALID_OPERATION", "these records cannot be merged"));
            }
            sim.org.merge(to, at, *winner_id, *id);
            Ok(*winner_id)
        }
        Step::Convert { id, account_id, opportunity } => {
            convert(sim, call, to, *id, *account_id, opportunity.as_deref())
        }
    }
}

fn convert(
    sim: &mut Sim,
    call: &Call,
    to: &mut Transaction,
    lead: Id,
    account: Option<Id>,
    opportunity: Option<&str>,
) -> Result<Id, Failure> {
    let at = sim.living("Lead", lead)?;
    let facts = seed::facts(&sim.org, at, lead);
    if facts.get("IsConverted") == Some(&json!(true)) {
        return Err(Problem::new("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead").into());
    }
    let take = |names: &[(&str, &str)]| -> Value {
        let taken =
            names.iter().filter_map(|(from, as_)| Some(((*as_).to_owned(), facts.get(*from)?.clone())));
        Value::Object(taken.collect())
    };
    let account = match account {
        Some(account) => {
            sim.living("Account", account)?;
            account
        }
        None => make(
            sim,
            to,
            "Account",
            &take(&[
                ("Company", "Name"),
                ("Phone", "Phone"),
                ("Website", "Website"),
                ("Industry", "Industry"),
                ("OwnerId", "OwnerId"),
                ("City", "BillingCity"),
                ("State", "BillingState"),
                ("Country", "BillingCountry"),
                ("Street", "BillingStreet"),
                ("PostalCode", "BillingPostalCode"),
            ]),
        )?,
    };
    let mut person = take(&[
        ("FirstName", "FirstName"),
        ("LastName", "LastName"),
        ("Email", "Email"),
        ("Phone", "Phone"),
        ("Title", "Title"),
        ("LeadSource", "LeadSource"),
        ("OwnerId", "OwnerId"),
    ]);
    person["AccountId"] = json!(account);
    let contact = make(sim, to, "Contact", &person)?;
    let mut done = json!({"IsConverted": true, "ConvertedDate": super::time::date_of(call.now_s()).to_string(),
        "ConvertedAccountId": account, "ConvertedContactId": contact, "Status": "Closed - Converted"});
    if let Some(name) = opportunity {
        let close = super::time::date_of(call.now_s() + 30 * 86_400).to_string();
        let deal = json!({"Name": name, "AccountId": account, "StageName": "Prospecting", "CloseDate": close,
            "OwnerId": facts.get("OwnerId")});
        done["ConvertedOpportunityId"] = json!(make(sim, to, "Opportunity", &deal)?);
    }
    let values = seed::cells(&sim.org, at, &done);
    sim.org.update(to, at, lead, values, Touch::User);
    Ok(lead)
}

fn make(sim: &mut Sim, to: &mut Transaction, object: &str, body: &Value) -> Result<Id, Failure> {
    let at = sim.named(object)?;
    let values = seed::cells(&sim.org, at, body);
    Ok(sim.org.insert(to, at, values))
}

/// `POST /_sandbox/empty_recycle_bin`
pub(crate) fn empty_recycle_bin(sim: &mut Sim, _call: &Call) -> Outcome {
    Reply::ok(&json!({"purged": sim.org.purge(|_| true)}))
}

#[derive(Deserialize)]
struct NewField {
    object: String,
    name: String,
    #[serde(flatten)]
    metadata: Metadata,
}

/// `POST /_sandbox/field`: an administrator adds a custom field.
pub(crate) fn add_field(sim: &mut Sim, call: &Call) -> Outcome {
    let order: NewField = call.shape()?;
    let at = sim.named(&order.object)?;
    let id = sim.add_field(at, &order.name, &order.metadata, false, call.now_s())?;
    Reply::ok(&json!({"id": id}))
}

#[derive(Deserialize)]
struct OldField {
    object: String,
    name: String,
}

/// `DELETE /_sandbox/field`: an administrator takes one away.
pub(crate) fn remove_field(sim: &mut Sim, call: &Call) -> Outcome {
    let order: OldField = call.shape()?;
    let at = sim.named(&order.object)?;
    sim.remove_field(at, &order.name, call.now_s())?;
    Reply::empty(StatusCode::NO_CONTENT)
}

/// `GET /_sandbox/state/{object}`: every record, deleted ones too, for comparisons.
pub(crate) fn state(sim: &mut Sim, call: &Call) -> Outcome {
    let object = &sim.org.objects[sim.named(call.param("object"))?];
    let results: Vec<Value> = object.all().map(|record| show(object, record)).collect();
    Reply::ok(&json!({"total": results.len(), "results": results}))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Turn {
    environment: Option<Environment>,
    edition: Option<Edition>,
    api_enabled: Option<bool>,
    customize_application: Option<bool>,
    hide_new_fields: Option<bool>,
    /// An origin, or `""` for the simulator's own.
    instance_url: Option<String>,
    rotate_refresh_token: Option<bool>,
    require_pkce: Option<bool>,
    session_minutes: Option<u32>,
    daily_requests: Option<u64>,
    withheld_scopes: Option<Vec<String>>,
    bulk_delay_ms: Option<u64>,
    living_edits_per_minute: Option<u32>,
    hidden_objects: Option<Vec<String>>,
    read_only_objects: Option<Vec<String>>,
    /// The log of deletions was purged: it begins here. `""` lifts it.
    deleted_since: Option<String>,
}

/// `POST /_sandbox/settings`: what is named changes, the rest stays. Answers with all of it.
pub(crate) fn settings(sim: &mut Sim, call: &Call) -> Outcome {
    let turn: Turn = if call.body.is_empty() { Turn::default() } else { call.shape()? };
    let since = match turn.deleted_since.as_deref() {
        None => sim.dials.deleted_since_s,
        Some("") => None,
        Some(text) => Some(
            parse_datetime(text).ok_or_else(|| Failure::bad("INVALID_FIELD", "deleted_since is a time"))?,
        ),
    };
    let (settings, dials) = (&mut sim.settings, &mut sim.dials);
    dials.deleted_since_s = since;
    dials.hidden_objects = turn.hidden_objects.unwrap_or_else(|| std::mem::take(&mut dials.hidden_objects));
    dials.read_only_objects =
        turn.read_only_objects.unwrap_or_else(|| std::mem::take(&mut dials.read_only_objects));
    if let Some(origin) = turn.instance_url {
        settings.instance_url =
            Some(origin.trim_end_matches('/').to_owned()).filter(|origin| !origin.is_empty());
    }
    settings.environment = turn.environment.unwrap_or(settings.environment);
    settings.edition = turn.edition.unwrap_or(settings.edition);
    settings.api_enabled = turn.api_enabled.unwrap_or(settings.api_enabled);
    settings.customize_application = turn.customize_application.unwrap_or(settings.customize_application);
    settings.hide_new_fields = turn.hide_new_fields.unwrap_or(settings.hide_new_fields);
    settings.rotate_refresh_token = turn.rotate_refresh_token.unwrap_or(settings.rotate_refresh_token);
    settings.require_pkce = turn.require_pkce.unwrap_or(settings.require_pkce);
    settings.session_minutes = turn.session_minutes.unwrap_or(settings.session_minutes);
    settings.daily_requests = turn.daily_requests.unwrap_or(settings.daily_requests);
    settings.withheld_scopes =
        turn.withheld_scopes.unwrap_or_else(|| std::mem::take(&mut settings.withheld_scopes));
    settings.bulk_delay_ms = turn.bulk_delay_ms.unwrap_or(settings.bulk_delay_ms);
    settings.living_edits_per_minute =
        turn.living_edits_per_minute.unwrap_or(settings.living_edits_per_minute);
    sim.org.environment(sim.settings.environment == Environment::Sandbox, sim.settings.edition.words());
    let settings = &sim.settings;
    Reply::ok(&json!({
        "environment": settings.environment, "edition": settings.edition, "api_enabled": settings.api_enabled,
        "customize_application": settings.customize_application, "hide_new_fields": settings.hide_new_fields,
        "instance_url": sim.instance_url(),
        "rotate_refresh_token": settings.rotate_refresh_token, "require_pkce": settings.require_pkce,
        "session_minutes": settings.session_minutes, "daily_requests": settings.daily_requests,
        "withheld_scopes": settings.withheld_scopes,
        "bulk_delay_ms": settings.bulk_delay_ms, "living_edits_per_minute": settings.living_edits_per_minute,
        "hidden_objects": sim.dials.hidden_objects, "read_only_objects": sim.dials.read_only_objects,
        "deleted_since": sim.dials.deleted_since_s.map(super::time::datetime),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_ms: i64,
}

/// `POST /_sandbox/clock`: forward, or back, so that the org's clock goes slow; what was stamped before keeps its stamp.
pub(crate) fn clock(sim: &mut Sim, call: &Call) -> Outcome {
    let Advance { advance_ms } = call.shape()?;
    if call.now_ms.saturating_add(advance_ms) < 0 {
        return Err(Failure::bad("INVALID_FIELD", "the clock begins in 1970"));
    }
    sim.advance(advance_ms);
    Reply::ok(&json!({"now_ms": sim.clock.now_ms(), "offset_ms": sim.clock.offset_ms()}))
}

/// `POST /_sandbox/revoke`: an administrator ends every approval; every token is dead.
pub(crate) fn revoke(sim: &mut Sim, _call: &Call) -> Outcome {
    Reply::ok(&json!({"revoked_grants": sim.auth.revoke_all()}))
}

/// `POST /_sandbox/expire_tokens`: sessions end now, refresh tokens live on.
pub(crate) fn expire_tokens(sim: &mut Sim, _call: &Call) -> Outcome {
    Reply::ok(&json!({"expired_tokens": sim.auth.expire_sessions()}))
}

/// `POST /_sandbox/close_cursors`: every query cursor is gone.
pub(crate) fn close_cursors(sim: &mut Sim, _call: &Call) -> Outcome {
    Reply::ok(&json!({"closed": sim.cursors.close()}))
}

/// `GET /_sandbox/faults`
pub(crate) fn faults(sim: &mut Sim, _call: &Call) -> Outcome {
    Reply::ok(&json!({"faults": sim.faults.set}))
}

/// `POST /_sandbox/faults`
pub(crate) fn add_fault(sim: &mut Sim, call: &Call) -> Outcome {
    let fault: Fault = call.shape()?;
    if !sim.faults.try_set(fault) {
        return Err(Failure::bad("INVALID_FIELD", "times starts at 1 and probability is between 0 and 1"));
    }
    faults(sim, call)
}

/// `DELETE /_sandbox/faults`
pub(crate) fn clear_faults(sim: &mut Sim, _call: &Call) -> Outcome {
    sim.faults.set.clear();
    Reply::empty(StatusCode::NO_CONTENT)
}

/// `GET /_sandbox/calls`
pub(crate) fn calls(sim: &mut Sim, call: &Call) -> Outcome {
    let last = call.query("last").and_then(|text| text.parse().ok()).unwrap_or(50);
    Reply::ok(&sim.calls.wire(last))
}

/// `DELETE /_sandbox/calls`
pub(crate) fn clear_calls(sim: &mut Sim, _call: &Call) -> Outcome {
    sim.calls = crate::calls::CallLog::default();
    Reply::empty(StatusCode::NO_CONTENT)
}
