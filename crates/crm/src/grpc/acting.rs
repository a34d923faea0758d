//! Activities in, and timelines out.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use model::ActivityId;
use proto::crm as wire;
use uuid::Uuid;

use super::{Asker, Service, limit, no_such_page};
use crate::{
    Error, checking,
    domain::activity::{Concerned, KINDS, NewActivity},
    error::Refusal,
    recording,
    store::{self, timeline::Below},
    text::{self, LONGEST_NAME},
};

/// The most activities of one request.
const MOST_ACTIVITIES: usize = 500;

impl Service {
    pub(super) async fn record_activities(
        &self,
        asker: &Asker,
        request: wire::RecordActivitiesRequest,
    ) -> Result<wire::RecordActivitiesResponse, Error> {
        let news = read(request.activities)?;
        let mut tx = self.pool.begin().await?;
        store::activities::lock_shared(&mut tx, asker.organization).await?;
        let free = store::settings::find(&mut tx, asker.organization).await?.free_domains;
        let now = self.now();
        let news: Vec<&NewActivity> = news.iter().collect();
        let recorded =
            recording::record(&mut tx, asker.organization, &news, &free, &asker.actor, now).await?;
        let ids: Vec<Uuid> = recorded.iter().map(|it| it.id.uuid()).collect();
        let mut concerned: HashMap<Uuid, Vec<String>> = HashMap::new();
        for (id, record) in store::timeline::concerned(&mut tx, &ids).await? {
            concerned.entry(id).or_default().push(record.to_string());
        }
        tx.commit().await?;
        let told = |it: recording::Recorded| wire::RecordedActivity {
            id: it.id.to_string(),
            outcome: it.outcome.name().to_owned(),
            record_ids: concerned.get(&it.id.uuid()).cloned().unwrap_or_default(),
        };
        Ok(wire::RecordActivitiesResponse { activities: recorded.into_iter().map(told).collect() })
    }

    pub(super) async fn get_timeline(
        &self,
        asker: &Asker,
        request: wire::GetTimelineRequest,
    ) -> Result<wire::GetTimelineResponse, Error> {
        let limit = limit(request.limit)?;
        let concerned: Concerned = text::id("record_not_found", "record", &request.record_id)?;
        let kinds = kinds(request.kinds)?;
        let words = text::optional("query", &request.query, LONGEST_NAME)?;
        let below = read_page(&request.page)?;
        // One more than asked for tells whether there is a next page.
        let most = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let organization = asker.organization;
        let mut db = self.pool.acquire().await?;
        let of = store::timeline::of(&mut db, organization, concerned.uuid()).await?;
        let mut places = if words.is_empty() {
            store::timeline::page(&mut db, organization, of, &kinds, below, most).await?
        } else {
            store::timeline::search(&mut db, organization, of, &kinds, &words, below, most).await?
        };
        let more = places.len() > limit;
        places.truncate(limit);
        let next_page = places.last().filter(|_| more).map(write_page).unwrap_or_default();
        let ids: Vec<Uuid> = places.into_iter().map(|place| place.activity).collect();
        let activities = store::timeline::read(&mut db, &ids).await?;
        Ok(wire::GetTimelineResponse { activities, next_page })
    }

    pub(super) async fn get_activity(
        &self,
        asker: &Asker,
        request: wire::ActivityRequest,
    ) -> Result<wire::ActivityText, Error> {
        let missing = || Refusal::missing("activity_not_found", "There is no such activity.");
        let id: ActivityId = text::id("activity_not_found", "activity", &request.id)?;
        let mut db = self.pool.acquire().await?;
        let body = store::timeline::body(&mut db, asker.organization, id).await?.ok_or_else(missing)?;
        let activity = store::timeline::read(&mut db, &[id.uuid()]).await?.pop().ok_or_else(missing)?;
        Ok(wire::ActivityText { activity: Some(activity), body })
    }
}

/// The kinds that are asked for: all where none are.
fn kinds(asked: Vec<String>) -> Result<Vec<String>, Refusal> {
    if asked.is_empty() {
        return Ok(KINDS.map(str::to_owned).into());
    }
    match asked.iter().all(|kind| KINDS.contains(&kind.as_str())) {
        true => Ok(asked),
        false => Err(checking::kind_invalid("kinds", &KINDS)),
    }
}

/// `microseconds.activity`: where the last page ended.
fn write_page(last: &Below) -> String {
    format!("{}.{}", last.at.as_microsecond(), last.activity.simple())
}

fn read_page(page: &str) -> Result<Below, Refusal> {
    if page.is_empty() {
        return Ok(Below::everything());
    }
    let found = page.split_once('.').and_then(|(at, activity)| {
        let at = Timestamp::from_microsecond(at.parse().ok()?).ok()?;
        let is_stored = (-2_208_988_800..=32_503_679_999).contains(&at.as_second());
        is_stored.then_some(Below { at, activity: Uuid::try_parse(activity).ok()? })
    });
    found.ok_or_else(no_such_page)
}

/// What sources tell, checked.
fn read(activities: Vec<wire::NewActivity>) -> Result<Vec<NewActivity>, Refusal> {
    if !(1..=MOST_ACTIVITIES).contains(&activities.len()) {
        let message = format!("activities are from 1 to {MOST_ACTIVITIES}.");
        return Err(Refusal::invalid("activities", "activities_invalid", message));
    }
    let mut seen = BTreeSet::new();
    let mut news = Vec::with_capacity(activities.len());
    for (place, told) in activities.into_iter().enumerate() {
        let new = checking::activity(&format!("activities[{place}]."), told)?;
        if !seen.insert((new.source.clone(), new.external_id.clone())) {
            let field = format!("activities[{place}].external_id");
            return Err(Refusal::invalid(field, "activity_repeated", "An activity is there twice."));
        }
        news.push(new);
    }
    Ok(news)
}
