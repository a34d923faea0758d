//! Programs and their dated terms, and the partners: what every customer's derivation of an organization reads. Built
//! once for a version of them, and shared.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use model::{PartnerId, ProgramId};
use serde::{Deserialize, Serialize};

use super::{
    facts::Conversion,
    money::{Currency, Money, Percent},
};

mod check;
mod condition;

#[cfg(test)]
pub(crate) use check::InvalidTerms;
pub(crate) use condition::Condition;
#[cfg(test)]
pub(crate) use condition::Operator;

named! {
    /// How the credit for an event is shared among the clicks that may have brought it.
    Model {
        /// All of it to the last.
        LastClick = "last_click",
        /// All of it to the first.
        FirstClick = "first_click",
        /// The same to each.
        Linear = "linear",
        /// Two fifths to the first and to the last, the rest to those between.
        Position = "position",
        /// Half as much for every seven days before the last.
        TimeDecay = "time_decay",
    }
}

named! {
    /// Which events of its type a rule pays for, counted for each partner and customer.
    Trigger {
        /// All of them.
        Every = "every",
        /// The first.
        First = "first",
        /// All but the first.
        Subsequent = "subsequent",
    }
}

/// What a rule pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reward {
    /// Of the event's value, in the event's currency.
    Percent(Percent),
    /// In its own currency, whatever the event's is.
    Fixed(Money),
}

/// Another reward from a volume on: that of the partner's earlier events of the calendar month (UTC) which this rule
/// counted. Events in another currency count nothing and are paid the rule's own reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tier {
    pub(crate) volume: Money,
    pub(crate) reward: Reward,
}

/// How much a rule pays in all, for one partner or for one partner and customer. What is above it is not paid; what
/// is paid in another currency than the cap's amount is refused. The rule at the same place of later terms goes on
/// counting; it begins anew where it had no limits before, or none that reach over customers and has now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Cap {
    pub(crate) amount: Option<Money>,
    /// Of events.
    pub(crate) count: Option<u32>,
}

/// One of the rules of a program. Each that applies pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) trigger: Trigger,
    /// None: events of any type.
    pub(crate) event_type: Option<Arc<str>>,
    pub(crate) reward: Reward,
    /// For so many calendar months (UTC) after the customer's first event of the type for the partner.
    pub(crate) months: Option<u16>,
    /// All must hold.
    pub(crate) conditions: Vec<Condition>,
    /// By ascending volume, all of one currency.
    pub(crate) tiers: Vec<Tier>,
    /// Over all customers of the partner.
    pub(crate) partner_cap: Cap,
    /// For each customer of the partner.
    pub(crate) customer_cap: Cap,
}

impl Cap {
    /// Whether it limits anything.
    pub(crate) const fn is_set(&self) -> bool {
        self.amount.is_some() || self.count.is_some()
    }
}

impl Rule {
    /// Whether what it pays depends on the partner's other customers, so that it is settled over all of them.
    pub(crate) fn reaches_over_customers(&self) -> bool {
        !self.tiers.is_empty() || self.partner_cap.is_set()
    }

    /// Whether its type and conditions let it apply to the event; its trigger and months are another question.
    pub(crate) fn matches(&self, conversion: &Conversion) -> bool {
        self.event_type.as_ref().is_none_or(|kind| *kind == conversion.kind)
            && (broken!(ConditionsIgnored)
                || self.conditions.iter().all(|condition| condition.holds(&conversion.metadata)))
    }
}

/// On what terms a program pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// 1..=365: so many days after a click an event may still be its merit.
    pub(crate) window_days: u16,
    pub(crate) model: Model,
    /// So many days a commission cannot be approved yet.
    pub(crate) hold_days: u16,
    /// 1..=10.
    pub(crate) rules: Vec<Rule>,
}

/// Terms from a date on. Of the versions that hold at a time the highest counts, so that a later version which is
/// dated back replaces what it covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TermsVersion {
    /// Counts from 1 within the program, over those of all partners.
    pub(crate) version: u32,
    pub(crate) effective_from: Timestamp,
    /// None: the partner's own terms end and the program's hold again.
    pub(crate) terms: Option<Terms>,
}

/// A model that was put in the place of those of the terms, for events of any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ModelChange {
    pub(crate) model: Model,
    /// It replaces the models of the versions up to this.
    pub(crate) up_to_version: u32,
}

/// A program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    versions: Vec<TermsVersion>,
    of_partners: HashMap<PartnerId, Vec<TermsVersion>>,
    model: Option<ModelChange>,
}

impl Program {
    /// The program with these terms, in any order; a model change is the newest one.
    pub(crate) fn new(versions: Vec<TermsVersion>, model: Option<ModelChange>) -> Self {
        Self { versions: newest_first(versions), of_partners: HashMap::new(), model }
    }

    /// Gives one of its partners terms of their own.
    pub(crate) fn agree(&mut self, partner: PartnerId, versions: Vec<TermsVersion>) {
        self.of_partners.insert(partner, newest_first(versions));
    }

