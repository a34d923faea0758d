//! A running Accord for the acceptance stories: the real binary with the demo, driven from outside by the ready file
//! alone, as any other tool would.

mod api;
mod browser;
mod chrome;
mod events;
mod house;
mod vendor;

pub use api::{Answer, Api};
pub use browser::{Browser, Landed};
pub use chrome::Chrome;
pub use events::{Described, described};
pub use house::{House, Start, accord};
pub use vendor::{HubSpotPortal, SalesforceOrg, SandboxApi};
