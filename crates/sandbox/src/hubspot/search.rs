//! Search: filter groups, one sort, pages by offset, never past the 10,000th hit.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::{Call, Outcome, Reply};
use super::errors::Failure;
use super::filter::{Filter, Key, Subject, Wire};
use super::object::Object;
use super::portal::Portal;
use super::record::Record;
use super::sim::Sim;
use super::wire::{Shape, View};

const PAGE_MOST: usize = 200;
const PAGE_DEFAULT: usize = 10;
const HITS_MOST: usize = 10_000;
const BODY_MOST: usize = 3_000;
const GROUPS_MOST: usize = 5;
const FILTERS_PER_GROUP: usize = 6;
const FILTERS_MOST: usize = 18;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Request {
    filter_groups: Vec<Group>,
    sorts: Vec<Sort>,
    query: Option<String>,
    properties: Option<Vec<String>>,
    limit: Option<usize>,
    after: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Group {
    #[serde(default)]
    filters: Vec<Wire>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Sort {
    Spelled(String),
    #[serde(rename_all = "camelCase")]
    Named {
        property_name: String,
        #[serde(default)]
        direction: Option<String>,
    },
}

#[derive(Serialize)]
struct Page<'a> {
    total: usize,
    results: Vec<View<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paging: Option<Value>,
}

/// The order of the hits.
struct Ordering {
    subject: Subject,
    descending: bool,
}

/// `POST /crm/v3/objects/{type}/search`
pub(crate) fn search(sim: &mut Sim, call: &Call) -> Outcome {
    if String::from_utf8_lossy(&call.body).chars().count() > BODY_MOST {
        return Err(Failure::validation(format!("The request body exceeds {BODY_MOST} characters")));
    }
    let portal = sim.portal(call)?;
    let at = portal.object_at(call.param("type"))?;
    portal.objects[at].refresh_index(call.now_ms);
    let portal = &*portal;
    let object = &portal.objects[at];
    let request: Request = call.json()?;
    let (offset, limit) = window(&request)?;
    let (total, ids) = hits(portal, object, &request, offset, limit)?;
    let shape = Shape::of(object, request.properties.as_deref(), &[]);
    let results = ids
        .iter()
        .filter_map(|id| object.records.get(id))
        .map(|record| View::new(portal.id, object, record, &shape))
        .collect();
    let next = offset + limit;
    let paging = (next < total)
        .then(|| json!({"next": {"after": next.to_string(), "link": format!("?after={next}")}}));
    Reply::ok(&Page { total, results, paging })
}

fn window(request: &Request) -> Result<(usize, usize), Failure> {
    let limit = request.limit.unwrap_or(PAGE_DEFAULT);
    if limit > PAGE_MOST {
        return Err(Failure::validation(format!("limit {limit} exceeds the maximum of {PAGE_MOST}")));
    }
    let offset = match &request.after {
        None | Some(Value::Null) => Some(0),
        Some(Value::String(text)) if text.is_empty() => Some(0),
        Some(Value::String(text)) => text.parse().ok(),
        Some(other) => other.as_u64().and_then(|after| usize::try_from(after).ok()),
    };
    let offset: usize = offset.ok_or_else(|| Failure::validation("after is not a paging offset"))?;
    if offset.saturating_add(limit) > HITS_MOST {
        let message =
            format!("The total number of results (after + limit) exceeds {HITS_MOST}: narrow the search");
        return Err(Failure::validation(message));
    }
    Ok((offset, limit.max(1)))
}

/// The number of hits and the ids of one page of them.
fn hits(
    portal: &Portal,
    object: &Object,
    request: &Request,
    offset: usize,
    limit: usize,
) -> Result<(usize, Vec<u64>), Failure> {
    let groups = compile(portal, object, &request.filter_groups)?;
    let order = ordering(object, &request.sorts)?;
    let query = request.query.as_deref().map(str::to_lowercase).filter(|words| !words.is_empty());
    let span = span(&groups);
    let candidates = object.index.between(span.0, span.1);
    let by_index = order.as_ref().is_some_and(|order| order.subject.is_modified());
    let only_span = groups.len() <= 1
        && groups.iter().flatten().all(|filter| filter.modified_span().is_some())
        && query.is_none();
    if let Some(order) = order.as_ref().filter(|_| by_index && only_span) {
        return Ok((candidates.len(), page(candidates, offset, limit, order.descending)));
    }
    let mut found: Vec<&Record> = candidates
        .iter()
        .filter_map(|(_, id)| object.records.get(id))
        .filter(|record| accepts(&groups, object, record))
        .filter(|record| query.as_deref().is_none_or(|words| mentions(object, record, words)))
        .collect();
    sort(object, &mut found, order.as_ref(), by_index);
    let ids = found.iter().skip(offset).take(limit).map(|record| record.id).collect();
    Ok((found.len(), ids))
}

/// One page of the index itself, without looking at a record.
fn page(index: &[(i64, u64)], offset: usize, limit: usize, descending: bool) -> Vec<u64> {
    let ids = index.iter().map(|(_, id)| *id);
    if descending {
        ids.rev().skip(offset).take(limit).collect()
    } else {
        ids.skip(offset).take(limit).collect()
    }
}

fn compile(portal: &Portal, object: &Object, groups: &[Group]) -> Result<Vec<Vec<Filter>>, Failure> {
    let filters: usize = groups.iter().map(|group| group.filters.len()).sum();
    if groups.len() > GROUPS_MOST {
        return Err(Failure::validation(format!("a search takes at most {GROUPS_MOST} filter groups")));
    }
    if filters > FILTERS_MOST || groups.iter().any(|group| group.filters.len() > FILTERS_PER_GROUP) {
        return Err(Failure::validation(format!(
            "a search takes at most {FILTERS_PER_GROUP} filters in a group and {FILTERS_MOST} altogether"
        )));
    }
    let compile_group =
        |group: &Group| group.filters.iter().map(|filter| Filter::compile(portal, object, filter)).collect();
    groups.iter().filter(|group| !group.filters.is_empty()).map(compile_group).collect()
}

fn ordering(object: &Object, sorts: &[Sort]) -> Result<Option<Ordering>, Failure> {
    let [sort] = sorts else {
        return if sorts.is_empty() {
            Ok(None)
        } else {
            Err(Failure::validation("a search takes one sort at most"))
        };
    };
    let (name, descending) = match sort {
        Sort::Spelled(text) => (text.trim_start_matches('-'), text.starts_with('-')),
        Sort::Named { property_name, direction } => {
            (property_name.as_str(), direction.as_deref() == Some("DESCENDING"))
        }
    };
    Ok(Some(Ordering { subject: Subject::of(object, name)?, descending }))
}

/// The modification times that can match at all; everything unless there is one group.
fn span(groups: &[Vec<Filter>]) -> (i64, i64) {
    let [group] = groups else { return (i64::MIN, i64::MAX) };
    group
        .iter()
        .filter_map(Filter::modified_span)
        .fold((i64::MIN, i64::MAX), |whole, part| (whole.0.max(part.0), whole.1.min(part.1)))
}

fn accepts(groups: &[Vec<Filter>], object: &Object, record: &Record) -> bool {
    groups.is_empty() || groups.iter().any(|group| group.iter().all(|filter| filter.accepts(object, record)))
}

fn mentions(object: &Object, record: &Record, words: &str) -> bool {
    let names: &[&str] = match object.name.as_str() {
        "contacts" => &["firstname", "lastname", "email", "phone", "company"],
        "companies" => &["name", "domain", "website", "phone"],
        "deals" => &["dealname", "dealtype", "description"],
        _ => &["name"],
    };
    let searchable = object.schema.as_ref().map(|schema| schema.searchable_properties.as_slice());
    let custom = searchable.unwrap_or_default().iter().map(String::as_str);
    names
        .iter()
        .copied()
        .chain(custom)
        .filter_map(|name| record.get(name))
        .any(|value| value.to_lowercase().contains(words))
}

fn sort(object: &Object, found: &mut Vec<&Record>, order: Option<&Ordering>, by_index: bool) {
    let Some(order) = order else {
        found.sort_unstable_by_key(|record| record.id);
        return;
    };
    if !by_index {
        let mut keyed: Vec<(Option<Key>, &Record)> =
            found.iter().map(|record| (order.subject.key(object, record), *record)).collect();
        keyed.sort_by(|(a, x), (b, y)| compare(a.as_ref(), b.as_ref()).then(x.id.cmp(&y.id)));
        *found = keyed.into_iter().map(|(_, record)| record).collect();
    }
    if order.descending {
        found.reverse();
    }
}

fn compare(a: Option<&Key>, b: Option<&Key>) -> std::cmp::Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.compare(b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}
