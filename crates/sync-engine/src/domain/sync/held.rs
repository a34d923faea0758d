//! A conflict that waits for a person, under the policy *manual*: see [`Field::held`].

use jiff::Timestamp;
use model::IssueCategory;

use super::{Effect, Link, Stamp, Trouble, clear_field, clear_record, local, settle};
use crate::domain::{
    cell::Record,
    mapping::{Compiled, FieldPair},
    merge::{Decision, Field},
};

/// What is said of such a field until somebody decides.
pub(super) fn trouble(field: &str) -> Trouble {
    Trouble {
        field: field.to_owned(),
        category: IssueCategory::Conflict,
        message: "changed here and at the vendor; both keep theirs until somebody decides".to_owned(),
    }
}

/// Decides what waits by the rules as they are now.
pub(super) fn again(
    pair: &FieldPair,
    state: &mut Field,
    record: &mut Record,
    effect: &mut Effect,
    origin: &str,
) {
    let ours = pair.ours(record);
    let Some((theirs, decision)) = state.decide_held(local(record, pair, &ours), pair.rules()) else {
        return;
    };
    clear_field(pair, state, effect, true, decision);
    let stamp = Stamp { at: theirs.at, origin, first: false };
    settle(pair, record, effect, decision, &theirs.value, stamp);
}

/// A person decides between ours and theirs: the other is lost, and kept in the conflict's entry, which what our write
/// covered has already. `by` says when, and who. None when nothing waits.
pub(crate) fn decide_held(
    mapping: &Compiled,
    link: &mut Link,
    record: &mut Record,
    field: &str,
    vendor_wins: bool,
    by: (Timestamp, &str),
) -> Option<Effect> {
    let pair = mapping.pairs.iter().find(|pair| pair.canonical.name == field)?;
    let (theirs, covered) = link.fields.get_mut(field)?.settle_held()?;
    let mut effect = Effect { touched: true, cleared: vec![field.to_owned()], ..Effect::default() };
    if vendor_wins || !covered {
        let decision = Decision::Conflict { vendor_wins, within_skew: false };
        // Whoever decides sets the field now, so that it is news to the other systems.
        let (at, origin) = by;
        settle(pair, record, &mut effect, decision, &theirs, Stamp { at, origin, first: false });
    }
    clear_record(link, &mut effect);
    Some(effect)
}
