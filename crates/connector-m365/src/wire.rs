//! Microsoft's JSON, spelled as Microsoft spells it.

use std::fmt;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de::Visitor};

/// The answer of the token endpoint.
#[derive(Deserialize)]
pub(crate) struct Tokens {
    pub(crate) access_token: SecretString,
    pub(crate) refresh_token: Option<SecretString>,
    pub(crate) expires_in: u64,
}

/// Why the token endpoint refuses. Its description quotes names and addresses, so it is not read.
#[derive(Debug, Deserialize)]
pub(crate) struct OAuthFailure {
    pub(crate) error: String,
    /// The numbers behind `AADSTS`.
    #[serde(default)]
    pub(crate) error_codes: Vec<u32>,
    #[serde(default)]
    pub(crate) suberror: Option<String>,
}

/// Why Graph refuses. Its message quotes what was sent, so it is not read.
#[derive(Debug, Deserialize)]
pub(crate) struct Failure {
    pub(crate) error: Reason,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Reason {
    #[serde(default)]
    pub(crate) code: String,
}

/// Who signed in.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) display_name: Option<Text>,
    pub(crate) mail: Option<Text>,
    pub(crate) user_principal_name: Option<Text>,
}

/// A page of a delta query: exactly one of the links is there.
#[derive(Deserialize)]
pub(crate) struct Delta {
    pub(crate) value: Vec<Message>,
    #[serde(rename = "@odata.nextLink")]
    pub(crate) next_link: Option<String>,
    #[serde(rename = "@odata.deltaLink")]
    pub(crate) delta_link: Option<String>,
}

/// A message, or what of it changed, or that it is gone.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Message {
    pub(crate) id: String,
    #[serde(rename = "@removed")]
    pub(crate) removed: Option<serde::de::IgnoredAny>,
    pub(crate) last_modified_date_time: Option<String>,
    pub(crate) received_date_time: Option<String>,
    pub(crate) sent_date_time: Option<String>,
    pub(crate) is_draft: Option<bool>,
    pub(crate) subject: Option<Text>,
    pub(crate) body: Option<Body>,
    pub(crate) from: Option<Recipient>,
    pub(crate) sender: Option<Recipient>,
    pub(crate) to_recipients: Option<Vec<Recipient>>,
    pub(crate) cc_recipients: Option<Vec<Recipient>>,
    pub(crate) bcc_recipients: Option<Vec<Recipient>>,
    pub(crate) conversation_id: Option<String>,
    pub(crate) web_link: Option<String>,
    pub(crate) internet_message_headers: Option<Vec<Header>>,
    /// Its class, where it was asked for beside the message.
    #[serde(skip)]
    pub(crate) class: Option<String>,
}

/// Where a message is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Place {
    pub(crate) parent_folder_id: String,
}

#[derive(Deserialize)]
pub(crate) struct Folder {
    pub(crate) id: String,
}

/// A message's extended properties, of those that were asked for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Extended {
    #[serde(default)]
    pub(crate) single_value_extended_properties: Vec<Property>,
}

#[derive(Deserialize)]
pub(crate) struct Property {
    pub(crate) value: String,
}

/// A header that a mail came with.
#[derive(Deserialize)]
pub(crate) struct Header {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) value: Text,
}

/// A mail that we made, or what is left to know of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Made {
    pub(crate) id: String,
    pub(crate) is_draft: Option<bool>,
}

/// Mails that were looked for.
#[derive(Deserialize)]
pub(crate) struct Listing {
    pub(crate) value: Vec<Made>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Body {
    pub(crate) content_type: String,
    pub(crate) content: Option<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Recipient {
    pub(crate) email_address: Option<Address>,
}

#[derive(Deserialize)]
pub(crate) struct Address {
    pub(crate) name: Option<Text>,
    pub(crate) address: Option<Text>,
}

/// What people wrote. A mail in a broken charset, or one that was cut in the middle of a character, leaves half characters
/// in it, which must not make the whole page unreadable: they become U+FFFD.
#[derive(Clone, Default)]
pub(crate) struct Text(pub(crate) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyText;

        impl Visitor<'_> for AnyText {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(String::from_utf8_lossy(bytes).into_owned()))
            }

            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Text, E> {
                match String::from_utf8(bytes) {
                    Ok(text) => Ok(Text(text)),
                    Err(error) => self.visit_bytes(error.as_bytes()),
                }
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }
        }

        deserializer.deserialize_byte_buf(AnyText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_characters_are_no_reason_to_lose_a_page() {
        let page = b"{\"value\":[{\"id\":\"a\",\"subject\":\"cut \\ud83d\"},{\"id\":\"b\",\"subject\":\"Gr\xfc\xdfe\"},\
                     {\"id\":\"c\",\"subject\":\"\\ud83d\\ude00 \\u0041\"}]}";
        let page: Delta = serde_json::from_slice(page).unwrap();
        let subjects: Vec<String> =
            page.value.into_iter().map(|message| message.subject.unwrap().0).collect();
        assert!(subjects[0].starts_with("cut \u{fffd}"), "{subjects:?}");
        assert_eq!(subjects[1], "Gr\u{fffd}\u{fffd}e");
        assert_eq!(subjects[2], "😀 A");
    }
}
