//! What is told of a record that meets a rule and has no event: why, and what repairs it. Pure.

use std::collections::BTreeMap;

use model::Value;

use super::{
    decide::{Why, amount, currency, told},
    spec::{Spec, User},
};
use crate::{domain::money::Money, text};

/// How much of what a field holds is told again, in characters.
const TOLD: usize = 60;

/// Why a record waits, for people.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Explained {
    /// In major units; empty where it is not known.
    pub(crate) value: String,
    /// Empty where the record tells one that is none.
    pub(crate) currency: &'static str,
    pub(crate) message: String,
    pub(crate) repair: String,
}

/// Says why a record waits, by what the rule says and what is known of the record.
pub(crate) fn explain(spec: &Spec, fields: &BTreeMap<String, Value>, why: Why) -> Explained {
    let amount = amount(spec, fields).ok().flatten();
    let (value, currency) = match (amount, currency(spec, fields)) {
        (None, Ok(currency)) => (String::new(), currency.code()),
        (Some(amount), Ok(currency)) => {
            let value = Money::try_new(amount, currency).map(|money| text::amount(money.minor(), currency));
            (value.unwrap_or_default(), currency.code())
        }
        (amount, Err(_)) => (amount.map(|amount| amount.to_string()).unwrap_or_default(), ""),
    };
    let (message, repair) = sentences(spec, fields, why);
    Explained { value, currency, message, repair }
}

fn sentences(spec: &Spec, fields: &BTreeMap<String, Value>, why: Why) -> (String, String) {
    let correct = |field: &Option<String>, wanted: &str| {
        let held = told(field.as_ref(), fields).map(ToString::to_string).unwrap_or_default();
        let (field, held) =
            (field.as_deref().unwrap_or_default(), held.chars().take(TOLD).collect::<String>());
        (
            format!("Its field {field} holds “{held}”, which is no {wanted}."),
            format!("Correct {field} in the CRM. The event is recorded by itself then."),
        )
    };
    match (why, &spec.user) {
        (Why::NoUser, User::Field(field)) => (
            format!("Its field {field} is empty, or what it holds is no user ID."),
            format!("Fill in {field} in the CRM. The event is recorded by itself then."),
        ),
        (Why::NoUser, User::ContactEmail) => (
            "None of its contacts has an e-mail address.".to_owned(),
            "Give it a contact with an e-mail address in the CRM. The event is recorded when it changes next.".to_owned(),
        ),
        (Why::Value, _) => correct(&spec.value_field, "amount of money"),
        (Why::Currency, _) => correct(&spec.currency_field, "currency of ISO 4217"),
        (Why::Incomplete, _) => (
            "Some of the fields that the rule reads are not known yet.".to_owned(),
            "It is being read. Where that lasts, look whether the connection works.".to_owned(),
        ),
    }
}
