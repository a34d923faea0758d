//! Which records were updated or deleted within a span of time.

use serde_json::{Value, json};

use super::call::{Call, Outcome, Reply};
use super::errors::Failure;
use super::id::Id;
use super::org::RECYCLE_S;
use super::sim::Sim;
use super::time::{datetime, parse_datetime};

const UPDATED_DAYS: i64 = 30;
const IDS_MOST: usize = 600_000;

fn wrong(message: &str) -> Failure {
    Failure::bad("INVALID_REPLICATION_DATE", message)
}

/// The object and the whole minutes that a call asks for.
fn span(sim: &Sim, call: &Call, days: i64) -> Result<(usize, i64, i64), Failure> {
    let at = sim.object(call.param("object"))?;
    let time = |name: &str| {
        let read = call.query(name).and_then(|text| parse_datetime(&text.replace(' ', "+")));
        read.map(|at| at.div_euclid(60) * 60).ok_or_else(|| wrong(&format!("{name} is not a date and time")))
    };
    let (start, end) = (time("start")?, time("end")?);
    if end - start < 60 {
        return Err(wrong("endDate must be at least one minute greater than startDate"));
    }
    if start < call.now_s() - days * 86_400 - 60 {
        return Err(wrong(&format!("startDate cannot be more than {days} days ago")));
    }
    Ok((at, start, end))
}

/// `GET /sobjects/{object}/updated`
pub(crate) fn updated(sim: &mut Sim, call: &Call) -> Outcome {
    let (at, start, end) = span(sim, call, UPDATED_DAYS)?;
    let found = sim.org.objects[at].stamped((start, Id::LEAST), (end - 1, Id::MOST));
    let ids: Vec<Id> = found.filter(|record| record.is_live()).map(|record| record.id).collect();
    if ids.len() > IDS_MOST {
        return Err(Failure::bad("EXCEEDED_ID_LIMIT", "exceeded 600000 number of ids"));
    }
    Reply::ok(&json!({"ids": ids, "latestDateCovered": datetime(covered(call, end))}))
}

/// `GET /sobjects/{object}/deleted`
pub(crate) fn deleted(sim: &mut Sim, call: &Call) -> Outcome {
    let (at, start, end) = span(sim, call, RECYCLE_S / 86_400)?;
    let earliest = sim.dials.deleted_since_s.unwrap_or(call.now_s() - RECYCLE_S).div_euclid(60) * 60;
    if start < earliest - 60 {
        return Err(wrong("startDate before the earliest date available"));
    }
    let gone = sim.org.objects[at].all().filter_map(|record| Some((record.id, record.deleted_s?)));
    let records: Vec<Value> = gone
        .filter(|(_, deleted)| (start..end).contains(deleted))
        .map(|(id, deleted)| json!({"id": id, "deletedDate": datetime(deleted)}))
        .collect();
    Reply::ok(&json!({"deletedRecords": records, "earliestDateAvailable": datetime(earliest),
        "latestDateCovered": datetime(covered(call, end))}))
}

/// Nothing is known of minutes that are still to come.
fn covered(call: &Call, end: i64) -> i64 {
    end.min(call.now_s().div_euclid(60) * 60)
}
