//! Long histories by one query of the Bulk API 2.0, which costs a call per page and none of the organization's slots for
//! long requests.
//!
//! The job's rows are sorted like a page's, so the position in the listing means what it always does; the job's id and the
//! place in its results stand behind it. Where the job is lost or fails, reading goes on from the position without it.

use std::{borrow::Cow, collections::BTreeMap, fmt, time::Duration};

use connector::{Change, Cursor, Error, ErrorKind, Page};
use model::{ChangeKind, Value};

use crate::{
    objects::{RECORD_ID, STAMP, of_reading, time_from_wire, value_from_text},
    read::{Ask, PAGE_SIZE, Reader, no_stamp},
    wire::Job,
};

/// The pause between two looks at a job that is not done.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Above so many records a job saves calls: by queries they would take twenty-five.
pub const BULK_FROM: u64 = 50_000;
/// Before every id.
const NO_ID: &str = "000000000000000";

/// A place in a job's results.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// The last record that was read.
    last: &'a str,
    job: Cow<'a, str>,
    /// Where the next page begins; none before the first one.
    locator: Option<&'a str>,
    /// How often the job was looked at, so that the position moves while it runs.
    looks: u64,
}

impl<'a> Place<'a> {
    pub(crate) fn of(cursor: &'a Cursor) -> Option<Self> {
        let mut parts = cursor.id.as_deref()?.split('|');
        let (last, job, locator, looks) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let locator = Some(locator).filter(|locator| !locator.is_empty());
        Some(Self { last, job: job.into(), locator, looks: looks.parse().ok()? })
    }

    /// The position in the listing without the job.
    pub(crate) fn plain(&self, cursor: &Cursor) -> Cursor {
        Cursor { time: cursor.time, id: Some(self.last.to_owned()) }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}|{}|{}", self.last, self.job, self.locator.unwrap_or_default(), self.looks)
    }
}

impl Reader<'_> {
    /// Begins a job for what meets a condition.
    pub(crate) async fn begin_job(&self, condition: &str) -> Result<Place<'static>, Error> {
        let answer = self.ask(Ask::Job(condition)).await?.ok_or_else(|| {
            let message = "a bulk query got no answer";
            Error::new(ErrorKind::Protocol, "begin a Salesforce bulk query", message)
        })?;
        let job: Job = answer.read()?;
        Ok(Place { last: NO_ID, job: job.id.into(), locator: None, looks: 0 })
    }

    /// A page of a job's rows, or an empty one while it is not done; none where the job is lost.
    pub(crate) async fn read_job(&self, place: &Place<'_>, from: &Cursor) -> Result<Option<Page>, Error> {
        if place.locator.is_none() {
            let job = match self.client.job(&place.job).await {
                Err(error) if is_lost(&error) => return Ok(None),
                answer => answer?.read::<Job>()?,
            };
            match job.state.as_str() {
                "JobComplete" => {}
                "UploadComplete" | "InProgress" | "Queued" | "Open" => {
                    self.client.session().pause(LOOK_AGAIN).await;
                    let place = Place { looks: place.looks + 1, job: Cow::Borrowed(&place.job), ..*place };
                    let next = Cursor { time: from.time, id: Some(place.to_string()) };
                    return Ok(Some(Page { changes: Vec::new(), next, more: true, total: None }));
                }
                _ => return Ok(None),
            }
        }
        let answer = match self.client.job_results(&place.job, PAGE_SIZE, place.locator).await {
            Err(error) if is_lost(&error) => return Ok(None),
            answer => answer?,
        };
        let changes = self.changes(answer.body())?;
        let last = changes.last();
        let (time, id) =
            (last.map_or(from.time, |last| last.changed_at), last.map_or(place.last, |last| &last.id));
        let id = match answer.header("sforce-locator").filter(|locator| *locator != "null") {
            Some(locator) => {
                Place { last: id, job: Cow::Borrowed(&place.job), locator: Some(locator), looks: 0 }
                    .to_string()
            }
            // What was modified since the job began is read by queries.
            None => id.to_owned(),
        };
        Ok(Some(Page { next: Cursor { time, id: Some(id) }, changes, more: true, total: None }))
    }

    fn changes(&self, csv: &[u8]) -> Result<Vec<Change>, Error> {
        let unreadable = || {
            let message = "Salesforce's rows are no CSV with a stamp";
            Error::new(ErrorKind::Protocol, "read a Salesforce bulk query", message)
        };
        let csv = std::str::from_utf8(csv).map_err(|_| unreadable())?;
        let mut rows = Csv(csv);
        let Some(names) = rows.next() else { return Ok(Vec::new()) };
        let place = |name: &str| names.iter().position(|column| column == name);
        let (id, stamp) = (place("Id").ok_or_else(unreadable)?, place(STAMP).ok_or_else(unreadable)?);
        let record_id = place(RECORD_ID);
        let types: Vec<_> =
            names.iter().map(|name| Some((name.as_ref(), self.decoder.field_type(name)?))).collect();
        rows.map(|row| {
            let changed_at = row.get(stamp).and_then(|text| time_from_wire(text)).ok_or_else(no_stamp)?;
            let id = row.get(id).filter(|id| !id.is_empty()).ok_or_else(no_stamp)?.to_string();
            let external_id = record_id.and_then(|at| row.get(at)).filter(|id| !id.is_empty());
            let external_id = external_id.map(ToString::to_string);
            let cells = types.iter().zip(row).filter_map(|(wanted, cell)| Some((wanted.as_ref()?, cell)));
            let fields: BTreeMap<String, Value> = cells
                .map(|((name, kind), cell)| ((*name).to_owned(), value_from_text(*kind, cell)))
                .collect();
            Ok(Change {
                id,
                kind: ChangeKind::Upserted,
                // The job asked for finished seconds only.
                version: of_reading(changed_at.as_second(), i64::MAX),
                changed_at,
                fields,
                is_partial: false,
                field_times: BTreeMap::new(),
                external_id,
                merged_ids: Vec::new(),
                says_ours: false,
            })
        })
        .collect()
    }
}

