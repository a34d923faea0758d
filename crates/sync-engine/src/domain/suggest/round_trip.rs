//! Whether stored values come back unchanged from the other side. A pair that loses some waits for a person, however
//! sure it is that the two fields mean the same.

use std::collections::BTreeMap;

use model::{FieldSchema, ObjectSchema, Value};

use crate::domain::{
    cell::Cell,
    mapping::{Compiled, FieldPair, FieldState, Mapping},
    reference,
    sync::Staged,
    transform::{self, Unfit},
};

/// How the line of evidence begins that says what became of stored values.
const ROUND_TRIP: &str = "round trip: ";

/// Stored records of both sides: ours, and the vendor's as they were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    pub(crate) here: Vec<BTreeMap<String, Cell>>,
    pub(crate) there: Vec<Staged>,
}

/// How many values of one side were looked at, and how many of them do not come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    looked_at: usize,
    lost: usize,
}

/// Sends stored values there and back through what is suggested and what was mapped by itself, and notes what became of
/// them. What loses a value is mapped by itself no longer; the answer names the fields that were.
pub(crate) fn check(
    mapping: &mut Mapping,
    canonical: &ObjectSchema,
    vendor: &ObjectSchema,
    stored: &Stored,
) -> Vec<String> {
    let mut flowing = mapping.clone();
    flowing.settings.fields.retain(|_, field| waits(field.state));
    for field in flowing.settings.fields.values_mut() {
        field.state = FieldState::AutoMapped;
    }
    let mut given_up = Vec::new();
    // What names a record is told by that record's link, not by the type of its id.
    let by_value = |pair: &FieldPair| reference::target(pair).is_none();
    for pair in Compiled::new(flowing, canonical, vendor).pairs.into_iter().filter(by_value) {
        let Some(field) = mapping.settings.fields.get_mut(&pair.canonical.name) else { continue };
        let (here, there) = (here(&pair, stored), there(&pair, stored));
        field.evidence.retain(|line| !line.starts_with(ROUND_TRIP));
        field.evidence.push(tell(here, there));
        field.loses = here.lost + there.lost > 0;
        if field.loses && field.state == FieldState::AutoMapped {
            field.state = FieldState::Suggested;
            given_up.push(pair.canonical.name);
        }
    }
    given_up
}

/// Whether nobody has decided yet.
const fn waits(state: FieldState) -> bool {
    matches!(state, FieldState::AutoMapped | FieldState::Suggested)
}

fn here(pair: &FieldPair, stored: &Stored) -> Tally {
    let values = stored.here.iter().filter_map(|cells| Some(&cells.get(&pair.canonical.name)?.value));
    tally(values, &pair.canonical, |value| {
        transform::inbound(pair, transform::outbound(pair, value.clone())?)
    })
}

fn there(pair: &FieldPair, stored: &Stored) -> Tally {
    let values = stored.there.iter().filter_map(|staged| staged.fields.get(&pair.vendor.name));
    tally(values, &pair.vendor, |value| transform::outbound(pair, transform::inbound(pair, value.clone())?))
}

fn tally<'a>(
    values: impl Iterator<Item = &'a Value>,
    field: &FieldSchema,
    there_and_back: impl Fn(&Value) -> Result<Value, Unfit>,
) -> Tally {
    let mut tally = Tally::default();
    for value in values.filter(|value| !value.is_blank()) {
        // A value that does not fit its own field cannot be told from one that the way spoiled.
        let own = field.field_type.coerce(value.clone()).ok();
        tally.looked_at += 1;
        if own.is_none() || there_and_back(value).ok() != own {
            tally.lost += 1;
        }
    }
    tally
}

fn tell(here: Tally, there: Tally) -> String {
    let looked_at = here.looked_at + there.looked_at;
    if looked_at == 0 {
        return format!("{ROUND_TRIP}no value is stored yet; it is tried when a plan is made");
    }
    let sides = format!("{} stored here and {} at the vendor", here.looked_at, there.looked_at);
    match here.lost + there.lost {
        0 => format!("{ROUND_TRIP}every value comes back unchanged, of {sides}"),
        lost => format!("{ROUND_TRIP}{lost} values would not come back unchanged, of {sides}"),
    }
}
