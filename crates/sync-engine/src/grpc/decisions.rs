use model::{Caller, CanonicalObject, RecordId, Scope};
use proto::sync as wire;
use sqlx::PgConnection;

use super::{id, limit, optional_id};
use crate::{
    Error,
    decisions::Settlement,
    domain::{
        cell::Record,
        mapping::{Compiled, FieldPair, MappingState},
        matching,
        sync::{Link, LinkState, Staged},
        transform,
    },
    engine::Engine,
    store,
};

/// The most candidates of one decision that are shown.
const CANDIDATES: usize = 20;

pub(super) async fn list(
    engine: &Engine,
    caller: &Caller,
    request: wire::ListDecisionsRequest,
) -> Result<wire::ListDecisionsResponse, Error> {
    let connection = optional_id("connection", &request.connection_id)?;
    let mut db = engine.pool.acquire().await?;
    let mappings = engine.mappings.load(&mut db, &[caller.organization]).await?;
    let limit = limit(request.limit, 50);
    let mut decisions = Vec::new();
    for link in store::links::ambiguous(&mut db, caller.organization, connection, limit).await? {
        let (Some(mapping), Some(staged)) = (mappings.get(link.mapping), &link.staged) else { continue };
        let decision = show(&mut db, mapping, &link, staged).await?;
        decisions.push(if caller.may(Scope::RecordsRead) { decision } else { without_values(decision) });
    }
    Ok(wire::ListDecisionsResponse { decisions })
}

pub(super) async fn settle(
    engine: &Engine,
    caller: &Caller,
    request: wire::SettleDecisionRequest,
) -> Result<wire::SettleDecisionResponse, Error> {
    let settlement = match request.action.as_str() {
        "link" => Settlement::Link(id("record", &request.record_id)?),
        "create" => Settlement::Create,
        "ignore" => Settlement::Ignore,
        _ => {
            let message = "expected link, create or ignore";
            return Err(Error::invalid_field("action_unknown", "action", message));
        }
    };
    let decision = id("decision", &request.decision_id)?;
    let record = engine.settle_decision(caller, decision, settlement).await?;
    Ok(wire::SettleDecisionResponse { record_id: record.map(|id| id.to_string()).unwrap_or_default() })
}

/// A decision for whoever may see mappings and not records.
fn without_values(decision: wire::Decision) -> wire::Decision {
    let title = decision.vendor_id.clone();
    let candidates =
        decision.candidates.into_iter().map(|one| wire::Candidate { title: String::new(), ..one }).collect();
    wire::Decision { title, fields: std::collections::HashMap::default(), candidates, ..decision }
}

async fn show(
    db: &mut PgConnection,
    mapping: &Compiled,
    link: &Link,
    staged: &Staged,
) -> Result<wire::Decision, Error> {
    let (organization, object) = (mapping.mapping.organization, mapping.mapping.object);
    let values: Vec<(&str, model::Value)> = mapping
        .pairs
        .iter()
        .filter_map(|pair| {
            let value = transform::inbound(pair, pair.theirs(&staged.fields)?).ok()?;
            (!value.is_blank()).then_some((pair.canonical.name.as_str(), value))
        })
        .collect();
    let keys = matching::keys_there(mapping, &staged.fields);
    let mut ids: Vec<RecordId> = store::records::by_keys(db, organization, object, &keys)
        .await?
        .into_iter()
        .map(|(_, id)| id)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids.truncate(CANDIDATES);
    let links = store::links::of_records(db, &ids).await?;
    let mut candidates = Vec::new();
    for id in ids {
        let Some(record) = store::records::get(db, organization, id).await? else { continue };
        let is_shared = |(field, value): &&(&str, model::Value)| record.value(field) == value;
        candidates.push(wire::Candidate {
            record_id: id.to_string(),
            title: record.title(),
            shared: values.iter().filter(is_shared).map(|(field, _)| (*field).to_owned()).collect(),
            free: !links.iter().any(|l| l.record == Some(id) && l.mapping == mapping.mapping.id),
        });
    }
    let title = values.iter().find(|(field, _)| *field == object.title_field());
    let vendor_id = link.vendor_id.clone().unwrap_or_default();
    Ok(wire::Decision {
        id: link.id.to_string(),
        connection_id: mapping.mapping.connection.to_string(),
        mapping_id: mapping.mapping.id.to_string(),
        object: object.name().to_owned(),
        vendor: mapping.mapping.vendor.clone(),
        vendor_object: mapping.mapping.vendor_object.clone(),
        title: title.map_or_else(|| vendor_id.clone(), |(_, value)| value.to_string()),
        vendor_id,
        fields: values.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect(),
        candidates,
    })
}