    /// The same with another model for events of any time.
    pub(crate) fn with_model(&self, model: Model) -> Self {
        let of_partners = self.of_partners.values().flatten();
        let last = self.versions.iter().chain(of_partners).map(|version| version.version).max();
        let model = Some(ModelChange { model, up_to_version: last.unwrap_or(0) });
        Self { model, ..self.clone() }
    }

    /// What holds for a partner at a time: its own terms, else the program's. None before the program's first terms and
    /// while it has none: what was agreed with a partner holds in a program that is under way.
    pub(crate) fn terms_at(&self, partner: PartnerId, at: Timestamp) -> Option<(&TermsVersion, &Terms)> {
        let general = in_force(&self.versions, at).and_then(with_terms);
        let own = self
            .of_partners
            .get(&partner)
            .filter(|_| !broken!(OwnTermsIgnored))
            .and_then(|versions| in_force(versions, at));
        let own = own.and_then(with_terms).filter(|_| general.is_some() || broken!(OwnTermsOutlive));
        own.or(general)
    }

    /// The rule at a place of the terms of a version.
    pub(crate) fn rule(&self, version: u32, number: u8) -> Option<&Rule> {
        let mut versions = self.versions.iter().chain(self.of_partners.values().flatten());
        let terms = versions.find(|known| known.version == version)?.terms.as_ref()?;
        terms.rules.get(usize::from(number))
    }

    /// Those of all its versions.
    fn rules(&self) -> impl Iterator<Item = &Rule> {
        let versions = self.versions.iter().chain(self.of_partners.values().flatten());
        versions.filter_map(|version| version.terms.as_ref()).flat_map(|terms| &terms.rules)
    }

    /// The model of a version.
    pub(crate) fn model_of(&self, version: u32, terms: &Terms) -> Model {
        self.model
            .filter(|change| version <= change.up_to_version && !broken!(ModelChangeIgnored))
            .map_or(terms.model, |change| change.model)
    }
}

fn newest_first(mut versions: Vec<TermsVersion>) -> Vec<TermsVersion> {
    versions.sort_unstable_by_key(|version| std::cmp::Reverse(version.version));
    versions
}

fn in_force(versions: &[TermsVersion], at: Timestamp) -> Option<&TermsVersion> {
    versions.iter().find(|version| version.effective_from <= at || broken!(TermsOfToday))
}

fn with_terms(version: &TermsVersion) -> Option<(&TermsVersion, &Terms)> {
    version.terms.as_ref().map(|terms| (version, terms))
}

/// That a partner was revoked or reinstated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) at: Timestamp,
    /// Breaks ties: the higher is the later.
    pub(crate) sequence: i64,
    pub(crate) active: bool,
}

/// A partner, as far as earning goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Partner {
    email: Box<str>,
    standings: Vec<Standing>,
}

impl Partner {
    /// With this e-mail address, active until its first standing says otherwise.
    pub(crate) fn new(email: &str, mut standings: Vec<Standing>) -> Self {
        standings.sort_unstable_by_key(|standing| (standing.at, standing.sequence));
        Self { email: super::facts::user_key(email).into(), standings }
    }

    /// In the form that customers are compared in.
    pub(crate) fn email(&self) -> &str {
        &self.email
    }

    /// Whether events of this time earn. Revoking ends what is earned from then on, not what was earned before.
    pub(crate) fn is_active(&self, at: Timestamp) -> bool {
        self.standings.iter().rev().find(|standing| standing.at <= at).is_none_or(|standing| standing.active)
    }
}

/// Programs and partners of an organization.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    pub(crate) programs: HashMap<ProgramId, Program>,
    pub(crate) partners: HashMap<PartnerId, Partner>,
    pub(crate) names: Names,
}

/// What programs and partners are called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) programs: HashMap<ProgramId, String>,
    pub(crate) partners: HashMap<PartnerId, String>,
}

impl Book {
    /// Whether any rule reads the metadata of events; it need not be loaded otherwise.
    pub(crate) fn reads_metadata(&self) -> bool {
        self.rules().any(|rule| !rule.conditions.is_empty())
    }

    /// The programs that ever had a rule that reaches over customers.
    pub(crate) fn reaching_programs(&self) -> Vec<ProgramId> {
        let reaching =
            self.programs.iter().filter(|(_, program)| program.rules().any(Rule::reaches_over_customers));
        reaching.map(|(id, _)| *id).collect()
    }

    /// Whether there are any such programs.
    pub(crate) fn reaches_over_customers(&self) -> bool {
        self.rules().any(Rule::reaches_over_customers)
    }

    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.programs.values().flat_map(Program::rules)
    }

    /// The currency of a rule's tiers, if it has any.
    pub(crate) fn tier_currency(rule: &Rule) -> Option<Currency> {
        rule.tiers.first().map(|tier| tier.volume.currency())
    }
}
