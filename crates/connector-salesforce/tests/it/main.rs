//! Stories of the Salesforce connector against the simulator of Salesforce's API, over the wire.
#![expect(clippy::unwrap_used, reason = "a story ends at the first surprise")]
