//! What a change of a record comes to under a rule. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::{ChangeEvent, ChangeKind, ConversionId, Lane, Value};
use rust_decimal::Decimal;

use super::{
    Rule,
    spec::{Spec, User, WhenLeft},
};
use crate::domain::{
    facts::Change,
    money::{Currency, Money},
};

/// What a rule knows of a record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Known {
    pub(crate) version: i64,
    pub(crate) changed_at: Timestamp,
    /// Those that the rule reads.
    pub(crate) fields: BTreeMap<String, Value>,
    /// Whether they met the rule.
    pub(crate) matched: bool,
    /// The rule was changed since.
    pub(crate) stale: bool,
    pub(crate) stands: Stands,
    /// How many events of the record came before the one that stands.
    pub(crate) cycle: i32,
}

/// What came of a record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stands {
    Nothing,
    Waiting(Why),
    Recorded(Recorded),
    Voided(Recorded, Left),
}

/// Why a record that meets the rule has no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It names nobody.
    NoUser,
    /// Its amount is no amount.
    Value,
    /// Its currency is none.
    Currency,
    /// Some of its fields are not known yet.
    Incomplete,
}

/// Why an event was voided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// The record does not meet the rule any more.
    Condition,
    /// It was deleted.
    Deleted,
}

/// The event of a record, as it was told last.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recorded {
    pub(crate) event: ConversionId,
    pub(crate) user_id: String,
    /// In minor units.
    pub(crate) value: Option<i64>,
    pub(crate) currency: Currency,
}

/// What is to be done about a change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Turn {
    /// What the rule knows afterwards; where an event is to be recorded, what stands is completed when it is.
    pub(crate) known: Known,
    /// Corrections of the event that stood, in their order.
    pub(crate) corrections: Vec<Change>,
    pub(crate) record: Option<Wanted>,
    /// Whether the record must be read whole first.
    pub(crate) to_be_read: bool,
}

/// An event that is to be recorded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    /// Who may be meant, best first; at least one.
    pub(crate) users: Vec<String>,
    pub(crate) value: Option<Money>,
    pub(crate) currency: Currency,
    pub(crate) at: Timestamp,
}

impl Why {
    pub(crate) const ALL: [Self; 4] = [Self::NoUser, Self::Value, Self::Currency, Self::Incomplete];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NoUser => "no_user",
            Self::Value => "value_invalid",
            Self::Currency => "currency_invalid",
            Self::Incomplete => "incomplete",
        }
    }
}

impl Left {
    pub(crate) const ALL: [Self; 2] = [Self::Condition, Self::Deleted];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Condition => "condition_left",
            Self::Deleted => "record_deleted",
        }
    }
}

/// What a change comes to; none where it says nothing new. A record's event happens when the record comes to meet the rule;
/// where nothing was known of the record before, only what is known to have changed since the rule counts.
pub(crate) fn decide(rule: &Rule, known: Option<Known>, change: &ChangeEvent) -> Option<Turn> {
    let is_unseen = known.is_none();
    let reads = rule.spec.reads();
    let knows_all = || rule.spec.decided_by().iter().all(|name| change.fields.contains_key(*name));
    let is_old = known.as_ref().is_some_and(|known| change.version < known.version);
    if is_old || is_unseen && change.is_partial && !knows_all() {
        return None;
    }
    let mut known = known.unwrap_or_else(|| Known::of(change));
    (known.version, known.changed_at) = (change.version, change.changed_at);
    let read = change.fields.iter().filter(|(name, _)| reads.contains(name.as_str()));
    known.fields.extend(read.map(|(name, value)| (name.clone(), value.clone())));
    let is_there = change.kind == ChangeKind::Upserted;
    let meets = is_there && rule.spec.is_met_by(&known.fields);
    let was_known = !is_unseen && !known.stale;
    let came = if was_known { !known.matched } else { changed_since(rule, change) };
    let left = if is_there { Left::Condition } else { Left::Deleted };
    (known.matched, known.stale) = (meets, false);
    let mut turn = Turn { known, corrections: Vec::new(), record: None, to_be_read: false };
    match (turn.known.stands.clone(), meets) {
        (Stands::Nothing, true) if came => turn.begin(rule, change),
        (Stands::Waiting(_), true) => turn.begin(rule, change),
        (Stands::Waiting(_), false) => turn.known.stands = Stands::Nothing,
        (Stands::Recorded(recorded), true) => turn.follow(recorded, &rule.spec, change),
        (Stands::Recorded(recorded), false)
            if left == Left::Deleted || was_known && rule.spec.when_left == WhenLeft::Void =>
        {
            turn.corrections.push(Change::Void);
            turn.known.stands = Stands::Voided(recorded, left);
        }
        (Stands::Voided(recorded, _), true) => {
            turn.corrections.push(Change::Restore);
            turn.follow(recorded, &rule.spec, change);
        }
        (Stands::Nothing | Stands::Recorded(_) | Stands::Voided(..), _) => {}
    }
    Some(turn)
}

