//! Which clicks may have brought an event, and how it is shared among them.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use model::PartnerId;

use super::{
    facts::{Click, ClickId, Conversion, Decision, Facts, Verdict},
    outcome::{Attribution, Reason, Status, Suspicion, Touch, Weight},
    terms::{Book, Model, Partner, Program, Terms},
    weights::{MOST_TOUCHES, weigh},
};

/// Clocks differ: a click may come so much after the event it brought.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// No window is longer.
const LONGEST_WINDOW: SignedDuration = SignedDuration::from_hours(365 * 24);

/// A click of the customer, with what it may earn by.
pub(crate) struct Candidate<'f, 'a> {
    click: &'f Click,
    flagged: bool,
    suspicion: Option<Suspicion>,
    partner: Option<&'a Partner>,
    program: Option<&'a Program>,
}

/// A click that may have brought an event.
pub(crate) struct Eligible<'f, 'a> {
    pub(crate) click: &'f Click,
    pub(crate) partner: &'a Partner,
    pub(crate) version: u32,
    pub(crate) terms: &'a Terms,
    /// What was odd when the click was tied to the customer, and nobody cleared.
    pub(crate) suspicion: Option<Suspicion>,
    model: Model,
}

/// The clicks of a customer that count, each once, in the order `(at, id)`.
pub(crate) fn candidates<'f, 'a>(book: &'a Book, facts: &'f Facts) -> Vec<Candidate<'f, 'a>> {
    let replaced: HashSet<&ClickId> =
        facts.clicks.iter().filter_map(|click| click.instead_of.as_ref()).collect();
    let counts = |click: &&Click| !replaced.contains(&click.id) || broken!(ReplacedClickEarns);
    let mut clicks: Vec<&'f Click> = facts.clicks.iter().filter(counts).collect();
    clicks.sort_unstable_by(|a, b| (a.at, &a.id, a.identified_at).cmp(&(b.at, &b.id, b.identified_at)));
    clicks.dedup_by(|later, first| later.id == first.id);
    let (flags, unbrought) = (flags(&facts.decisions), unbrought(facts, &clicks));
    let candidate = |click: &'f Click| {
        let decided = flags.get(&click.id).map(|(_, flagged)| *flagged);
        Candidate {
            click,
            flagged: decided.unwrap_or(click.flagged),
            suspicion: (click.guarded && unbrought.contains(&click.partner))
                .then_some(Suspicion::KnownCustomer)
                .or(click.suspicion)
                .filter(|_| decided.is_none() && !broken!(StitchTrusted)),
            partner: book.partners.get(&click.partner),
            program: book.programs.get(&click.program),
        }
    };
    clicks.into_iter().map(candidate).collect()
}

/// Those of the partners whom the customer was known before: the first event came before their first click, and by more
/// than clocks differ. The clicks are sorted by time.
fn unbrought(facts: &Facts, clicks: &[&Click]) -> HashSet<PartnerId> {
    let Some(first) = facts.conversions.iter().map(|conversion| conversion.at).min() else {
        return HashSet::new();
    };
    let mut firsts: HashMap<PartnerId, Timestamp> = HashMap::new();
    for click in clicks {
        firsts.entry(click.partner).or_insert(click.at);
    }
    let before = |at: &Timestamp| at.duration_since(first) > SKEW && !broken!(KnownCustomerTrusted);
    firsts.into_iter().filter(|(_, at)| before(at)).map(|(partner, _)| partner).collect()
}

/// The last that was decided about each click.
fn flags(decisions: &[Decision]) -> HashMap<&ClickId, ((Timestamp, uuid::Uuid), bool)> {
    let mut flags = HashMap::new();
    for decision in decisions {
        let (click, flagged) = match &decision.verdict {
            Verdict::FlagClick(click) => (click, true),
            Verdict::ClearClick(click) => (click, false),
            _ => continue,
        };
        let when = (decision.at, decision.id);
        let flag = flags.entry(click).or_insert((when, flagged));
        let counts = if broken!(OldestFlagWins) { when < flag.0 } else { when >= flag.0 };
        if counts {
            *flag = (when, flagged);
        }
    }
    flags
}

