//! The vendor's words as people may read them, and what to do about them.

const REDACTED: &str = "[redacted]";

/// A message without personal values. Where it is `about` a field that is marked as personal data, whatever it quotes
/// goes as well: a vendor may spell the value in its own way.
pub(crate) fn without(message: &str, personal: &[String], about: bool) -> String {
    let mut text = message.to_owned();
    let mut values: Vec<&str> =
        personal.iter().map(|value| value.trim()).filter(|value| value.chars().count() > 1).collect();
    // The longest first: a name within an address must not leave the rest of the address behind.
    values.sort_unstable_by_key(|value| std::cmp::Reverse(value.len()));
    for value in values {
        text = text.replace(value, REDACTED);
    }
    if about { without_quotes(&text) } else { text }
}

/// The text with what is quoted, and each word that looks like an address or a long number, taken out.
fn without_quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((start, open)) = rest.char_indices().find(|(_, letter)| closing(*letter).is_some()) {
        let inside = start + open.len_utf8();
        let Some(length) = closing(open).and_then(|close| rest[inside..].find(close)) else { break };
        let after = inside + length + rest[inside + length..].chars().next().map_or(0, char::len_utf8);
        out.push_str(&plain_words(&rest[..start]));
        out.push_str(REDACTED);
        rest = &rest[after..];
    }
    out.push_str(&plain_words(rest));
    out
}

const fn closing(open: char) -> Option<char> {
    match open {
        '"' => Some('"'),
        '“' => Some('”'),
        '«' => Some('»'),
        '`' => Some('`'),
        _ => None,
    }
}

fn plain_words(text: &str) -> String {
    let personal = |word: &str| word.contains('@') || word.chars().filter(char::is_ascii_digit).count() > 3;
    let words = text.split_inclusive(char::is_whitespace).map(|word| {
        let end = word.trim_end().len();
        if personal(&word[..end]) { format!("{REDACTED}{}", &word[end..]) } else { word.to_owned() }
    });
    words.collect()
}

/// A category of issues: its label, and what to do about one.
pub(crate) fn category(name: &str) -> (&'static str, &'static str) {
    match name {
        "auth" => ("Authorization", "Connect the integration again; what waits is then tried by itself."),
        "permission" => {
            ("Permission", "Give the connecting user access to the object at the vendor, then retry.")
        }
        "rate_limit" => ("Rate limit", "Nothing: it is tried again by itself."),
        "unavailable" => (
            "Vendor out of order",
            "It was tried several times. Retry once the vendor works again; what it says tells more.",
        ),
        "validation" => (
            "Refused value",
            "Correct the value here so that the vendor takes it; it is then written by itself.",
        ),
        "duplicate" => ("Duplicate", "Merge the two records at the vendor, then retry."),
        "missing" => (
            "Missing record or parent",
            "Restore the record or its parent at the vendor, or let the link go.",
        ),
        "schema_drift" => {
            ("Schema changed", "Refresh the schema and choose another field in the mapping, then retry.")
        }
        "conflict" => ("Conflict held", "Choose which of the two values stands."),
        "ambiguous" => (
            "Unmatched",
            "Make the match field unique on one of the records, or link them by hand, then retry.",
        ),
        _ => ("Value does not fit", "Change the value, or map the field to one that can hold it."),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_personal_value_is_left(
            before in "[a-z ]{0,20}",
            value in "[A-Za-zäöü0-9@+]{2,20}",
            after in "[a-z \"“”]{0,20}",
            about: bool,
        ) {
            let said = without(&format!("{before} {value} {after}"), std::slice::from_ref(&value), about);
            prop_assert!(!said.replace(REDACTED, "").contains(&value) || before.contains(&value) || after.contains(&value));
        }

        #[test]
        fn any_words_can_be_read(message in ".{0,60}", value in ".{0,5}", about: bool) {
            let _ = without(&message, &[value], about);
        }
    }

    #[test]
    fn what_a_vendor_quotes_of_a_personal_field_is_taken_out() {
        let said = "Property “phone” of \"+49 30\" is wrong: 030-1234 and ann@example.org too";
        assert_eq!(
            without(said, &[], true),
            "Property [redacted] of [redacted] is wrong: [redacted] and [redacted] too"
        );
        assert_eq!(without(said, &[], false), said);
        assert_eq!(
            without("Ann Lee is not Ann", &["Ann".into(), "Ann Lee".into()], false),
            "[redacted] is not [redacted]"
        );
    }
}
