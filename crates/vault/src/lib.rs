#![doc = include_str!("../README.md")]

mod cipher;
mod error;
mod keyring;
mod sealed;

pub use error::Error;
pub use keyring::{Key, KeyId, Keyring};
pub use sealed::{Scope, Sealed, Vault};
pub use secrecy::{ExposeSecret, SecretString};