/// Whether what decides of a record is known to have changed since the rule. A listing that was read before does not tell
/// when a field was set, unless the vendor dates it.
fn changed_since(rule: &Rule, change: &ChangeEvent) -> bool {
    let decided_by = rule.spec.decided_by();
    if let Some(at) = decided_by.iter().filter_map(|name| change.field_times.get(*name)).max() {
        return *at >= rule.since;
    }
    let is_told = change.is_partial && decided_by.iter().any(|name| change.fields.contains_key(*name));
    // After the records were read that were there, one of which nothing is known is new.
    let is_new = !change.is_partial && rule.read_at.is_some();
    change.lane == Lane::Live && change.changed_at >= rule.since && (is_told || is_new)
}

impl Known {
    fn of(change: &ChangeEvent) -> Self {
        Self {
            version: change.version,
            changed_at: change.changed_at,
            fields: BTreeMap::new(),
            matched: false,
            stale: false,
            stands: Stands::Nothing,
            cycle: 0,
        }
    }
}

impl Turn {
    /// The record came to meet the rule.
    fn begin(&mut self, rule: &Rule, change: &ChangeEvent) {
        let fields = &self.known.fields;
        let is_whole = !change.is_partial || rule.spec.made_of().all(|name| fields.contains_key(name));
        let worth = worth(&rule.spec, fields);
        let users = users(&rule.spec, fields, change);
        let why = match (is_whole, users, worth) {
            (false, ..) => Why::Incomplete,
            // Nobody asks for the people of history; those of one record can be read.
            (true, None, _) => {
                self.to_be_read = change.lane != Lane::Live;
                Why::NoUser
            }
            (true, Some(_), Err(why)) => why,
            (true, Some(users), Ok((value, currency))) => {
                let decided_by = rule.spec.decided_by();
                let set_at = decided_by.iter().filter_map(|name| change.field_times.get(*name)).max();
                let at = set_at.copied().unwrap_or(change.changed_at);
                self.record = Some(Wanted { users, value, currency, at });
                return;
            }
        };
        self.to_be_read |= why == Why::Incomplete;
        self.known.stands = Stands::Waiting(why);
    }

    /// The record meets the rule as before: its event follows what it is worth.
    fn follow(&mut self, mut recorded: Recorded, spec: &Spec, change: &ChangeEvent) {
        // What cannot be read leaves the event as it was told last.
        if let Ok((value, currency)) = worth(spec, &self.known.fields) {
            if currency != recorded.currency {
                self.corrections.push(Change::Void);
                self.known.cycle += 1;
                let users = vec![recorded.user_id.clone()];
                self.record = Some(Wanted { users, value, currency, at: change.changed_at });
                return;
            }
            let minor = value.map(Money::minor);
            if minor != recorded.value
                && let Ok(money) = Money::try_from_minor(minor.unwrap_or_default(), currency)
            {
                self.corrections.push(Change::Value(money));
                recorded.value = minor;
            }
        }
        self.known.stands = Stands::Recorded(recorded);
    }
}

/// What the record is worth.
fn worth(spec: &Spec, fields: &BTreeMap<String, Value>) -> Result<(Option<Money>, Currency), Why> {
    let currency = currency(spec, fields)?;
    let Some(decimal) = amount(spec, fields)? else { return Ok((None, currency)) };
    Ok((Some(Money::try_new(decimal, currency).map_err(|_| Why::Value)?), currency))
}

/// In which currency.
pub(crate) fn currency(spec: &Spec, fields: &BTreeMap<String, Value>) -> Result<Currency, Why> {
    match told(spec.currency_field.as_ref(), fields) {
        Some(value) => value.to_string().trim().to_ascii_uppercase().parse().map_err(|_| Why::Currency),
        None => Ok(spec.usual_currency()),
    }
}

/// How much of it; none where the record does not tell.
pub(crate) fn amount(spec: &Spec, fields: &BTreeMap<String, Value>) -> Result<Option<Decimal>, Why> {
    match told(spec.value_field.as_ref(), fields) {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(Some(*number)),
        Some(other) => other.to_string().trim().parse().map(Some).map_err(|_| Why::Value),
    }
}

/// What a field holds, where the rule reads one and it holds something.
pub(crate) fn told<'a>(field: Option<&String>, fields: &'a BTreeMap<String, Value>) -> Option<&'a Value> {
    field.and_then(|name| fields.get(name)).filter(|value| !value.is_blank())
}

/// Whose conversion it may be; none where the record names nobody.
fn users(spec: &Spec, fields: &BTreeMap<String, Value>, change: &ChangeEvent) -> Option<Vec<String>> {
    const LONGEST: usize = 255;
    let fits = |user: &String| !user.is_empty() && user.len() <= LONGEST && !user.contains('\0');
    let users: Vec<String> = match &spec.user {
        User::Field(name) => {
            fields.get(name).map(|value| value.to_string().trim().to_owned()).into_iter().collect()
        }
        User::ContactEmail => change.people.clone().unwrap_or_default(),
    };
    let users: Vec<String> = users.into_iter().filter(fits).collect();
    Some(users).filter(|users| !users.is_empty())
}
