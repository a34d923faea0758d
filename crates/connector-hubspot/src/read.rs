//! Reading changes by search, and deletions by the archived listing.
//!
//! A search can be sorted by one property only, shows at most 10,000 hits, and knows no cursor that survives edits. So
//! every page is a new search from the time where the last one ended, oldest first: no offset, no cap.
//!
//! - **Complete ticks.** Many records can share a millisecond and their order inside it is undefined. A full page may
//!   have cut its last millisecond in two, so those records are withheld and the next page starts with them. Only when
//!   one millisecond fills a whole page is it read on its own, by id.
//! - **Late index.** HubSpot sorts by what its index knows and shows what the record is now: a record that was just
//!   modified can stand far too early, showing a time far too late. Taking that time for the page's end would skip all
//!   between. [`frontier`] says how far a page is known to be complete.

use std::{collections::HashMap, time::Duration};

use connector::{Change, Cursor, Error, ErrorKind, Fetch, Page};
use jiff::Timestamp;
use model::ObjectSchema;

use crate::{
    client::{Client, LONGEST_SEARCH},
    companies,
    objects::{self, COMPANY, Decoder, ID, Object, id_order, is_behind},
    wire::{BatchRead, Filter, FilterGroup, Record, RecordId, Records, Search, Sort},
};

/// Records per search, the most that HubSpot gives.
pub(crate) const PAGE_SIZE: usize = 200;
/// Records per call of a batch, the most that HubSpot takes.
pub(crate) const BATCH_SIZE: usize = 100;
/// Records per page of the listing, the most that HubSpot gives.
const LIST_SIZE: usize = 100;
/// Longer than HubSpot's search index is ever behind in practice.
const INDEX_DELAY: Duration = Duration::from_secs(3600);
/// So many records at a page's end must agree that time went on, where all were modified a moment ago.
const WITNESSES: usize = 3;
/// So many pages are read of one millisecond at a time.
const TICK_PAGES: usize = 20;
const MILLISECOND: Duration = Duration::from_millis(1);

/// A record of a search answer: what it says about itself, and when it says it was modified.
struct Row {
    time: Timestamp,
    change: Change,
}

pub(crate) async fn fetch_changes(
    client: Client<'_>,
    object: &Object,
    fetch: &Fetch<'_>,
) -> Result<Page, Error> {
    let from = Cursor { time: whole_ms(fetch.from.time), id: fetch.from.id.clone() };
    let fetch = &Fetch { from: &from, ..fetch.clone() };
    let plan = Plan::of(object, fetch);
    let (rows, total, full) = plan.search(client, plan.span(fetch), object.modified).await?;
    let mut page = if full {
        let settled = client.session().now().checked_sub(INDEX_DELAY).unwrap_or(Timestamp::MIN);
        let times: Vec<Timestamp> = rows.iter().map(|row| row.time).collect();
        let end = frontier(&times, fetch.from.time, settled);
        if end == fetch.from.time {
            tick(client, &plan, fetch).await?
        } else {
            // Nothing is left of a page out of one millisecond; then the next call finds that it makes no way.
            let whole = rows.into_iter().filter(|row| row.time < end);
            Page { changes: in_order(whole, fetch), next: Cursor::at(end), more: true, total: None }
        }
    } else {
        let changes = in_order(rows.into_iter(), fetch);
        let end = |last: &Change| Cursor { time: last.changed_at, id: Some(last.id.clone()) };
        let next = changes.last().map_or_else(|| fetch.from.clone(), end);
        Page { changes, next, more: false, total: None }
    };
    page.total = total;
    plan.complete(client, &mut page.changes).await?;
    Ok(page)
}

/// Records out of one millisecond that holds more than a page does, by id. That it does takes a search to find out, so
/// that several pages are read at once.
async fn tick(client: Client<'_>, plan: &Plan<'_>, fetch: &Fetch<'_>) -> Result<Page, Error> {
    let time = fetch.from.time;
    let mut next = fetch.from.clone();
    let mut changes = Vec::new();
    for _ in 0..TICK_PAGES {
        let mut filters = vec![filter(plan.object.modified, "EQ", time)];
        filters.extend(next.id.map(|id| Filter { property_name: ID, operator: "GT", value: id }));
        let (mut rows, _, full) = plan.search(client, filters, ID).await?;
        rows.sort_by(|a, b| id_order(&a.change.id).cmp(&id_order(&b.change.id)));
        let last = rows.last().filter(|_| full).map(|row| row.change.id.clone());
        // One that was modified meanwhile shows a later time, at which the index will bring it again.
        changes.extend(in_order(rows.into_iter().filter(|row| row.time == time), fetch));
        next = match last {
            Some(id) => Cursor { time, id: Some(id) },
            None => Cursor::at(time.checked_add(MILLISECOND).unwrap_or(Timestamp::MAX)),
        };
        if next.id.is_none() {
            break;
        }
    }
    Ok(Page { changes, next, more: true, total: None })
}

