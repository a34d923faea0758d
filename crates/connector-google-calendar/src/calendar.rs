//! The feed `calendar`: the meetings of the primary calendar, by sync tokens.

use std::time::Duration;

use connector::{ActivityPage, Error, ErrorKind, Feed};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::{
    client::Client,
    meeting::{Reading, moment},
    position,
};

pub(crate) const FEED: Feed =
    Feed { name: "calendar", label: "Calendar", every: Duration::from_secs(300), has_bodies: false };

/// "maxResults": 250 unless said, 2,500 at most, https://developers.google.com/workspace/calendar/api/v3/reference/events/list
pub(crate) const PAGE_SIZE: usize = 250;
/// How far back everything is read.
const PAST: SignedDuration = SignedDuration::from_hours(365 * 24);
/// How far ahead, which bounds the times of a meeting that recurs for ever …
const AHEAD: SignedDuration = SignedDuration::from_hours(120 * 24);
/// … and after so long everything is read again, so that its next times are there long before they come.
const WHOLE_EVERY: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Where reading goes on.
#[derive(Debug, Serialize, Deserialize)]
struct Position {
    /// When everything was last begun to be read: the bounds hang on it, and must not move between two pages.
    since: Timestamp,
    /// What changed behind it is read; without it, everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sync: Option<String>,
    /// The next page of a list that was not read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    page: Option<String>,
}

pub(crate) async fn fetch(
    client: Client<'_>,
    kept: Option<&str>,
    now: Timestamp,
) -> Result<ActivityPage, Error> {
    let anew = Position { since: now, sync: None, page: None };
    let at: Position = kept.map(position::read).transpose()?.unwrap_or(anew);
    let is_due = at.page.is_none() && now.duration_since(at.since) > WHOLE_EVERY;
    let at = if is_due { Position { since: now, sync: None, page: None } } else { at };
    let size = PAGE_SIZE.to_string();
    let (from, to) = ((at.since - PAST).to_string(), (at.since + AHEAD).to_string());
    // The same with every list of a sync token: each time of a recurring meeting by itself, and what is cancelled.
    let mut query = vec![("maxResults", size.as_str()), ("singleEvents", "true"), ("showDeleted", "true")];
    match &at.sync {
        Some(token) => query.push(("syncToken", token)),
        // Bounds are not allowed beside a token, which remembers them.
        None => query.extend([("timeMin", from.as_str()), ("timeMax", to.as_str())]),
    }
    query.extend(at.page.as_deref().map(|page| ("pageToken", page)));
    let list = client.events(&query).await?;
    let zone = list.time_zone.as_deref().and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
    let changed_at = list.updated.as_deref().and_then(moment).unwrap_or(now);
    let reading = Reading { zone: &zone, changed_at, is_whole: at.sync.is_none() };
    let activities = list.items.iter().filter_map(|event| reading.tell(event)).collect();
    let next = match position::next(at.page.as_deref(), list.next_page_token)? {
        Some(page) => Position { page: Some(page), ..at },
        None => Position { page: None, sync: Some(list.next_sync_token.ok_or_else(no_token)?), ..at },
    };
    Ok(ActivityPage { activities, more: next.page.is_some(), position: position::write(&next)? })
}

fn no_token() -> Error {
    let message = "Google's list of events ended without a sync token";
    Error::new(ErrorKind::Protocol, "list calendar events", message)
}
