//! Lists of events: full, incremental, page by page.

use serde_json::{Value, json};

use super::Settings;
use super::calendar::{Calendar, HORIZON_MS};
use super::call::Call;
use super::errors::Failure;
use super::event::Event;
use super::render::{View, etag};
use super::token::{self, Page, Sync};
use super::when::{When, zone};
use crate::clock::iso;

const PAGE: usize = 250;
const PAGE_MOST: usize = 2_500;
/// What cannot be said together with a sync token.
const NOT_WITH_SYNC: [&str; 8] = [
    "iCalUID",
    "orderBy",
    "privateExtendedProperty",
    "q",
    "sharedExtendedProperty",
    "timeMin",
    "timeMax",
    "updatedMin",
];

type Key = (i64, i64, String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Changes,
    StartTime,
    Updated,
}

/// What a list was asked for.
#[derive(Debug)]
struct Ask {
    sync: Option<Sync>,
    page: Page,
    size: usize,
    single: bool,
    deleted: bool,
    order: Order,
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    updated_ms: Option<i64>,
    text: Option<String>,
    ical_uid: Option<String>,
    now_ms: i64,
}

/// One line of a list.
enum Item<'a> {
    Stored(&'a Event),
    Instance(&'a Event, When),
    Dropped(&'a Event, &'a str, &'a When, u64),
}

fn time(call: &Call, name: &'static str) -> Result<Option<i64>, Failure> {
    let Some(text) = call.query(name) else { return Ok(None) };
    let at: jiff::Timestamp = text.parse().map_err(|_| Failure::bad("badRequest", "Bad Request"))?;
    Ok(Some(at.as_millisecond()))
}

impl Ask {
    fn read(call: &Call, calendar: &Calendar, settings: &Settings) -> Result<Self, Failure> {
        let single = call.flag("singleEvents");
        let sync = match call.query("syncToken") {
            Some(text) => Some(sync(call, calendar, settings, text, single)?),
            None => None,
        };
        let order = match call.query("orderBy") {
            None => Order::Changes,
            Some("updated") => Order::Updated,
            Some("startTime") if single => Order::StartTime,
            Some("startTime") => {
                let message = "The requested ordering is not available for the particular query.";
                return Err(Failure::bad("badRequest", message));
            }
            Some(_) => return Err(Failure::invalid("orderBy")),
        };
        let size = match call.query("maxResults").map(str::parse::<usize>) {
            None => PAGE,
            Some(Ok(size)) if size > 0 => size.min(PAGE_MOST),
            Some(_) => return Err(Failure::invalid("maxResults")),
        };
        let page = match call.query("pageToken") {
            Some(text) => token::read(text).ok_or_else(|| Failure::invalid("pageToken"))?,
            None => Page { seq: calendar.seq, epoch: calendar.epoch, after: None },
        };
        if sync.is_some() && page.epoch != calendar.epoch {
            return Err(Failure::sync_token_gone());
        }
        let (from_ms, to_ms) = (time(call, "timeMin")?, time(call, "timeMax")?);
        if from_ms.zip(to_ms).is_some_and(|(from, to)| to <= from) {
            return Err(Failure::new(
                http::StatusCode::BAD_REQUEST,
                "global",
                "timeRangeEmpty",
                "The specified time range is empty.",
            ));
        }
        Ok(Self {
            deleted: call.flag("showDeleted") || sync.is_some(),
            sync,
            page,
            size,
            single,
            order,
            from_ms,
            to_ms,
            updated_ms: time(call, "updatedMin")?,
            text: call.query("q").map(str::to_lowercase),
            ical_uid: call.query("iCalUID").map(str::to_owned),
            now_ms: call.now_ms,
        })
    }

    /// Whether a list like this can be continued by a sync token.
    fn can_sync(&self) -> bool {
        self.order == Order::Changes
            && self.updated_ms.is_none()
            && self.text.is_none()
            && self.ical_uid.is_none()
    }

    fn since(&self) -> Option<u64> {
        self.sync.as_ref().map(|sync| sync.seq)
    }

    /// The bounds within which instances are made.
    fn window(&self) -> (Option<i64>, i64) {
        let first = self.sync.as_ref().map(|sync| (sync.from_ms, sync.to_ms));
        let (from, to) = first.unwrap_or((self.from_ms, self.to_ms));
        (from, to.unwrap_or(self.now_ms + HORIZON_MS))
    }
}

/// Reads a sync token and checks that it can still be used like this.
fn sync(
    call: &Call,
    calendar: &Calendar,
    settings: &Settings,
    text: &str,
    single: bool,
) -> Result<Sync, Failure> {
    let sync: Sync = token::read(text).ok_or_else(|| Failure::invalid("syncToken"))?;
    if sync.calendar != calendar.email || sync.single != single {
        return Err(Failure::invalid("syncToken"));
    }
    if let Some(name) = NOT_WITH_SYNC.into_iter().find(|name| call.query(name).is_some()) {
        let message = "Sync token cannot be used together with other query restrictions.";
        return Err(Failure::bad("badRequest", message).at("parameter", name));
    }
    if call.query("showDeleted").is_some_and(|value| value == "false") {
        let message = "Sync token requires showDeleted.";
        return Err(Failure::bad("badRequest", message).at("parameter", "showDeleted"));
    }
    let age_ms = call.now_ms.saturating_sub(sync.issued_ms);
    if sync.epoch != calendar.epoch || age_ms > settings.sync_token_days * 86_400_000 {
        return Err(Failure::sync_token_gone());
    }
    Ok(sync)
}

/// The answer to a list.
pub(crate) fn list(calendar: &Calendar, call: &Call, settings: &Settings) -> Result<Value, Failure> {
    let ask = Ask::read(call, calendar, settings)?;
    let shown_in = match call.query("timeZone") {
        Some(name) => zone(name).ok_or_else(|| Failure::invalid("timeZone"))?,
        None => calendar.tz(),
    };
    let view = View { calendar, shown_in };
    let mut items: Vec<(Key, Item<'_>)> = Vec::new();
    for event in calendar.events.values().filter(|one| one.seq <= ask.page.seq || !ask.can_sync()) {
        collect(calendar, event, &ask, &mut items);
    }
    items.sort_by(|(one, _), (other, _)| one.cmp(other));
    if let Some(after) = &ask.page.after {
        items.retain(|(key, _)| key > after);
    }
    let size = if call.empty_page { 0 } else { ask.size };
    let more = items.len() > size || call.empty_page;
    items.truncate(size);
    let last = items.last().map(|(key, _)| key.clone()).or_else(|| ask.page.after.clone());
    let mut body = json!({
        "kind": "calendar#events", "etag": etag(calendar.seq, &calendar.email),
        "summary": calendar.email, "description": "",
        "updated": iso(calendar.events.values().map(|one| one.updated_ms).max().unwrap_or(0)),
        "timeZone": calendar.zone, "accessRole": "owner",
        "defaultReminders": [{"method": "popup", "minutes": 10}],
        "items": items.iter().map(|(_, item)| show(&view, item, &ask)).collect::<Vec<_>>(),
    });
    if more {
        let page = Page { seq: ask.page.seq, epoch: ask.page.epoch, after: last };
        body["nextPageToken"] = json!(token::write(&page));
    } else if ask.can_sync() {
        let (from_ms, to_ms) = match &ask.sync {
            Some(sync) => (sync.from_ms, sync.to_ms),
            None => (ask.from_ms, ask.to_ms),
        };
        body["nextSyncToken"] = json!(token::write(&Sync {
            calendar: calendar.email.clone(),
            seq: ask.page.seq,
            epoch: calendar.epoch,
            issued_ms: call.now_ms,
            single: ask.single,
            from_ms,
            to_ms,
        }));
    }
    Ok(body)
}

fn show(view: &View<'_>, item: &Item<'_>, ask: &Ask) -> Value {
    match item {
        Item::Stored(event) if event.is_cancelled() && (event.of.is_some() || ask.since().is_some()) => {
            let of = event.of.as_ref().map(|of| (of.master.as_str(), &of.original));
            view.bare(&event.id, event.seq, of)
        }
        Item::Stored(event) => view.full(event),
        Item::Instance(series, original) => view.instance(series, original),
        Item::Dropped(series, id, original, seq) => view.bare(id, *seq, Some((&series.id, original))),
    }
}

/// Adds what a list shows of an event: itself, or its instances.
fn collect<'a>(calendar: &Calendar, event: &'a Event, ask: &Ask, items: &mut Vec<(Key, Item<'a>)>) {
    let tz = calendar.tz();
    let mut push = |seq: u64, start: &When, id: String, item| {
        let (seq, start) = (i64::try_from(seq).unwrap_or(i64::MAX), start.ms(&tz));
        let key = match ask.order {
            Order::Changes => (seq, start, id),
            Order::StartTime => (start, seq, id),
            Order::Updated => (event.updated_ms, seq, id),
        };
        items.push((key, item));
    };
    let new = ask.since().is_none_or(|since| event.seq > since);
    if !matches(event, ask) {
        return;
    }
    if !(ask.single && event.is_series()) {
        if new && is_shown(calendar, event, ask) {
            push(event.seq, &event.start, event.id.clone(), Item::Stored(event));
        }
        return;
    }
    let (from_ms, to_ms) = ask.window();
    if ask.deleted {
        for (id, one) in &event.dropped {
            let at = one.original.ms(&tz);
            let inside = from_ms.is_none_or(|from| at > from) && at < to_ms;
            if ask.since().is_none_or(|since| one.seq > since) && inside {
                push(event.seq, &one.original, id.clone(), Item::Dropped(event, id, &one.original, one.seq));
            }
        }
    }
    if new && !event.is_cancelled() {
        for original in calendar.starts(event, from_ms, to_ms) {
            let id = event.instance_id(&original);
            if !calendar.events.contains_key(&id) {
                push(event.seq, &original.clone(), id, Item::Instance(event, original));
            }
        }
    }
}

/// Whether words, times of change and ids fit.
fn matches(event: &Event, ask: &Ask) -> bool {
    let told = |text: &String| {
        let fields = ["summary", "description", "location", "attendees"];
        let said = fields.iter().filter_map(|name| event.details.get(*name));
        said.into_iter().any(|value| value.to_string().to_lowercase().contains(text.as_str()))
    };
    ask.text.as_ref().is_none_or(told)
        && ask.ical_uid.as_ref().is_none_or(|uid| *uid == event.ical_uid)
        && ask.updated_ms.is_none_or(|from| event.updated_ms >= from)
}

/// Whether a stored event is in a list: by its state and its times.
fn is_shown(calendar: &Calendar, event: &Event, ask: &Ask) -> bool {
    if event.is_cancelled() {
        let series = event.of.as_ref().and_then(|of| calendar.events.get(&of.master));
        let of_live_series = series.is_some_and(|series| !series.is_cancelled()) && !ask.single;
        if !(ask.deleted || of_live_series || ask.updated_ms.is_some()) {
            return false;
        }
    }
    if ask.sync.is_some() {
        return true;
    }
    let (from_ms, to_ms) = (ask.from_ms, ask.to_ms);
    if from_ms.is_none() && to_ms.is_none() {
        return true;
    }
    if event.is_series() {
        return !calendar.starts(event, from_ms, to_ms.unwrap_or(ask.now_ms + HORIZON_MS)).is_empty();
    }
    let tz = calendar.tz();
    from_ms.is_none_or(|from| event.end.ms(&tz) > from) && to_ms.is_none_or(|to| event.start.ms(&tz) < to)
}

/// `events.instances`: the times of one series, with its exceptions.
pub(crate) fn instances(calendar: &Calendar, call: &Call, id: &str) -> Result<Value, Failure> {
    let series = calendar.events.get(id).filter(|one| !one.is_cancelled()).ok_or_else(Failure::not_found)?;
    let view = View { calendar, shown_in: calendar.tz() };
    let (from, to) = (time(call, "timeMin")?, time(call, "timeMax")?);
    let mut items: Vec<(i64, Value)> = Vec::new();
    for original in calendar.starts(series, from, to.unwrap_or(call.now_ms + HORIZON_MS)) {
        let at = original.ms(&view.shown_in);
        match calendar.events.get(&series.instance_id(&original)) {
            None => items.push((at, view.instance(series, &original))),
            Some(one) if one.is_cancelled() && !call.flag("showDeleted") => {}
            Some(one) => items.push((at, view.full(one))),
        }
    }
    let size =
        call.query("maxResults").and_then(|text| text.parse().ok()).unwrap_or(PAGE).clamp(1, PAGE_MOST);
    let skip: usize = match call.query("pageToken") {
        Some(text) => token::read(text).ok_or_else(|| Failure::invalid("pageToken"))?,
        None => 0,
    };
    let rest = items.len().saturating_sub(skip);
    let page: Vec<Value> = items.into_iter().skip(skip).take(size).map(|(_, one)| one).collect();
    let mut body = json!({"kind": "calendar#events", "etag": etag(calendar.seq, id),
        "summary": calendar.email, "timeZone": calendar.zone, "accessRole": "owner", "items": page});
    if rest > size {
        body["nextPageToken"] = json!(token::write(&skip.saturating_add(size)));
    }
    Ok(body)
}
