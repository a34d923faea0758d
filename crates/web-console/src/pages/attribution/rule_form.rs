//! Terms and rules as a form holds them: every field a text, conditions and tiers one a line.

use proto::attribution::{Cap, Condition, Rule, Terms, Tier, rule::Reward};

use super::{OPERATORS, condition};
use crate::{
    failure::Failure,
    form::{Pairs, one},
};

/// The terms of a program as they are typed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct TermsDraft {
    pub(super) model: String,
    pub(super) window_days: String,
    pub(super) hold_days: String,
    pub(super) rules: Vec<RuleDraft>,
}

/// A rule as it is typed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct RuleDraft {
    pub(super) trigger: String,
    pub(super) event_type: String,
    /// percent, fixed
    pub(super) kind: String,
    pub(super) reward: String,
    pub(super) currency: String,
    pub(super) months: String,
    pub(super) conditions: String,
    pub(super) tiers: String,
    pub(super) partner_amount: String,
    pub(super) partner_count: String,
    pub(super) customer_amount: String,
    pub(super) customer_count: String,
}

fn some(number: u32) -> String {
    if number == 0 { String::new() } else { number.to_string() }
}

fn whole(text: &str, what: &str) -> Result<u32, Failure> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| Failure::invalid("number_malformed", format!("Write {what} as a whole number.")))
}

impl TermsDraft {
    pub(super) fn of(terms: Option<&Terms>) -> Self {
        let Some(terms) = terms else { return Self::default() };
        Self {
            model: terms.model.clone(),
            window_days: terms.window_days.to_string(),
            hold_days: terms.hold_days.to_string(),
            rules: terms.rules.iter().map(RuleDraft::of).collect(),
        }
    }

    pub(super) fn read(form: &Pairs) -> Self {
        let is_sent = |at: usize| form.iter().any(|(name, _)| *name == format!("r{at}.trigger"));
        Self {
            model: one(form, "model"),
            window_days: one(form, "window_days"),
            hold_days: one(form, "hold_days"),
            rules: (0..).take_while(|at| is_sent(*at)).map(|at| RuleDraft::read(form, at)).collect(),
        }
    }

    /// Adds or takes away a rule, where that was what the pressed button says.
    pub(super) fn was_reshaped(&mut self, actions: &[String]) -> bool {
        match actions.first().map(String::as_str) {
            Some("add") => self.rules.push(RuleDraft::fresh()),
            Some(action) => match action.strip_prefix("remove.").and_then(|at| at.parse::<usize>().ok()) {
                Some(at) if at < self.rules.len() => drop(self.rules.remove(at)),
                _ => return false,
            },
            None => return false,
        }
        true
    }

    pub(super) fn to_wire(&self) -> Result<Terms, Failure> {
        Ok(Terms {
            model: self.model.clone(),
            window_days: whole(&self.window_days, "the days of the window")?,
            hold_days: whole(&self.hold_days, "the days of the hold period")?,
            rules: self.rules.iter().map(RuleDraft::to_wire).collect::<Result<_, _>>()?,
            ..Terms::default()
        })
    }
}

impl RuleDraft {
    pub(super) fn fresh() -> Self {
        Self {
            trigger: "every".to_owned(),
            kind: "percent".to_owned(),
            currency: "USD".to_owned(),
            ..Self::default()
        }
    }

    pub(super) fn is_percent(&self) -> bool {
        self.kind != "fixed"
    }

    /// Whether something is set that few rules have.
    pub(super) fn has_more(&self) -> bool {
        [&self.months, &self.conditions, &self.tiers]
            .into_iter()
            .chain([&self.partner_amount, &self.partner_count, &self.customer_amount, &self.customer_count])
            .any(|text| !text.is_empty())
    }

    fn of(rule: &Rule) -> Self {
        let (kind, reward) = match &rule.reward {
            Some(Reward::Fixed(fixed)) => ("fixed", fixed.clone()),
            Some(Reward::Percent(percent)) => ("percent", percent.clone()),
            None => ("percent", String::new()),
        };
        let tier = |tier: &Tier| format!("{}: {}", tier.volume, tier.reward);
        let cap = |cap: &Option<Cap>| {
            cap.as_ref().map_or_else(Default::default, |cap| (cap.amount.clone(), some(cap.count)))
        };
        let ((partner_amount, partner_count), (customer_amount, customer_count)) =
            (cap(&rule.partner_cap), cap(&rule.customer_cap));
        Self {
            trigger: rule.trigger.clone(),
            event_type: rule.event_type.clone(),
            kind: kind.to_owned(),
            reward,
            currency: rule.currency.clone(),
            months: some(rule.months),
            conditions: rule.conditions.iter().map(condition).collect::<Vec<_>>().join("\n"),
            tiers: rule.tiers.iter().map(tier).collect::<Vec<_>>().join("\n"),
            partner_amount,
            partner_count,
            customer_amount,
            customer_count,
        }
    }

