//! Object and field mappings as people set them, and in the compiled form that the merge reads.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use model::{CanonicalObject, ConnectionId, FieldSchema, MappingId, ObjectSchema, OrganizationId, Value};
use serde::{Deserialize, Serialize};

use super::{
    cell::Record,
    filter::Filter,
    rule::{self, Blank, DeletePolicy, Rules, Transform, ValuePair},
};

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
        /// Neither: both keep theirs until a person decides.
        Manual = "manual",
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
    /// Stored values do not come back unchanged from the other side.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) loses: bool,
    /// None: as the object mapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) direction: Option<Direction>,
    /// None: the object mapping's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<Policy>,
    #[serde(default)]
    pub(crate) pii: bool,
    /// None: a blank wins like any value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) blank: Option<Blank>,
    /// How values are rewritten on their way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) transforms: Vec<Transform>,
    /// Which option is which, where somebody said so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) values: Vec<ValuePair>,
}

impl FieldMapping {
    /// A field that nothing is mapped to.
    pub(crate) const fn unmapped() -> Self {
        Self {
            vendor_field: None,
            state: FieldState::Unmapped,
            confidence: 0.0,
            evidence: Vec::new(),
            loses: false,
            direction: None,
            policy: None,
            pii: false,
            blank: None,
            transforms: Vec::new(),
            values: Vec::new(),
        }
    }

    /// The vendor field, when values flow through this mapping.
    pub(crate) fn effective(&self) -> Option<&str> {
        matches!(self.state, FieldState::AutoMapped | FieldState::Confirmed)
            .then_some(self.vendor_field.as_deref())
            .flatten()
    }

    /// The vendor's fields without which values cannot flow through this mapping as they do.
    pub(crate) fn relies_on(&self) -> BTreeSet<&str> {
        let Some(field) = self.effective() else { return BTreeSet::new() };
        let templates = self.transforms.iter().filter(|it| matches!(it, Transform::TemplateHere(_)));
        std::iter::once(field).chain(templates.flat_map(Transform::template_fields)).collect()
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
    /// What becomes of one side's record when the other side's is gone.
    #[serde(default = "detach")]
    pub(crate) delete_policy: DeletePolicy,
    /// Which records are synced; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<Filter>,
    /// Where a moment's day is told; none: in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) time_zone: Option<String>,
}

const fn detach() -> DeletePolicy {
    DeletePolicy::Detach
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            direction: Direction::Bidirectional,
            default_policy: Policy::Newest,
            match_keys: Vec::new(),
            fields: BTreeMap::new(),
            delete_policy: DeletePolicy::Detach,
            filter: None,
            time_zone: None,
        }
    }
}

impl Settings {
    /// Whether records sync alike under both: what differs is only how far the review is, or a mark of personal data.
    pub(crate) fn sync_like(&self, other: &Self) -> bool {
        self.direction == other.direction
            && self.default_policy == other.default_policy
            && self.match_keys == other.match_keys
            && self.delete_policy == other.delete_policy
            && self.filter == other.filter
            && self.time_zone == other.time_zone
            && self.flowing().eq(other.flowing())
    }

    /// The fields that values flow through, without what decides nothing.
    fn flowing(&self) -> impl Iterator<Item = (&str, FieldMapping)> {
        self.fields.iter().filter_map(|(name, field)| {
            let theirs = field.effective()?.to_owned();
            let FieldMapping { direction, policy, blank, ref transforms, ref values, .. } = *field;
            let (transforms, values) = (transforms.clone(), values.clone());
            let decides =
                FieldMapping { direction, policy, blank, transforms, values, ..FieldMapping::unmapped() };
            Some((name.as_str(), FieldMapping { vendor_field: Some(theirs), ..decides }))
        })
    }
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
    /// Grows by one with every change of the settings, the draft or the state.
    pub(crate) revision: i64,
    /// What records are synced by.
    pub(crate) settings: Settings,
    /// The settings with changes that wait for a plan of theirs to be applied; none when nothing waits.
    pub(crate) draft: Option<Settings>,
    pub(crate) activated_at: Option<jiff::Timestamp>,
    pub(crate) activated_by: Option<String>,
}

