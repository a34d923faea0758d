use jiff::Timestamp;
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;
use crate::domain::mapping::{Direction, Policy};

const TYPES: [FieldType; 14] = [
    FieldType::Text,
    FieldType::Email,
    FieldType::Phone,
    FieldType::Url,
    FieldType::Number,
    FieldType::Currency,
    FieldType::Percent,
    FieldType::Boolean,
    FieldType::Date,
    FieldType::DateTime,
    FieldType::Picklist,
    FieldType::MultiPicklist,
    FieldType::Reference,
    FieldType::User,
];

fn field(name: &str, field_type: FieldType, options: &[(&str, &str)]) -> FieldSchema {
    let option = |(value, label): &(&str, &str)| PicklistOption {
        value: (*value).to_owned(),
        label: (*label).to_owned(),
    };
    FieldSchema {
        name: name.to_owned(),
        label: name.to_owned(),
        field_type,
        description: String::new(),
        options: options.iter().map(option).collect(),
        read_only: false,
        required: false,
        unique: false,
        custom: false,
        references: None,
    }
}

fn pair(canonical: FieldSchema, vendor: FieldSchema) -> FieldPair {
    FieldPair { canonical, vendor, direction: Direction::Bidirectional, policy: Policy::Newest, pii: false }
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        ".*".prop_map(Value::text),
        "(yes|NO|1|-0|1e5|2024-02-30|2024-01-31|2024-01-31T23:00:00Z|NaN|9{1,60})".prop_map(Value::text),
        (any::<i64>(), 0_u32..28).prop_map(|(n, scale)| Value::Number(Decimal::new(n, scale))),
        (-9_999_i16..9999, 1_i8..13, 1_i8..29).prop_map(|(y, m, d)| Value::Date(jiff::civil::date(y, m, d))),
        any::<i64>().prop_map(|ms| Value::DateTime(Timestamp::from_millisecond(ms).unwrap_or_default())),
        proptest::collection::vec("[a-zA-Z ]{0,4}", 0..4).prop_map(Value::list),
    ]
}

fn any_field() -> impl Strategy<Value = FieldSchema> {
    (0..TYPES.len(), any::<bool>()).prop_map(|(which, limited)| {
        let options: &[(&str, &str)] = if limited { &[("a", "A a"), ("b_b", "B"), ("c", "")] } else { &[] };
        field("x", TYPES[which], options)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_value_makes_a_transform_panic_and_a_blank_stays_one(
        ours in any_field(), theirs in any_field(), value in any_value(),
    ) {
        let pair = pair(ours, theirs);
        let _ = outbound(&pair, value.clone());
        let _ = inbound(&pair, value);
        prop_assert_eq!(inbound(&pair, Value::Null), Ok(Value::Null));
        prop_assert_eq!(outbound(&pair, Value::text("")), Ok(Value::Null));
    }

    #[test]
    fn a_value_that_went_there_and_back_settles(ours in any_field(), theirs in any_field(), value in any_value()) {
        let pair = pair(ours, theirs);
        let Ok(first) = inbound(&pair, value) else { return Ok(()) };
        let there = |value: Value| outbound(&pair, value).ok().and_then(|value| inbound(&pair, value).ok());
        let second = there(first);
        if let Some(third) = second.clone().and_then(there) {
            prop_assert_eq!(Some(third), second, "one exchange is enough");
        }
    }

    #[test]
    fn what_does_not_fit_is_named_without_its_value(ours in any_field(), text in "[A-Z]{12}") {
        let pair = pair(ours, field("theirs", FieldType::Text, &[]));
        if let Err(unfit) = inbound(&pair, Value::text(text.as_str())) {
            prop_assert!(!unfit.to_string().contains(&text));
        }
    }
}

#[test]
fn a_picklist_is_mapped_value_by_value_by_name_or_label_on_either_side() {
    let ours =
        field("stage", FieldType::Picklist, &[("new business", "New Business"), ("renewal", "Renewal")]);
    let theirs = field(
        "dealtype",
        FieldType::Picklist,
        &[("newbusiness", "New"), ("4711", "Renewal"), ("x", "Other")],
    );
    let pair = pair(ours, theirs);
    for (there, here) in [("newbusiness", "new business"), ("4711", "renewal")] {
        assert_eq!(inbound(&pair, Value::text(there)), Ok(Value::text(here)));
        assert_eq!(outbound(&pair, Value::text(here)), Ok(Value::text(there)));
    }
    assert_eq!(inbound(&pair, Value::text("x")), Err(Unfit::Option { field: "stage".to_owned() }));
    assert_eq!(outbound(&pair, Value::text("gone")), Err(Unfit::Option { field: "dealtype".to_owned() }));
}

#[test]
fn a_moment_in_a_day_field_is_its_day_and_a_number_in_a_text_is_a_number() {
    let day = pair(field("close", FieldType::Date, &[]), field("closedate", FieldType::DateTime, &[]));
    let moment = Value::DateTime("2024-01-31T23:30:00Z".parse().unwrap());
    assert_eq!(inbound(&day, moment), Ok(Value::Date(jiff::civil::date(2024, 1, 31))));
    let number = pair(field("year", FieldType::Number, &[]), field("founded_year", FieldType::Text, &[]));
    assert_eq!(inbound(&number, Value::text(" 1999 ")), Ok(Value::Number(1999.into())));
    assert_eq!(outbound(&number, Value::Number(1999.into())), Ok(Value::text("1999")));
}
