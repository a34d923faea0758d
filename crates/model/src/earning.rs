//! What the attribution room says: attributions, commissions, partners, payouts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    AttributionId, CommissionId, ConnectionId, ConversionId, FieldSchema, FieldType, PartnerId, PayoutId,
    ProgramId,
};

/// A conversion event is attributed, for the first time or otherwise than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttributionChanged {
    /// The conversion event.
    pub event: ConversionId,
    /// Its type, as it was sent: `opportunity_won`.
    pub event_type: String,
    /// `attributed`, `no_identity`, `no_click`, `outside_window` or `already_attributed`.
    pub status: String,
    /// The model, when it is attributed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The clicks that brought it, with weights that are 1 together, the oldest first.
    pub touches: Vec<AttributedTouch>,
    /// When.
    pub at: Timestamp,
    /// Grows by one each time the event is attributed otherwise.
    #[serde(default)]
    pub generation: i32,
    /// When the conversion event happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Timestamp>,
    /// Whose event it is, as user ids are compared: often an e-mail address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user_id: String,
    /// The vendor's record of which the event tells, where it tells of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<AttributedRecord>,
    /// The names of those of these fields that are personal data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pii: Vec<String>,
}

/// The vendor's record that became a conversion event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttributedRecord {
    /// The connection.
    pub connection: ConnectionId,
    /// The vendor's object.
    pub object: String,
    /// The vendor's id of the record.
    pub record: String,
}

/// What a CRM's record is told of its attribution: fields that an organization's contacts and deals have once it wants
/// attribution written to a CRM.
#[must_use]
pub fn attribution_fields() -> [FieldSchema; 5] {
    let field = |name: &str, label: &str, field_type, description: &str| FieldSchema {
        name: name.to_owned(),
        label: label.to_owned(),
        field_type,
        description: format!("{description} Accord sets it."),
        options: Vec::new(),
        read_only: false,
        required: false,
        unique: false,
        custom: true,
        references: None,
    };
    [
        field(
            "attributed_partner",
            "Attributed partner",
            FieldType::Text,
            "The partner whose click brought this.",
        ),
        field("attributed_program", "Attributed program", FieldType::Text, "The partner's program."),
        field("attributed_click", "Attributed click", FieldType::Text, "The id of the click."),
        field("attributed_model", "Attribution model", FieldType::Text, "By which the clicks share."),
        field(
            "attributed_weight",
            "Attribution weight",
            FieldType::Number,
            "The click's share of the whole, 1.",
        ),
    ]
}

/// The share of one click.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttributedTouch {
    /// The share.
    pub attribution: AttributionId,
    /// The click.
    pub click: String,
    /// Whose link was clicked.
    pub partner: PartnerId,
    /// The program of the link.
    pub program: ProgramId,
    /// The share of `of`.
    pub weight: i64,
    /// The whole.
    pub of: i64,
    /// The partner's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub partner_name: String,
    /// The program's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub program_name: String,
}

/// Somebody, or a guard, decided about a commission or a click. The envelope says who.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecisionTaken {
    /// `approve`, `reverse`, `hold`, `release` of a commission; `flag`, `clear` of a click.
    pub decision: String,
    /// The click.
    pub click: String,
    /// The commission, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commission: Option<CommissionId>,
    /// The conversion event of the commission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<ConversionId>,
    /// What whoever decided it noted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// When.
    pub at: Timestamp,
}

/// Somebody changed what is believed without asking, or who is told what happens. The envelope says who.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttributionSettingsChanged {
    /// `guards`, `identify_secret`, the id of a webhook, or that of a connection to whose CRM attribution is written.
    pub what: String,
    /// `created`, `changed`, `deleted`, `rotated`; of a connection `switched_on`, `switched_off`.
    pub change: String,
    /// When.
    pub at: Timestamp,
}

/// A commission was accrued, approved, paid, reversed, or its amount was corrected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommissionChanged {
    /// The commission.
    pub commission: CommissionId,
    /// The conversion event that it is for.
    pub event: ConversionId,
    /// Who earns it.
    pub partner: PartnerId,
    /// The program whose rule pays.
    pub program: ProgramId,
    /// What it is now, in major units: `900.00`.
    pub amount: String,
    /// What it was before, where it was something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// ISO 4217.
    pub currency: String,
    /// `accrued`, `approved`, `paid` or `reversed`.
    pub status: String,
    /// Why it stands so.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// A partner was created, activated or revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartnerChanged {
    /// The partner.
    pub partner: PartnerId,
    /// What the partner is called, where that is told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `active` or `revoked`.
    pub status: String,
    /// What the person who decided it noted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// When.
    pub at: Timestamp,
}

/// A payout was written down; its money has not moved yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PayoutCreated {
    /// The payout.
    pub payout: PayoutId,
    /// Who is paid.
    pub partner: PartnerId,
    /// In major units.
    pub amount: String,
    /// ISO 4217.
    pub currency: String,
    /// How many commissions it pays or takes back.
    pub commissions: u64,
    /// When.
    pub at: Timestamp,
}
