use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Driver, Subject, went_well};
use crate::{Activity, ActivityPage, Error, ErrorKind, Feed};

const KINDS: [&str; 3] = ["email", "meeting", "call"];
const DIRECTIONS: [&str; 3] = ["", "inbound", "outbound"];

impl Subject {
    async fn try_activities(&self, feed: &str, position: Option<&str>) -> Result<ActivityPage, Error> {
        self.connector.fetch_activities(&self.session, feed, position, self.session.now()).await
    }

    /// Reads a feed from a position to its end, and checks what holds for every page. Gives what came behind each position.
    pub(super) async fn activities(
        &self,
        feed: &str,
        from: Option<&str>,
    ) -> (Vec<Activity>, Vec<(String, usize)>) {
        let (mut all, mut positions, mut from) = (Vec::new(), Vec::new(), from.map(str::to_owned));
        loop {
            let page = went_well("fetch activities", self.try_activities(feed, from.as_deref()).await);
            assert!(!page.position.is_empty(), "a page has no position");
            assert!(
                !page.more || from.as_ref() != Some(&page.position),
                "there is more, but it does not advance"
            );
            page.activities.iter().for_each(is_sound);
            all.extend(page.activities);
            positions.push((page.position.clone(), all.len()));
            if !page.more {
                return (all, positions);
            }
            from = Some(page.position);
        }
    }
}

fn is_sound(activity: &Activity) {
    let id = &activity.external_id;
    assert!(!id.is_empty() && id.len() <= Activity::LONGEST_ID, "an id cannot be stored: {id}");
    if activity.is_gone {
        return;
    }
    assert!(KINDS.contains(&activity.kind.as_str()), "{id} is of no known kind: {}", activity.kind);
    assert!(DIRECTIONS.contains(&activity.direction.as_str()), "{id} has no known direction");
    assert!(activity.at > Timestamp::UNIX_EPOCH, "{id} took place at no time");
    assert!(activity.url.is_empty() || activity.url.starts_with("https://"), "{id} is at {}", activity.url);
    let has_markup = ["<html", "<body", "<div", "<p>"].iter().any(|tag| activity.body.contains(tag));
    assert!(!has_markup, "the text of {id} is no plain text");
}

/// Which of them there are, and in which version. What is gone counts as gone.
fn versions(activities: &[Activity]) -> BTreeMap<String, i64> {
    let there = activities.iter().filter(|activity| !activity.is_gone);
    there.map(|activity| (activity.external_id.clone(), activity.version)).collect()
}

fn feeds(driver: &dyn Driver) -> &'static [Feed] {
    driver.connector().capabilities().feeds
}

/// Each thing that was done is told once, a repeated reading tells the same ids and versions, and every position on the way
/// resumes behind it.
///
/// # Panics
/// With what was missed.
pub async fn a_feed_is_read_whole_and_the_same_again_from_any_position(driver: &dyn Driver) {
    for feed in feeds(driver) {
        let mut done = driver.act(feed.name, driver.connector().capabilities().page_size * 2 + 3).await;
        done.sort();
        let subject = Subject::of(driver).await;
        let (first, positions) = subject.activities(feed.name, None).await;
        let told = versions(&first);
        assert!(told.keys().eq(&done), "{} of {} were told in {}", told.len(), done.len(), feed.name);
        assert_eq!(first.len(), done.len(), "something was told twice in {}", feed.name);
        assert!(positions.len() > 1, "{} activities are one page of {}", first.len(), feed.name);
        let (second, _) = subject.activities(feed.name, None).await;
        assert_eq!(versions(&second), told, "another reading of {} tells something else", feed.name);
        for (position, behind) in &positions {
            let (rest, _) = subject.activities(feed.name, Some(position)).await;
            assert_eq!(versions(&rest), versions(&first[*behind..]), "{} does not resume", feed.name);
        }
    }
}

/// Behind the last position is what was done since, and what is gone.
///
/// # Panics
/// With what was missed.
pub async fn what_is_new_and_what_is_gone_is_behind_the_last_position(driver: &dyn Driver) {
    for feed in feeds(driver) {
        let old = driver.act(feed.name, 3).await;
        let subject = Subject::of(driver).await;
        let (before, positions) = subject.activities(feed.name, None).await;
        let Some((position, _)) = positions.last() else { panic!("a reading has no position") };
        let new = driver.act(feed.name, 2).await;
        let Some(doomed) = old.first() else { panic!("nothing was done") };
        driver.take_away(feed.name, doomed).await;
        let told = subject
            .until_some("what is new and what is gone", async || {
                let (told, _) = subject.activities(feed.name, Some(position)).await;
                (told.len() >= 3).then_some(told)
            })
            .await;
        assert!(versions(&told).keys().all(|id| new.contains(id)), "{} tells what was told", feed.name);
        assert_eq!(versions(&told).len(), new.len());
        let gone: Vec<&Activity> = told.iter().filter(|activity| activity.is_gone).collect();
        let [gone] = gone.as_slice() else { panic!("{} activities are gone from {}", gone.len(), feed.name) };
        assert_eq!(&gone.external_id, doomed);
        let was = versions(&before).get(doomed).copied();
        assert!(was <= Some(gone.version), "it is gone in version {}, after {was:?}", gone.version);
    }
}

/// A position that the vendor does not know any more is told apart from other failures, and reading from the beginning tells
/// the same as before, so that whoever knows it finds repeats.
///
/// # Panics
/// With what was missed.
pub async fn a_lost_position_is_told_and_reading_starts_over(driver: &dyn Driver) {
    for feed in feeds(driver) {
        driver.act(feed.name, 4).await;
        let subject = Subject::of(driver).await;
        let (before, positions) = subject.activities(feed.name, None).await;
        let Some((position, _)) = positions.last() else { panic!("a reading has no position") };
        driver.lose_positions(feed.name).await;
        match subject.try_activities(feed.name, Some(position)).await {
            Ok(_) => panic!("{} reads on from a position that is lost", feed.name),
            Err(error) => assert_eq!(error.kind, ErrorKind::PositionLost, "failed to {error}"),
        }
        let (again, _) = subject.activities(feed.name, None).await;
        assert_eq!(versions(&again), versions(&before));
    }
}
