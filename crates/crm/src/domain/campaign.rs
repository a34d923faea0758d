//! When a recipient's next mail is due, how many a mailbox sends, and what ends a recipient's turn.

use jiff::{SignedDuration, Timestamp, ToSpan as _, civil::Weekday, tz::TimeZone};

/// How a recipient stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// Waits for the first mail.
    Scheduled,
    /// The mailbox was asked to send a mail, and has not answered yet.
    Sending,
    /// A mail was sent, and waits for the next one.
    Sent,
    /// All mails were sent.
    Finished,
    /// Somebody took the recipient out.
    Stopped,
    /// A mail could not be sent.
    Failed,
    /// Was on the suppression list before a mail was sent.
    Suppressed,
    /// Answered.
    Replied,
    /// A mail came back.
    Bounced,
    /// Wants no more mails.
    OptedOut,
}

impl State {
    pub(crate) const ALL: [Self; 10] = [
        Self::Scheduled,
        Self::Sending,
        Self::Sent,
        Self::Finished,
        Self::Stopped,
        Self::Failed,
        Self::Suppressed,
        Self::Replied,
        Self::Bounced,
        Self::OptedOut,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Suppressed => "suppressed",
            Self::Replied => "replied",
            Self::Bounced => "bounced",
            Self::OptedOut => "opted_out",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether more mails are to come.
    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::Scheduled | Self::Sending | Self::Sent)
    }

    /// What is known of the person outweighs what became of the mails.
    const fn weight(self) -> u8 {
        match self {
            Self::Scheduled | Self::Sending | Self::Sent => 0,
            Self::Finished | Self::Stopped | Self::Failed | Self::Suppressed => 1,
            Self::Replied => 2,
            Self::Bounced => 3,
            Self::OptedOut => 4,
        }
    }
}

/// How a recipient stands, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) state: State,
    /// Why it ended, as a stable code; empty where the state says it.
    pub(crate) reason: String,
    /// How many steps were sent: the next step's place.
    pub(crate) step: usize,
    /// When the next mail is due; none while the mailbox is asked, before the start and after the end.
    pub(crate) due_at: Option<Timestamp>,
}

/// What happened with a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    /// The mailbox is asked to send the next step.
    Asked,
    /// The mailbox sent it.
    Sent(Timestamp),
    /// The mailbox cannot send it to this recipient.
    Failed(String),
    /// The mailbox itself cannot send: the step is due again at once.
    Returned(Timestamp),
    Replied,
    Bounced,
    OptedOut,
    /// Is on the suppression list, for this reason.
    Suppressed(String),
    /// Somebody takes the recipient out.
    Stopped,
}

/// How a recipient stands after this; none where nothing changes. `delays`: after how many days each step is due.
pub(crate) fn decide(now_is: &Standing, fact: &Fact, delays: &[u32]) -> Option<Standing> {
    let ended = |state: State, reason: &str| {
        let is_heavier = state.weight() > now_is.state.weight();
        let step = now_is.step;
        is_heavier.then(|| Standing { state, reason: reason.to_owned(), step, due_at: None })
    };
    let was_sending = now_is.state == State::Sending;
    match fact {
        Fact::Asked => now_is.due_at.filter(|_| now_is.state.is_open()).map(|_| Standing {
            state: State::Sending,
            due_at: None,
            ..now_is.clone()
        }),
        Fact::Sent(at) => {
            let step = now_is.step + 1;
            if !was_sending {
                // Who ended while the mailbox was asked stays so, but the mail was sent.
                return (!now_is.state.is_open()).then(|| Standing { step, ..now_is.clone() });
            }
            let due_at = delays.get(step).map(|days| after(*at, *days));
            let state = if due_at.is_some() { State::Sent } else { State::Finished };
            Some(Standing { state, reason: String::new(), step, due_at })
        }
        Fact::Failed(reason) => ended(State::Failed, reason),
        Fact::Returned(at) => was_sending.then(|| Standing {
            state: if now_is.step == 0 { State::Scheduled } else { State::Sent },
            due_at: Some(*at),
            ..now_is.clone()
        }),
        Fact::Replied => ended(State::Replied, ""),
        Fact::Bounced => ended(State::Bounced, ""),
        Fact::OptedOut => ended(State::OptedOut, ""),
        Fact::Suppressed(reason) => ended(State::Suppressed, reason),
        Fact::Stopped => ended(State::Stopped, ""),
    }
}

/// Why a recipient ended or a campaign was paused by itself, in words; empty where there is no reason.
pub(crate) fn words(reason: &str) -> String {
    let known = match reason {
        "" => "",
        "opted_out" => "Opted out by the link of another mail.",
        "bounced" => "A mail to this address came back.",
        "manual" => "Somebody put this address on the suppression list.",
        "field_missing" => "A field of the text is not known of this recipient.",
        "too_long" => "With all its fields the mail is too long.",
        "scope_missing" => "The connection may not send mails: connect it again and allow it.",
        "mail_too_late" => "The mailbox could not send for too long.",
        "recipient_refused" => "The mailbox refused the address.",
        other => return format!("The mailbox could not send: {other}."),
    };
    known.to_owned()
}

/// So many days later.
pub(crate) fn after(at: Timestamp, days: u32) -> Timestamp {
    at.checked_add(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MAX)
}

/// The hours in which mails are sent, in a time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) zone: TimeZone,
    /// From this minute of the day …
    pub(crate) from: u16,
    /// … until before this one, on the same day.
    pub(crate) until: u16,
    /// Not on Saturdays and Sundays.
    pub(crate) weekdays: bool,
}

/// The minutes of a day.
pub(crate) const DAY: u16 = 24 * 60;

