use std::borrow::Cow;

use model::FieldType;

use super::{MODIFIED, Object};

/// Deals. `closedate` is a moment although its editor is a date picker; stages are options of pipelines.
pub(crate) const DEALS: Object = Object {
    name: Cow::Borrowed("deals"),
    label: Cow::Borrowed("Deals"),
    group: Cow::Borrowed("dealinformation"),
    modified: MODIFIED,
    company: Some(5),
    hidden: None,
    refined: &[
        ("amount", FieldType::Currency),
        ("amount_in_home_currency", FieldType::Currency),
        ("hs_acv", FieldType::Currency),
        ("hs_arr", FieldType::Currency),
        ("hs_mrr", FieldType::Currency),
        ("hs_tcv", FieldType::Currency),
        ("hs_deal_stage_probability", FieldType::Percent),
    ],
    pipelines: true,
};
