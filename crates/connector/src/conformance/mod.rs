//! What every connector must do, as checks that run against its vendor's sandbox. A vendor crate implements [`Driver`]
//! for its sandbox and calls [`run`], or each check from a test of its own. A check panics with what it missed.

mod errors;
mod feeds;
mod mailing;
mod pushes;
mod reading;
mod streaming;
mod tokens;
mod writing;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use model::{ObjectSchema, WriteKind};
use secrecy::SecretString;
use tokio::time::{Instant, sleep};

pub use errors::every_documented_error_is_understood;
pub use feeds::{
    a_feed_is_read_whole_and_the_same_again_from_any_position,
    a_lost_position_is_told_and_reading_starts_over,
    what_is_new_and_what_is_gone_is_behind_the_last_position,
};
pub use mailing::{
    a_draft_without_an_answer_is_found_and_one_thrown_away_is_not_sent,
    a_mail_is_drafted_sent_and_told_by_its_feed_under_one_id,
};
pub use pushes::a_watch_tells_with_its_secret_of_what_is_new_until_it_is_ended;
pub use reading::{
    a_moment_with_more_records_than_a_page_is_read_whole, a_restored_record_is_no_longer_among_the_deleted,
    deletions_are_listed_once, edits_follow_the_cursor, every_record_is_read_once,
    the_seam_between_history_and_live_has_no_gap_and_no_double,
};
pub use streaming::{
    a_lost_place_in_the_stream_is_told, what_is_pushed_is_told_once_in_order_and_again_from_any_position,
};
pub use tokens::{
    a_dead_grant_is_told_from_a_passing_failure, a_refresh_brings_a_working_token,
    a_rotated_refresh_token_replaces_the_one_before, passing_failures_are_retried,
    the_account_and_its_schema_are_read,
};
pub use writing::{
    a_bad_write_stops_no_neighbour, a_blank_clears_a_field, a_create_is_made_once_however_often_it_is_asked,
    a_foreign_value_that_a_write_covers_is_reported,
};

use crate::{Connector, Cursor, Error, Fetch, Page, Session};

const NO_RECORDS: &str = "the driver of a vendor with objects says how to make records";
const NO_STREAMS: &str = "the driver of a vendor with streams says how to lose a place in one";
const NO_FEEDS: &str = "the driver of a vendor with feeds says how to act";
const NO_MAIL: &str = "the driver of a vendor that sends mail says to whom, and how that goes wrong";

/// How the vendor misbehaves at its next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It says that there were too many calls.
    TooManyCalls,
    /// It is out of order.
    OutOfOrder,
    /// Its answer ends in the middle.
    CutAnswer,
    /// It does what it is asked and the answer gets lost.
    LostAnswer,
}

/// What the checks use of a vendor.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// An object that can be read and written.
    pub object: &'static str,
    /// A text field of it that can be written.
    pub text_field: &'static str,
    /// Other fields without which none can be created, with values.
    pub required: &'static [(&'static str, &'static str)],
    /// A field and a value that the vendor refuses to write there.
    pub refused: (&'static str, &'static str),
}

/// A sandbox, as the checks drive it. Each check gets a fresh one. What is about records or feeds is not asked of a vendor
/// whose capabilities have none.
#[async_trait]
pub trait Driver: Send + Sync {
    /// The connector under test.
    fn connector(&self) -> Arc<dyn Connector>;

    /// What to read and write.
    fn sample(&self) -> Sample {
        panic!("{NO_RECORDS}")
    }

    /// The vendor's id of the account, for connectors that ask for it.
    fn account(&self) -> String {
        String::new()
    }

    /// An access token of a new grant, and its refresh token.
    async fn grant(&self) -> (SecretString, SecretString);

    /// Makes records of the past, `per_moment` of them modified at the same moment.
    async fn seed(&self, _count: usize, _per_moment: usize) {
        panic!("{NO_RECORDS}")
    }

    /// Somebody else edits the sample's text field of a record.
    async fn edit(&self, _id: &str, _value: &str) {
        panic!("{NO_RECORDS}")
    }

    /// Somebody else archives or deletes a record.
    async fn delete(&self, _id: &str) {
        panic!("{NO_RECORDS}")
    }

    /// Somebody else brings a deleted record back.
    async fn restore(&self, _id: &str) {
        panic!("{NO_RECORDS}")
    }

