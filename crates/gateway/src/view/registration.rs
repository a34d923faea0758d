use jiff::Timestamp;
use proto::crm as wire;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{moment, text};

/// Which deal registrations.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListRegistrations {
    /// Of this partner only, `ptnr_…`.
    #[serde(default)]
    pub(crate) partner_id: Option<String>,
    /// `submitted`, `under_review`, `approved`, `rejected`, `expired`; `open` for the first two.
    #[serde(default)]
    pub(crate) status: Option<String>,
    /// How many, at most 200; 50 when not given.
    #[serde(default)]
    pub(crate) limit: Option<u32>,
    /// `next_page` of the page before.
    #[serde(default)]
    pub(crate) page: Option<String>,
}

/// A deal that a partner registers.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRegistration {
    /// `ptnr_…`; not needed with the key of a partner, who registers for itself.
    #[serde(default)]
    partner_id: String,
    /// The partner's record, `rec_…`, which the deal will name.
    #[serde(default)]
    partner_record_id: String,
    company_name: String,
    /// `acme.example`, or an address on the web; no domain of free e-mail addresses.
    company_domain: String,
    contact_name: String,
    contact_email: String,
    deal_name: String,
    /// A decimal amount in major units.
    #[serde(default)]
    #[schema(example = "45000.00")]
    amount: String,
    /// ISO 4217; USD when not given.
    #[serde(default)]
    currency: String,
    /// A day, `2027-01-31`.
    #[serde(default)]
    expected_close: String,
    #[serde(default)]
    note: String,
}

impl From<NewRegistration> for wire::SubmitDealRegistrationRequest {
    fn from(it: NewRegistration) -> Self {
        Self {
            partner_id: it.partner_id,
            partner_record_id: it.partner_record_id,
            company_name: it.company_name,
            company_domain: it.company_domain,
            contact_name: it.contact_name,
            contact_email: it.contact_email,
            deal_name: it.deal_name,
            amount: it.amount,
            currency: it.currency,
            expected_close: it.expected_close,
            note: it.note,
        }
    }
}

/// How a registration is approved.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Approval {
    /// For how many days it is protected; as the organization set when not given.
    #[serde(default)]
    pub(crate) days: Option<u32>,
}

/// Why a registration is rejected.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rejection {
    pub(crate) reason: String,
}

/// A page of deal registrations.
#[derive(Serialize, ToSchema)]
pub(crate) struct RegistrationList {
    data: Vec<Registration>,
    /// To be sent as `page` for the next ones; null on the last page.
    next_page: Option<String>,
}

/// A deal that a partner registered.
#[derive(Serialize, ToSchema)]
pub(crate) struct Registration {
    /// `dreg_…`
    id: String,
    partner_id: String,
    partner_record_id: Option<String>,
    company_name: String,
    company_domain: String,
    contact_name: String,
    contact_email: String,
    deal_name: String,
    amount: Option<String>,
    currency: Option<String>,
    expected_close: Option<String>,
    note: Option<String>,
    /// `submitted`, `under_review`, `approved`, `rejected` or `expired`.
    status: String,
    /// Other registrations of the company that stood when this one was submitted.
    conflicts: Vec<RegistrationConflict>,
    submitted_at: Option<Timestamp>,
    /// Told to a partner where it is the caller itself.
    submitted_by: Option<String>,
    /// Who looks into it. Not told to partners.
    reviewer: Option<String>,
    decided_at: Option<Timestamp>,
    /// Not told to partners.
    decided_by: Option<String>,
    /// Why it was rejected.
    reason: Option<String>,
    /// When it expires: undecided, or approved.
    expires_at: Option<Timestamp>,
    /// The deal that approving it created.
    deal_id: Option<String>,
}

/// Another registration of the same company.
#[derive(Serialize, ToSchema)]
pub(crate) struct RegistrationConflict {
    /// `duplicate`: of the same partner; `channel`: of another one.
    kind: String,
    /// Not told to partners of others.
    registration_id: Option<String>,
    partner_id: Option<String>,
    /// How it stood. Not told to partners of others.
    status: Option<String>,
}

impl From<wire::DealRegistration> for Registration {
    fn from(it: wire::DealRegistration) -> Self {
        let conflict = |conflict: wire::RegistrationConflict| RegistrationConflict {
            kind: conflict.kind,
            registration_id: text(conflict.registration_id),
            partner_id: text(conflict.partner_id),
            status: text(conflict.status),
        };
        Self {
            id: it.id,
            partner_id: it.partner_id,
            partner_record_id: text(it.partner_record_id),
            company_name: it.company_name,
            company_domain: it.company_domain,
            contact_name: it.contact_name,
            contact_email: it.contact_email,
            deal_name: it.deal_name,
            amount: text(it.amount),
            currency: text(it.currency),
            expected_close: text(it.expected_close),
            note: text(it.note),
            status: it.status,
            conflicts: it.conflicts.into_iter().map(conflict).collect(),
            submitted_at: moment(it.submitted_at),
            submitted_by: text(it.submitted_by),
            reviewer: text(it.reviewer),
            decided_at: moment(it.decided_at),
            decided_by: text(it.decided_by),
            reason: text(it.reason),
            expires_at: moment(it.expires_at),
            deal_id: text(it.deal_id),
        }
    }
}

impl From<wire::ListDealRegistrationsResponse> for RegistrationList {
    fn from(list: wire::ListDealRegistrationsResponse) -> Self {
        let data = list.registrations.into_iter().map(Into::into).collect();
        Self { data, next_page: text(list.next_page) }
    }
}

/// What an organization sets about registrations and the matching of activities.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CrmSettings {
    /// For how many days an approved registration is protected.
    protected_days: u32,
    /// After how many days a registration expires that nobody decided.
    review_days: u32,
    /// Domains of free e-mail addresses besides those that everybody knows: they match no company.
    #[serde(default)]
    free_domains: Vec<String>,
}

impl From<wire::Settings> for CrmSettings {
    fn from(it: wire::Settings) -> Self {
        let wire::Settings { protected_days, review_days, free_domains } = it;
        Self { protected_days, review_days, free_domains }
    }
}

impl From<CrmSettings> for wire::Settings {
    fn from(it: CrmSettings) -> Self {
        let CrmSettings { protected_days, review_days, free_domains } = it;
        Self { protected_days, review_days, free_domains }
    }
}
