//! Queries: first pages, and cursors for the rest.

use std::collections::VecDeque;
use std::io::Write;

use serde_json::json;

use super::call::{Call, Outcome, Reply};
use super::errors::Failure;
use super::id::Id;
use super::sim::Sim;
use super::soql::{Query, Sight, prepare};

const BATCH: usize = 2_000;
const BATCH_LEAST: usize = 200;
/// How long a cursor lives.
const CURSOR_MS: i64 = 2 * 86_400_000;
/// How many cursors a user keeps open; the oldest closes.
const OPEN_MOST: usize = 10;

/// The rows of a query that were not read yet.
#[derive(Debug)]
struct Cursor {
    locator: Id,
    query: Query,
    ids: Vec<Id>,
    expires_ms: i64,
}

/// The open cursors, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Cursors {
    open: VecDeque<Cursor>,
    made: u64,
}

impl Cursors {
    /// Closes every cursor.
    pub(crate) fn close(&mut self) -> usize {
        std::mem::take(&mut self.open).len()
    }
}

impl Sim {
    /// Reads a query and binds it to what the user may see.
    pub(crate) fn prepare(&self, text: &str, now_s: i64) -> Result<Query, Failure> {
        prepare(text, Sight { org: &self.org, hidden: &self.dials.hidden_objects, now_s })
    }
}

/// `GET /query?q=`
pub(crate) fn query(sim: &mut Sim, call: &Call) -> Outcome {
    run(sim, call, false)
}

/// `GET /queryAll?q=`: deleted records too.
pub(crate) fn query_all(sim: &mut Sim, call: &Call) -> Outcome {
    run(sim, call, true)
}

fn run(sim: &mut Sim, call: &Call, all: bool) -> Outcome {
    let text = call
        .query("q")
        .ok_or_else(|| Failure::bad("MALFORMED_QUERY", "A query string has to be specified"))?;
    let query = sim.prepare(text, call.now_s())?;
    let ids = query.run(&sim.org, all);
    if query.count {
        return Reply::ok(&json!({"totalSize": ids.len(), "done": true, "records": []}));
    }
    let batch = batch(call);
    if ids.len() <= batch {
        return page(sim, call, &query, &ids, 0, batch, None);
    }
    sim.cursors.made += 1;
    let locator = Id::new("01g", sim.cursors.made);
    let reply = page(sim, call, &query, &ids, 0, batch, Some(locator));
    let cursor = Cursor { locator, query, ids, expires_ms: call.now_ms + CURSOR_MS };
    sim.cursors.open.push_back(cursor);
    if sim.cursors.open.len() > OPEN_MOST {
        sim.cursors.open.pop_front();
    }
    reply
}

fn batch(call: &Call) -> usize {
    let wanted = call.option("sforce-query-options", "batchSize").and_then(|size| size.parse().ok());
    wanted.unwrap_or(BATCH).clamp(BATCH_LEAST, BATCH)
}

/// `GET /query/{locator}`: the next rows.
pub(crate) fn more(sim: &mut Sim, call: &Call) -> Outcome {
    let gone = || Failure::bad("INVALID_QUERY_LOCATOR", "invalid query locator");
    let (locator, from) = call.param("locator").split_once('-').ok_or_else(gone)?;
    let locator = Id::parse(locator).ok_or_else(gone)?;
    let from: usize = from.parse().map_err(|_| gone())?;
    let open = sim.cursors.open.iter();
    let cursor = open.rev().find(|cursor| cursor.locator == locator && cursor.expires_ms > call.now_ms);
    let cursor = cursor.filter(|cursor| from < cursor.ids.len()).ok_or_else(gone)?;
    page(sim, call, &cursor.query, &cursor.ids, from, batch(call), Some(locator))
}

fn page(
    sim: &Sim,
    call: &Call,
    query: &Query,
    ids: &[Id],
    from: usize,
    batch: usize,
    locator: Option<Id>,
) -> Outcome {
    let to = ids.len().min(from + batch);
    let done = to == ids.len();
    let mut out = Vec::with_capacity((to - from) * 512 + 128);
    write_page(sim, call, query, ids, from..to, locator.filter(|_| !done), &mut out)
        .map_err(|error| Failure::bad("UNKNOWN_EXCEPTION", error.to_string()))?;
    Reply::written(out)
}

fn write_page(
    sim: &Sim,
    call: &Call,
    query: &Query,
    ids: &[Id],
    part: std::ops::Range<usize>,
    next: Option<Id>,
    out: &mut Vec<u8>,
) -> std::io::Result<()> {
    let version = call.version();
    write!(out, "{{\"totalSize\":{},\"done\":{},", ids.len(), next.is_none())?;
    if let Some(locator) = next {
        write!(out, "\"nextRecordsUrl\":\"/services/data/{version}/query/{locator}-{}\",", part.end)?;
    }
    out.write_all(b"\"records\":[")?;
    for (at, id) in ids[part].iter().enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        query.write(&sim.org, *id, version, out)?;
    }
    out.write_all(b"]}")
}
