//! What people ask to change of a mapping, checked against the schemas of both sides.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use model::{FieldSchema, ObjectSchema};

use crate::{
    Error,
    domain::{
        filter::{Filter, Side},
        mapping::{Direction, FieldMapping, FieldState, Policy, Settings},
        rule::{Blank, DeletePolicy, Transform, ValuePair},
    },
    error::Refusal,
};

/// A change of one field mapping.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldWish {
    /// `confirm`, `choose`, `ignore`, `unmap` or `settings`.
    pub(crate) action: String,
    pub(crate) vendor_field: String,
    pub(crate) direction: Option<Option<Direction>>,
    pub(crate) policy: Option<Policy>,
    pub(crate) pii: Option<bool>,
    pub(crate) blank: Option<Blank>,
    pub(crate) transforms: Option<Vec<Transform>>,
    pub(crate) values: Option<Vec<ValuePair>>,
}

/// A change of an object mapping's settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct MappingWish {
    pub(crate) direction: Option<Direction>,
    pub(crate) default_policy: Option<Policy>,
    pub(crate) match_keys: Vec<String>,
    pub(crate) confirm_all: bool,
    pub(crate) delete_policy: Option<DeletePolicy>,
    /// The whole filter; without conditions there is none.
    pub(crate) filter: Option<Filter>,
    /// An empty name means UTC.
    pub(crate) time_zone: Option<String>,
}

/// Settings that changed: before and after, by name.
pub(super) type Changed = BTreeMap<String, (String, String)>;

/// The most transforms, value pairs and conditions of one field or filter.
const MOST: usize = 500;

/// The longest text in a rule or a condition, in bytes.
const LONGEST: usize = 500;

pub(super) fn object_gone() -> Error {
    Error::refused(Refusal::NotReady, "vendor_object_gone", "the vendor no longer has this object")
}

pub(super) fn check_choice(
    settings: &Settings,
    vendor: &ObjectSchema,
    name: &str,
    choice: &str,
) -> Result<(), Error> {
    if vendor.field(choice).is_none() {
        return Err(Error::invalid_field(
            "vendor_field_unknown",
            "vendor_field",
            "the vendor has no such field",
        ));
    }
    let other =
        settings.fields.iter().find(|(other, field)| *other != name && field.effective() == Some(choice));
    if let Some((other, _)) = other {
        let message = format!("it is mapped to {other} already; unmap that first");
        return Err(Error::invalid_field("vendor_field_taken", "vendor_field", message));
    }
    Ok(())
}

/// A vendor field that somebody chose is no suggestion for another field any more.
pub(super) fn drop_suggestions(settings: &mut Settings, name: &str, chosen: &str) {
    for (other, field) in &mut settings.fields {
        let same = field.vendor_field.as_deref() == Some(chosen);
        if same && other != name && field.state == FieldState::Suggested {
            (field.vendor_field, field.state) = (None, FieldState::Unmapped);
        }
    }
}

pub(super) fn apply_wish(field: &mut FieldMapping, wish: &FieldWish) -> Result<&'static str, Error> {
    let action = match wish.action.as_str() {
        "confirm" if field.vendor_field.is_none() => {
            return Err(Error::invalid_field(
                "nothing_to_confirm",
                "action",
                "nothing is suggested for this field",
            ));
        }
        "confirm" => {
            field.state = FieldState::Confirmed;
            "field_confirmed"
        }
        "choose" => {
            field.vendor_field = Some(wish.vendor_field.clone());
            field.state = FieldState::Confirmed;
            field.confidence = 1.0;
            field.evidence = vec!["somebody chose it".to_owned()];
            "field_chosen"
        }
        "ignore" => {
            field.state = FieldState::Ignored;
            field.vendor_field = None;
            "field_ignored"
        }
        "unmap" => {
            field.state = FieldState::Unmapped;
            field.vendor_field = None;
            "field_unmapped"
        }
        "settings" => "field_settings",
        _ => {
            let message = "expected confirm, choose, ignore, unmap or settings";
            return Err(Error::invalid_field("action_unknown", "action", message));
        }
    };
    if let Some(direction) = wish.direction {
        field.direction = direction;
    }
    if let Some(policy) = wish.policy {
        field.policy = Some(policy);
    }
    if let Some(pii) = wish.pii {
        field.pii = pii;
    }
    if let Some(blank) = wish.blank {
        field.blank = Some(blank).filter(|blank| *blank != Blank::Wins);
    }
    if let Some(transforms) = &wish.transforms {
        field.transforms.clone_from(transforms);
    }
    if let Some(values) = &wish.values {
        field.values.clone_from(values);
    }
    Ok(action)
}

pub(super) fn describe(field: &FieldMapping) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("vendor_field", field.vendor_field.clone().unwrap_or_default()),
        ("state", field.state.name().to_owned()),
        ("direction", field.direction.map_or_else(String::new, |direction| direction.name().to_owned())),
        ("policy", field.policy.map_or_else(String::new, |policy| policy.name().to_owned())),
        ("pii", field.pii.to_string()),
        ("blank_rule", field.blank.unwrap_or(Blank::Wins).name().to_owned()),
        ("transforms", field.transforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        (
            "values",
            field.values.iter().map(|p| format!("{} = {}", p.ours, p.theirs)).collect::<Vec<_>>().join(", "),
        ),
    ])
}

/// A setting as an event tells it: the beginning of a long one.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 4_000;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

