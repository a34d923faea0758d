//! Object and field mappings as people set them, and in the compiled form that the merge reads.

use std::collections::BTreeMap;

use model::{CanonicalObject, ConnectionId, FieldSchema, MappingId, ObjectSchema, OrganizationId};
use serde::{Deserialize, Serialize};

named! {
    /// Which way values flow.
    Direction {
        /// Both ways.
        Bidirectional = "bidirectional",
        /// Only from the workspace to the vendor.
        ToVendor = "to_vendor",
        /// Only from the vendor to the workspace.
        FromVendor = "from_vendor",
    }
}

impl Direction {
    pub(crate) const fn inward(self) -> bool {
        matches!(self, Self::Bidirectional | Self::FromVendor)
    }

    pub(crate) const fn outward(self) -> bool {
        matches!(self, Self::Bidirectional | Self::ToVendor)
    }
}

named! {
    /// Who wins when both sides moved a field away from the base.
    Policy {
        /// The workspace's value stands.
        Platform = "platform_wins",
        /// The vendor's value stands.
        Crm = "crm_wins",
        /// The later of the two edits stands; a tie goes to the vendor.
        Newest = "newest_wins",
    }
}

named! {
    /// Where a field mapping stands in the review.
    FieldState {
        /// A suggestion so sure that it was applied to the draft.
        AutoMapped = "auto_mapped",
        /// A candidate that waits for somebody's confirmation.
        Suggested = "suggested",
        /// Somebody confirmed or chose it.
        Confirmed = "confirmed",
        /// Nothing is mapped.
        Unmapped = "unmapped",
        /// Somebody said that it shall stay unmapped.
        Ignored = "ignored",
    }
}

named! {
    /// Where an object mapping stands.
    MappingState {
        /// Being set up: nothing moves.
        Draft = "draft",
        /// Records sync.
        Active = "active",
        /// Somebody stopped it for now.
        Paused = "paused",
    }
}

/// One field mapping, by its canonical field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FieldMapping {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vendor_field: Option<String>,
    pub(crate) state: FieldState,
    #[serde(default)]
    pub(crate) confidence: f64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) evidence: Vec<String>,
    /// None: as the object mapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) direction: Option<Direction>,
    /// None: the object mapping's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<Policy>,
    #[serde(default)]
    pub(crate) pii: bool,
}

impl FieldMapping {
    /// A field that nothing is mapped to.
    pub(crate) const fn unmapped() -> Self {
        Self {
            vendor_field: None,
            state: FieldState::Unmapped,
            confidence: 0.0,
            evidence: Vec::new(),
            direction: None,
            policy: None,
            pii: false,
        }
    }

    /// The vendor field, when values flow through this mapping.
    pub(crate) fn effective(&self) -> Option<&str> {
        matches!(self.state, FieldState::AutoMapped | FieldState::Confirmed)
            .then_some(self.vendor_field.as_deref())
            .flatten()
    }
}

/// What people set on an object mapping.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) direction: Direction,
    pub(crate) default_policy: Policy,
    /// Canonical fields whose equal values make two records the same.
    pub(crate) match_keys: Vec<String>,
    pub(crate) fields: BTreeMap<String, FieldMapping>,
}

/// A canonical object paired with a vendor object on one connection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mapping {
    pub(crate) id: MappingId,
    pub(crate) organization: OrganizationId,
    pub(crate) connection: ConnectionId,
    pub(crate) vendor: String,
    pub(crate) object: CanonicalObject,
    pub(crate) vendor_object: String,
    pub(crate) state: MappingState,
    /// Grows by one with every change of the settings or the state.
    pub(crate) revision: i64,
    pub(crate) settings: Settings,
    pub(crate) activated_at: Option<jiff::Timestamp>,
    pub(crate) activated_by: Option<String>,
}

/// One pair of fields that values flow through.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FieldPair {
    pub(crate) canonical: FieldSchema,
    pub(crate) vendor: FieldSchema,
    pub(crate) direction: Direction,
    pub(crate) policy: Policy,
    pub(crate) pii: bool,
}

/// A mapping as the merge reads it: only the pairs that values flow through, with both schemas.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Compiled {
    pub(crate) mapping: Mapping,
    pub(crate) pairs: Vec<FieldPair>,
}

impl Compiled {
    /// Joins the settings with the schemas of both sides. A pair whose field is gone on either side does not flow;
    /// a read-only vendor field flows inward only.
    pub(crate) fn new(mapping: Mapping, canonical: &ObjectSchema, vendor: &ObjectSchema) -> Self {
        let pairs = mapping
            .settings
            .fields
            .iter()
            .filter_map(|(name, field)| {
                let vendor = vendor.field(field.effective()?)?;
                let wish = field.direction.unwrap_or(mapping.settings.direction);
                let direction = match (wish, vendor.read_only) {
                    (Direction::ToVendor, true) => return None,
                    (Direction::Bidirectional, true) => Direction::FromVendor,
                    (wish, _) => wish,
                };
                Some(FieldPair {
                    canonical: canonical.field(name)?.clone(),
                    vendor: vendor.clone(),
                    direction,
                    policy: field.policy.unwrap_or(mapping.settings.default_policy),
                    pii: field.pii,
                })
            })
            .collect();
        Self { mapping, pairs }
    }

    /// The vendor fields to read.
    pub(crate) fn vendor_fields(&self) -> Vec<String> {
        self.pairs.iter().map(|pair| pair.vendor.name.clone()).collect()
    }

    /// Whether records that exist only here are to be created at the vendor.
    pub(crate) const fn creates_there(&self) -> bool {
        self.mapping.settings.direction.outward()
    }

    /// Whether records that exist only at the vendor are to be created here.
    pub(crate) const fn creates_here(&self) -> bool {
        self.mapping.settings.direction.inward()
    }

    /// Which canonical fields are marked as personal data, whether values flow through them now or not.
    pub(crate) fn pii(&self) -> impl Iterator<Item = &str> {
        self.mapping.settings.fields.iter().filter(|(_, field)| field.pii).map(|(name, _)| name.as_str())
    }
}
