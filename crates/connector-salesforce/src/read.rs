//! Reading records: by when they were modified, oldest first, and by their ids.
//!
//! - **A position, not an offset.** Every page is a query of its own behind (`SystemModstamp`, `Id`), so that no cursor of
//!   Salesforce's has to stay open and nothing is skipped when records change between two pages.
//! - **Complete ticks.** Stamps have whole seconds, so a second that was not over when the query ran is withheld.
//! - **Late rows.** A stamp is set when a statement runs, not when its transaction is committed: the runtime reads
//!   the last minutes again.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use connector::{Change, Cursor, Error, ErrorKind, Fetch, Page};
use jiff::{SignedDuration, Timestamp};
use model::ObjectSchema;

use crate::{
    bulk,
    client::{Answer, Client},
    objects::{Decoder, RECORD_ID, STAMP},
    soql::{Soql, literal},
    wire::{Describe, IdRow, Record, Retrieve, Rows},
};

/// Records per page: a query gives 2,000 at most,
/// https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/headers_queryoptions.htm
pub(crate) const PAGE_SIZE: usize = 2_000;
/// Records per call by ids.
pub(crate) const IDS_PER_CALL: usize = 200;
/// An address has 16,384 bytes at most; what is longer is read by ids, whose fields stand in a body.
const LONGEST_QUERY: usize = 12_000;
/// Longer spans than this are counted first.
const HISTORY: SignedDuration = SignedDuration::from_hours(24);
const NO_STAMP: &str = "Salesforce shows a record without an id or a stamp";

/// Whether objects lack the field for our record id, by the organization's address and their name. Whoever adds the
/// field forgets them here.
#[derive(Debug, Default)]
pub(crate) struct Lacking(Mutex<HashMap<(String, String), bool>>);

impl Lacking {
    fn objects(&self) -> MutexGuard<'_, HashMap<(String, String), bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(client: Client<'_>, object: &str) -> (String, String) {
        (client.session().api_url().to_string(), object.to_owned())
    }

    /// None when nobody looked yet.
    fn known(&self, client: Client<'_>, object: &str) -> Option<bool> {
        self.objects().get(&Self::key(client, object)).copied()
    }

    fn note(&self, client: Client<'_>, object: &str) {
        self.objects().insert(Self::key(client, object), true);
    }

    /// Learns it from a description. One that is older than the field takes nothing back.
    pub(crate) fn learn(&self, client: Client<'_>, described: &Describe) -> bool {
        let has = described.fields.iter().any(|field| field.name == RECORD_ID);
        let mut objects = self.objects();
        let lacks = objects.entry(Self::key(client, &described.name)).or_insert(!has);
        *lacks &= !has;
        *lacks
    }

    pub(crate) fn forget(&self, client: Client<'_>, object: &str) {
        self.objects().remove(&Self::key(client, object));
    }
}

/// How records are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask<'a> {
    /// A page of what meets a condition.
    Query(&'a str),
    /// These ids.
    Ids(&'a [&'a str]),
    /// A bulk query of everything that meets a condition.
    Job(&'a str),
}