impl Window {
    /// Whether mails are sent at this moment.
    pub(crate) fn is_open(&self, at: Timestamp) -> bool {
        let there = at.to_zoned(self.zone.clone());
        let minute = u16::from(there.hour().unsigned_abs()) * 60 + u16::from(there.minute().unsigned_abs());
        let is_weekend = matches!(there.weekday(), Weekday::Saturday | Weekday::Sunday);
        (self.from..self.until).contains(&minute) && !(self.weekdays && is_weekend)
    }
}

/// How many mails a mailbox may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) per_minute: u32,
    pub(crate) per_day: u32,
}

/// How many more a mailbox may send now that it sent so many in the last minute and the last day.
pub(crate) fn allowance(limits: Limits, minute: u32, day: u32) -> u32 {
    limits.per_minute.saturating_sub(minute).min(limits.per_day.saturating_sub(day))
}

/// The beginnings of the last minute and the last day.
pub(crate) fn spans(now: Timestamp) -> (Timestamp, Timestamp) {
    let ago = |span: jiff::Span| now.checked_sub(span).unwrap_or(Timestamp::MIN);
    (ago(1.minute()), ago(24.hours()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noon() -> Timestamp {
        "2026-11-20T12:00:00Z".parse().unwrap()
    }

    fn at(state: State, step: usize, due_at: Option<Timestamp>) -> Standing {
        Standing { state, reason: String::new(), step, due_at }
    }

    #[test]
    fn each_step_is_due_its_days_after_the_one_before() {
        let delays = [0, 3];
        let asked = decide(&at(State::Scheduled, 0, Some(noon())), &Fact::Asked, &delays).unwrap();
        assert_eq!(asked, at(State::Sending, 0, None));
        let sent = decide(&asked, &Fact::Sent(noon()), &delays).unwrap();
        assert_eq!(sent, at(State::Sent, 1, Some("2026-11-23T12:00:00Z".parse().unwrap())));
        let asked = decide(&sent, &Fact::Asked, &delays).unwrap();
        let sent = decide(&asked, &Fact::Sent(noon()), &delays).unwrap();
        assert_eq!(sent, at(State::Finished, 2, None));
        assert_eq!(decide(&sent, &Fact::Asked, &delays), None);
        // The mailbox could not: the same step again.
        assert_eq!(decide(&asked, &Fact::Returned(noon()), &delays), Some(at(State::Sent, 1, Some(noon()))));
    }

    #[test]
    fn who_answers_while_a_mail_is_on_its_way_gets_no_next_one() {
        let replied = decide(&at(State::Sending, 0, None), &Fact::Replied, &[0, 3]).unwrap();
        let sent = decide(&replied, &Fact::Sent(noon()), &[0, 3]).unwrap();
        assert_eq!(sent, at(State::Replied, 1, None));
        // An opt-out outweighs the reply, and nothing the opt-out.
        let out = decide(&sent, &Fact::OptedOut, &[0, 3]).unwrap();
        for fact in [Fact::Replied, Fact::Bounced, Fact::Stopped, Fact::Failed("x".to_owned())] {
            assert_eq!(decide(&out, &fact, &[0, 3]), None);
        }
    }

    #[test]
    fn a_window_is_open_in_its_hours_where_it_is() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let window = Window { zone, from: 9 * 60, until: 17 * 60, weekdays: true };
        for (at, is_open) in [
            ("2026-11-20T07:59:59Z", false),
            ("2026-11-20T08:00:00Z", true),
            ("2026-11-20T15:59:59Z", true),
            ("2026-11-20T16:00:00Z", false),
            // A Saturday; and summer time.
            ("2026-11-21T12:00:00Z", false),
            ("2026-07-17T07:00:00Z", true),
        ] {
            assert_eq!(window.is_open(at.parse().unwrap()), is_open, "{at}");
        }
    }

    fn facts() -> impl Strategy<Value = Fact> {
        prop_oneof![
            4 => Just(Fact::Asked),
            4 => Just(Fact::Sent(noon())),
            1 => Just(Fact::Failed("refused".to_owned())),
            1 => Just(Fact::Returned(noon())),
            1 => Just(Fact::Replied),
            1 => Just(Fact::Bounced),
            1 => Just(Fact::OptedOut),
            1 => Just(Fact::Suppressed("bounced".to_owned())),
            1 => Just(Fact::Stopped),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_who_ended_is_never_asked_for_again(
            facts in prop::collection::vec(facts(), 0..30), steps in 1_usize..5,
        ) {
            let delays = vec![1; steps];
            let mut standing = at(State::Scheduled, 0, Some(noon()));
            let mut asked = 0;
            for fact in facts {
                let before = standing.clone();
                let Some(after) = decide(&before, &fact, &delays) else { continue };
                if fact == Fact::Asked {
                    prop_assert!(before.state.is_open() && before.due_at.is_some());
                    prop_assert!(before.step < steps);
                    asked += 1;
                }
                if fact == (Fact::Returned(noon())) {
                    asked -= 1;
                }
                prop_assert!(after.state.is_open() || after.due_at.is_none());
                prop_assert!(before.state.is_open() || !after.state.is_open());
                prop_assert!(after.state.weight() >= before.state.weight());
                standing = after;
            }
            prop_assert!(asked <= steps);
        }

        #[test]
        fn a_mailbox_never_sends_more_than_its_limits(
            per_minute in 0_u32..50, per_day in 0_u32..500, minute in 0_u32..100, more in 0_u32..1000,
        ) {
            let limits = Limits { per_minute, per_day };
            let day = minute + more;
            let may = allowance(limits, minute, day);
            prop_assert!(may == 0 || minute + may <= per_minute && day + may <= per_day);
        }
    }
}
