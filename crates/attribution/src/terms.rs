//! Terms as they are sent and stored, and as the domain reads them.

use proto::attribution as wire;

use crate::{
    domain::{
        money::{Currency, Percent},
        terms::{Cap, Condition, Reward, Rule, Terms, Tier},
    },
    error::Refusal,
    text,
};

const USUAL_WINDOW_DAYS: u32 = 60;
const LONGEST_NAME: usize = 255;

/// Reads terms; the answer names what cannot hold.
pub(crate) fn from_wire(terms: &wire::Terms) -> Result<Terms, Refusal> {
    let days = |field, days: u32| {
        u16::try_from(days).map_err(|_| refused(field, "terms_invalid", format!("{field} is too large.")))
    };
    let window = if terms.window_days == 0 { USUAL_WINDOW_DAYS } else { terms.window_days };
    let model = if terms.model.is_empty() { "last_click" } else { &terms.model };
    let read = Terms {
        window_days: days("window_days", window)?,
        model: model.parse().map_err(|_| refused("model", "model_invalid", "There is no such model."))?,
        hold_days: days("hold_days", terms.hold_days)?,
        rules: terms.rules.iter().map(rule).collect::<Result<_, _>>()?,
    };
    read.check().map_err(|error| refused("terms", "terms_invalid", format!("{error}.")))?;
    Ok(read)
}

fn refused(field: &'static str, code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal::invalid(field, code, message)
}

fn rule(rule: &wire::Rule) -> Result<Rule, Refusal> {
    let currency = text::currency("currency", &rule.currency)?;
    let trigger = if rule.trigger.is_empty() { "every" } else { &rule.trigger };
    let months =
        u16::try_from(rule.months).map_err(|_| refused("months", "terms_invalid", "months is too large."))?;
    let event_type = text::optional("event_type", &rule.event_type, LONGEST_NAME)?;
    let reward = match &rule.reward {
        Some(wire::rule::Reward::Percent(percent)) => Reward::Percent(self::percent(percent)?),
        Some(wire::rule::Reward::Fixed(fixed)) => Reward::Fixed(text::money("fixed", fixed, currency)?),
        None => {
            return Err(refused("reward", "terms_invalid", "A rule needs a percentage or a fixed amount."));
        }
    };
    Ok(Rule {
        trigger: trigger.parse().map_err(|_| {
            refused("trigger", "terms_invalid", "trigger must be every, first or subsequent.")
        })?,
        event_type: (!event_type.is_empty()).then(|| event_type.into()),
        reward,
        months: (months > 0).then_some(months),
        conditions: rule.conditions.iter().map(condition).collect::<Result<_, _>>()?,
        tiers: rule.tiers.iter().map(|step| tier(step, reward, currency)).collect::<Result<_, _>>()?,
        partner_cap: cap(rule.partner_cap.as_ref())?,
        customer_cap: cap(rule.customer_cap.as_ref())?,
    })
}

fn percent(text: &str) -> Result<Percent, Refusal> {
    Percent::try_new(text::decimal("percent", text)?)
        .map_err(|error| refused("percent", "percent_invalid", format!("{error}.")))
}

fn condition(condition: &wire::Condition) -> Result<Condition, Refusal> {
    let operator = condition.operator.parse();
    Ok(Condition {
        field: text::required("field", &condition.field, LONGEST_NAME)?.into(),
        operator: operator
            .map_err(|_| refused("operator", "terms_invalid", "There is no such operator of conditions."))?,
        value: text::optional("value", &condition.value, LONGEST_NAME)?.into(),
    })
}

/// A tier's reward is of the same kind as its rule's.
fn tier(tier: &wire::Tier, reward: Reward, currency: Currency) -> Result<Tier, Refusal> {
    let reward = match reward {
        Reward::Percent(_) => Reward::Percent(percent(&tier.reward)?),
        Reward::Fixed(_) => Reward::Fixed(text::money("reward", &tier.reward, currency)?),
    };
    let volume = text::money("volume", &tier.volume, text::currency("currency", &tier.currency)?)?;
    Ok(Tier { volume, reward })
}

fn cap(cap: Option<&wire::Cap>) -> Result<Cap, Refusal> {
    let Some(cap) = cap else { return Ok(Cap::default()) };
    let amount = if cap.amount.is_empty() {
        None
    } else {
        Some(text::money("amount", &cap.amount, text::currency("currency", &cap.currency)?)?)
    };
    Ok(Cap { amount, count: (cap.count > 0).then_some(cap.count) })
}
