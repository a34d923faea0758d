//! A transcript as people read it: who said what, and when.

use jiff::Timestamp;
use proto::crm::Participant;

/// The longest name of a speaker, in characters.
const LONGEST_NAME: usize = 80;

/// What somebody said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) speaker: String,
    /// As it was written, or of a moment the time of day in UTC; empty where none was written.
    pub(super) at: String,
    pub(super) text: String,
}

/// The text as lines of speakers; none where it is no transcript. A line is `[00:04:10] Carol Wild: We need ten.`: the
/// time may stand without brackets, or in brackets behind the name, or be left out where the speaker took part. A line
/// that names nobody belongs to the one before.
pub(super) fn read(text: &str, participants: &[Participant]) -> Option<Vec<Line>> {
    let mut lines: Vec<Line> = Vec::new();
    for written in text.lines().map(str::trim).filter(|written| !written.is_empty()) {
        match (line(written, participants), lines.last_mut()) {
            (Some(line), _) => lines.push(line),
            (None, Some(last)) => {
                last.text.push('\n');
                last.text.push_str(written);
            }
            (None, None) => return None,
        }
    }
    (lines.len() > 1).then_some(lines)
}

fn line(written: &str, participants: &[Participant]) -> Option<Line> {
    let (before, rest) = time_before(written);
    let at = rest.find(": ").or_else(|| rest.strip_suffix(':').map(str::len))?;
    let (name, text) = (rest[..at].trim(), rest[at + 1..].trim());
    let (name, behind) = time_behind(name);
    let time = before.or(behind);
    let is_name = (1..=LONGEST_NAME).contains(&name.chars().count()) && name.chars().any(char::is_alphabetic);
    let took_part = || {
        let is_called = |who: &Participant| {
            [&who.name, &who.email].into_iter().any(|known| known.to_lowercase() == name.to_lowercase())
        };
        participants.iter().any(is_called)
    };
    (is_name && (time.is_some() || took_part())).then(|| Line {
        speaker: name.to_owned(),
        at: time.map(shown).unwrap_or_default(),
        text: text.to_owned(),
    })
}

/// The time at the beginning, and what follows it.
fn time_before(text: &str) -> (Option<&str>, &str) {
    let (time, rest) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((time, rest))) => (time, rest),
        Some(None) => return (None, text),
        None => text.split_once(' ').unwrap_or((text, "")),
    };
    let time = time.trim();
    if is_time(time) { (Some(time), rest.trim_start()) } else { (None, text) }
}

/// The name, and the time in brackets behind it.
fn time_behind(name: &str) -> (&str, Option<&str>) {
    for (open, close) in [('(', ')'), ('[', ']')] {
        let found = name.strip_suffix(close).and_then(|rest| rest.rsplit_once(open));
        if let Some((name, time)) = found.filter(|(_, time)| is_time(time)) {
            return (name.trim_end(), Some(time));
        }
    }
    (name, None)
}

/// `00:04:10`, `4:10`, `00:04:10.250` or a moment.
fn is_time(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let is_number =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    ((2..=3).contains(&parts.len()) && parts.iter().all(is_number)) || text.parse::<Timestamp>().is_ok()
}

fn shown(time: &str) -> String {
    let moment = time.parse::<Timestamp>();
    moment.map_or_else(|_| time.to_owned(), |at| at.strftime("%H:%M:%S").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<Vec<(String, String, String)>> {
        let carol = Participant { name: "Carol Wild".to_owned(), ..Participant::default() };
        let lines = read(text, &[carol])?;
        Some(lines.into_iter().map(|line| (line.at, line.speaker, line.text)).collect())
    }

    #[test]
    fn who_said_what_and_when_is_read_in_each_way_of_writing() {
        let said = |at: &str, who: &str, text: &str| (at.to_owned(), who.to_owned(), text.to_owned());
        let text = "[00:00:01] Ann Bo: Hello: all.\n\n 0:09 Carol Wild: Hi,\nwe need ten.\nDi (01:02:03.5): Fine:\n\
                    2026-03-12T09:30:04Z Bob: So.\ncarol wild: Bye\n[00:09:00] Ann Bo:";
        let lines = [
            said("00:00:01", "Ann Bo", "Hello: all."),
            said("0:09", "Carol Wild", "Hi,\nwe need ten."),
            said("01:02:03.5", "Di", "Fine:"),
            said("09:30:04", "Bob", "So."),
            said("", "carol wild", "Bye"),
            said("00:09:00", "Ann Bo", ""),
        ];
        assert_eq!(told(text), Some(lines.into()));
    }

    #[test]
    fn what_only_looks_like_it_is_no_transcript() {
        for text in [
            "",
            "Agenda: presses\nPlace: the works",
            "We talked.\n[00:01:00] Ann: Hi.\n[00:02:00] Bob: Hi.",
            "[00:01:00] Ann: Hi.",
            "[not a time] Ann: Hi.\n[neither] Bob: Hi.",
            "12:30 to 13:00\n14:00 to 15:00",
            ":::\n[]:\n[:] : \n",
        ] {
            assert_eq!(told(text), None, "{text}");
        }
    }
}
