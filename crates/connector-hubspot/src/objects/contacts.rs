use std::borrow::Cow;

use model::FieldType;

use super::Object;

/// Contacts. An e-mail address belongs to one contact only. They are dated by a property of their own; the one that
/// other objects have is hidden on them and not to be relied upon.
pub(crate) const CONTACTS: Object = Object {
    name: Cow::Borrowed("contacts"),
    label: Cow::Borrowed("Contacts"),
    group: Cow::Borrowed("contactinformation"),
    modified: "lastmodifieddate",
    company: Some(1),
    hidden: Some("associatedcompanyid"),
    refined: &[
        ("email", FieldType::Email),
        ("work_email", FieldType::Email),
        ("website", FieldType::Url),
        ("hs_linkedin_url", FieldType::Url),
        ("annualrevenue", FieldType::Currency),
        ("total_revenue", FieldType::Currency),
        ("recent_deal_amount", FieldType::Currency),
    ],
    pipelines: false,
};
