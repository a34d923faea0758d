//! A draft between its form and the room.

use jiff::{
    Timestamp,
    civil::{Date, Time},
    tz::TimeZone,
};
use proto::crm::{Campaign, CampaignDraft, CampaignStep, SendingWindow};

use super::{UTC, Wrong, minute, zone_of};
use crate::{
    failure::Failure,
    form::{Pairs, all, one},
    ui,
};

/// How many mails the form has room for at least, and at most.
const MAILS: (usize, usize) = (3, 20);
/// The value of a choice that shows what belongs to it.
const CHOSEN: &str = "_own";

/// What stands in the form.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) mailbox: String,
    pub(super) mails: Vec<Mail>,
    /// Whether it starts at a time of its own, and that time.
    pub(super) is_planned: bool,
    pub(super) day: String,
    pub(super) time: String,
    /// The time zone of all times.
    pub(super) zone: String,
    /// Whether it goes out in some hours only, and those.
    pub(super) has_hours: bool,
    pub(super) from: String,
    pub(super) until: String,
    pub(super) weekdays: bool,
}

#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Mail {
    pub(super) days: String,
    pub(super) subject: String,
    pub(super) text: String,
}

impl Mail {
    pub(super) fn is_blank(&self) -> bool {
        self.subject.trim().is_empty() && self.text.trim().is_empty()
    }
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            name: String::new(),
            mailbox: String::new(),
            mails: vec![Mail::default(); MAILS.0],
            is_planned: false,
            day: String::new(),
            time: "09:00".to_owned(),
            zone: UTC.to_owned(),
            has_hours: false,
            from: "09:00".to_owned(),
            until: "17:00".to_owned(),
            weekdays: true,
        }
    }
}

impl Draft {
    /// A campaign as it is stored.
    pub(super) fn of(it: &Campaign) -> Self {
        let mail = |step: &CampaignStep| Mail {
            days: step.after_days.to_string(),
            subject: step.subject.clone(),
            text: step.text.clone(),
        };
        let mut draft = Self { name: it.name.clone(), mailbox: it.connection_id.clone(), ..Self::default() };
        draft.mails = it.steps.iter().map(mail).collect();
        draft.make_room();
        if let Some(window) = &it.window {
            draft.zone.clone_from(&window.time_zone);
            draft.has_hours = true;
            draft.from = minute(&window.from_minute);
            draft.until = minute(&window.until_minute);
            draft.weekdays = window.weekdays_only;
        }
        if let Some(at) = ui::to_time(it.starts_at.as_ref()) {
            let at = at.to_zoned(zone_of(it.window.as_ref()));
            draft.is_planned = true;
            draft.day = at.strftime("%Y-%m-%d").to_string();
            draft.time = at.strftime("%H:%M").to_string();
        }
        draft
    }

    /// What was typed.
    pub(super) fn read(form: &Pairs) -> Self {
        let (days, subjects, texts) = (all(form, "days"), all(form, "subject"), all(form, "text"));
        let sent = days.len().max(subjects.len()).max(texts.len()).min(MAILS.1);
        let mails = (0..sent).map(|place| Mail {
            days: days.get(place).cloned().unwrap_or_default(),
            subject: subjects.get(place).cloned().unwrap_or_default(),
            text: texts.get(place).cloned().unwrap_or_default().replace("\r\n", "\n"),
        });
        let mut draft = Self {
            name: one(form, "name"),
            mailbox: one(form, "mailbox"),
            mails: mails.collect(),
            is_planned: one(form, "start") == CHOSEN,
            day: one(form, "day"),
            time: one(form, "time"),
            zone: one(form, "zone"),
            has_hours: one(form, "hours") == CHOSEN,
            from: one(form, "from"),
            until: one(form, "until"),
            weekdays: !one(form, "weekdays").is_empty(),
        };
        draft.make_room();
        draft
    }

    /// Room for one mail more than there are.
    fn make_room(&mut self) {
        let written = self.mails.iter().rposition(|mail| !mail.is_blank()).map_or(0, |place| place + 1);
        self.mails.resize((written + 1).clamp(MAILS.0, MAILS.1), Mail::default());
    }

    /// The places in the form of the mails that are written. A mail without a word is none.
    fn written(&self) -> Vec<usize> {
        (0..self.mails.len()).filter(|place| !self.mails[*place].is_blank()).collect()
    }