    /// People do so many things that a feed shows; gives the vendor's ids of them.
    async fn act(&self, _feed: &str, _count: usize) -> Vec<String> {
        panic!("{NO_FEEDS}")
    }

    /// Somebody deletes one of them, or moves it out of the feed.
    async fn take_away(&self, _feed: &str, _id: &str) {
        panic!("{NO_FEEDS}")
    }

    /// The vendor forgets all positions of a feed that it gave.
    async fn lose_positions(&self, _feed: &str) {
        panic!("{NO_FEEDS}")
    }

    /// Somebody who can be written to.
    fn recipient(&self) -> String {
        panic!("{NO_MAIL}")
    }

    /// The next making of a draft goes wrong, once.
    async fn fault_in_mail(&self, _fault: Fault) {
        panic!("{NO_MAIL}")
    }

    /// The vendor forgets all positions in streams that it gave.
    async fn lose_place(&self) {
        panic!("{NO_STREAMS}")
    }

    /// Whether a refresh brings a new refresh token here, where the vendor leaves that to its customers.
    fn rotates(&self) -> bool {
        self.connector().capabilities().rotates_refresh_token
    }

    /// The next call goes wrong, once. Calls for tokens are not meant.
    async fn fault(&self, fault: Fault);

    /// Somebody takes the grant back at the vendor.
    async fn revoke(&self);

    /// The sample's text field of every record that is not deleted, by the vendor's id.
    async fn records(&self) -> BTreeMap<String, String> {
        panic!("{NO_RECORDS}")
    }
}

/// Runs all checks that the vendor's capabilities call for, each with a driver of its own.
///
/// # Panics
/// With the first thing that a check missed.
pub async fn run<D: Driver, F: Future<Output = D>>(make: impl Fn() -> F) {
    the_account_and_its_schema_are_read(&make().await).await;
    a_refresh_brings_a_working_token(&make().await).await;
    a_rotated_refresh_token_replaces_the_one_before(&make().await).await;
    a_dead_grant_is_told_from_a_passing_failure(&make().await).await;
    passing_failures_are_retried(&make().await).await;
    a_feed_is_read_whole_and_the_same_again_from_any_position(&make().await).await;
    what_is_new_and_what_is_gone_is_behind_the_last_position(&make().await).await;
    a_lost_position_is_told_and_reading_starts_over(&make().await).await;
    a_mail_is_drafted_sent_and_told_by_its_feed_under_one_id(&make().await).await;
    a_draft_without_an_answer_is_found_and_one_thrown_away_is_not_sent(&make().await).await;
    a_watch_tells_with_its_secret_of_what_is_new_until_it_is_ended(&make().await).await;
    if make().await.connector().capabilities().objects.is_empty() {
        return;
    }
    every_record_is_read_once(&make().await).await;
    a_moment_with_more_records_than_a_page_is_read_whole(&make().await).await;
    the_seam_between_history_and_live_has_no_gap_and_no_double(&make().await).await;
    edits_follow_the_cursor(&make().await).await;
    deletions_are_listed_once(&make().await).await;
    a_restored_record_is_no_longer_among_the_deleted(&make().await).await;
    a_bad_write_stops_no_neighbour(&make().await).await;
    a_blank_clears_a_field(&make().await).await;
    a_create_is_made_once_however_often_it_is_asked(&make().await).await;
    a_foreign_value_that_a_write_covers_is_reported(&make().await).await;
    what_is_pushed_is_told_once_in_order_and_again_from_any_position(&make().await).await;
    a_lost_place_in_the_stream_is_told(&make().await).await;
}

/// A connector, a session and the schema of the sample's object.
struct Subject {
    connector: Arc<dyn Connector>,
    session: Session,
    sample: Sample,
    schema: ObjectSchema,
    fields: Vec<String>,
}

impl Subject {
    async fn of(driver: &dyn Driver) -> Self {
        let connector = driver.connector();
        let (token, _) = driver.grant().await;
        let session =
            went_well("open a session", Session::for_tests(Arc::clone(&connector), &driver.account(), token));
        if connector.capabilities().objects.is_empty() {
            let sample = Sample { object: "", text_field: "", required: &[], refused: ("", "") };
            let schema = ObjectSchema { name: String::new(), label: String::new(), fields: Vec::new() };
            return Self { connector, session, sample, schema, fields: Vec::new() };
        }
        let sample = driver.sample();
        let schemas = went_well("describe", connector.describe(&session).await);
        let schema = schemas.into_iter().find(|schema| schema.name == sample.object);
        let Some(schema) = schema else { panic!("describe does not show the object {}", sample.object) };
        Self { connector, session, sample, schema, fields: vec![sample.text_field.to_owned()] }
    }

