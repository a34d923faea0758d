//! Stories.

mod tidy;