pub(super) async fn explain(
    engine: &Engine,
    caller: &Caller,
    request: wire::ExplainSyncRequest,
) -> Result<wire::ExplainSyncResponse, Error> {
    let mut db = engine.pool.acquire().await?;
    let mappings = engine.mappings.load(&mut db, &[caller.organization]).await?;
    let mut reasons = Vec::new();
    if request.record_id.is_empty() {
        let mapping = id("mapping", &request.mapping_id)?;
        let mapping = mappings.get(mapping).ok_or_else(|| Error::not_found("mapping"))?;
        let link = store::links::of_vendor(&mut db, mapping.mapping.id, &request.vendor_id).await?;
        let record = match link.as_ref().and_then(|link| link.record) {
            Some(record) => store::records::get(&mut db, caller.organization, record).await?,
            None => None,
        };
        reasons.extend(of_mapping(&mut db, mapping, record.as_ref(), link.as_ref()).await?);
    } else {
        let record = store::records::get(&mut db, caller.organization, id("record", &request.record_id)?)
            .await?
            .ok_or_else(|| Error::not_found("record"))?;
        let links = store::links::of_records(&mut db, &[record.id]).await?;
        let object: CanonicalObject = record.object;
        for mapping in mappings.of_object(caller.organization, object) {
            let link = links.iter().find(|link| link.mapping == mapping.mapping.id);
            reasons.extend(of_mapping(&mut db, mapping, Some(&record), link).await?);
        }
    }
    if !caller.may(Scope::RecordsRead) {
        // The vendor's words may quote a value.
        for reason in reasons.iter_mut().filter(|reason| reason.code == ISSUE) {
            reason.message.clear();
        }
    }
    Ok(wire::ExplainSyncResponse { reasons })
}

/// The code of a reason that is an open issue.
const ISSUE: &str = "issue";

type Reason = (String, String, bool);

/// All reasons of one mapping; that it is in sync where there is none against it.
async fn of_mapping(
    db: &mut PgConnection,
    mapping: &Compiled,
    record: Option<&Record>,
    link: Option<&Link>,
) -> Result<Vec<wire::SyncReason>, Error> {
    let connection = store::connections::state(db, mapping.mapping.connection).await?;
    let mut reasons: Vec<Reason> = against(mapping, connection.as_deref(), record, link);
    if let Some(link) = link {
        let troubles = store::links::troubles(db, link.id).await?;
        let told = |field: &str| troubles.iter().any(|(about, _)| about.is_empty() || about == field);
        reasons.extend(
            unsent(mapping, record, link)
                .into_iter()
                .filter_map(|(field, reason)| (!told(field)).then_some(reason)),
        );
        for (field, message) in troubles {
            let message = if field.is_empty() { message } else { format!("{field}: {message}") };
            // An issue of one field does not stop the others.
            let syncing = !field.is_empty() && link.state == LinkState::Linked;
            if link.state != LinkState::Ambiguous {
                reasons.push((ISSUE.to_owned(), message, syncing));
            }
        }
        if reasons.is_empty() {
            let (code, message) = if link.write.is_some() {
                ("writing", "a change is on its way to the vendor")
            } else {
                ("in_sync", "both sides are in step")
            };
            reasons.push((code.to_owned(), message.to_owned(), true));
        }
    }
    let reason = |(code, message, syncing): Reason| wire::SyncReason {
        mapping_id: mapping.mapping.id.to_string(),
        connection_id: mapping.mapping.connection.to_string(),
        vendor: mapping.mapping.vendor.clone(),
        vendor_object: mapping.mapping.vendor_object.clone(),
        vendor_id: link.and_then(|link| link.vendor_id.clone()).unwrap_or_default(),
        code,
        message,
        syncing,
    };
    Ok(reasons.into_iter().map(reason).collect())
}

