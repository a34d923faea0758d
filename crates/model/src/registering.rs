//! What the crm room says: what became of deal registrations.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{DealRegistrationId, PartnerId, RecordId};

/// A partner registered a deal, somebody decided about it, or its time was over. The envelope says who. Whom to talk to at
/// the company, and what the partner noted, is in the registration and not here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DealRegistrationChanged {
    /// The registration.
    pub registration: DealRegistrationId,
    /// Who registered it.
    pub partner: PartnerId,
    /// The partner's record, where that was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner_record: Option<RecordId>,
    /// What the company is called.
    pub company: String,
    /// Its domain, by which registrations are compared: `acme.example`.
    pub domain: String,
    /// The company's record, where exactly one has the domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company_record: Option<RecordId>,
    /// What the deal is called.
    pub deal_name: String,
    /// Its amount in major units, `45000.00`; none where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    /// ISO 4217; empty without an amount.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub currency: String,
    /// When the partner expects to close it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_close: Option<Date>,
    /// `submitted`, `approved`, `rejected` or `expired`.
    pub status: String,
    /// Why it was rejected.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Other registrations of the same company that stood when this one was submitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<RegistrationConflict>,
    /// The deal that approving it creates: a record of this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deal: Option<RecordId>,
    /// Until when it is protected, once it is approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When this happened.
    pub at: Timestamp,
}

/// Another registration of the same company.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegistrationConflict {
    /// `duplicate`: of the same partner; `channel`: of another one.
    pub kind: String,
    /// It.
    pub registration: DealRegistrationId,
    /// Whose it is.
    pub partner: PartnerId,
    /// How it stood: `submitted`, `under_review` or `approved`.
    pub status: String,
}