/// The time up to which a full page is complete: all records of the index before it are on the page. `times` are what
/// the rows show, in the order of the answer; none stands in the index after the time that it shows.
///
/// A row that was modified before `settled` stands where it shows, so the latest of those is a sure bound. Where all
/// are younger, a row counts when the ones around it agree: the least of the last few.
fn frontier(times: &[Timestamp], from: Timestamp, settled: Timestamp) -> Timestamp {
    let sure = times.iter().copied().filter(|time| *time < settled).max();
    let likely = || times.iter().rev().take(WITNESSES).copied().min();
    sure.filter(|time| *time > from).or_else(likely).unwrap_or(from).max(from)
}

/// The changes that the cursor has not passed, oldest first, each once.
fn in_order(rows: impl Iterator<Item = Row>, fetch: &Fetch<'_>) -> Vec<Change> {
    let wanted = |row: &Row| {
        is_behind(fetch.from, row.time, &row.change.id) && fetch.until.is_none_or(|until| row.time < until)
    };
    let mut changes: Vec<Change> = rows.filter(wanted).map(|row| row.change).collect();
    changes
        .sort_by(|a, b| a.changed_at.cmp(&b.changed_at).then_with(|| id_order(&a.id).cmp(&id_order(&b.id))));
    changes.dedup_by(|a, b| a.id == b.id && a.changed_at == b.changed_at);
    changes
}

/// HubSpot knows no finer time.
fn whole_ms(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

fn filter(property_name: &'static str, operator: &'static str, time: Timestamp) -> Filter {
    Filter { property_name, operator, value: time.as_millisecond().to_string() }
}

/// How the wanted fields are read: with the search as far as its body may name them, else record by record.
struct Plan<'a> {
    object: &'a Object,
    decoder: Decoder<'a>,
    /// What the search asks for.
    searched: Vec<&'a str>,
    /// What batch reads ask for, where the search cannot name it all.
    read: Vec<&'a str>,
    /// Whether the primary company is asked for.
    companies: bool,
}

impl<'a> Plan<'a> {
    fn of(object: &'a Object, fetch: &Fetch<'a>) -> Self {
        let wanted = fetch.fields.iter().map(String::as_str).filter(|name| *name != COMPANY);
        let mut names: Vec<&str> = object.always().into_iter().chain(wanted.clone()).collect();
        names.sort_unstable();
        names.dedup();
        let decoder = Decoder::new(object, fetch.schema, wanted);
        let companies = fetch.fields.iter().any(|name| name == COMPANY);
        let widest = Filter { property_name: object.modified, operator: "GTE", value: i64::MIN.to_string() };
        let body = body(vec![widest.again(), widest], object.modified, &names);
        let letters = serde_json::to_string(&body).map_or(usize::MAX, |text| text.chars().count());
        if letters < LONGEST_SEARCH {
            Self { object, decoder, searched: names, read: Vec::new(), companies }
        } else {
            Self { object, decoder, searched: object.always().to_vec(), read: names, companies }
        }
    }

    fn span(&self, fetch: &Fetch<'_>) -> Vec<Filter> {
        let modified = self.object.modified;
        let until = fetch.until.map(|until| filter(modified, "LT", until));
        [filter(modified, "GTE", fetch.from.time)].into_iter().chain(until).collect()
    }

    /// The rows of one search in its order, how many records match altogether, and whether there are more than these.
    async fn search(
        &self,
        client: Client<'_>,
        filters: Vec<Filter>,
        sort: &'static str,
    ) -> Result<(Vec<Row>, Option<u64>, bool), Error> {
        let answer = client.search(&self.object.name, &body(filters, sort, &self.searched)).await?;
        let records: Records<'_> = answer.read()?;
        let rows = records.results.iter().map(|record| self.row(record)).collect::<Result<_, _>>()?;
        Ok((rows, records.total, records.after().is_some()))
    }

    fn row(&self, record: &Record<'_>) -> Result<Row, Error> {
        let change = self.decoder.change(record).ok_or_else(no_time)?;
        Ok(Row { time: change.changed_at, change })
    }

    /// Reads what the search could not bring.
    async fn complete(&self, client: Client<'_>, changes: &mut Vec<Change>) -> Result<(), Error> {
        if !self.read.is_empty() {
            let ids: Vec<&str> = changes.iter().map(|change| change.id.as_str()).collect();
            *changes = self.read_whole(client, &self.read, &ids).await?;
        }
        if self.companies && !changes.is_empty() {
            companies::add(client, self.object, changes).await?;
        }
        Ok(())
    }

