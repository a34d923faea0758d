//! Stories.

mod main_path;
mod tidy;
