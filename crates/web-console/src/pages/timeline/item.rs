use proto::crm::{Activity, Participant};
use url::Url;

use super::transcript;
use crate::ui;

/// The most people of whom a list tells.
const MOST_NAMED: usize = 6;

/// An activity as a list shows it. What its source told is text and stays text.
pub(crate) struct Item {
    pub(crate) activity: Activity,
    /// Where all of it is.
    pub(crate) path: String,
    pub(crate) people: Vec<Group>,
    /// How many took part besides those.
    pub(crate) others: u64,
    /// Where its source shows it; empty where it does not.
    pub(crate) url: String,
    /// Whether its text is what was spoken.
    pub(crate) is_transcript: bool,
}

/// People who took part in the same way.
pub(crate) struct Group {
    pub(crate) role: &'static str,
    /// Another role, as the source calls it.
    pub(crate) other_role: String,
    pub(crate) people: Vec<Participant>,
}

/// What may have a transcript. Google tells that of a meeting as the call that took place.
pub(super) fn is_spoken(kind: &str) -> bool {
    matches!(kind, "meeting" | "call")
}

impl Item {
    pub(crate) fn new(activity: Activity, timeline: &str) -> Self {
        let people = groups(activity.participants.iter().take(MOST_NAMED));
        let named = activity.participants.len().min(MOST_NAMED);
        let others = u64::from(activity.participant_count).saturating_sub(u64::try_from(named).unwrap_or(0));
        let is_transcript = is_spoken(&activity.kind)
            && transcript::read(&activity.preview, &activity.participants).is_some();
        let url = https(&activity.url);
        Self { path: format!("{timeline}/{}", activity.id), people, others, url, is_transcript, activity }
    }

    /// Its subject, or what it is where it has none.
    pub(crate) fn title(&self) -> &str {
        if self.activity.subject.is_empty() { self.what() } else { &self.activity.subject }
    }

    /// What it is, and which way it went.
    pub(crate) fn what(&self) -> &'static str {
        match (self.activity.kind.as_str(), self.activity.direction.as_str()) {
            ("email", "inbound") => "E-mail received",
            ("email", "outbound") => "E-mail sent",
            ("email", _) => "E-mail",
            ("call", _) if self.is_transcript => "Call with its transcript",
            ("call", "inbound") => "Call received",
            ("call", "outbound") => "Call made",
            ("call", _) => "Call",
            ("meeting", _) if self.is_transcript => "Meeting with its transcript",
            ("meeting", _) => "Meeting",
            ("note", _) => "Note",
            ("stage_change", _) => "Stage change",
            ("ticket", _) => "Ticket",
            ("quote", _) => "Quote",
            _ => "Activity",
        }
    }

    pub(crate) fn icon(&self) -> &'static str {
        match self.activity.kind.as_str() {
            "email" => "mail",
            "call" => "phone",
            "meeting" => "calendar",
            "note" => "log",
            "stage_change" => "flag",
            "ticket" => "ticket",
            "quote" => "coins",
            _ => "dot",
        }
    }

    /// Who told it.
    pub(crate) fn source(&self) -> String {
        match self.activity.source.as_str() {
            "api" => "the API".to_owned(),
            "accord" => "Accord".to_owned(),
            source if model::vendor_name(source) != source => ui::vendor(source),
            source => ui::vendor(&source.replace('-', "_")),
        }
    }
}

impl Group {
    /// How they took part, as it reads before their names.
    pub(crate) fn words(&self) -> &str {
        if self.role.is_empty() { &self.other_role } else { self.role }
    }
}

/// What a person is called: by name, else by address.
pub(crate) fn called(who: &Participant) -> &str {
    match (who.name.is_empty(), who.email.is_empty()) {
        (false, _) => &who.name,
        (true, false) => &who.email,
        (true, true) => "somebody",
    }
}

/// The people by how they took part, in the order in which they were told.
pub(super) fn groups<'a>(people: impl Iterator<Item = &'a Participant>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for who in people {
        let role = match who.role.as_str() {
            "from" => "from",
            "to" => "to",
            "cc" => "cc",
            "bcc" => "bcc",
            "organizer" => "organized by",
            "attendee" | "" => "with",
            "speaker" => "spoken by",
            _ => "",
        };
        let other_role = if role.is_empty() { who.role.clone() } else { String::new() };
        match groups.iter_mut().find(|group| group.role == role && group.other_role == other_role) {
            Some(group) => group.people.push(who.clone()),
            None => groups.push(Group { role, other_role, people: vec![who.clone()] }),
        }
    }
    groups
}

/// The address, where a browser may be led to it: https and a host.
fn https(text: &str) -> String {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.has_host());
    url.map(String::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_by_https_is_led_to() {
        assert_eq!(https("https://mail.example/m/1?a=b"), "https://mail.example/m/1?a=b");
        for text in ["javascript:alert(1)", "http://mail.example/", "//mail.example", "https://", "mail", ""]
        {
            assert_eq!(https(text), "", "{text}");
        }
    }

    #[test]
    fn people_stand_together_by_how_they_took_part() {
        let who = |role: &str, name: &str| Participant {
            role: role.to_owned(),
            name: name.to_owned(),
            email: String::new(),
        };
        let people =
            [who("to", "Bob"), who("from", "Ann"), who("to", "Cy"), who("notary", "Di"), who("to", "")];
        let told: Vec<String> = groups(people.iter())
            .iter()
            .map(|group| {
                let names: Vec<&str> = group.people.iter().map(called).collect();
                format!("{} {}", group.words(), names.join(", "))
            })
            .collect();
        assert_eq!(told, ["to Bob, Cy, somebody", "from Ann", "notary Di"]);
    }
}
