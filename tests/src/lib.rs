//! A running Accord for the acceptance stories: the real binary with the demo, driven from outside by the ready file
//! alone, as any other tool would.

mod house;
mod vendor;

pub use house::{Answer, House, Start};
pub use vendor::HubSpotPortal;