impl Mapping {
    /// The settings that people see and change.
    pub(crate) fn edited(&self) -> &Settings {
        self.draft.as_ref().unwrap_or(&self.settings)
    }

    /// The mapping as it would be with its changes applied.
    pub(crate) fn with_changes(mut self) -> Self {
        if let Some(draft) = self.draft.take() {
            self.settings = draft;
        }
        self
    }

    /// Takes settings that somebody changed. Once the mapping was activated, those by which records would sync otherwise
    /// wait for their plan; a mark of personal data never does.
    pub(crate) fn change(&mut self, edited: Settings) {
        if self.state == MappingState::Draft || edited.sync_like(&self.settings) {
            (self.settings, self.draft) = (edited, None);
            return;
        }
        for (name, field) in &edited.fields {
            if let Some(active) = self.settings.fields.get_mut(name) {
                active.pii = field.pii;
            } else if field.pii {
                let unmapped = FieldMapping { pii: true, ..FieldMapping::unmapped() };
                self.settings.fields.insert(name.clone(), unmapped);
            }
        }
        self.draft = Some(edited);
    }

    /// Whether what arrives is kept beside the sync, for a plan of changes.
    pub(crate) fn keeps_beside(&self) -> bool {
        self.state == MappingState::Active && self.draft.is_some()
    }
}

/// One pair of fields that values flow through.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FieldPair {
    pub(crate) canonical: FieldSchema,
    pub(crate) vendor: FieldSchema,
    pub(crate) direction: Direction,
    pub(crate) policy: Policy,
    pub(crate) pii: bool,
    pub(crate) blank: Blank,
    pub(crate) transforms: Vec<Transform>,
    pub(crate) values: Vec<ValuePair>,
    /// Where a moment's day is told.
    pub(crate) zone: TimeZone,
}

impl FieldPair {
    /// A pair without rules of its own, both ways.
    #[cfg(test)]
    pub(crate) const fn plain(canonical: FieldSchema, vendor: FieldSchema) -> Self {
        Self {
            canonical,
            vendor,
            direction: Direction::Bidirectional,
            policy: Policy::Newest,
            pii: false,
            blank: Blank::Wins,
            transforms: Vec::new(),
            values: Vec::new(),
            zone: TimeZone::UTC,
        }
    }

    /// What decides when the two values differ.
    pub(crate) const fn rules(&self) -> Rules {
        Rules { direction: self.direction, policy: self.policy, blank: self.blank }
    }

    /// The record's side of the pair: the field's value, or what a template makes of several.
    pub(crate) fn ours(&self, record: &Record) -> Value {
        let template = self.transforms.iter().find_map(|transform| match transform {
            Transform::TemplateThere(text) => Some(text),
            _ => None,
        });
        match template {
            Some(text) => rule::fill(text, |field| Some(record.value(field))).unwrap_or_default(),
            None => record.value(&self.canonical.name).clone(),
        }
    }

    /// The vendor's side of the pair, in the vendor's form; none when it was not read.
    pub(crate) fn theirs(&self, fields: &BTreeMap<String, Value>) -> Option<Value> {
        let template = self.transforms.iter().find_map(|transform| match transform {
            Transform::TemplateHere(text) => Some(text),
            _ => None,
        });
        match template {
            Some(text) => rule::fill(text, |field| fields.get(field)),
            None => fields.get(&self.vendor.name).cloned(),
        }
    }

    /// The vendor's fields that the vendor's side is made of.
    pub(crate) fn read_from(&self) -> Vec<&str> {
        let template = self.transforms.iter().find(|it| matches!(it, Transform::TemplateHere(_)));
        template.map_or_else(|| vec![self.vendor.name.as_str()], Transform::template_fields)
    }

