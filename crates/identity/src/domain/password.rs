use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version, password_hash::phc::PasswordHash,
};
use secrecy::{ExposeSecret, SecretString};

use crate::error::Refusal;

/// Argon2id with 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const SHORTEST: usize = 10;
const LONGEST: usize = 256;

/// Whether a new password will do.
pub(crate) fn check_new(password: &SecretString) -> Result<(), Refusal> {
    let length = password.expose_secret().chars().count();
    let refuse = |code, message| Err(Refusal::invalid(code, message).at("new_password"));
    if length < SHORTEST {
        return refuse("password_too_short", "A password has at least 10 characters.");
    }
    if length > LONGEST {
        return refuse("password_too_long", "A password has at most 256 characters.");
    }
    Ok(())
}

/// The hash to store, with its parameters and salt. Slow on purpose.
pub(crate) fn hash(password: &SecretString, salt: [u8; 16]) -> Result<String, argon2::password_hash::Error> {
    let hash = hasher()?.hash_password_with_salt(password.expose_secret().as_bytes(), &salt)?;
    Ok(hash.to_string())
}

/// Whether the password is the stored one. Without a stored one the answer is no, after the same work.
pub(crate) fn verify(password: &SecretString, stored: Option<&str>) -> bool {
    let nobody =
        format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1${}${}", "A".repeat(22), "A".repeat(43));
    let (Ok(hash), Ok(hasher)) = (PasswordHash::new(stored.unwrap_or(&nobody)), hasher()) else {
        return false;
    };
    let verified = hasher.verify_password(password.expose_secret().as_bytes(), &hash);
    verified.is_ok() && stored.is_some()
}

fn hasher() -> Result<Argon2<'static>, argon2::password_hash::Error> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn only_the_stored_password_verifies() {
        let stored = hash(&"correct horse".into(), [7; 16]).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify(&"correct horse".into(), Some(&stored)));
        assert!(!verify(&"correct house".into(), Some(&stored)));
        assert!(!verify(&"correct horse".into(), Some("no hash")));
        assert!(!verify(&"correct horse".into(), None));
    }

    #[test]
    fn an_unknown_user_costs_as_much_work_as_a_known_one() {
        let stored = hash(&"correct horse".into(), [7; 16]).unwrap();
        let time = |stored: Option<&str>| {
            let start = Instant::now();
            assert!(!verify(&"wrong password".into(), stored));
            start.elapsed()
        };
        // The fastest of each in turn, until they agree: on a busy machine most runs measure the others' work.
        let (mut known, mut unknown) = (time(Some(&stored)), time(None));
        for _ in 0..50 {
            if unknown * 2 > known {
                break;
            }
            known = known.min(time(Some(&stored)));
            unknown = unknown.min(time(None));
        }
        assert!(unknown * 2 > known, "{unknown:?} against {known:?}");
    }
}
