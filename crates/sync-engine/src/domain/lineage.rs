//! Why a field has its value: the edit, the mapping that took it in, the conflicts that it stood, and what became of it
//! at each vendor, as one chain.

use jiff::Timestamp;
use model::{MappingId, Value};

use super::sync::Reason;

/// Where the value came from: one revision's change of the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The record's version that brought the value.
    pub(crate) version: i64,
    /// The version that had brought the one before; zero when nothing had.
    pub(crate) previous: i64,
    /// The change event, the answer or the request.
    pub(crate) event: String,
    pub(crate) actor: String,
    /// The vendor it came from; none when it was made here.
    pub(crate) vendor: Option<String>,
    /// When the edit was made.
    pub(crate) at: Timestamp,
    pub(crate) taken_at: Option<Timestamp>,
    pub(crate) before: Value,
    pub(crate) after: Value,
    pub(crate) reason: Reason,
    /// The mapping that took it in, and its revision then.
    pub(crate) via: Option<(MappingId, i64)>,
}

/// A conflict of the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clash {
    pub(crate) id: String,
    pub(crate) event: String,
    /// The record's version once it was decided.
    pub(crate) version: i64,
    pub(crate) via: Option<(MappingId, i64)>,
    pub(crate) policy: String,
    /// `platform` or `crm`.
    pub(crate) winner: String,
    pub(crate) kept: Value,
    pub(crate) lost: Value,
    pub(crate) at: Timestamp,
    pub(crate) within_clock_skew: bool,
}

/// A write of the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) id: String,
    pub(crate) via: (MappingId, i64),
    /// The record's version that it carried.
    pub(crate) version: i64,
    pub(crate) vendor_field: String,
    pub(crate) asked: Value,
    pub(crate) at: Timestamp,
    pub(crate) answer: Option<Reply>,
    /// The change event that showed it there, and when it was read.
    pub(crate) shown: Option<(String, Timestamp)>,
}

/// The vendor's answer to a write, about the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) event: String,
    pub(crate) at: Timestamp,
    /// What the vendor holds now; none when it refused.
    pub(crate) holds: Option<Value>,
    pub(crate) category: String,
    pub(crate) message: String,
}

named! {
    /// What a step of the chain is.
    Kind {
        /// Somebody changed it at a vendor.
        Change = "change",
        /// Somebody changed it here, or Accord did for a stated reason.
        Edit = "edit",
        /// A mapping took it in.
        Mapping = "mapping",
        /// Both sides had moved and a policy decided.
        Conflict = "conflict",
        /// A vendor was asked to write it.
        Write = "write",
        /// The vendor took the write.
        Answer = "answer",
        /// The vendor refused the write.
        Refusal = "refusal",
        /// The vendor's own listing showed the written value.
        Echo = "echo",
    }
}

/// One step of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) kind: Kind,
    pub(crate) at: Option<Timestamp>,
    /// The id of the change event, the request, the mapping, the conflict, the write or the answer.
    pub(crate) id: String,
    pub(crate) actor: String,
    /// The mapping that it went through, and its revision then.
    pub(crate) via: Option<(MappingId, i64)>,
    pub(crate) vendor_field: String,
    pub(crate) value: Value,
    /// The value before, or the one that lost.
    pub(crate) other: Value,
    /// The reason, the policy, or the category of a refusal.
    pub(crate) note: String,
    /// Who won, or the vendor's words.
    pub(crate) detail: String,
}

impl Step {
    fn new(kind: Kind, at: Option<Timestamp>, id: String, value: Value) -> Self {
        Self {
            kind,
            at,
            id,
            actor: String::new(),
            via: None,
            vendor_field: String::new(),
            value,
            other: Value::Null,
            note: String::new(),
            detail: String::new(),
        }
    }
}

/// The chain of one value of a field: where it came from first, then the rest in the order of time. Conflicts and
/// writes of other values of the field are left out; `until` is the version that replaced the value, when one did.
pub(crate) fn story(origin: &Origin, until: Option<i64>, clashes: &[Clash], asks: &[Ask]) -> Vec<Step> {
    let mut steps = vec![first(origin)];
    if let Some((mapping, _)) = origin.via {
        let mut step = Step::new(Kind::Mapping, origin.taken_at, mapping.to_string(), origin.after.clone());
        step.via = origin.via;
        steps.push(step);
    }
    let mut later = Vec::new();
    let its_own = |clash: &&Clash| clash.event == origin.event && clash.version >= origin.version;
    let within = |version: i64| version >= origin.version && until.is_none_or(|until| version < until);
    let stood = |clash: &&Clash| within(clash.version) && clash.kept == origin.after;
    later.extend(clashes.iter().filter(|clash| its_own(clash) || stood(clash)).map(conflict));
    for ask in asks.iter().filter(|ask| within(ask.version)) {
        later.extend(write(ask));
    }
    later.sort_by_key(|step| step.at);
    steps.extend(later);
    steps
}

fn first(origin: &Origin) -> Step {
    let kind = if origin.vendor.is_some() { Kind::Change } else { Kind::Edit };
    Step {
        actor: origin.actor.clone(),
        via: origin.via,
        other: origin.before.clone(),
        note: origin.reason.name().to_owned(),
        ..Step::new(kind, Some(origin.at), origin.event.clone(), origin.after.clone())
    }
}

