use model::{Caller, Scope};
use proto::{from_wire_time, sync as wire, to_wire_time};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{behind, fitting, limit, moment, optional_id, page, uuid};
use crate::{
    Error,
    domain::words,
    engine::Engine,
    store::{
        self,
        issues::{Filter, Listed},
    },
};

/// Issues that wait for somebody.
const WAITING: [&str; 2] = ["open", "retrying"];

pub(super) async fn list(
    engine: &Engine,
    caller: &Caller,
    request: wire::ListIssuesRequest,
) -> Result<wire::ListIssuesResponse, Error> {
    let filter = Filter {
        ids: Vec::new(),
        connection: optional_id("connection", &request.connection_id)?,
        record: optional_id("record", &request.record_id)?,
        category: request.category,
        field: request.field,
        states: states(&request.state)?,
    };
    let limit = limit(request.limit, 100);
    let behind = behind(&request.page)?;
    let mut db = engine.pool.acquire().await?;
    let found = store::issues::list(&mut db, caller.organization, &filter, behind, limit + 1).await?;
    let (found, next_page) = page(found, limit, |last| moment(last.issue.at, last.issue.id));
    let mut issues = Vec::with_capacity(found.len());
    for listed in found {
        issues.push(show(engine, &mut db, caller, listed).await?);
    }
    let (issues, next_page) = fitting(issues, next_page, place);
    let waiting = Filter { states: WAITING.to_vec(), ..filter };
    let counts = store::issues::counts(&mut db, caller.organization, &waiting).await?;
    Ok(wire::ListIssuesResponse {
        next_page,
        issues,
        counts: counts
            .into_iter()
            .map(|(category, count)| {
                let (label, suggestion) = words::category(&category);
                wire::IssueCount {
                    label: label.to_owned(),
                    suggestion: suggestion.to_owned(),
                    count: u64::try_from(count).unwrap_or_default(),
                    category,
                }
            })
            .collect(),
    })
}

pub(super) async fn retry(
    engine: &Engine,
    caller: &Caller,
    request: wire::IssueRequest,
) -> Result<wire::Issue, Error> {
    let issue = engine.retry_issue(caller, uuid("open issue", &request.issue_id)?).await?;
    one(engine, caller, issue.id).await
}

pub(super) async fn dismiss(
    engine: &Engine,
    caller: &Caller,
    request: wire::IssueRequest,
) -> Result<wire::Issue, Error> {
    let id = uuid("open issue", &request.issue_id)?;
    let filter = Filter { ids: vec![id], states: WAITING.to_vec(), ..Filter::default() };
    if engine.dismiss_issues(caller, &filter).await? == 0 {
        return Err(Error::not_found("open issue"));
    }
    one(engine, caller, id).await
}

pub(super) async fn settle_conflict(
    engine: &Engine,
    caller: &Caller,
    request: wire::SettleConflictRequest,
) -> Result<wire::Issue, Error> {
    let id = uuid("conflict that waits", &request.issue_id)?;
    let vendor_wins = match request.winner.as_str() {
        "platform" => false,
        "crm" => true,
        _ => return Err(Error::invalid_field("winner_unknown", "winner", "expected platform or crm")),
    };
    engine.settle_conflict(caller, id, vendor_wins).await?;
    one(engine, caller, id).await
}

pub(super) async fn retry_many(
    engine: &Engine,
    caller: &Caller,
    request: wire::ChangeIssuesRequest,
) -> Result<wire::ChangeIssuesResponse, Error> {
    Ok(wire::ChangeIssuesResponse { count: engine.retry_issues(caller, &filter(request)?).await? })
}

pub(super) async fn dismiss_many(
    engine: &Engine,
    caller: &Caller,
    request: wire::ChangeIssuesRequest,
) -> Result<wire::ChangeIssuesResponse, Error> {
    Ok(wire::ChangeIssuesResponse { count: engine.dismiss_issues(caller, &filter(request)?).await? })
}

fn filter(request: wire::ChangeIssuesRequest) -> Result<Filter, Error> {
    Ok(Filter {
        ids: request.issue_ids.iter().map(|id| uuid("open issue", id)).collect::<Result<_, _>>()?,
        connection: optional_id("connection", &request.connection_id)?,
        record: optional_id("record", &request.record_id)?,
        category: request.category,
        field: request.field,
        states: WAITING.to_vec(),
    })
}

fn states(name: &str) -> Result<Vec<&'static str>, Error> {
    if name.is_empty() || name == "waiting" {
        return Ok(WAITING.to_vec());
    }
    let known = ["open", "retrying", "dismissed", "resolved"].into_iter().find(|state| *state == name);
    let message = "expected waiting, open, retrying, dismissed or resolved";
    let state = known.ok_or_else(|| Error::invalid_field("state_unknown", "state", message))?;
    Ok(vec![state])
}

async fn one(engine: &Engine, caller: &Caller, id: Uuid) -> Result<wire::Issue, Error> {
    let mut db = engine.pool.acquire().await?;
    let states = ["open", "retrying", "dismissed", "resolved"].to_vec();
    let filter = Filter { ids: vec![id], states, ..Filter::default() };
    let found = store::issues::list(&mut db, caller.organization, &filter, None, 1).await?.pop();
    let found = found.ok_or_else(|| Error::not_found("open issue"))?;
    show(engine, &mut db, caller, found).await
}

/// Where the next page begins behind this one.
fn place(issue: &wire::Issue) -> String {
    let at = issue.at.as_ref().and_then(from_wire_time);
    at.zip(Uuid::try_parse(&issue.id).ok()).map(|(at, id)| moment(at, id)).unwrap_or_default()
}

/// The title is a value of the record, and the vendor's words may quote one: whoever may see mappings and not records gets
/// neither.
async fn show(
    engine: &Engine,
    db: &mut PgConnection,
    caller: &Caller,
    listed: Listed,
) -> Result<wire::Issue, Error> {
    let Listed { issue, object, title } = listed;
    let (here, there) = engine.held_values(db, caller, &issue).await?.unzip();
    let values = |text: String| if caller.may(Scope::RecordsRead) { text } else { String::new() };
    let (title, message) = (values(title), values(issue.message));
    let (label, suggestion) = words::category(&issue.category);
    Ok(wire::Issue {
        id: issue.id.to_string(),
        connection_id: issue.connection.to_string(),
        record_id: issue.record.map(|record| record.to_string()).unwrap_or_default(),
        record_title: title,
        object,
        vendor_id: issue.vendor_id.unwrap_or_default(),
        field: issue.field,
        suggestion: suggestion.to_owned(),
        category_label: label.to_owned(),
        category: issue.category,
        message,
        state: issue.state,
        at: Some(to_wire_time(issue.at)),
        here: here.as_ref().map(Into::into),
        there: there.as_ref().map(Into::into),
    })
}
