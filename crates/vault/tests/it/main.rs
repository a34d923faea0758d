//! What the vault promises.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use proptest::prelude::*;
use vault::{Error, ExposeSecret, Key, KeyId, Keyring, Scope, Sealed, SecretString, Vault};

const SCOPE: Scope<'_> = Scope { organization: "org_1", connection: "conn_1", purpose: "refresh_token" };

fn id(text: &str) -> KeyId {
    text.parse().unwrap()
}

fn key(byte: u8) -> Key {
    Key::from_bytes([byte; 32])
}

fn vault() -> Vault {
    Vault::from_keys(&id("k1"), [(id("k1"), key(1))]).unwrap()
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

proptest! {
    #[test]
    fn what_was_sealed_opens_in_its_scope_and_in_no_other(
        text in ".{0,200}",
        parts in prop::array::uniform3("[a-z_]{0,12}"),
        others in prop::array::uniform3("[a-z_]{0,12}"),
    ) {
        let scope = Scope { organization: &parts[0], connection: &parts[1], purpose: &parts[2] };
        let other = Scope { organization: &others[0], connection: &others[1], purpose: &others[2] };
        let sealed = vault().seal(&scope, &secret(&text)).unwrap();
        let opened = vault().open(&scope, &sealed).unwrap();
        prop_assert_eq!(opened.expose_secret(), text.as_str());
        if scope != other {
            prop_assert_eq!(vault().open(&other, &sealed).err(), Some(Error::Mismatch));
        }
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed(text in ".{0,40}", position in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut bytes = vault().seal(&SCOPE, &secret(&text)).unwrap().into_bytes();
        let position = position.index(bytes.len());
        bytes[position] ^= 1 << bit;
        prop_assert!(vault().open(&SCOPE, &Sealed::from_bytes(bytes)).is_err());
    }

    #[test]
    fn no_cut_and_no_foreign_bytes_open_or_panic(
        cut in any::<prop::sample::Index>(),
        foreign in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut bytes = vault().seal(&SCOPE, &secret("s3cret")).unwrap().into_bytes();
        bytes.truncate(cut.index(bytes.len()));
        prop_assert!(vault().open(&SCOPE, &Sealed::from_bytes(bytes)).is_err());
        prop_assert!(vault().open(&SCOPE, &Sealed::from_bytes(foreign)).is_err());
    }

    #[test]
    fn no_text_makes_the_keyring_panic_or_repeat_it(text in "[a-zA-Z0-9+/=:,#\n]{0,120}") {
        if let Err(error) = Keyring::parse(&format!("QUJDREVG{text}")) {
            let said = format!("{error} {error:?}");
            prop_assert!(!said.contains("QUJDREVG"), "{}", said);
        }
    }
}

#[test]
fn each_part_of_the_scope_counts() {
    let sealed = vault().seal(&SCOPE, &secret("s3cret")).unwrap();
    let elsewhere = [
        Scope { organization: "org_2", ..SCOPE },
        Scope { connection: "conn_2", ..SCOPE },
        Scope { purpose: "access_token", ..SCOPE },
    ];
    for scope in elsewhere {
        assert_eq!(vault().open(&scope, &sealed).err(), Some(Error::Mismatch), "{scope:?}");
    }
}

#[test]
fn parts_of_a_scope_cannot_be_shifted_into_each_other() {
    let sealed = vault().seal(&SCOPE, &secret("s3cret")).unwrap();
    for (organization, connection, purpose) in [
        ("org_1c", "onn_1", "refresh_token"),
        ("org_1", "conn_1refresh_token", ""),
        ("conn_1", "org_1", "refresh_token"),
    ] {
        let scope = Scope { organization, connection, purpose };
        assert_eq!(vault().open(&scope, &sealed).err(), Some(Error::Mismatch), "{scope:?}");
    }
}

#[test]
fn the_same_secret_never_looks_the_same_twice() {
    let sealed: std::collections::HashSet<Vec<u8>> =
        (0..100).map(|_| vault().seal(&SCOPE, &secret("s3cret")).unwrap().into_bytes()).collect();
    assert_eq!(sealed.len(), 100);
    for bytes in sealed {
        assert!(!bytes.windows(6).any(|window| window == b"s3cret"));
    }
}

#[test]
fn one_key_writes_and_all_read_until_the_old_one_is_dropped() {
    let old = vault();
    let both = Vault::from_keys(&id("k2"), [(id("k1"), key(1)), (id("k2"), key(2))]).unwrap();
    let new = Vault::from_keys(&id("k2"), [(id("k2"), key(2))]).unwrap();
    let sealed = old.seal(&SCOPE, &secret("s3cret")).unwrap();
    assert!(both.needs_rotation(&sealed).unwrap());
    assert_eq!(new.open(&SCOPE, &sealed).err(), Some(Error::UnknownKey(id("k1"))));
    let rotated = both.reseal(&SCOPE, &sealed).unwrap();
    assert!(!both.needs_rotation(&rotated).unwrap());
    assert_eq!(new.open(&SCOPE, &rotated).unwrap().expose_secret(), "s3cret");
    assert_eq!(old.open(&SCOPE, &rotated).err(), Some(Error::UnknownKey(id("k2"))));
}

#[test]
fn a_key_id_that_is_reused_for_another_key_opens_nothing() {
    let sealed = vault().seal(&SCOPE, &secret("s3cret")).unwrap();
    let impostor = Vault::from_keys(&id("k1"), [(id("k1"), key(9))]).unwrap();
    assert_eq!(impostor.open(&SCOPE, &sealed).err(), Some(Error::Mismatch));
}

#[test]
fn a_keyring_survives_its_text_form() {
    let keyring = Keyring::generate(id("2026-11"));
    let text = keyring.to_text().expose_secret().to_owned();
    for form in [text.clone(), format!("# the keys of Accord\r\n\r\n{text},")] {
        assert_eq!(Keyring::parse(&form).unwrap().to_text().expose_secret(), text);
    }
    assert_ne!(Keyring::generate(id("2026-11")).to_text().expose_secret(), text);
}

#[test]
fn a_malformed_keyring_is_refused_with_its_line_and_nothing_of_its_content() {
    let good = "k1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    let cases = [
        (format!("{good}\nk2"), Error::KeyringLine { line: 2 }),
        (format!("{good}\nk2:AQEB"), Error::KeyringLine { line: 2 }),
        (
            format!("{good}\n\nK2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="),
            Error::KeyringLine { line: 3 },
        ),
        (format!("{good},{good}"), Error::DuplicateKey(id("k1"))),
        ("# nothing\n".to_owned(), Error::NoKey),
    ];
    for (text, expected) in cases {
        assert_eq!(Keyring::parse(&text).map(drop), Err(expected.clone()));
        assert!(!expected.to_string().contains("AQEB"));
    }
    assert_eq!(Keyring::try_new(&id("k3"), [(id("k1"), key(1))]).err(), Some(Error::NoKey));
}

#[test]
fn secret_types_print_nothing() {
    let keyring = Keyring::parse("k1:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=").unwrap();
    let vault = Vault::new(keyring.clone());
    let sealed = vault.seal(&SCOPE, &secret("s3cret")).unwrap();
    let printed = format!("{:?} {:?} {:?} {sealed:?} {vault:?}", key(1), keyring, secret("s3cret"));
    for leak in ["s3cret", "AQEB", "1, 1, 1", "0101"] {
        assert!(!printed.contains(leak), "{printed}");
    }
}