/// How the wanted fields of an object are read.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) client: Client<'a>,
    pub(crate) object: &'a str,
    pub(crate) decoder: Decoder<'a>,
    lacking: &'a Lacking,
    bulk_from: u64,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        client: Client<'a>,
        lacking: &'a Lacking,
        schema: &'a ObjectSchema,
        fields: impl IntoIterator<Item = &'a str>,
        bulk_from: u64,
    ) -> Self {
        Self { client, object: &schema.name, decoder: Decoder::new(schema, fields), lacking, bulk_from }
    }

    pub(crate) async fn fetch_changes(&self, fetch: &Fetch<'_>) -> Result<Page, Error> {
        if let Some(place) = bulk::Place::of(fetch.from) {
            return match self.read_job(&place, fetch.from).await? {
                Some(page) => Ok(page),
                // The job is lost; its position is not.
                None => {
                    self.page(&span(&place.plain(fetch.from), fetch.until), &place.plain(fetch.from)).await
                }
            };
        }
        let from = Cursor { time: whole_second(fetch.from.time), id: fetch.from.id.clone() };
        let end = fetch.until.unwrap_or_else(|| self.client.session().vendor_now());
        if from.id.is_some() || end.duration_since(from.time) <= HISTORY {
            return self.page(&span(&from, fetch.until), &from).await;
        }
        let (total, not_before) = self.count(&span(&from, fetch.until)).await?;
        if total > self.bulk_from {
            let place = self.begin_job(&span(&from, Some(end.min(not_before)))).await?;
            let next = Cursor { time: from.time, id: Some(place.to_string()) };
            return Ok(Page { changes: Vec::new(), next, more: true, total: Some(total) });
        }
        let page = self.page(&span(&from, fetch.until), &from).await?;
        Ok(Page { total: Some(total), ..page })
    }

    /// How many records there are, and a moment before which Salesforce did not count them.
    async fn count(&self, condition: &str) -> Result<(u64, Timestamp), Error> {
        let soql = Soql { fields: &["COUNT()"], object: self.object, condition, order: "", limit: None };
        let answer = self.client.query(&soql.to_string(), false).await?;
        let rows: Rows<IdRow> = answer.read()?;
        let not_before = Timestamp::from_second(answer.not_before_s).unwrap_or(Timestamp::MIN);
        Ok((rows.total_size, not_before))
    }

    async fn page(&self, condition: &str, from: &Cursor) -> Result<Page, Error> {
        let Some(answer) = self.ask(Ask::Query(condition)).await? else {
            return self.page_by_ids(condition, from).await;
        };
        let rows: Rows<Record<'_>> = answer.read()?;
        let not_before_s = answer.not_before_s;
        let change = |record| self.decoder.change(record, not_before_s).ok_or_else(no_stamp);
        let changes: Vec<Change> = rows.records.iter().map(change).collect::<Result<_, _>>()?;
        let is_full = !rows.done || changes.len() >= PAGE_SIZE;
        Ok(complete_ticks(changes, is_full, not_before_s, from))
    }

    /// A page whose fields do not fit into an address: its ids first. A record that was modified in between stands
    /// behind the page by now, so it is left to a later one.
    async fn page_by_ids(&self, condition: &str, from: &Cursor) -> Result<Page, Error> {
        let soql = self.soql(&["Id", STAMP], condition, Some(PAGE_SIZE));
        let answer = self.client.query(&soql, false).await?;
        let rows: Rows<Record<'_>> = answer.read()?;
        let none =
            Decoder::new(&ObjectSchema { name: String::new(), label: String::new(), fields: Vec::new() }, []);
        let listed =
            rows.records.iter().map(|record| none.change(record, answer.not_before_s).ok_or_else(no_stamp));
        let listed: Vec<Change> = listed.collect::<Result<_, _>>()?;
        let is_full = !rows.done || listed.len() >= PAGE_SIZE;
        let mut page = complete_ticks(listed, is_full, answer.not_before_s, from);
        let ids: Vec<&str> = page.changes.iter().map(|change| change.id.as_str()).collect();
        let read = self.fetch_records(&ids).await?;
        let mut read: HashMap<String, Change> =
            read.into_iter().map(|change| (change.id.clone(), change)).collect();
        let whole = page.changes.iter().filter_map(|listed| {
            read.remove(&listed.id).filter(|change| change.changed_at == listed.changed_at)
        });
        page.changes = whole.collect();
        Ok(page)
    }

    fn soql(&self, fields: &[&str], condition: &str, limit: Option<usize>) -> String {
        Soql { fields, object: self.object, condition, order: "SystemModstamp, Id", limit }.to_string()
    }

    /// Asks for the wanted fields and for our record id, or without it where the object lacks the field; no answer where the
    /// fields are too many for a query.
    pub(crate) async fn ask(&self, ask: Ask<'_>) -> Result<Option<Answer>, Error> {
        let mut names: Vec<&str> = ["Id", STAMP].into_iter().chain(self.decoder.names()).collect();
        let lacks = match self.lacking.known(self.client, self.object) {
            Some(lacks) => lacks,
            // To ask for a field that is not there would be a failed call.
            None => self.lacking.learn(self.client, &self.client.describe(self.object).await?.read()?),
        };
        if lacks {
            return self.ask_for(ask, &names).await;
        }
        names.push(RECORD_ID);
        match self.ask_for(ask, &names).await {
            Err(error) if error.kind == ErrorKind::SchemaDrift && error.message.contains(RECORD_ID) => {
                names.pop();
                let answer = self.ask_for(ask, &names).await?;
                self.lacking.note(self.client, self.object);
                Ok(answer)
            }
            answer => answer,
        }
    }

    async fn ask_for(&self, ask: Ask<'_>, fields: &[&str]) -> Result<Option<Answer>, Error> {
        let answer = match ask {
            Ask::Query(condition) => {
                let soql = self.soql(fields, condition, Some(PAGE_SIZE));
                if soql.len() > LONGEST_QUERY {
                    return Ok(None);
                }
                self.client.query(&soql, false).await?
            }
            Ask::Ids(ids) => self.client.retrieve(self.object, &Retrieve { ids, fields }).await?,
            Ask::Job(condition) => self.client.create_job(&self.soql(fields, condition, None)).await?,
        };
        Ok(Some(answer))
    }

    /// Records by their ids; what is not there is left out.
    pub(crate) async fn fetch_records(&self, ids: &[&str]) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(IDS_PER_CALL) {
            let Some(answer) = self.ask(Ask::Ids(chunk)).await? else { continue };
            let records: Vec<Option<Record<'_>>> = answer.read()?;
            for record in records.iter().flatten() {
                changes.push(self.decoder.change(record, answer.not_before_s).ok_or_else(no_stamp)?);
            }
        }
        Ok(changes)
    }
}