    /// What the room stores, or all that is wrong before it is asked.
    pub(super) fn to_wire(&self, now: Timestamp) -> Result<CampaignDraft, Wrong> {
        let mut wrong = Wrong::default();
        let mut steps = Vec::new();
        for place in self.written() {
            let mail = &self.mails[place];
            let days = mail.days.trim();
            let after_days = if days.is_empty() { Some(0) } else { days.parse().ok() };
            if after_days.is_none() {
                wrong.put(format!("days-{}", place + 1), DAYS);
            }
            let (subject, text) = (mail.subject.clone(), mail.text.clone());
            steps.push(CampaignStep { after_days: after_days.unwrap_or_default(), subject, text });
        }
        if steps.is_empty() {
            wrong.put("text-1", "Write at least one mail.");
        }
        let starts_at = self.starts_at(now, &mut wrong);
        let window = self.window(&mut wrong);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(CampaignDraft {
            name: self.name.clone(),
            connection_id: self.mailbox.clone(),
            steps,
            starts_at: starts_at.map(proto::to_wire_time),
            window,
        })
    }

    fn starts_at(&self, now: Timestamp, wrong: &mut Wrong) -> Option<Timestamp> {
        if !self.is_planned {
            return None;
        }
        let (day, time): (Option<Date>, Option<Time>) = (self.day.parse().ok(), self.time.parse().ok());
        if day.is_none() {
            wrong.put("day", "Choose the day, such as 2027-01-31.");
        }
        if time.is_none() {
            wrong.put("time", "Choose the time, such as 09:00.");
        }
        let zone = TimeZone::get(&self.zone).ok();
        if zone.is_none() && !self.has_hours {
            wrong.put("zone", ZONE);
        }
        let at = day?.to_datetime(time?).to_zoned(zone?).ok()?.timestamp();
        if at <= now {
            wrong.put("day", "This time is over. Choose a later one, or let it go out at once.");
        }
        Some(at)
    }

    fn window(&self, wrong: &mut Wrong) -> Option<SendingWindow> {
        if !self.has_hours {
            return None;
        }
        if TimeZone::get(&self.zone).is_err() {
            wrong.put("zone", ZONE);
        }
        let mut hour = |name: &str, text: &str| {
            let found = of_day(text);
            if found.is_none() {
                wrong.put(name, "Write the time as 09:00.");
            }
            found.unwrap_or_default()
        };
        let (from_minute, until_minute) = (hour("from", &self.from), hour("until", &self.until));
        let time_zone = self.zone.clone();
        Some(SendingWindow { time_zone, from_minute, until_minute, weekdays_only: self.weekdays })
    }

    /// What the room refused, beside the field of the form that it is about.
    pub(super) fn refused(&self, field: &str, failure: &Failure) -> Wrong {
        let mut wrong = Wrong::default();
        let said = in_words(failure);
        match field {
            "name" => wrong.put("name", said),
            "starts_at" => wrong.put("day", said),
            "window" => wrong.put("until", said),
            "window.time_zone" => wrong.put("zone", said),
            _ => {}
        }
        let mailbox = ["connection_not_found", "connection_not_active", "vendor_sends_no_mail"];
        if mailbox.contains(&failure.code.as_str()) {
            wrong.put("mailbox", said);
        }
        if let Some((place, name)) = self.step(field) {
            let name = if name == "after_days" { "days" } else { name };
            wrong.put(format!("{name}-{}", place + 1), said);
        }
        wrong
    }

    /// The place in the form of `steps[1].text`, and its field.
    fn step<'a>(&self, field: &'a str) -> Option<(usize, &'a str)> {
        let (place, name) = field.strip_prefix("steps[")?.split_once("].")?;
        Some((*self.written().get(place.parse::<usize>().ok()?)?, name))
    }
}

const DAYS: &str = "Write a whole number from 0 to 365.";
const ZONE: &str = "Write a time zone such as Europe/Berlin, or UTC.";

/// What is wrong with a field, by the code of the refusal.
fn in_words(failure: &Failure) -> &str {
    match failure.code.as_str() {
        "required" => "This is needed.",
        "too_long" => "This is too long. Shorten it.",
        "days_invalid" => DAYS,
        "time_zone_invalid" => ZONE,
        "time_invalid" => "Choose a day before the year 3000.",
        "window_invalid" => "This has to be later than the beginning, on the same day.",
        "connection_not_found" => "This mailbox is not connected any more. Choose another one.",
        "connection_not_active" => {
            "This mailbox sends nothing at the moment. Choose another one, or connect it again."
        }
        _ => &failure.message,
    }
}

/// The minute of the day of 09:30.
fn of_day(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.get(..2)?.parse().ok()?);
    (hour <= 24 && minute < 60).then_some(hour * 60 + minute)
}
