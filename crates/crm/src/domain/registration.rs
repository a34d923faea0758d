//! How a deal registration stands, and what a decision makes of it.

use jiff::{SignedDuration, Timestamp};
use model::RecordId;

/// How a registration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Submitted,
    UnderReview,
    Approved,
    Rejected,
    Expired,
}

impl Status {
    pub(crate) const ALL: [Self; 5] =
        [Self::Submitted, Self::UnderReview, Self::Approved, Self::Rejected, Self::Expired];

    /// Its name in messages and in the database.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::UnderReview => "under_review",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }

    /// Whether somebody is to decide.
    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::Submitted | Self::UnderReview)
    }
}

/// Who decided, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) by: String,
    pub(crate) at: Timestamp,
}

/// What changes of a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) status: Status,
    /// Who looks into it.
    pub(crate) reviewer: Option<String>,
    pub(crate) decided: Option<Decided>,
    /// Why it was rejected.
    pub(crate) reason: String,
    /// When it expires, while it stands.
    pub(crate) expires_at: Timestamp,
    /// The deal that approving it creates.
    pub(crate) deal: Option<RecordId>,
}

/// What happens to a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    /// Somebody looks into it.
    Reviewed {
        by: String,
    },
    /// It is approved and protected for so many days; this is the deal's id if it is.
    Approved {
        by: String,
        deal: RecordId,
        days: u32,
    },
    Rejected {
        by: String,
        reason: String,
    },
    /// Nothing but time passed.
    TimePassed,
}

/// Why a decision cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Somebody decided otherwise, or somebody else did.
    Decided { status: Status, by: Decided },
    /// Its time was over before anybody decided.
    Expired,
    /// A rejection says why.
    ReasonMissing,
}

/// A new registration.
pub(crate) fn submitted(now: Timestamp, review_days: u32) -> Standing {
    Standing {
        status: Status::Submitted,
        reviewer: None,
        decided: None,
        reason: String::new(),
        expires_at: after(now, review_days),
        deal: None,
    }
}

/// How a registration stands after a fact; none where it stands as before.
pub(crate) fn decide(state: &Standing, fact: &Fact, now: Timestamp) -> Result<Option<Standing>, Refused> {
    if let Fact::TimePassed = fact {
        let is_over = now >= state.expires_at && (state.status.is_open() || state.status == Status::Approved);
        return Ok(is_over.then(|| Standing { status: Status::Expired, ..state.clone() }));
    }
    if let Some(decided) = &state.decided {
        return if repeats(state, decided, fact) { Ok(None) } else { Err(late(state, decided)) };
    }
    if !state.status.is_open() || now >= state.expires_at {
        return Err(Refused::Expired);
    }
    let by = |by: &String| Some(Decided { by: by.clone(), at: now });
    let stands = state.clone();
    Ok(Some(match fact {
        Fact::Reviewed { by } if state.reviewer.as_ref() == Some(by) => return Ok(None),
        Fact::Reviewed { by } => {
            Standing { status: Status::UnderReview, reviewer: Some(by.clone()), ..stands }
        }
        Fact::Approved { by: actor, deal, days } => Standing {
            status: Status::Approved,
            decided: by(actor),
            expires_at: after(now, *days),
            deal: Some(*deal),
            ..stands
        },
        Fact::Rejected { reason, .. } if reason.trim().is_empty() => return Err(Refused::ReasonMissing),
        Fact::Rejected { by: actor, reason } => Standing {
            status: Status::Rejected,
            decided: by(actor),
            reason: reason.trim().to_owned(),
            ..stands
        },
        Fact::TimePassed => return Ok(None),
    }))
}

/// Whether the same person decides the same once more: an answer got lost.
fn repeats(state: &Standing, decided: &Decided, fact: &Fact) -> bool {
    match fact {
        Fact::Approved { by, .. } => state.status == Status::Approved && decided.by == *by,
        Fact::Rejected { by, reason } => {
            state.status == Status::Rejected && decided.by == *by && state.reason == reason.trim()
        }
        Fact::Reviewed { .. } | Fact::TimePassed => false,
    }
}