pub(super) fn differences(
    before: &BTreeMap<&'static str, String>,
    after: &BTreeMap<&'static str, String>,
) -> Changed {
    before
        .iter()
        .zip(after.values())
        .filter(|((_, before), after)| before != after)
        .map(|((name, before), after)| ((*name).to_owned(), (shortened(before), shortened(after))))
        .collect()
}
/// Changes what the wish names besides the confirmation of all fields; tells what it was and is.
pub(super) fn set(
    settings: &mut Settings,
    match_keys: &[&str],
    wish: &MappingWish,
    canonical: &ObjectSchema,
    vendor: Option<&ObjectSchema>,
) -> Result<Changed, Error> {
    let before = describe_settings(settings);
    if let Some(direction) = wish.direction {
        settings.direction = direction;
    }
    if let Some(policy) = wish.default_policy {
        settings.default_policy = policy;
    }
    if let Some(bad) = wish.match_keys.iter().find(|key| !match_keys.contains(&key.as_str())) {
        let message = format!("{bad} is no match key; {} are", match_keys.join(", "));
        return Err(Error::invalid_field("match_key_unknown", "match_keys", message));
    }
    if !wish.match_keys.is_empty() {
        settings.match_keys.clone_from(&wish.match_keys);
    }
    if let Some(policy) = wish.delete_policy {
        settings.delete_policy = policy;
    }
    if let Some(filter) = &wish.filter {
        check_filter(filter, canonical, vendor)?;
        settings.filter = Some(filter.clone()).filter(|filter| !filter.conditions.is_empty());
    }
    if let Some(zone) = &wish.time_zone {
        if !zone.is_empty() && TimeZone::get(zone).is_err() {
            let message = "expected a name of the time zone database, like Europe/Berlin";
            return Err(Error::invalid_field("time_zone_unknown", "time_zone", message));
        }
        settings.time_zone = Some(zone.clone()).filter(|zone| !zone.is_empty());
    }
    Ok(differences(&before, &describe_settings(settings)))
}

fn check_filter(
    filter: &Filter,
    canonical: &ObjectSchema,
    vendor: Option<&ObjectSchema>,
) -> Result<(), Error> {
    if filter.conditions.len() > MOST {
        return Err(Error::invalid_field("filter_too_long", "filter", "a filter has at most 500 conditions"));
    }
    for condition in &filter.conditions {
        if condition.value.len() > LONGEST {
            let message = "the value of a condition has at most 500 bytes";
            return Err(Error::invalid_field("filter_too_long", "filter", message));
        }
        let known = match condition.side {
            Side::Here => canonical.field(&condition.field).is_some(),
            Side::There => vendor.is_some_and(|vendor| vendor.field(&condition.field).is_some()),
        };
        if !known {
            let message = format!("there is no field {} {}", condition.field, condition.side.name());
            return Err(Error::invalid_field("filter_field_unknown", "filter", message));
        }
    }
    Ok(())
}

pub(super) fn describe_settings(settings: &Settings) -> BTreeMap<&'static str, String> {
    let filter = settings.filter.as_ref().map_or_else(String::new, |filter| {
        let conditions: Vec<String> = filter.conditions.iter().map(ToString::to_string).collect();
        conditions.join(if filter.any { " or " } else { " and " })
    });
    BTreeMap::from([
        ("direction", settings.direction.name().to_owned()),
        ("default_policy", settings.default_policy.name().to_owned()),
        ("match_keys", settings.match_keys.join(",")),
        ("delete_policy", settings.delete_policy.name().to_owned()),
        ("filter", filter),
        ("time_zone", settings.time_zone.clone().unwrap_or_default()),
    ])
}

/// Checks a field's transforms and value map against both sides.
pub(super) fn check_rules(
    wish: &FieldWish,
    canonical: &ObjectSchema,
    vendor: &ObjectSchema,
    name: &str,
    theirs: Option<&str>,
) -> Result<(), Error> {
    for transform in wish.transforms.iter().flatten() {
        let side = if matches!(transform, Transform::TemplateThere(_)) { canonical } else { vendor };
        if let Some(unknown) =
            transform.template_fields().into_iter().find(|field| side.field(field).is_none())
        {
            let message = format!("the template names {unknown}, which is no field of {}", side.label);
            return Err(Error::invalid_field("template_field_unknown", "transforms", message));
        }
    }
    let is_long = |text: &str| text.len() > LONGEST;
    let too_long = wish.transforms.iter().flatten().any(|transform| is_long(&transform.to_string()))
        || wish.values.iter().flatten().any(|pair| is_long(&pair.ours) || is_long(&pair.theirs));
    if too_long {
        let message = "a transform and either side of a pair of values have at most 500 bytes";
        return Err(Error::invalid_field("rules_too_long", "transforms", message));
    }
    let too_many = wish.transforms.as_ref().is_some_and(|all| all.len() > 10)
        || wish.values.as_ref().is_some_and(|all| all.len() > MOST);
    if too_many {
        let message = "a field has at most 10 transforms and 500 pairs of values";
        return Err(Error::invalid_field("rules_too_many", "transforms", message));
    }
    let no_option = |field: Option<&FieldSchema>, value: &str| {
        field.is_some_and(|f| !f.options.is_empty() && !f.options.iter().any(|option| option.value == value))
    };
    let theirs = theirs.and_then(|theirs| vendor.field(theirs));
    for pair in wish.values.iter().flatten() {
        if pair.ours.is_empty() || pair.theirs.is_empty() {
            return Err(Error::invalid_field("value_blank", "values", "both sides of a pair have a value"));
        }
        let unknown = if no_option(canonical.field(name), &pair.ours) {
            &pair.ours
        } else if no_option(theirs, &pair.theirs) {
            &pair.theirs
        } else {
            continue;
        };
        let message = format!("{unknown} is no option");
        return Err(Error::invalid_field("value_unknown", "values", message));
    }
    Ok(())
}
