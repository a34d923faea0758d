use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};

/// How many characters of a secret are shown to tell it apart, its prefix included.
const SHOWN: usize = 9;
/// 32 bytes in base64url.
const BODY: usize = 43;

/// What a secret is for; its first three characters say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecretKind {
    Session,
    ApiKey,
    IntegrationKey,
    Link,
}

impl SecretKind {
    const ALL: [Self; 4] = [Self::Session, Self::ApiKey, Self::IntegrationKey, Self::Link];

    const fn prefix(self) -> &'static str {
        match self {
            Self::Session => "as_",
            Self::ApiKey => "ak_",
            Self::IntegrationKey => "ik_",
            Self::Link => "al_",
        }
    }

    /// What a text is for, if it has the form of a secret.
    pub(crate) fn of(text: &SecretString) -> Option<Self> {
        let text = text.expose_secret();
        let kind = Self::ALL.into_iter().find(|kind| text.starts_with(kind.prefix()))?;
        let body = &text.as_bytes()[kind.prefix().len()..];
        let is_base64url = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (body.len() == BODY && body.iter().all(is_base64url)).then_some(kind)
    }
}

/// A new secret, before it is shown to its holder for the only time.
#[derive(Debug)]
pub(crate) struct Secret {
    pub(crate) text: SecretString,
    /// What is stored.
    pub(crate) hash: [u8; 32],
    /// What is shown later.
    pub(crate) prefix: String,
}

impl Secret {
    /// The secret with these random bytes.
    pub(crate) fn from_bytes(kind: SecretKind, random: [u8; 32]) -> Self {
        let text = format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(random));
        let prefix = text[..SHOWN].to_owned();
        let text = SecretString::from(text);
        Self { hash: chassis::guard::digest(&text), text, prefix }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_secret_says_what_it_is_for_and_shows_little(random: [u8; 32]) {
            for kind in SecretKind::ALL {
                let secret = Secret::from_bytes(kind, random);
                prop_assert_eq!(SecretKind::of(&secret.text), Some(kind));
                prop_assert_eq!(secret.prefix.len(), SHOWN);
                prop_assert_eq!(secret.hash, chassis::guard::digest(&secret.text));
            }
        }

        #[test]
        fn any_other_text_is_no_secret(text in ".{0,60}") {
            let with_form = text.len() == 46 && SecretKind::ALL.iter().any(|kind| text.starts_with(kind.prefix()));
            prop_assume!(!with_form);
            prop_assert_eq!(SecretKind::of(&text.into()), None);
        }
    }
}