fn late(state: &Standing, decided: &Decided) -> Refused {
    Refused::Decided { status: state.status, by: decided.clone() }
}

fn after(now: Timestamp, days: u32) -> Timestamp {
    now.checked_add(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn deal() -> RecordId {
        RecordId::generate(at(0))
    }

    fn approve(by: &str) -> Fact {
        Fact::Approved { by: by.to_owned(), deal: deal(), days: 90 }
    }

    fn reject(by: &str, reason: &str) -> Fact {
        Fact::Rejected { by: by.to_owned(), reason: reason.to_owned() }
    }

    fn review(by: &str) -> Fact {
        Fact::Reviewed { by: by.to_owned() }
    }

    #[test]
    fn the_first_decision_stands_and_the_other_is_told_who_took_it() {
        let new = submitted(at(0), 30);
        let seen = decide(&new, &review("ann"), at(1)).unwrap().unwrap();
        let approved = decide(&seen, &approve("ann"), at(2)).unwrap().unwrap();
        assert_eq!((approved.status, approved.expires_at), (Status::Approved, at(2 + 90 * 86_400)));
        let by = Decided { by: "ann".to_owned(), at: at(2) };
        for other in [approve("bob"), reject("bob", "no"), reject("ann", "no"), review("bob")] {
            let refused = decide(&approved, &other, at(2));
            assert_eq!(refused, Err(Refused::Decided { status: Status::Approved, by: by.clone() }));
        }
        assert_eq!(decide(&approved, &approve("ann"), at(3)), Ok(None));
    }

    #[test]
    fn a_rejection_says_why() {
        let new = submitted(at(0), 30);
        assert_eq!(decide(&new, &reject("ann", " \n"), at(1)), Err(Refused::ReasonMissing));
        let rejected = decide(&new, &reject("ann", " taken "), at(1)).unwrap().unwrap();
        assert_eq!((rejected.status, rejected.reason.as_str()), (Status::Rejected, "taken"));
        assert_eq!(decide(&rejected, &reject("ann", "taken"), at(9)), Ok(None));
    }

    #[test]
    fn what_is_over_is_not_decided_any_more() {
        let new = submitted(at(0), 1);
        assert_eq!(decide(&new, &Fact::TimePassed, at(86_399)), Ok(None));
        // The job may not have looked yet.
        assert_eq!(decide(&new, &approve("ann"), at(86_400)), Err(Refused::Expired));
        let expired = decide(&new, &Fact::TimePassed, at(86_400)).unwrap().unwrap();
        assert_eq!(expired.status, Status::Expired);
        assert_eq!(decide(&expired, &approve("ann"), at(1)), Err(Refused::Expired));
    }

    fn any_fact() -> impl Strategy<Value = Fact> {
        let by = prop::sample::select(vec!["ann", "bob"]);
        prop_oneof![
            by.clone().prop_map(review),
            by.clone().prop_map(approve),
            by.prop_map(|by| reject(by, "no")),
            Just(Fact::TimePassed),
        ]
    }

    proptest! {
        #[test]
        fn however_it_goes_one_decision_is_taken_and_a_deal_belongs_to_an_approval(
            facts in prop::collection::vec((any_fact(), 0..10_000_000_i64), 0..20),
        ) {
            let mut state = submitted(at(0), 30);
            let mut decided: Option<Decided> = None;
            let mut now = 0;
            for (fact, later) in facts {
                now += later;
                if let Ok(Some(next)) = decide(&state, &fact, at(now)) {
                    prop_assert!(next != state);
                    prop_assert!(decided.is_none() || next.decided == decided);
                    prop_assert!(state.status != Status::Expired && state.status != Status::Rejected);
                    decided = next.decided.clone();
                    state = next;
                }
                prop_assert!(state.status != Status::Approved || state.deal.is_some());
                prop_assert_eq!(state.status == Status::Rejected, !state.reason.is_empty());
            }
        }
    }
}