    /// The vendor's fields that it reads.
    pub(crate) fn vendor_fields(&self) -> impl Iterator<Item = &str> {
        let of_templates = self.transforms.iter().filter(|t| matches!(t, Transform::TemplateHere(_)));
        std::iter::once(self.vendor.name.as_str()).chain(of_templates.flat_map(Transform::template_fields))
    }
}

/// A mapping as the merge reads it: only the pairs that values flow through, with both schemas.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Compiled {
    pub(crate) mapping: Mapping,
    pub(crate) pairs: Vec<FieldPair>,
    /// The vendor's fields without which it creates no record.
    pub(crate) required: Vec<FieldSchema>,
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
                Some(FieldPair {
                    canonical: canonical.field(name)?.clone(),
                    vendor: vendor.clone(),
                    direction: one_way(field, mapping.settings.direction, vendor.read_only)?,
                    policy: field.policy.unwrap_or(mapping.settings.default_policy),
                    pii: field.pii,
                    blank: field.blank.unwrap_or(Blank::Wins),
                    transforms: field.transforms.clone(),
                    values: field.values.clone(),
                    zone: zone(field, mapping.settings.time_zone.as_deref()),
                })
            })
            .collect();
        let required = vendor.fields.iter().filter(|field| field.required && !field.read_only);
        Self { mapping, pairs, required: required.cloned().collect() }
    }

    /// The vendor fields to read.
    pub(crate) fn vendor_fields(&self) -> Vec<String> {
        let filter = self.mapping.settings.filter.iter().flat_map(Filter::vendor_fields);
        let names: BTreeSet<&str> =
            self.pairs.iter().flat_map(FieldPair::vendor_fields).chain(filter).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// Those of them of which it matters when they were set, because the newest of two edits stands.
    pub(crate) fn dated_fields(&self) -> impl Iterator<Item = &str> {
        let dated = |pair: &&FieldPair| pair.policy == Policy::Newest && pair.direction.inward();
        self.pairs.iter().filter(dated).flat_map(FieldPair::read_from)
    }

    /// Whether a record is synced at all, by what is known of it; none when that decides nothing.
    pub(crate) fn passes(
        &self,
        here: Option<&Record>,
        there: Option<&BTreeMap<String, Value>>,
    ) -> Option<bool> {
        self.mapping.settings.filter.as_ref().map_or(Some(true), |filter| filter.passes(here, there))
    }

    /// What becomes of ours when the vendor's is gone.
    pub(crate) fn delete_here(&self) -> DeletePolicy {
        if self.creates_here() { self.mapping.settings.delete_policy } else { DeletePolicy::Detach }
    }

    /// Whether the vendor is asked to archive its record when ours was archived.
    pub(crate) fn archives_there(&self) -> bool {
        self.creates_there() && self.mapping.settings.delete_policy != DeletePolicy::Detach
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

/// Which way a pair's values can flow: not outward into a field that cannot be written, and through a template only the
/// way that it leads. None when that leaves none.
fn one_way(field: &FieldMapping, usual: Direction, read_only: bool) -> Option<Direction> {
    let wish = field.direction.unwrap_or(usual);
    let leads = |transform: &Transform| match transform {
        Transform::TemplateThere(_) => (false, true),
        Transform::TemplateHere(_) => (true, false),
        _ => (true, true),
    };
    let (mut inward, mut outward) = (wish.inward(), wish.outward() && !read_only);
    for (here, there) in field.transforms.iter().map(leads) {
        (inward, outward) = (inward && here, outward && there);
    }
    match (inward, outward) {
        (true, true) => Some(Direction::Bidirectional),
        (true, false) => Some(Direction::FromVendor),
        (false, true) => Some(Direction::ToVendor),
        (false, false) => None,
    }
}

fn zone(field: &FieldMapping, usual: Option<&str>) -> TimeZone {
    let own = field.transforms.iter().find_map(|transform| match transform {
        Transform::TimeZone(name) => Some(name.as_str()),
        _ => None,
    });
    // A name is checked where it is set; a machine that lost its zones since tells days in UTC.
    own.or(usual).and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC)
}
