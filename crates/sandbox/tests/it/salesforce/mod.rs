//! Stories about the Salesforce sandbox.

mod streaming;