impl<'f, 'a> Candidate<'f, 'a> {
    /// The terms by which it may earn from an event of this time, or why it may not.
    fn eligible(&self, at: Timestamp) -> Result<Eligible<'f, 'a>, Reason> {
        if self.flagged && !broken!(FlagIgnored) {
            return Err(Reason::ClickFlagged);
        }
        let (partner, program) = self.partner.zip(self.program).ok_or(Reason::NoTerms)?;
        let at_standing = if broken!(RevokedBackwards) { Timestamp::MAX } else { at };
        if !partner.is_active(at_standing) && !broken!(RevokedEarns) {
            return Err(Reason::PartnerRevoked);
        }
        let (version, terms) = program.terms_at(self.click.partner, at).ok_or(Reason::NoTerms)?;
        let age = at.duration_since(self.click.at);
        if age < -SKEW && !broken!(LaterClickEarns) || broken!(NoSkew) && age.is_negative() {
            return Err(Reason::ClickLater);
        }
        if age > SignedDuration::from_hours(24 * i64::from(terms.window_days)) && !broken!(WindowIgnored) {
            return Err(Reason::ClickTooOld);
        }
        let (version, model) = (version.version, program.model_of(version.version, terms));
        Ok(Eligible { click: self.click, partner, version, terms, suspicion: self.suspicion, model })
    }
}

/// The clicks that share the event with what each gets, and the attribution that says so. The model is that of the
/// latest click's terms; a click that gets nothing is left out.
pub(crate) fn attribute<'f, 'a>(
    candidates: &[Candidate<'f, 'a>],
    conversion: &Conversion,
) -> (Attribution, Vec<Eligible<'f, 'a>>) {
    let mut eligible = latest_first(candidates, conversion.at);
    let Some(latest) = eligible.next() else {
        return (Attribution::Nobody(why_not(candidates, conversion.at)), Vec::new());
    };
    let mut model = latest.model;
    if broken!(ModelOfFirst) {
        model = latest_first(candidates, conversion.at).last().map_or(model, |first| first.model);
    }
    let mut sharing = match model {
        Model::LastClick => vec![latest],
        Model::FirstClick => vec![eligible.last().unwrap_or(latest)],
        Model::Linear | Model::Position | Model::TimeDecay => {
            std::iter::once(latest).chain(eligible).collect::<Vec<_>>()
        }
    };
    if sharing.len() > MOST_TOUCHES {
        let first = sharing.pop();
        sharing.truncate(MOST_TOUCHES - 1);
        sharing.extend(first);
    }
    sharing.reverse();
    let times: Vec<Timestamp> = sharing.iter().map(|one| one.click.at).collect();
    let weights = weigh(model, &times);
    let touch = |(one, numerator): (&Eligible<'_, '_>, &i64)| Touch {
        click: one.click.id.clone(),
        partner: one.click.partner,
        program: one.click.program,
        terms_version: one.version,
        weight: Weight { numerator: *numerator, denominator: weights.denominator },
    };
    let touches = sharing.iter().zip(&weights.numerators).map(touch).collect();
    (Attribution::To { model, touches }, sharing)
}

/// Those that may have brought an event of this time, from the latest to the first.
fn latest_first<'f, 'a>(
    candidates: &[Candidate<'f, 'a>],
    at: Timestamp,
) -> impl Iterator<Item = Eligible<'f, 'a>> {
    let before = candidates.partition_point(|candidate| {
        candidate.click.at.duration_since(at) <= SKEW || broken!(LaterClickEarns)
    });
    let near = move |candidate: &&Candidate<'_, '_>| at.duration_since(candidate.click.at) <= LONGEST_WINDOW;
    let near = candidates[..before].iter().rev().take_while(near);
    near.filter_map(move |candidate| candidate.eligible(at).ok())
}

/// Of the reasons of all clicks that of the one which came nearest.
fn why_not(candidates: &[Candidate<'_, '_>], at: Timestamp) -> Reason {
    let reasons = candidates.iter().filter_map(|candidate| candidate.eligible(at).err());
    reasons.max().unwrap_or(Reason::NoIdentity)
}

impl Attribution {
    /// As callers are told.
    pub(crate) const fn status(&self) -> Status {
        match self {
            Self::To { .. } => Status::Attributed,
            Self::Nobody(Reason::NoIdentity) => Status::NoIdentity,
            Self::Nobody(Reason::ClickFlagged | Reason::PartnerRevoked | Reason::NoTerms) => Status::NoClick,
            Self::Nobody(Reason::ClickLater | Reason::ClickTooOld) => Status::OutsideWindow,
        }
    }

    /// Who shares it.
    pub(crate) fn touches(&self) -> &[Touch] {
        match self {
            Self::To { touches, .. } => touches,
            Self::Nobody(_) => &[],
        }
    }
}

/// Whether a click of the customer is flagged as fraud.
pub(crate) fn is_flagged(facts: &Facts, click: &ClickId) -> bool {
    let recorded = || facts.clicks.iter().any(|one| one.flagged && one.id == *click);
    flags(&facts.decisions).get(click).map_or_else(recorded, |(_, flagged)| *flagged)
}
