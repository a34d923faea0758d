//! Bulk API 2.0: queries as jobs, their results as CSV.

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Call, Outcome, Reply};
use super::errors::Failure;
use super::id::Id;
use super::sim::Sim;
use super::time::datetime;

/// How long a job's results are kept.
const KEPT_MS: i64 = 7 * 86_400_000;
const PAGE: usize = 50_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Aborted,
    Failed,
}

/// A query job. Its rows are found when it is complete.
#[derive(Debug)]
pub(crate) struct Job {
    id: Id,
    text: String,
    all: bool,
    line_ending: &'static str,
    delimiter: (&'static str, char),
    version: String,
    user: Id,
    created_ms: i64,
    ready_ms: i64,
    ended: Option<Ended>,
    rows: Option<Vec<Id>>,
    error: Option<String>,
}

impl Job {
    fn state(&self, now_ms: i64) -> &'static str {
        match self.ended {
            Some(Ended::Aborted) => "Aborted",
            Some(Ended::Failed) => "Failed",
            None if now_ms >= self.ready_ms => "JobComplete",
            None if now_ms > self.created_ms => "InProgress",
            None => "UploadComplete",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Order {
    operation: String,
    query: String,
    content_type: Option<String>,
    line_ending: Option<String>,
    column_delimiter: Option<String>,
    concurrency_mode: Option<String>,
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::bad("INVALIDJOB", message)
}

/// `POST /jobs/query`
pub(crate) fn create(sim: &mut Sim, call: &Call) -> Outcome {
    let order: Order = call.shape()?;
    let all = match order.operation.as_str() {
        "query" => false,
        "queryAll" => true,
        other => return Err(invalid(format!("Unsupported operation: {other}"))),
    };
    if order.content_type.as_deref().is_some_and(|kind| kind != "CSV")
        || order.concurrency_mode.as_deref().is_some_and(|mode| mode != "Parallel")
    {
        return Err(invalid("contentType is CSV and concurrencyMode is Parallel"));
    }
    let line_ending = match order.line_ending.as_deref() {
        None | Some("LF") => "LF",
        Some("CRLF") => "CRLF",
        Some(other) => return Err(invalid(format!("Unknown line ending: {other}"))),
    };
    let delimiter = match order.column_delimiter.as_deref() {
        None | Some("COMMA") => ("COMMA", ','),
        Some("TAB") => ("TAB", '\t'),
        Some("SEMICOLON") => ("SEMICOLON", ';'),
        Some("PIPE") => ("PIPE", '|'),
        Some("CARET") => ("CARET", '^'),
        Some("BACKQUOTE") => ("BACKQUOTE", '`'),
        Some(other) => return Err(invalid(format!("Unknown column delimiter: {other}"))),
    };
    let query = sim.prepare(&order.query, call.now_s())?;
    if query.count {
        return Err(invalid("Aggregate functions are not supported in bulk queries"));
    }
    let user = call.caller.as_ref().map_or(sim.org.users[0], |caller| caller.user);
    let id = Id::new("750", sim.jobs.len() as u64 + 1);
    let delay = i64::try_from(sim.settings.bulk_delay_ms).unwrap_or(i64::MAX / 4);
    sim.jobs.push(Job {
        id,
        text: order.query,
        all,
        line_ending,
        delimiter,
        version: call.version().to_owned(),
        user,
        created_ms: call.now_ms,
        ready_ms: call.now_ms + delay,
        ended: None,
        rows: None,
        error: None,
    });
    Reply::ok(&status_of(sim, id, call.now_ms, true)?)
}

/// The position of a job; runs its query once its time has come.
fn job(sim: &mut Sim, id: Id, now_ms: i64) -> Result<usize, Failure> {
    let alive = |job: &Job| job.id == id && job.created_ms + KEPT_MS > now_ms;
    let at = sim.jobs.iter().position(alive).ok_or_else(Failure::not_found)?;
    let job = &sim.jobs[at];
    if job.ended.is_none() && job.rows.is_none() && now_ms >= job.ready_ms {
        let rows = sim.prepare(&job.text, now_ms.div_euclid(1_000)).map(|query| query.run(&sim.org, job.all));
        match rows {
            Ok(rows) => sim.jobs[at].rows = Some(rows),
            Err(failure) => {
                sim.jobs[at].ended = Some(Ended::Failed);
                sim.jobs[at].error = Some(failure.message());
            }
        }
    }
    Ok(at)
}

fn named(call: &Call) -> Result<Id, Failure> {
    Id::parse(call.param("job")).ok_or_else(Failure::not_found)
}

fn status_of(sim: &mut Sim, id: Id, now_ms: i64, fresh: bool) -> Result<Value, Failure> {
    let at = job(sim, id, now_ms)?;
    let job = &sim.jobs[at];
    let made = datetime(job.created_ms.div_euclid(1_000));
    let object = sim.prepare(&job.text, 0).map(|query| sim.org.objects[query.at].schema.name.clone()).ok();
    let state = if fresh { "UploadComplete" } else { job.state(now_ms) };
    let mut body = json!({"id": job.id, "operation": if job.all { "queryAll" } else { "query" },
        "object": object, "createdById": job.user, "createdDate": made, "systemModstamp": made,
        "state": state, "concurrencyMode": "Parallel", "contentType": "CSV",
        "apiVersion": job.version.trim_start_matches('v').parse::<f64>().unwrap_or_default(),
        "lineEnding": job.line_ending, "columnDelimiter": job.delimiter.0});
    if !fresh {
        body["jobType"] = json!("V2Query");
        body["numberRecordsProcessed"] = json!(job.rows.as_ref().map_or(0, Vec::len));
        body["retries"] = json!(0);
        body["totalProcessingTime"] = json!(now_ms.min(job.ready_ms) - job.created_ms);
    }
    if let Some(error) = &job.error {
        body["errorMessage"] = json!(error);
    }
    Ok(body)
}

/// `GET /jobs/query/{job}`
pub(crate) fn status(sim: &mut Sim, call: &Call) -> Outcome {
    Reply::ok(&status_of(sim, named(call)?, call.now_ms, false)?)
}

/// `GET /jobs/query`
pub(crate) fn list(sim: &mut Sim, call: &Call) -> Outcome {
    let ids: Vec<Id> = sim.jobs.iter().map(|job| job.id).collect();
    let records: Vec<Value> =
        ids.into_iter().filter_map(|id| status_of(sim, id, call.now_ms, false).ok()).collect();
    Reply::ok(&json!({"done": true, "records": records, "nextRecordsUrl": null}))
}

#[derive(Deserialize)]
struct Change {
    state: String,
}

/// `PATCH /jobs/query/{job}`: abort.
pub(crate) fn abort(sim: &mut Sim, call: &Call) -> Outcome {
    let change: Change = call.shape()?;
    let id = named(call)?;
    let at = job(sim, id, call.now_ms)?;
    if change.state != "Aborted" {
        return Err(invalid("The only state a job can be put into is Aborted"));
    }
    if !matches!(sim.jobs[at].state(call.now_ms), "UploadComplete" | "InProgress") {
        return Err(invalid(format!("Aborting already {} Job not allowed", sim.jobs[at].state(call.now_ms))));
    }
    sim.jobs[at].ended = Some(Ended::Aborted);
    Reply::ok(&status_of(sim, id, call.now_ms, false)?)
}

/// `DELETE /jobs/query/{job}`
pub(crate) fn delete(sim: &mut Sim, call: &Call) -> Outcome {
    let at = job(sim, named(call)?, call.now_ms)?;
    if matches!(sim.jobs[at].state(call.now_ms), "UploadComplete" | "InProgress") {
        return Err(invalid("A job that is not complete cannot be deleted"));
    }
    // The place stays: ids of later jobs are made from it.
    sim.jobs[at].created_ms = i64::MIN / 2;
    sim.jobs[at].rows = None;
    Reply::empty(StatusCode::NO_CONTENT)
}

/// `GET /jobs/query/{job}/results?locator=&maxRecords=`
pub(crate) fn results(sim: &mut Sim, call: &Call) -> Outcome {
    let at = job(sim, named(call)?, call.now_ms)?;
    let job = &sim.jobs[at];
    let Some(rows) = &job.rows else {
        return Err(invalid("The results of a job can be read when it is complete"));
    };
    let most = call.query("maxRecords").map_or(Some(PAGE), |text| text.parse().ok()).filter(|most| *most > 0);
    let most = most.ok_or_else(|| invalid("maxRecords is a number greater than 0"))?;
    let from = match call.query("locator") {
        None => 0,
        Some(locator) => {
            place(locator).filter(|from| *from < rows.len()).ok_or_else(|| invalid("Invalid locator"))?
        }
    };
    let to = rows.len().min(from.saturating_add(most));
    let query = sim.prepare(&job.text, 0)?;
    let (end, comma) = (if job.line_ending == "CRLF" { "\r\n" } else { "\n" }, job.delimiter.1);
    let mut csv = String::new();
    line(&mut csv, query.header().iter().map(String::as_str), comma, end);
    let mut written = 0;
    for values in rows[from..to].iter().filter_map(|id| query.values(&sim.org, *id)) {
        line(&mut csv, values.iter().map(String::as_str), comma, end);
        written += 1;
    }
    let next = if to < rows.len() { locator(to) } else { "null".to_owned() };
    let headers = vec![("sforce-locator", next), ("sforce-numberofrecords", written.to_string())];
    Ok(Reply { status: StatusCode::OK, content_type: "text/csv", body: Bytes::from(csv), headers })
}

/// A locator: opaque to clients, the place of the next row to us.
fn locator(at: usize) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!("row {at:09}"))
}

fn place(locator: &str) -> Option<usize> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(locator).ok()?;
    String::from_utf8(bytes).ok()?.strip_prefix("row ")?.parse().ok()
}

fn line<'a>(csv: &mut String, values: impl Iterator<Item = &'a str>, comma: char, end: &str) {
    for (at, value) in values.enumerate() {
        if at > 0 {
            csv.push(comma);
        }
        csv.push('"');
        csv.push_str(&value.replace('"', "\"\""));
        csv.push('"');
    }
    csv.push_str(end);
}
