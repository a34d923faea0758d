//! Pure: what an entry says, and how it is chained.

pub(crate) mod chain;
mod control;
pub(crate) mod describe;
pub(crate) mod earning;
pub(crate) mod entry;
mod flow;
mod telling;
