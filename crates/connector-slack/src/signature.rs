//! Whether a request comes from Slack: signed with the app's secret, over its raw body, lately.

use connector::Refusal;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// How old a request may be, and how far its clock ahead of ours, in seconds.
const LONGEST_AGE_S: u64 = 300;
const TIMESTAMP: &str = "x-slack-request-timestamp";
const SIGNATURE: &str = "x-slack-signature";

const MISSING: Refusal =
    Refusal { code: "signature_missing", message: "The request is not signed as Slack signs its requests." };
const STALE: Refusal = Refusal {
    code: "signature_stale",
    message: "The request was signed more than five minutes ago, or by a clock that is as far off.",
};
const INVALID: Refusal =
    Refusal { code: "signature_invalid", message: "The signature is not the one of this request." };

/// Checks the signature of a body, before anything of it is read.
///
/// # Errors
/// It is not signed, not lately, or not with this secret.
pub(crate) fn verify(
    secret: &SecretString,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<(), Refusal> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(timestamp), Some(signature)) = (text(TIMESTAMP), text(SIGNATURE)) else { return Err(MISSING) };
    // Without a secret anybody could sign.
    if secret.expose_secret().is_empty() {
        return Err(INVALID);
    }
    let signed_at: i64 = timestamp.parse().map_err(|_| MISSING)?;
    if now.as_second().abs_diff(signed_at) > LONGEST_AGE_S {
        return Err(STALE);
    }
    let given = signature.strip_prefix("v0=").and_then(bytes_of).ok_or(INVALID)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).map_err(|_| INVALID)?;
    for part in [b"v0:", timestamp.as_bytes(), b":", body] {
        mac.update(part);
    }
    // Compares in constant time.
    mac.verify_slice(&given).map_err(|_| INVALID)
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(high)? << 4 | digit(low)?));
    rest.is_empty().then(|| bytes.collect())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const AT: i64 = 1_531_420_618;
    const SIGNED: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
                        &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
                        &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
                        &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";

    fn checked(secret: &str, timestamp: &str, signature: &str, body: &[u8], now: i64) -> Result<(), Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(TIMESTAMP, timestamp.parse().unwrap());
        headers.insert(SIGNATURE, signature.parse().unwrap());
        verify(&secret.into(), &headers, body, Timestamp::from_second(now).unwrap())
    }

    #[test]
    fn the_vendors_own_example_is_genuine_for_five_minutes_and_not_a_second_longer() {
        let at = |now| checked(SECRET, &AT.to_string(), SIGNED, BODY.as_bytes(), now);
        for now in [AT, AT + 300, AT - 300] {
            assert_eq!(at(now), Ok(()), "{now}");
        }
        for now in [AT + 301, AT - 301, 0, AT * 20] {
            assert_eq!(at(now), Err(STALE), "{now}");
        }
    }

    #[test]
    fn a_request_that_is_not_signed_or_not_like_this_is_refused() {
        let nothing = verify(&SECRET.into(), &HeaderMap::new(), b"", Timestamp::UNIX_EPOCH);
        assert_eq!(nothing, Err(MISSING));
        let body = BODY.as_bytes();
        assert_eq!(checked(SECRET, "soon", SIGNED, body, AT), Err(MISSING));
        let (cut, longer) = (&SIGNED[..SIGNED.len() - 2], format!("{SIGNED}00"));
        for signature in [cut, &longer, "v0=", "v1=a2", &SIGNED[3..], &SIGNED.to_uppercase()] {
            assert_eq!(checked(SECRET, &AT.to_string(), signature, body, AT), Err(INVALID), "{signature}");
        }
        assert_eq!(checked("another secret", &AT.to_string(), SIGNED, body, AT), Err(INVALID));
        assert_eq!(checked("", &AT.to_string(), SIGNED, body, AT), Err(INVALID));
        // The time is signed too.
        assert_eq!(checked(SECRET, &(AT + 1).to_string(), SIGNED, body, AT), Err(INVALID));
    }

    proptest! {
        #[test]
        fn no_other_body_and_no_other_signature_is_genuine(at in 0..BODY.len(), by in 1_u8..=255, signature in "v0=[0-9a-f]{64}") {
            let mut body = BODY.as_bytes().to_vec();
            body[at] ^= by;
            prop_assert_eq!(checked(SECRET, &AT.to_string(), SIGNED, &body, AT), Err(INVALID));
            prop_assert_eq!(checked(SECRET, &AT.to_string(), &signature, BODY.as_bytes(), AT), Err(INVALID));
        }
    }
}