fn is_lost(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::NotFound | ErrorKind::Validation | ErrorKind::Protocol)
}

/// Rows of CSV as RFC 4180 has it.
struct Csv<'a>(&'a str);

impl<'a> Iterator for Csv<'a> {
    type Item = Vec<Cow<'a, str>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let mut row = Vec::new();
        loop {
            let (cell, rest) = cell(self.0);
            row.push(cell);
            self.0 = rest;
            if let Some(rest) = self.0.strip_prefix(',') {
                self.0 = rest;
                continue;
            }
            let rest = self.0.strip_prefix('\r').unwrap_or(self.0);
            self.0 = rest.strip_prefix('\n').unwrap_or(rest);
            return Some(row);
        }
    }
}

/// A cell and what follows it.
fn cell(text: &str) -> (Cow<'_, str>, &str) {
    let Some(mut rest) = text.strip_prefix('"') else {
        let (cell, rest) = text.split_at(text.find([',', '\n', '\r']).unwrap_or(text.len()));
        return (cell.into(), rest);
    };
    let mut cell = Cow::Borrowed("");
    loop {
        let Some(quote) = rest.find('"') else { return (cell + rest, "") };
        cell += &rest[..quote];
        rest = &rest[quote + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                cell += "\"";
                rest = after;
            }
            // Nothing but a separator may follow.
            None => return (cell, &rest[rest.find([',', '\n', '\r']).unwrap_or(rest.len())..]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(csv: &str) -> Vec<Vec<String>> {
        Csv(csv).map(|row| row.into_iter().map(Cow::into_owned).collect()).collect()
    }

    #[test]
    fn cells_may_be_quoted_and_hold_anything() {
        assert_eq!(
            rows("Id,Name\n1,\"a,\"\"b\"\"\nc\"\r\n2,\n"),
            [["Id", "Name"], ["1", "a,\"b\"\nc"], ["2", ""]]
        );
        assert_eq!(rows("\"Id\"\n\"1\""), [["Id"], ["1"]]);
        assert!(rows("").is_empty());
        assert_eq!(rows("\"open"), [["open"]]);
    }

    #[test]
    fn a_place_survives_its_cursor() {
        let place = Place { last: "001", job: "750".into(), locator: Some("MTAw"), looks: 0 };
        let cursor = Cursor { time: jiff::Timestamp::UNIX_EPOCH, id: Some(place.to_string()) };
        assert_eq!(Place::of(&cursor), Some(place));
        let plain = Cursor { id: Some("001".into()), ..cursor };
        assert_eq!(Place::of(&plain), None);
    }

    proptest::proptest! {
        #[test]
        fn no_csv_makes_a_panic(csv in "[a\",\r\né]*") {
            proptest::prop_assert!(rows(&csv).len() <= csv.len() + 1);
        }
    }
}
