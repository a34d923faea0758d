use proto::connections::{ListVendorsRequest, Vendor};

use crate::{app::App, failure::Failure, session::Visitor};

/// What a vendor is connected for: its pages show no more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Records that sync: a CRM.
    Records,
    /// What people did: mails, meetings.
    Activities,
    /// Channels in which things are told and decided.
    Posts,
}

impl Purpose {
    pub(crate) fn of(vendor: &Vendor) -> Self {
        match (vendor.posts, vendor.objects.is_empty()) {
            (true, _) => Self::Posts,
            (false, true) => Self::Activities,
            (false, false) => Self::Records,
        }
    }

    /// The same of a connection's vendor. One that no runtime serves any more had records, if anything.
    pub(crate) async fn find(app: &App, visitor: &Visitor, vendor: &str) -> Result<Self, Failure> {
        let vendors = app.rooms().connections().list_vendors(visitor.ask(ListVendorsRequest {})?).await?;
        let served = vendors.into_inner().vendors.into_iter().find(|served| served.name == vendor);
        Ok(served.as_ref().map_or(Self::Records, Self::of))
    }

    pub(crate) fn is_records(self) -> bool {
        self == Self::Records
    }

    pub(crate) fn is_activities(self) -> bool {
        self == Self::Activities
    }

    pub(crate) fn is_posts(self) -> bool {
        self == Self::Posts
    }
}