    /// Reads records by their ids. All fields come from one read, so that a change is never half old and half new; a
    /// record that was archived meanwhile is left out and shows among the deleted.
    async fn read_whole(
        &self,
        client: Client<'_>,
        names: &[&str],
        ids: &[&str],
    ) -> Result<Vec<Change>, Error> {
        let mut read: HashMap<String, Change> = HashMap::with_capacity(ids.len());
        for chunk in ids.chunks(BATCH_SIZE) {
            let batch = BatchRead {
                properties: names.to_vec(),
                properties_with_history: Vec::new(),
                id_property: None,
                inputs: chunk.iter().map(|id| RecordId { id }).collect(),
            };
            let answer = client.batch_read(&self.object.name, &batch).await?;
            let records: Records<'_> = answer.read()?;
            for record in &records.results {
                let change = self.decoder.change(record).ok_or_else(no_time)?;
                read.insert(change.id.clone(), change);
            }
        }
        Ok(ids.iter().filter_map(|id| read.remove(*id)).collect())
    }
}

/// Records by their ids as a page of changes shows them.
pub(crate) async fn fetch_records(
    client: Client<'_>,
    object: &Object,
    schema: &ObjectSchema,
    fields: &[String],
    ids: &[String],
) -> Result<Vec<Change>, Error> {
    let from = Cursor::at(Timestamp::UNIX_EPOCH);
    let plan = Plan::of(object, &Fetch { object: &object.name, schema, fields, from: &from, until: None });
    let names = if plan.read.is_empty() { &plan.searched } else { &plan.read };
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut changes = plan.read_whole(client, names, &ids).await?;
    if plan.companies && !changes.is_empty() {
        companies::add(client, object, &mut changes).await?;
    }
    Ok(changes)
}

impl Filter {
    fn again(&self) -> Self {
        Self { value: self.value.clone(), ..*self }
    }
}

fn body<'a>(filters: Vec<Filter>, sort: &'static str, properties: &'a [&'a str]) -> Search<'a> {
    Search {
        filter_groups: [FilterGroup { filters }],
        sorts: [Sort { property_name: sort, direction: "ASCENDING" }],
        properties,
        limit: PAGE_SIZE,
    }
}

fn no_time() -> Error {
    let message = "HubSpot shows a record without a modification time";
    Error::new(ErrorKind::Protocol, "search HubSpot records", message)
}

/// One page of the archived listing, which is ordered by id and cannot be filtered by time.
pub(crate) async fn fetch_deleted(
    client: Client<'_>,
    object: &Object,
    page: Option<&str>,
) -> Result<(Vec<Change>, Option<String>), Error> {
    let properties = object.always().join(",");
    let limit = LIST_SIZE.to_string();
    let mut query = vec![("archived", "true"), ("limit", &limit), ("properties", &properties)];
    query.extend(page.map(|after| ("after", after)));
    let query = serde_urlencoded::to_string(query).unwrap_or_default();
    let answer = client.list(&object.name, &query).await?;
    let records: Records<'_> = answer.read()?;
    let deleted = records.results.iter().filter_map(objects::deletion).collect();
    Ok((deleted, records.after().map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    fn times(ms: &[i64]) -> Vec<Timestamp> {
        ms.iter().map(|ms| at(*ms)).collect()
    }

    #[test]
    fn a_page_of_old_records_ends_at_its_last_one() {
        assert_eq!(frontier(&times(&[10, 20, 30]), at(10), at(1_000)), at(30));
    }

    #[test]
    fn a_record_that_was_just_modified_does_not_move_the_end() {
        // It stands at 30 in the index and shows 2000, which is younger than the index has to be.
        assert_eq!(frontier(&times(&[10, 20, 2_000]), at(10), at(1_000)), at(20));
    }

    #[test]
    fn among_young_records_one_that_jumps_ahead_does_not_move_the_end() {
        assert_eq!(frontier(&times(&[1_010, 1_020, 1_030, 9_999]), at(1_010), at(1_000)), at(1_020));
    }

    #[test]
    fn a_page_out_of_one_millisecond_makes_no_way() {
        assert_eq!(frontier(&times(&[10, 10, 10]), at(10), at(1_000)), at(10));
        assert_eq!(frontier(&times(&[10, 10, 5_000]), at(10), at(1_000)), at(10));
    }

    proptest::proptest! {
        /// The index order is what matters: whatever rows show, no record that the index holds behind the page may be
        /// before the frontier, as long as old rows show the truth.
        #[test]
        fn settled_records_are_never_skipped(
            mut index in proptest::collection::vec(0_i64..1_000, 2..50),
            moved in proptest::collection::vec(proptest::bool::weighted(0.2), 50),
            page in 1_usize..25,
        ) {
            index.sort_unstable();
            let page = page.min(index.len() - 1);
            let shown: Vec<Timestamp> = index[..page]
                .iter()
                .zip(&moved)
                .map(|(ms, moved)| at(if *moved { ms + 5_000 } else { *ms }))
                .collect();
            let end = frontier(&shown, at(index[0]), at(2_000));
            if shown.iter().any(|time| *time < at(2_000) && *time > at(index[0])) {
                proptest::prop_assert!(at(index[page]) >= end, "{end} skips {}", index[page]);
            }
        }
    }
}
