use jiff::Timestamp;
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;
use crate::domain::rule::Transform;

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
    FieldPair::plain(canonical, vendor)
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

fn any_transforms() -> impl Strategy<Value = Vec<Transform>> {
    let lines = [
        "trim",
        "lower",
        "upper",
        "scale 2",
        "scale -2",
        "scale 12",
        "round 0",
        "round 2",
        "currency EUR",
        "currency JPY",
        "boolean Yes/No",
        "join ;",
        "join , ",
        "time_zone Europe/Berlin",
        "time_zone Pacific/Apia",
    ];
    proptest::collection::vec(proptest::sample::select(lines.to_vec()), 0..3)
        .prop_map(|lines| lines.iter().map(|line| line.parse().unwrap()).collect())
}

fn any_values() -> impl Strategy<Value = Vec<ValuePair>> {
    let way = |(ours, theirs): (String, String)| ValuePair { ours, theirs };
    proptest::collection::vec(("[abAB]{1,2}", "[abAB]{1,2}").prop_map(way), 0..4)
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
        ours in any_field(), theirs in any_field(), value in any_value(), transforms in any_transforms(),
        values in any_values(),
    ) {
        let pair = FieldPair { transforms, values, ..pair(ours, theirs) };
        let _ = outbound(&pair, value.clone());
        let _ = inbound(&pair, value);
        prop_assert_eq!(inbound(&pair, Value::Null), Ok(Value::Null));
        prop_assert_eq!(outbound(&pair, Value::text("")), Ok(Value::Null));
    }

    #[test]
    fn a_value_that_went_there_and_back_settles(
        ours in any_field(), theirs in any_field(), value in any_value(), transforms in any_transforms(),
        values in any_values(),
    ) {
        let pair = FieldPair { transforms, values, ..pair(ours, theirs) };
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
    let no =
        |field: &str| Err(Unfit::Option { field: field.to_owned(), found: "text", rule: "equal options" });
    assert_eq!(inbound(&pair, Value::text("x")), no("stage"));
    assert_eq!(outbound(&pair, Value::text("gone")), no("dealtype"));
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

#[test]
fn options_that_differ_in_a_sign_are_not_taken_for_each_other() {
    let languages = [("c", "C"), ("cpp", "C++"), ("csharp", "C#")];
    let plain = [("C", "C"), ("C++", "C++"), ("C#", "C#")];
    let pair =
        pair(field("language", FieldType::Picklist, &plain), field("lang", FieldType::Picklist, &languages));
    for ((ours, _), (theirs, _)) in plain.into_iter().zip(languages) {
        assert_eq!(outbound(&pair, Value::text(ours)), Ok(Value::text(theirs)));
        assert_eq!(inbound(&pair, Value::text(theirs)), Ok(Value::text(ours)));
    }
    let twins = [("new-business", "New business"), ("new_business", "New Business!")];
    let twins = field("type", FieldType::Picklist, &twins);
    assert_eq!(find(&twins.options, "NewBusiness"), None, "two fit, so that nothing is guessed");
}

#[test]
fn a_value_map_says_which_option_is_which_and_the_first_of_several_is_the_way_back() {
    let way = |ours: &str, theirs: &str| ValuePair { ours: ours.to_owned(), theirs: theirs.to_owned() };
    let plain = pair(
        field("deal_type", FieldType::Picklist, &[("renewal", "renewal"), ("expansion", "expansion")]),
        field("dealtype", FieldType::Picklist, &[("again", "Again"), ("more", "More"), ("upsell", "Upsell")]),
    );
    let values = vec![way("renewal", "again"), way("expansion", "more"), way("expansion", "upsell")];
    let mapped = FieldPair { values, ..plain };
    for (there, here) in [("again", "renewal"), ("more", "expansion"), ("upsell", "expansion")] {
        assert_eq!(inbound(&mapped, Value::text(there)), Ok(Value::text(here)));
    }
    assert_eq!(outbound(&mapped, Value::text("expansion")), Ok(Value::text("more")));
    let unfit = inbound(&mapped, Value::text("secret")).unwrap_err().to_string();
    assert!(unfit.contains("a text") && unfit.contains("value map") && !unfit.contains("secret"), "{unfit}");
}

#[test]
fn each_transform_does_what_it_says_both_ways() {
    let (text, number) = (FieldType::Text, FieldType::Number);
    let decimal = |text: &str| Value::Number(text.parse().unwrap());
    let list = || Value::list(["a".to_owned(), "b".to_owned()]);
    let moment = Value::DateTime("2024-01-30T23:00:00Z".parse().unwrap());
    let day = Value::Date(jiff::civil::date(2024, 1, 31));
    for (ours, theirs, line, here, there) in [
        (text, text, "upper", Value::text("ADA"), Value::text("ADA")),
        (number, number, "scale 2", decimal("0.12"), decimal("12")),
        (FieldType::Percent, text, "scale -2", decimal("12.5"), Value::text("0.125")),
        (FieldType::Currency, text, "currency JPY", decimal("12"), Value::text("12")),
        (FieldType::Boolean, text, "boolean Ja/Nein", Value::Bool(true), Value::text("Ja")),
        (FieldType::MultiPicklist, text, "join ;", list(), Value::text("a;b")),
        (text, FieldType::MultiPicklist, "join ;", Value::text("a;b"), list()),
        (FieldType::Date, FieldType::DateTime, "time_zone Europe/Berlin", day, moment),
    ] {
        let transforms = vec![line.parse().unwrap()];
        let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
        let plain = pair(field("ours", ours, &[]), field("theirs", theirs, &[]));
        let pair = FieldPair { transforms, zone, ..plain };
        assert_eq!(outbound(&pair, here.clone()), Ok(there.clone()), "{line} outward");
        assert_eq!(inbound(&pair, there), Ok(here), "{line} inward");
    }
    let trim = FieldPair {
        transforms: vec![Transform::Trim],
        ..pair(field("ours", text, &[]), field("theirs", text, &[]))
    };
    assert_eq!(outbound(&trim, Value::text(" Ada ")), Ok(Value::text("Ada")));
    assert_eq!(inbound(&trim, Value::text("  ")), Ok(Value::Null));
}
