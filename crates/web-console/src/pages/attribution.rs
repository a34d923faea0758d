//! Partner programs: what brings customers, what it pays, and to whom. Their pages share these words.

pub(crate) mod commissions;
pub(crate) mod conversion_rules;
pub(crate) mod crm;
mod earnings;
pub(crate) mod events;
pub(crate) mod guards;
pub(crate) mod ingest;
pub(crate) mod ledger;
pub(crate) mod model_change;
pub(crate) mod partner;
pub(crate) mod partners;
pub(crate) mod payouts;
pub(crate) mod program;
pub(crate) mod program_form;
pub(crate) mod programs;
mod recipes;
pub(crate) mod review;
mod rule_form;
mod test_event;
pub(crate) mod webhooks;

use std::collections::{BTreeSet, HashMap};

use futures::{StreamExt, TryStreamExt, stream};
use proto::attribution::{
    Cap, Condition, GetPartnerRequest, ListProgramsRequest, Money, Program, Rule, Tier, rule::Reward,
};
use tonic::Code;

use crate::{app::App, failure::Failure, sample, session::Visitor, ui};

/// Partners that are asked for at once.
const AT_ONCE: usize = 16;

/// The names of partners by their ids.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(HashMap<String, String>);

impl Names {
    /// The names of these partners.
    pub(crate) async fn load(app: &App, visitor: &Visitor, ids: BTreeSet<String>) -> Result<Self, Failure> {
        let ids = ids.into_iter().filter(|id| !id.is_empty());
        let names = stream::iter(ids.map(|id| name(app.clone(), visitor.clone(), id)).collect::<Vec<_>>());
        let names: Vec<_> = names.buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(Self(names.into_iter().flatten().collect()))
    }

    pub(crate) fn sample() -> Self {
        Self([1, 2].map(sample::partner).map(|partner| (partner.id, partner.name)).into())
    }

    /// What this partner is called.
    pub(crate) fn name(&self, id: &str) -> String {
        self.0.get(id).cloned().unwrap_or_else(|| format!("Partner …{}", ui::short(id)))
    }
}

/// The partner's id and name; none where there is no such partner.
async fn name(app: App, visitor: Visitor, partner_id: String) -> Result<Option<(String, String)>, Failure> {
    let request = visitor.ask(GetPartnerRequest { partner_id })?;
    match app.rooms().attribution().get_partner(request).await {
        Ok(partner) => {
            let partner = partner.into_inner();
            Ok(Some((partner.id, partner.name)))
        }
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status.into()),
    }
}

/// All programs, newest first.
pub(crate) async fn all_programs(app: &App, visitor: &Visitor) -> Result<Vec<Program>, Failure> {
    let request = visitor.ask(ListProgramsRequest {})?;
    Ok(app.rooms().attribution().list_programs(request).await?.into_inner().programs)
}

/// The address of a list, narrowed by what its filter says.
pub(crate) fn address(path: &str, filter: &impl serde::Serialize) -> String {
    match serde_urlencoded::to_string(filter) {
        Ok(query) if !query.is_empty() => format!("{path}?{query}"),
        _ => path.to_owned(),
    }
}

/// The models of attribution, each with what it does.
pub(crate) const MODELS: &[(&str, &str, &str)] = &[
    ("last_click", "Last click", "all to the last click before the sale"),
    ("first_click", "First click", "all to the first click"),
    ("linear", "Linear", "every click the same share"),
    ("position", "Position", "40% to the first, 40% to the last, the rest between them"),
    ("time_decay", "Time decay", "the nearer to the sale the more; half for each 7 days before"),
];

/// A model in words.
pub(crate) fn model(name: &str) -> String {
    MODELS.iter().find(|(known, ..)| *known == name).map_or_else(
        || if name.is_empty() { "Last click".to_owned() } else { ui::spaced(name) },
        |(_, label, _)| (*label).to_owned(),
    )
}

/// An amount of money in words.
pub(crate) fn money(money: &Option<Money>) -> String {
    money.as_ref().map_or_else(|| "—".to_owned(), |money| ui::amount(&money.amount, &money.currency))
}

/// Several amounts of money, one for each currency.
pub(crate) fn sums(sums: &[Money]) -> String {
    if sums.is_empty() {
        return "—".to_owned();
    }
    sums.iter().map(|money| ui::amount(&money.amount, &money.currency)).collect::<Vec<_>>().join(" · ")
}