fn conflict(clash: &Clash) -> Step {
    let unsure =
        if clash.within_clock_skew { "; the two edits were too close in time to be sure" } else { "" };
    Step {
        via: clash.via,
        other: clash.lost.clone(),
        note: clash.policy.clone(),
        detail: format!("{}{unsure}", clash.winner),
        ..Step::new(Kind::Conflict, Some(clash.at), clash.id.clone(), clash.kept.clone())
    }
}

fn write(ask: &Ask) -> Vec<Step> {
    let at_vendor = |step: Step| Step { via: Some(ask.via), vendor_field: ask.vendor_field.clone(), ..step };
    let mut steps = vec![at_vendor(Step::new(Kind::Write, Some(ask.at), ask.id.clone(), ask.asked.clone()))];
    if let Some(reply) = &ask.answer {
        let kind = if reply.holds.is_some() { Kind::Answer } else { Kind::Refusal };
        let value = reply.holds.clone().unwrap_or(Value::Null);
        steps.push(at_vendor(Step {
            note: reply.category.clone(),
            detail: reply.message.clone(),
            ..Step::new(kind, Some(reply.at.max(ask.at)), reply.event.clone(), value)
        }));
    }
    if let Some((event, at)) = &ask.shown {
        let answered = ask.answer.as_ref().map_or(ask.at, |reply| reply.at);
        let value = ask.answer.as_ref().and_then(|reply| reply.holds.clone()).unwrap_or(Value::Null);
        steps.push(at_vendor(Step::new(Kind::Echo, Some((*at).max(answered)), event.clone(), value)));
    }
    steps
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moment(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn mapping() -> MappingId {
        MappingId::from_uuid(uuid::Uuid::from_u128(7))
    }

    fn origin(version: i64) -> Origin {
        Origin {
            version,
            previous: 0,
            event: "event".into(),
            actor: "connection:x".into(),
            vendor: Some("hubspot".into()),
            at: moment(0),
            taken_at: Some(moment(1)),
            before: Value::Null,
            after: Value::text("now"),
            reason: Reason::VendorMoved,
            via: Some((mapping(), 3)),
        }
    }

    fn ask(version: i64, at: i64, answered: Option<bool>, shown: bool) -> Ask {
        Ask {
            id: format!("write{version}"),
            via: (mapping(), 3),
            version,
            vendor_field: "phone".into(),
            asked: Value::text("now"),
            at: moment(at),
            answer: answered.map(|applied| Reply {
                event: "answer".into(),
                at: moment(at + 1),
                holds: applied.then(|| Value::text("NOW")),
                category: String::new(),
                message: String::new(),
            }),
            shown: shown.then(|| ("echo".into(), moment(at + 2))),
        }
    }

    fn clash(version: i64, event: &str, kept: &str) -> Clash {
        Clash {
            id: format!("conflict{version}"),
            event: event.into(),
            version,
            via: Some((mapping(), 3)),
            policy: "newest_wins".into(),
            winner: "platform".into(),
            kept: Value::text(kept),
            lost: Value::text("other"),
            at: moment(version),
            within_clock_skew: false,
        }
    }

    #[test]
    fn the_chain_goes_from_the_edit_to_the_echo() {
        let clashes = [clash(5, "event", "now"), clash(6, "later", "now"), clash(7, "later", "another")];
        let asks = [ask(4, 9, Some(true), true), ask(5, 10, Some(true), true)];
        let kinds: Vec<&str> =
            story(&origin(5), None, &clashes, &asks).iter().map(|s| s.kind.name()).collect();
        assert_eq!(kinds, ["change", "mapping", "conflict", "conflict", "write", "answer", "echo"]);
        let refused = story(&origin(5), None, &[], &[ask(5, 10, Some(false), false)]);
        assert_eq!(refused.last().unwrap().kind, Kind::Refusal);
    }

    proptest! {
        #[test]
        fn nothing_of_an_older_value_and_nothing_out_of_order(
            version in 1..9_i64,
            writes in proptest::collection::vec((1..9_i64, 0..50_i64, any::<Option<bool>>(), any::<bool>()), 0..6),
            conflicts in proptest::collection::vec((1..9_i64, "event|later", "now|other"), 0..6),
            until in proptest::option::of(1..9_i64),
        ) {
            let asks: Vec<Ask> = writes.iter().map(|(v, at, answered, shown)| ask(*v, *at, *answered, *shown)).collect();
            let clashes: Vec<Clash> = conflicts.iter().map(|(v, event, kept)| clash(*v, event, kept)).collect();
            let steps = story(&origin(version), until, &clashes, &asks);
            prop_assert_eq!((steps[0].kind, steps[1].kind), (Kind::Change, Kind::Mapping));
            prop_assert!(steps[2..].is_sorted_by_key(|step| step.at));
            let asked = steps.iter().filter(|step| step.kind == Kind::Write).count();
            prop_assert_eq!(asked, asks.iter().filter(|ask| ask.version >= version && until.is_none_or(|until| ask.version < until)).count());
            for step in steps.iter().filter(|step| step.kind == Kind::Conflict) {
                let of = clashes.iter().filter(|clash| clash.id == step.id);
                prop_assert!(of.clone().all(|clash| clash.version >= version));
            }
        }
    }
}
