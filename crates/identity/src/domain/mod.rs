//! What identity decides, without time, chance or storage of its own.

pub(crate) mod attempts;
pub(crate) mod key;
pub(crate) mod password;
pub(crate) mod role;
pub(crate) mod secret;
pub(crate) mod session;
pub(crate) mod text;
