use super::*;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

/// A history out of `(milliseconds, value, by an app)`, newest first.
fn history(entries: &[(i64, &str, bool)]) -> Vec<Entry> {
    entries
        .iter()
        .map(|(ms, value, by_app)| Entry { value: Value::text(*value), at: at(*ms), by_app: *by_app })
        .collect()
}

fn covered(entries: &[(i64, &str, bool)], wrote: &str, expected: &str) -> Option<(String, i64)> {
    let window = Some((at(100), at(110)));
    covered_value(&history(entries), &Value::text(wrote), &Value::text(expected), window)
        .map(|covered| (covered.value.to_string(), covered.at.as_millisecond()))
}

#[test]
fn a_foreign_value_right_before_ours_was_covered() {
    let entries = [(105, "ours", true), (90, "theirs", false), (10, "base", true)];
    assert_eq!(covered(&entries, "ours", "base"), Some(("theirs".into(), 90)));
}

#[test]
fn the_expected_value_right_before_ours_was_not() {
    assert_eq!(covered(&[(105, "ours", true), (10, "base", false)], "ours", "base"), None);
}

#[test]
fn a_value_of_another_app_is_foreign_too() {
    let entries = [(105, "ours", true), (90, "theirs", true), (10, "base", true)];
    assert_eq!(covered(&entries, "ours", "base"), Some(("theirs".into(), 90)));
}

#[test]
fn a_value_written_after_ours_does_not_hide_the_covered_one() {
    let entries = [(120, "later", false), (105, "ours", true), (90, "theirs", false), (10, "base", true)];
    assert_eq!(covered(&entries, "ours", "base"), Some(("theirs".into(), 90)));
}

#[test]
fn a_write_repeated_after_a_lost_answer_still_tells_what_it_covered() {
    // The first attempt landed at 60, before the answer that we saw; the second changed nothing.
    let entries = [(60, "ours", true), (50, "theirs", false), (10, "base", true)];
    assert_eq!(covered(&entries, "ours", "base"), Some(("theirs".into(), 50)));
}

#[test]
fn a_write_of_what_a_person_had_set_already_covers_nothing() {
    let entries = [(95, "ours", false), (50, "theirs", false), (20, "ours", true), (10, "base", true)];
    assert_eq!(covered(&entries, "ours", "base"), None);
}

#[test]
fn a_reformatted_value_is_found_by_its_time() {
    let entries = [(105, "Ours", true), (90, "theirs", false), (10, "base", true)];
    assert_eq!(covered(&entries, "ours ", "base"), Some(("theirs".into(), 90)));
}

#[test]
fn the_first_value_of_a_property_covers_nothing() {
    assert_eq!(covered(&[(105, "ours", true)], "ours", ""), None);
    assert_eq!(covered(&[], "ours", ""), None);
}

#[test]
fn a_cleared_property_is_covered_like_a_value() {
    let entries = [(105, "ours", true), (90, "", false), (10, "base", true)];
    assert_eq!(covered(&entries, "ours", "base"), Some((String::new(), 90)));
}

#[test]
fn what_somebody_wrote_after_us_is_not_taken_for_our_value() {
    let entries = history(&[(120, "later", false), (105, "OURS", true), (10, "base", false)]);
    let window = Some((Timestamp::from_millisecond(100).unwrap(), Timestamp::from_millisecond(110).unwrap()));
    assert_eq!(our_entry(&entries, &Value::text("ours"), window), Some(1));
}
