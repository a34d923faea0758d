//! The vendor's words without what they quote of a write. They reach issues, the audit log and our logs.

use std::collections::HashSet;

use model::{ApplyWrite, Value, WriteKind};

const LEFT_OUT: &str = "…";
/// A vendor's words beyond this length are cut.
const LONGEST_WORDS: usize = 240;

/// A value of more words than this is text, whose single words tell nothing; a name or an address is shorter.
const WORDS_OF_A_NAME: usize = 6;

/// Takes U+0000 out of a vendor's text: the database takes it in none.
pub(crate) fn storable(text: &mut String) {
    text.retain(|letter| letter != '\0');
}

/// What went wrong, with the vendor's words on it. Of those is left out what may be a value: nothing quoted, no address,
/// no long number.
#[must_use]
pub fn with_words(otherwise: &str, said: &str) -> String {
    let unquoted: String = said.split(['"', '“', '”']).step_by(2).collect::<Vec<_>>().join(LEFT_OUT);
    let telling = |word: &&str| word.contains('@') || word.chars().filter(char::is_ascii_digit).count() > 5;
    let safe: Vec<&str> =
        unquoted.split_whitespace().map(|word| if telling(&word) { LEFT_OUT } else { word }).collect();
    let safe: String = safe.join(" ").chars().take(LONGEST_WORDS).collect();
    let safe = safe.trim_end_matches([':', '.', ',', ' ']);
    if safe.is_empty() { otherwise.to_owned() } else { format!("{otherwise}: {safe}") }
}

/// The message without the values of this write, and without the words of those that are short enough to be names.
pub(crate) fn without_values(message: &str, write: &ApplyWrite) -> String {
    let mut values: Vec<String> = write.fields.values().flat_map(texts).collect();
    if let WriteKind::Update { expected, .. } = &write.write {
        values.extend(expected.values().flat_map(texts));
    }
    values.retain(|value| value.chars().count() > 1);
    // The longest first: a name within an address must not leave the rest of the address behind.
    values.sort_unstable_by_key(|value| std::cmp::Reverse(value.len()));
    let mut message = message.to_owned();
    storable(&mut message);
    for value in &values {
        message = message.replace(value.as_str(), LEFT_OUT);
    }
    let names: HashSet<String> = values
        .iter()
        .map(|value| words(value).collect::<Vec<_>>())
        .filter(|words| words.len() <= WORDS_OF_A_NAME)
        .flatten()
        .filter(|word| word.chars().count() > 2 || word.chars().any(|letter| letter.is_ascii_digit()))
        .map(str::to_lowercase)
        .collect();
    let mut told = String::with_capacity(message.len());
    for part in message.split_inclusive(|letter: char| !letter.is_alphanumeric()) {
        let word = part.trim_end_matches(|letter: char| !letter.is_alphanumeric());
        let known = names.contains(&word.to_lowercase());
        told.push_str(if known { LEFT_OUT } else { word });
        told.push_str(&part[word.len()..]);
    }
    told
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Null | Value::Bool(_) => Vec::new(),
        Value::List(options) => options.clone(),
        other => vec![other.to_string().trim().to_owned()],
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use model::{ConnectionId, LinkId, MappingId, RecordId, WriteId};
    use proptest::prelude::*;

    use super::*;

    fn write(fields: &[(&str, &str)]) -> ApplyWrite {
        let at = Timestamp::UNIX_EPOCH;
        let values = |(name, text): &(&str, &str)| ((*name).to_owned(), Value::text(*text));
        ApplyWrite {
            id: WriteId::generate(at),
            connection: ConnectionId::generate(at),
            object: "contacts".into(),
            mapping: MappingId::generate(at),
            link: LinkId::generate(at),
            record: RecordId::generate(at),
            write: WriteKind::Update {
                id: "7".into(),
                expected: BTreeMap::from([("city".into(), Value::text("Bonn"))]),
            },
            fields: fields.iter().map(values).collect(),
            edited_at: at,
        }
    }

    #[test]
    fn what_a_vendor_quotes_of_a_write_is_left_out() {
        let write = write(&[
            ("name", "Ann Müller-Lee"),
            ("email", "ann@lee.example"),
            ("note", "a long text that says what the contact is about and has not one name in it"),
        ]);
        for (said, told) in [
            ("Contact Ann Müller-Lee (ann@lee.example) exists", "Contact … (…) exists"),
            ("contact MÜLLER exists already, was in Bonn", "contact … exists already, was in …"),
            ("the contact has no such text", "the contact has no such text"),
            ("", ""),
        ] {
            assert_eq!(without_values(said, &write), told);
        }
    }

    proptest! {
        #[test]
        fn no_value_is_left(before in "[a-z ]{0,12}", value in "[A-Za-zäöü0-9@+. ]{2,24}", after in "[a-z ]{0,12}") {
            let told = without_values(&format!("{before} {value} {after}"), &write(&[("name", &value)]));
            let value = value.trim();
            prop_assert!(value.chars().count() < 2 || before.contains(value) || after.contains(value) || !told.contains(value));
        }

        #[test]
        fn any_words_can_be_read(said in ".{0,60}", value in ".{0,6}") {
            let _ = without_values(&said, &write(&[("name", &value)]));
        }
    }
}
