//! Stories.

mod access;
mod bad_input;
mod browser;
mod conflict;
mod crash;
mod deciding;
mod drift;
mod issues;
mod lineage;
mod main_path;
mod objects;
mod resume;
mod rules;
mod secrets;
mod services;
mod tidy;