/// What of a linked record does not reach the vendor though no issue is open about it, by field; with no field, the whole.
fn unsent<'a>(mapping: &'a Compiled, record: Option<&Record>, link: &Link) -> Vec<(&'a str, Reason)> {
    let Some(record) = record.filter(|it| it.archived_at.is_none() && link.state == LinkState::Linked) else {
        return Vec::new();
    };
    if link.vendor_id.is_none() && link.write.is_none() && !link.is_refused() {
        let message = "no field that is sent to the vendor has a value yet, so it was not created there";
        return vec![("", ("nothing_to_send".to_owned(), message.to_owned(), false))];
    }
    let of_pair = |pair: &'a FieldPair| {
        let (name, state) = (pair.canonical.name.as_str(), link.fields.get(&pair.canonical.name)?);
        let stays =
            !pair.direction.outward() && state.seen.as_ref().is_some_and(|it| *it != pair.ours(record));
        let (code, why) = if state.refused.is_some() {
            ("refused", "it was refused, and is offered again once it changes or somebody retries")
        } else if stays {
            ("direction", "it flows from the vendor only; what was set here stays here")
        } else {
            return None;
        };
        Some((name, (code.to_owned(), format!("{name}: {why}"), true)))
    };
    mapping.pairs.iter().filter_map(of_pair).collect()
}

/// What stands against the record being synced.
fn against(
    mapping: &Compiled,
    connection: Option<&str>,
    record: Option<&Record>,
    link: Option<&Link>,
) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let mut say = |code: &str, message: &str| reasons.push((code.to_owned(), message.to_owned(), false));
    match mapping.mapping.state {
        MappingState::Active => {}
        MappingState::Draft => say("mapping_draft", "the mapping was not activated yet"),
        MappingState::Paused => {
            say("mapping_paused", "somebody paused the mapping; changes wait for its resumption")
        }
    }
    match connection {
        Some("active") | None => {}
        Some(state) => {
            say(&format!("connection_{state}"), "the connection does not work now; changes wait for it")
        }
    }
    if record.is_some_and(|record| record.archived_at.is_some()) {
        say("archived", "the record is archived here");
    }
    let there = link.and_then(|link| link.staged.as_ref()).map(|staged| &staged.fields);
    match link.map(|link| link.state) {
        Some(LinkState::Filtered) => say("filtered", "the mapping's filter leaves it out"),
        Some(LinkState::Ignored) => {
            say("ignored", "somebody decided that the vendor's record is none of ours")
        }
        Some(LinkState::Ambiguous) => {
            say("ambiguous", "several records here match the vendor's; somebody must decide which one it is");
        }
        Some(LinkState::Detached) => {
            say("detached", "the vendor's record was deleted there; the two are detached")
        }
        Some(LinkState::Staged) if mapping.mapping.state == MappingState::Active => {
            say("not_linked", "what was read of it waits to be merged");
        }
        Some(LinkState::Staged | LinkState::Linked) => {}
        None if mapping.passes(record, there) == Some(false) => {
            say("filtered", "the mapping's filter leaves it out");
        }
        None if record.is_none() && !mapping.creates_here() => {
            say(
                "direction",
                "the mapping's direction is to the vendor only: what exists only there stays there",
            );
        }
        None if record.is_none() => say("not_seen", "the vendor's record was not read yet, or there is none"),
        None if !mapping.creates_there() => {
            say("direction", "it exists only here, and the mapping's direction is from the vendor only");
        }
        None => say("not_linked", "no record of the vendor is linked to it, and none was created yet"),
    }
    reasons
}
