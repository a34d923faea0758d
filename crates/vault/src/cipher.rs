//! The only place that knows the cipher.

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use rand::{TryRngCore, rngs::OsRng};

use crate::{Error, Key};

pub(crate) const NONCE_BYTES: usize = 12;
pub(crate) const TAG_BYTES: usize = 16;

/// A random nonce, the encrypted text and its tag.
pub(crate) fn encrypt(key: &Key, associated: &[u8], text: &[u8]) -> Result<Vec<u8>, Error> {
    let mut nonce = [0; NONCE_BYTES];
    OsRng.try_fill_bytes(&mut nonce).expect("the system gives random bytes");
    let payload = Payload { msg: text, aad: associated };
    let encrypted = Aes256Gcm::new(key.bytes().into())
        .encrypt(&Nonce::from(nonce), payload)
        .map_err(|_| Error::TooLarge)?;
    let mut bytes = Vec::with_capacity(NONCE_BYTES + encrypted.len());
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(&encrypted);
    Ok(bytes)
}

/// The text that [`encrypt`] was given, if neither it nor the associated data was changed.
pub(crate) fn decrypt(key: &Key, associated: &[u8], bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let (nonce, encrypted) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(Error::Malformed)?;
    let payload = Payload { msg: encrypted, aad: associated };
    Aes256Gcm::new(key.bytes().into()).decrypt(&Nonce::from(*nonce), payload).map_err(|_| Error::Mismatch)
}