/// A page without the seconds that were not over when it was read; the position is behind what is left.
fn complete_ticks(mut changes: Vec<Change>, is_full: bool, not_before_s: i64, from: &Cursor) -> Page {
    let finished = changes.partition_point(|change| change.changed_at.as_second() < not_before_s);
    let more = is_full && finished == changes.len();
    changes.truncate(finished);
    let end = |last: &Change| Cursor { time: last.changed_at, id: Some(last.id.clone()) };
    let next = changes.last().map_or_else(|| from.clone(), end);
    Page { changes, next, more, total: None }
}

/// The condition for what is behind a position, and before a moment.
pub(crate) fn span(from: &Cursor, until: Option<Timestamp>) -> String {
    let time = whole_second(from.time);
    let mut condition = format!("{STAMP} >= {time}");
    if let Some(id) = &from.id {
        condition = format!("{condition} AND ({STAMP} > {time} OR Id > {})", literal(id));
    }
    match until {
        Some(until) => format!("{condition} AND {STAMP} < {}", whole_second(until)),
        None => condition,
    }
}

/// The first whole second that is not before a moment: stamps have no finer time.
fn whole_second(time: Timestamp) -> Timestamp {
    let floor = time.as_second();
    let ceiling = if time.subsec_nanosecond() > 0 { floor.saturating_add(1) } else { floor };
    Timestamp::from_second(ceiling).unwrap_or(time)
}

pub(crate) fn no_stamp() -> Error {
    Error::new(ErrorKind::Protocol, "query Salesforce records", NO_STAMP)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::ChangeKind;

    use super::*;

    fn change(second: i64, id: &str) -> Change {
        Change {
            id: id.into(),
            kind: ChangeKind::Upserted,
            version: 1,
            changed_at: Timestamp::from_second(second).unwrap(),
            fields: BTreeMap::new(),
            is_partial: false,
            field_times: BTreeMap::new(),
            external_id: None,
            merged_ids: Vec::new(),
            says_ours: false,
        }
    }

    #[test]
    fn a_second_that_is_not_over_is_withheld() {
        let from = Cursor::at(Timestamp::UNIX_EPOCH);
        let page = complete_ticks(vec![change(5, "a"), change(6, "b"), change(7, "c")], true, 7, &from);
        assert_eq!(page.changes.len(), 2);
        assert_eq!(page.next, Cursor { time: Timestamp::from_second(6).unwrap(), id: Some("b".into()) });
        assert!(!page.more, "there is more, but not now");
        let page = complete_ticks(vec![change(7, "c")], false, 7, &from);
        assert_eq!(page.next, from);
        assert!(complete_ticks(vec![change(5, "a")], true, 7, &from).more);
    }

    #[test]
    fn a_position_is_within_a_second_and_a_moment_is_rounded_up_on_both_sides() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let cursor = Cursor { time: at("2024-01-31T23:00:05Z"), id: Some("001'".into()) };
        assert_eq!(
            span(&cursor, Some(at("2024-02-01T00:00:00.5Z"))),
            "SystemModstamp >= 2024-01-31T23:00:05Z AND (SystemModstamp > 2024-01-31T23:00:05Z OR Id > '001\\'') \
             AND SystemModstamp < 2024-02-01T00:00:01Z"
        );
        assert_eq!(
            span(&Cursor::at(at("2024-02-01T00:00:00.5Z")), None),
            "SystemModstamp >= 2024-02-01T00:00:01Z"
        );
    }
}
