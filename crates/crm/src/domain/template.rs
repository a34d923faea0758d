//! The texts of mails: plain text with `{{fields}}`, which are filled in for each recipient or not at all.

use std::collections::{BTreeMap, BTreeSet};

/// The field of the link by which a recipient opts out.
pub(crate) const OPT_OUT_LINK: &str = "opt_out_link";
/// The longest name of a field, in bytes.
const LONGEST_FIELD: usize = 64;
/// The longest mail, in bytes: so that it fits into a message of the bus, however it is escaped.
const LONGEST_MAIL: usize = 128 * 1024;

/// What is filled in for a recipient.
pub(crate) type Fields = BTreeMap<String, String>;

/// A text with places for fields. Its text form shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(String),
}

impl Part {
    fn field(&self) -> Option<&str> {
        match self {
            Self::Field(name) => Some(name),
            Self::Text(_) => None,
        }
    }
}

/// Why a text is no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// `{{` without its `}}`, or the other way round.
    Unclosed,
    /// Between them is no name of a field.
    Name,
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Template").field("fields", &self.fields()).finish_non_exhaustive()
    }
}

/// Whether a field can be called so: lower-case letters, digits and `_`, a letter first.
pub(crate) fn is_field(name: &str) -> bool {
    name.len() <= LONGEST_FIELD
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or(Malformed::Unclosed)?;
            let name = name.trim();
            if !is_field(name) {
                return Err(Malformed::Name);
            }
            parts.extend([Part::Text(before.to_owned()), Part::Field(name.to_owned())]);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        let is_open = |part: &Part| matches!(part, Part::Text(text) if text.contains("}}"));
        if parts.iter().any(is_open) {
            return Err(Malformed::Unclosed);
        }
        Ok(Self(parts))
    }

    /// The fields that it has places for.
    pub(crate) fn fields(&self) -> BTreeSet<&str> {
        self.0.iter().filter_map(Part::field).collect()
    }

    /// The text for one recipient; the name of a field that is unknown or blank where there is one.
    pub(crate) fn render(&self, fields: &Fields) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Field(name) => {
                    let value = fields.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
                    text.push_str(value.ok_or_else(|| name.clone())?);
                }
            }
        }
        Ok(text)
    }
}

/// A text as one line, as a subject is.
pub(crate) fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// A mail as it is sent. Its text form shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// One line.
    pub(crate) subject: String,
    pub(crate) text: String,
}

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Written").finish_non_exhaustive()
    }
}

/// Why a mail cannot be written to a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unwritable {
    /// This field is unknown or blank.
    Missing(String),
    /// With all its fields it is too long.
    TooLong,
}

/// A mail to one recipient with the link by which its recipient opts out: where it has its place, or else below.
pub(crate) fn write(
    subject: &Template,
    text: &Template,
    fields: &Fields,
    link: &str,
) -> Result<Written, Unwritable> {
    let mut all = fields.clone();
    all.insert(OPT_OUT_LINK.to_owned(), link.to_owned());
    let subject = one_line(&subject.render(fields).map_err(Unwritable::Missing)?);
    let mut written = text.render(&all).map_err(Unwritable::Missing)?;
    if !text.fields().contains(OPT_OUT_LINK) {
        written = format!("{}\n\n--\nIf you want no more of these mails: {link}\n", written.trim_end());
    }
    if subject.len() + written.len() > LONGEST_MAIL {
        return Err(Unwritable::TooLong);
    }
    Ok(Written { subject, text: written })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(of: &[(&str, &str)]) -> Fields {
        of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn fields_are_filled_in_or_the_missing_one_is_named() {
        let hello = Template::parse("Dear {{first_name}} of {{ company }},").unwrap();
        let known = fields(&[("first_name", " Ann "), ("company", "Acme {{first_name}}"), ("blank", " ")]);
        assert_eq!(hello.render(&known), Ok("Dear Ann of Acme {{first_name}},".to_owned()));
        assert_eq!(hello.fields(), ["company", "first_name"].into());
        for (text, missing) in [("{{nickname}}", "nickname"), ("{{first_name}} {{blank}}", "blank")] {
            assert_eq!(Template::parse(text).unwrap().render(&known), Err(missing.to_owned()));
        }
        for (text, why) in [
            ("Dear {{name", Malformed::Unclosed),
            ("Dear name}}", Malformed::Unclosed),
            ("{{a}} }}", Malformed::Unclosed),
            ("{{}}", Malformed::Name),
            ("{{First Name}}", Malformed::Name),
            ("{{a{{b}}", Malformed::Name),
        ] {
            assert_eq!(Template::parse(text), Err(why), "{text}");
        }
    }

    fn mail(text: &str, fields: &Fields) -> Result<Written, Unwritable> {
        let parse = |text| Template::parse(text).unwrap();
        write(&parse("A\nsubject"), &parse(text), fields, "https://a.example/x")
    }

    #[test]
    fn every_mail_has_its_link_once() {
        let none = Fields::new();
        for text in ["Hello", "Hello\n\nStop: {{opt_out_link}} bye"] {
            let mail = mail(text, &none).unwrap();
            assert_eq!(mail.text.matches("https://a.example/x").count(), 1);
        }
        // No recipient's own field stands for the link.
        let own = fields(&[(OPT_OUT_LINK, "https://evil.example")]);
        assert_eq!(mail("{{opt_out_link}}", &own).unwrap().text, "https://a.example/x");
        let long = fields(&[("long", &"x".repeat(2_000))]);
        assert_eq!(mail(&"{{long}}".repeat(100), &long), Err(Unwritable::TooLong));
    }

    proptest! {
        #[test]
        fn no_place_for_a_field_is_mailed_out(text in "[a-z {}_]{0,40}", value in "[a-z]{1,5}") {
            if let Ok(template) = Template::parse(&text) {
                let all = template.fields().into_iter().map(|name| (name.to_owned(), value.clone())).collect();
                let rendered = template.render(&all).unwrap();
                prop_assert!(!rendered.contains("{{") && !rendered.contains("}}"), "{rendered}");
                if let Some(missing) = template.fields().into_iter().next() {
                    let mut some: Fields = all;
                    some.insert(missing.to_owned(), " ".to_owned());
                    prop_assert!(template.render(&some).is_err());
                }
            } else {
                prop_assert!(text.contains("{{") || text.contains("}}"));
            }
        }

        #[test]
        fn a_subject_is_one_line(text in ".{0,60}") {
            let line = one_line(&text);
            prop_assert!(!line.chars().any(char::is_control));
            prop_assert_eq!(one_line(&line), line);
        }
    }
}