    async fn page(&self, from: &Cursor, until: Option<jiff::Timestamp>) -> Page {
        let fetch =
            Fetch { object: self.sample.object, schema: &self.schema, fields: &self.fields, from, until };
        went_well("fetch changes", self.connector.fetch_changes(&self.session, &fetch).await)
    }

    /// Reads something of what the vendor has; gives how much there was of it.
    async fn read_some(&self) -> Result<usize, Error> {
        let (feed, now) = (self.connector.capabilities().feeds.first(), self.session.now());
        if !self.schema.name.is_empty() {
            let from = Cursor::at(jiff::Timestamp::UNIX_EPOCH);
            let (object, schema, fields) = (self.sample.object, &self.schema, self.fields.as_slice());
            let fetch = Fetch { object, schema, fields, from: &from, until: None };
            let page = self.connector.fetch_changes(&self.session, &fetch).await?;
            return Ok(page.changes.len());
        }
        if let Some(feed) = feed {
            let page = self.connector.fetch_activities(&self.session, feed.name, None, now).await?;
            return Ok(page.activities.len());
        }
        self.connector.account(&self.session).await.map(|_| 0)
    }

    /// Reads from a position as far as there is something, and checks what holds for every listing.
    async fn read(&self, from: &Cursor, until: Option<jiff::Timestamp>) -> (Vec<crate::Change>, Cursor) {
        let (mut changes, mut from) = (Vec::new(), from.clone());
        loop {
            let page = self.page(&from, until).await;
            assert!(page.next.time >= from.time, "the cursor goes back from {from:?} to {:?}", page.next);
            assert!(!page.more || page.next != from, "there is more, but the cursor stays at {from:?}");
            let ends = !page.more;
            changes.extend(page.changes);
            from = page.next;
            if ends {
                let in_order = changes.windows(2).all(|two| two[0].changed_at <= two[1].changed_at);
                assert!(in_order, "the changes are not in the order of their times");
                return (changes, from);
            }
        }
    }

    async fn write(&self, write: WriteKind, field: &str, value: model::Value) -> model::WriteOutcome {
        let write = self.order(write, field, value);
        let results = self.connector.write(&self.session, &self.schema, &[write]).await;
        let [result] =
            <[_; 1]>::try_from(results).unwrap_or_else(|all| panic!("{} results for one write", all.len()));
        went_well("write", result)
    }

    fn order(&self, write: WriteKind, field: &str, value: model::Value) -> model::ApplyWrite {
        let now = self.session.now();
        let mut fields = BTreeMap::from([(field.to_owned(), value)]);
        if matches!(write, WriteKind::Create { .. }) {
            let required = self.sample.required.iter();
            fields.extend(required.map(|(name, value)| ((*name).to_owned(), model::Value::text(*value))));
        }
        model::ApplyWrite {
            id: model::WriteId::generate(now),
            connection: model::ConnectionId::generate(now),
            object: self.sample.object.to_owned(),
            mapping: model::MappingId::generate(now),
            link: model::LinkId::generate(now),
            record: model::RecordId::generate(now),
            write,
            fields,
            edited_at: now,
        }
    }

    /// Asks until the answer fits; listings may be late.
    async fn until_some<T>(&self, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            assert!(Instant::now() < deadline, "{what} did not happen");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Makes something that [`Subject::read_some`] reads; gives how much.
async fn make_some(driver: &dyn Driver) -> usize {
    const SOME: usize = 3;
    let connector = driver.connector();
    let capabilities = connector.capabilities();
    if !capabilities.objects.is_empty() {
        driver.seed(SOME, 1).await;
        return SOME;
    }
    match capabilities.feeds.first() {
        Some(feed) => driver.act(feed.name, SOME).await.len(),
        None => 0,
    }
}

fn went_well<T>(what: &str, result: Result<T, Error>) -> T {
    result.unwrap_or_else(|error| panic!("{what} failed: {:?}, failed to {error}", error.kind))
}
