use std::time::Duration;

use model::ChangeKind;
use tokio::time::timeout;

use super::{Driver, Subject, went_well};
use crate::{Batch, Change, ChangeStream, Error, ErrorKind, Subscription};

/// How long a vendor may be silent of what was just done.
const SILENCE: Duration = Duration::from_secs(20);

/// What was told, and how much of it lies before each position that came with it.
#[derive(Default)]
struct Told {
    changes: Vec<Change>,
    positions: Vec<(String, usize)>,
}

impl Subject {
    async fn follow(&self, position: Option<&str>) -> Result<Box<dyn ChangeStream>, Error> {
        let subscription = Subscription { schema: &self.schema, fields: &self.fields, position };
        self.connector.subscribe(&self.session, &subscription).await
    }

    /// What the sample's text field is set to by a change; none for one that does not say.
    fn value(&self, change: &Change) -> Option<String> {
        change.fields.get(self.sample.text_field).map(ToString::to_string)
    }

    /// Reads on until this is told.
    async fn read_until(
        &self,
        stream: &mut Box<dyn ChangeStream>,
        told: &mut Told,
        is_it: impl Fn(&Change) -> bool,
    ) {
        loop {
            let batch = went_well("follow the stream", next(stream).await);
            assert!(
                batch.untold.is_empty() && batch.left_out_since.is_none(),
                "the stream does not say what"
            );
            let is_told = batch.changes.iter().any(&is_it);
            if !batch.changes.is_empty() {
                let Some(position) = batch.position else { panic!("changes come without a position") };
                told.changes.extend(batch.changes);
                told.positions.push((position, told.changes.len()));
            }
            if is_told {
                return;
            }
        }
    }
}

async fn next(stream: &mut Box<dyn ChangeStream>) -> Result<Batch, Error> {
    match timeout(SILENCE, stream.next()).await {
        Ok(batch) => batch,
        Err(_) => panic!("the stream says nothing for {SILENCE:?}"),
    }
}

/// What is done is pushed once, each record's changes in their order, and a stream that is opened behind any position of
/// another one tells the rest and nothing else, also of what was done while nobody listened.
///
/// # Panics
/// With what was missed.
pub async fn what_is_pushed_is_told_once_in_order_and_again_from_any_position(driver: &dyn Driver) {
    if !driver.connector().capabilities().streams {
        return;
    }
    driver.seed(3, 1).await;
    let subject = Subject::of(driver).await;
    let ids: Vec<String> = driver.records().await.into_keys().collect();
    let mut stream = went_well("subscribe", subject.follow(None).await);
    let mut told = Told::default();
    let values: Vec<String> = (0..7).map(|number| format!("pushed {number}")).collect();
    for (number, value) in values.iter().enumerate() {
        driver.edit(&ids[number % ids.len()], value).await;
        // Some are told alone, some with others.
        if number % 3 == 0 {
            let is_it = |it: &Change| subject.value(it).as_ref() == Some(value);
            subject.read_until(&mut stream, &mut told, is_it).await;
        }
    }
    drop(stream);
    driver.delete(&ids[0]).await;
    let Some((last, before)) = told.positions.last().cloned() else { panic!("nothing was told") };
    assert_eq!(before, told.changes.len());
    let is_gone = |it: &Change| it.kind == ChangeKind::Deleted && it.id == ids[0];
    let mut rest = went_well("subscribe behind the last position", subject.follow(Some(&last)).await);
    subject.read_until(&mut rest, &mut told, is_gone).await;

    let said: Vec<String> = told.changes.iter().filter_map(|change| subject.value(change)).collect();
    assert_eq!(said, values, "each edit is told once, in its order");
    for id in &ids {
        let of_record: Vec<i64> =
            told.changes.iter().filter(|it| it.id == *id).map(|change| change.version).collect();
        assert!(of_record.windows(2).all(|two| two[0] < two[1]), "the versions of {id} do not grow");
    }
    for (position, behind) in told.positions.iter().filter(|(_, behind)| *behind < told.changes.len()) {
        let mut again = went_well("subscribe behind a position", subject.follow(Some(position)).await);
        let mut rest = Told::default();
        subject.read_until(&mut again, &mut rest, is_gone).await;
        assert_eq!(rest.changes, told.changes[*behind..], "what comes behind {position} is another thing");
    }
}

/// A position that the vendor does not know any more is told apart from other failures, so that what may be missing is read.
///
/// # Panics
/// With what was missed.
pub async fn a_lost_place_in_the_stream_is_told(driver: &dyn Driver) {
    if !driver.connector().capabilities().streams {
        return;
    }
    driver.seed(1, 1).await;
    let subject = Subject::of(driver).await;
    let Some(id) = driver.records().await.into_keys().next() else { panic!("nothing was seeded") };
    let mut stream = went_well("subscribe", subject.follow(None).await);
    driver.edit(&id, "before").await;
    let mut told = Told::default();
    subject.read_until(&mut stream, &mut told, |change| change.id == id).await;
    drop(stream);
    driver.lose_place().await;
    let Some((position, _)) = told.positions.last() else { panic!("a change has no position") };
    let lost = match subject.follow(Some(position)).await {
        Ok(mut stream) => next(&mut stream).await.err(),
        Err(error) => Some(error),
    };
    match lost {
        Some(error) => assert_eq!(error.kind, ErrorKind::PositionLost, "failed to {error}"),
        None => panic!("the stream goes on behind a position that is lost"),
    }
}