/// Why a conversion event is attributed to nobody, and what repairs it.
pub(crate) fn reason(code: &str) -> (&'static str, &'static str) {
    match code {
        "no_identity" => (
            "No identity: nobody said which click this user came from.",
            "Call identify with exactly this user ID, at signup or now. The event is then attributed by itself.",
        ),
        "click_flagged" => (
            "The clicks of this user are flagged as fraud.",
            "Clear a click that was flagged by mistake. The event is then attributed by itself.",
        ),
        "partner_revoked" => (
            "The partner was revoked when this happened.",
            "A partner who is reinstated earns what happens from then on.",
        ),
        "no_terms" => (
            "The program had not begun, or was over, when this happened.",
            "Change the program's dates, where the deal should count.",
        ),
        "click_later" => (
            "The user clicked only after this happened.",
            "Send the time of the conversion in “ts” where the event was sent late.",
        ),
        "click_too_old" => {
            ("The click is older than the program's window.", "A longer window pays for events from then on.")
        }
        _ => ("Attributed to nobody.", "Look at the user's clicks and identifies."),
    }
}

/// Why a commission has its status.
pub(crate) fn because(code: &str) -> String {
    match code {
        "attributed" => "attributed to the partner".to_owned(),
        "approved_by_hand" => "somebody approved it".to_owned(),
        "approved_at_maturity" => "the hold period is over".to_owned(),
        "paid_out" => "a payout took it".to_owned(),
        "clawed_back" => "taken back from the next payout".to_owned(),
        "reversed_by_hand" => "somebody reversed it".to_owned(),
        "event_void" => "the deal is no longer won".to_owned(),
        "click_flagged" => "the click was flagged as fraud".to_owned(),
        "capped" => "a limit of the program is reached".to_owned(),
        "replaced" => "the event is attributed otherwise now".to_owned(),
        other => ui::spaced(other).to_lowercase(),
    }
}

/// What a rule pays, in one sentence.
pub(crate) fn rule(rule: &Rule) -> String {
    let reward = |decimal: &str, is_percent: bool| {
        if is_percent { format!("{decimal}%") } else { ui::amount(decimal, &rule.currency) }
    };
    let (decimal, is_percent) = match &rule.reward {
        Some(Reward::Percent(percent)) => (percent.as_str(), true),
        Some(Reward::Fixed(fixed)) => (fixed.as_str(), false),
        None => ("", false),
    };
    let event = if rule.event_type.is_empty() { "event" } else { rule.event_type.as_str() };
    let which = match rule.trigger.as_str() {
        "first" => format!("a customer's first {event}"),
        "subsequent" => format!("each {event} of a customer after the first"),
        _ => format!("each {event}"),
    };
    let mut words =
        format!("{} {} {which}", reward(decimal, is_percent), if is_percent { "of" } else { "for" });
    if rule.months > 0 {
        words += &format!(", for {}", ui::count(&rule.months.into(), "month", "months"));
    }
    if !rule.conditions.is_empty() {
        let all: Vec<String> = rule.conditions.iter().map(condition).collect();
        words += &format!(", where {}", all.join(" and "));
    }
    for Tier { volume, currency, reward: tier } in &rule.tiers {
        words += &format!("; {} from {} a month on", reward(tier, is_percent), ui::amount(volume, currency));
    }
    for (limit, whom) in [(&rule.partner_cap, "partner"), (&rule.customer_cap, "customer")] {
        let limit = limit.as_ref().map(cap).unwrap_or_default();
        if !limit.is_empty() {
            words += &format!("; at most {limit} per {whom}");
        }
    }
    words
}

fn cap(cap: &Cap) -> String {
    let count = (cap.count > 0).then(|| ui::count(&cap.count.into(), "time", "times"));
    let amount = (!cap.amount.is_empty()).then(|| ui::amount(&cap.amount, &cap.currency));
    amount.into_iter().chain(count).collect::<Vec<_>>().join(" and ")
}

/// A condition as it is written in a form, `plan = pro`.
pub(crate) fn condition(condition: &Condition) -> String {
    let Condition { field, operator, value } = condition;
    match operator.as_str() {
        "exists" => format!("{field} exists"),
        name => {
            let sign = OPERATORS.iter().find(|(_, known)| *known == name).map_or(name, |(sign, _)| sign);
            format!("{field} {sign} {value}")
        }
    }
}

/// How conditions are written, the longest signs first.
pub(crate) const OPERATORS: &[(&str, &str)] =
    &[(">=", "at_least"), ("<=", "at_most"), ("!=", "not_equals"), ("=", "equals")];