    fn read(form: &Pairs, at: usize) -> Self {
        let field = |name: &str| one(form, &format!("r{at}.{name}")).replace('\r', "");
        Self {
            trigger: field("trigger"),
            event_type: field("event_type"),
            kind: field("kind"),
            reward: field("reward"),
            currency: field("currency").to_uppercase(),
            months: field("months"),
            conditions: field("conditions"),
            tiers: field("tiers"),
            partner_amount: field("partner_amount"),
            partner_count: field("partner_count"),
            customer_amount: field("customer_amount"),
            customer_count: field("customer_count"),
        }
    }

    fn to_wire(&self) -> Result<Rule, Failure> {
        let reward = self.reward.trim_end_matches('%').trim().to_owned();
        let lines = |text: &'_ str| -> Vec<String> {
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
        };
        let cap = |amount: &String, count: &str| -> Result<Option<Cap>, Failure> {
            let count = whole(count, "how often a rule pays at most")?;
            let is_set = count > 0 || !amount.is_empty();
            let currency = if amount.is_empty() { String::new() } else { self.currency.clone() };
            Ok(is_set.then(|| Cap { amount: amount.clone(), currency, count }))
        };
        Ok(Rule {
            trigger: self.trigger.clone(),
            event_type: self.event_type.clone(),
            reward: Some(if self.is_percent() { Reward::Percent(reward) } else { Reward::Fixed(reward) }),
            currency: self.currency.clone(),
            months: whole(&self.months, "the months")?,
            conditions: lines(&self.conditions)
                .iter()
                .map(|line| read_condition(line))
                .collect::<Result<_, _>>()?,
            tiers: lines(&self.tiers).iter().map(|line| self.read_tier(line)).collect::<Result<_, _>>()?,
            partner_cap: cap(&self.partner_amount, &self.partner_count)?,
            customer_cap: cap(&self.customer_amount, &self.customer_count)?,
        })
    }

    fn read_tier(&self, line: &str) -> Result<Tier, Failure> {
        let (volume, reward) = line.split_once(':').ok_or_else(|| {
            Failure::invalid(
                "tier_malformed",
                format!("Write the tier “{line}” as 10000: 25, the volume and what it pays."),
            )
        })?;
        Ok(Tier {
            volume: volume.trim().to_owned(),
            currency: self.currency.clone(),
            reward: reward.trim().trim_end_matches('%').trim().to_owned(),
        })
    }
}

fn read_condition(line: &str) -> Result<Condition, Failure> {
    if let Some(field) = line.strip_suffix(" exists") {
        return Ok(Condition {
            field: field.trim().to_owned(),
            operator: "exists".to_owned(),
            value: String::new(),
        });
    }
    // The sign that comes first is the operator; what follows may hold another.
    let found = OPERATORS
        .iter()
        .filter_map(|(sign, operator)| line.find(sign).map(|at| (at, *sign, *operator)))
        .min_by_key(|(at, sign, _)| (*at, std::cmp::Reverse(sign.len())));
    let (at, sign, operator) = found.filter(|(at, ..)| *at > 0).ok_or_else(|| {
        let message = format!("Write the condition “{line}” as plan = pro, seats >= 10 or plan exists.");
        Failure::invalid("condition_malformed", message)
    })?;
    Ok(Condition {
        field: line[..at].trim().to_owned(),
        operator: operator.to_owned(),
        value: line[at + sign.len()..].trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_by_their_first_sign() {
        for (line, read) in [
            ("plan = pro", ("plan", "equals", "pro")),
            ("seats>=10", ("seats", "at_least", "10")),
            ("seats <= 10", ("seats", "at_most", "10")),
            ("plan != a=b", ("plan", "not_equals", "a=b")),
            ("formula = a>=b", ("formula", "equals", "a>=b")),
            ("plan exists", ("plan", "exists", "")),
        ] {
            let Condition { field, operator, value } = read_condition(line).unwrap();
            assert_eq!((field.as_str(), operator.as_str(), value.as_str()), read, "{line}");
        }
        for line in ["plan", "= pro", ""] {
            assert_eq!(read_condition(line).unwrap_err().code, "condition_malformed");
        }
    }

    #[test]
    fn rules_are_added_and_taken_away_by_their_buttons() {
        let rule = |event: &str| RuleDraft { event_type: event.to_owned(), ..RuleDraft::fresh() };
        let mut terms = TermsDraft { rules: vec![rule("a"), rule("b")], ..TermsDraft::default() };
        assert!(terms.was_reshaped(&["remove.0".to_owned()]));
        assert_eq!(terms.rules, [rule("b")]);
        assert!(terms.was_reshaped(&["add".to_owned()]));
        assert_eq!(terms.rules, [rule("b"), RuleDraft::fresh()]);
        for action in ["save", "remove.7", "remove.x"] {
            assert!(!terms.was_reshaped(&[action.to_owned()]), "{action}");
        }
    }
}
