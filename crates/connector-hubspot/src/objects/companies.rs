use std::borrow::Cow;

use model::FieldType;

use super::{MODIFIED, Object};

/// Companies. Two may have the same domain: HubSpot does not refuse that.
pub(crate) const COMPANIES: Object = Object {
    name: Cow::Borrowed("companies"),
    label: Cow::Borrowed("Companies"),
    group: Cow::Borrowed("companyinformation"),
    modified: MODIFIED,
    company: None,
    hidden: None,
    refined: &[
        ("domain", FieldType::Url),
        ("website", FieldType::Url),
        ("linkedin_company_page", FieldType::Url),
        ("facebook_company_page", FieldType::Url),
        ("annualrevenue", FieldType::Currency),
        ("total_revenue", FieldType::Currency),
        ("recent_deal_amount", FieldType::Currency),
        ("hs_parent_company_id", FieldType::Reference),
    ],
    pipelines: false,
};
