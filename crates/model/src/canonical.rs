use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    FieldSchema, FieldType,
    FieldType::{
        Boolean, Currency, Date, DateTime, Email, MultiPicklist, Number, Percent, Phone, Picklist, Reference,
        Text, Url, User,
    },
    ObjectSchema, PicklistOption,
};

/// The objects of the partner workspace, in the form that every vendor's objects are mapped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CanonicalObject {
    /// An organization that sells with us.
    Partner,
    /// A company that partners sell to.
    Company,
    /// A sale in the making.
    Deal,
    /// A person at a company or a partner.
    Contact,
    /// A person who may become a customer.
    Lead,
}

/// A text that names no canonical object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read an object: expected one of partner, company, deal, contact, lead")]
pub struct UnknownObject;

impl CanonicalObject {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Partner, Self::Company, Self::Deal, Self::Contact, Self::Lead];

    /// The internal name, `company`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Partner => "partner",
            Self::Company => "company",
            Self::Deal => "deal",
            Self::Contact => "contact",
            Self::Lead => "lead",
        }
    }

    /// What people see, in the plural.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Partner => "Partners",
            Self::Company => "Companies",
            Self::Deal => "Deals",
            Self::Contact => "Contacts",
            Self::Lead => "Leads",
        }
    }

    /// The fields that every organization has. A picklist without options takes any text.
    #[must_use]
    pub fn schema(self) -> ObjectSchema {
        let fields = match self {
            Self::Partner => PARTNER,
            Self::Company => COMPANY,
            Self::Deal => DEAL,
            Self::Contact => CONTACT,
            Self::Lead => LEAD,
        };
        ObjectSchema {
            name: self.name().to_owned(),
            label: self.label().to_owned(),
            fields: fields.iter().map(|field| field.schema(self)).collect(),
        }
    }

    /// The field that names a record on the screen.
    #[must_use]
    pub const fn title_field(self) -> &'static str {
        match self {
            Self::Partner | Self::Company | Self::Deal => "name",
            Self::Contact | Self::Lead => "email",
        }
    }

    /// The fields whose values can tell that two records are the same thing, best first.
    #[must_use]
    pub const fn match_keys(self) -> &'static [&'static str] {
        match self {
            Self::Partner | Self::Company => &["domain", "external_id"],
            Self::Deal => &["external_id"],
            Self::Contact | Self::Lead => &["email", "phone", "external_id"],
        }
    }

    /// The ones that a new mapping matches by. Colleagues share a switchboard's number, so people are matched by phone
    /// only where somebody wants that.
    #[must_use]
    pub const fn default_match_keys(self) -> &'static [&'static str] {
        match self {
            Self::Contact | Self::Lead => &["email", "external_id"],
            other => other.match_keys(),
        }
    }
}

impl fmt::Display for CanonicalObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CanonicalObject {
    type Err = UnknownObject;

    /// Reads the internal name, or its plural.
    fn from_str(text: &str) -> Result<Self, UnknownObject> {
        Self::ALL
            .into_iter()
            .find(|object| object.name() == text || object.label().eq_ignore_ascii_case(text))
            .ok_or(UnknownObject)
    }
}

struct Field {
    name: &'static str,
    label: &'static str,
    field_type: FieldType,
    options: &'static [&'static str],
}

const fn field(
    name: &'static str,
    label: &'static str,
    field_type: FieldType,
    options: &'static [&'static str],
) -> Field {
    Field { name, label, field_type, options }
}

impl Field {
    fn schema(&self, object: CanonicalObject) -> FieldSchema {
        FieldSchema {
            name: self.name.to_owned(),
            label: self.label.to_owned(),
            field_type: self.field_type,
            description: String::new(),
            options: self
                .options
                .iter()
                .map(|value| PicklistOption { value: (*value).to_owned(), label: (*value).to_owned() })
                .collect(),
            read_only: false,
            required: self.name == object.title_field(),
            unique: false,
            custom: false,
            references: self.references().map(|object| object.name().to_owned()),
        }
    }

    /// Which object a reference names. Programmes and campaigns are no canonical objects.
    fn references(&self) -> Option<CanonicalObject> {
        match self.name {
            "company_id" | "parent_company_id" | "converted_company_id" => Some(CanonicalObject::Company),
            "partner_id" | "parent_partner_id" | "partner_of_record_id" => Some(CanonicalObject::Partner),
            "primary_contact_id" | "manager_id" | "converted_contact_id" => Some(CanonicalObject::Contact),
            "converted_deal_id" => Some(CanonicalObject::Deal),
            _ => None,
        }
    }
}

const PARTNER: &[Field] = &[
    field("name", "Partner Name", Text, &[]),
    field("domain", "Domain", Text, &[]),
    field("website", "Website", Url, &[]),
    field("logo_url", "Logo", Url, &[]),
    field("industry", "Industry", Picklist, &[]),
    field("description", "Description", Text, &[]),
    field("employees", "Employees", Number, &[]),
    field("company_revenue", "Company Revenue", Currency, &[]),
    field("currency", "Currency", Text, &[]),
    field("phone", "Main Phone", Phone, &[]),
    field("street", "Street", Text, &[]),
    field("city", "City", Text, &[]),
    field("state", "State / Province", Text, &[]),
    field("postal_code", "Postal Code", Text, &[]),
    field("country", "Country", Text, &[]),
    field("regions", "Regions", MultiPicklist, &[]),
    field("languages", "Languages", MultiPicklist, &[]),
    field("services", "Services", MultiPicklist, &[]),
    field("products", "Products", MultiPicklist, &[]),
    field(
        "type",
        "Partner Type",
        Picklist,
        &["technology", "consulting", "services", "channel", "strategic", "reseller", "referral"],
    ),
    field("subtype", "Subtype", Text, &[]),
    field("category", "Category", Picklist, &["solution", "technology", "sales"]),
    field("tier", "Tier", Picklist, &["Platinum", "Gold", "Silver", "Bronze", "Registered"]),
    field("tier_source", "Tier Source", Picklist, &["automatic", "manual"]),
    field(
        "status",
        "Partner Status",
        Picklist,
        &["prospect", "onboarding", "active", "inactive", "terminated"],
    ),
    field(
        "lifecycle_stage",
        "Lifecycle Stage",
        Picklist,
        &["identified", "recruiting", "onboarding", "enabled", "producing"],
    ),
    field("tags", "Tags", MultiPicklist, &[]),
    field("partner_manager_id", "Partner Manager", User, &[]),
    field("primary_contact_id", "Primary Contact", Reference, &[]),
    field("parent_partner_id", "Parent Partner", Reference, &[]),
    field("program_id", "Programme", Reference, &[]),
    field("fit_score", "Fit Score", Number, &[]),
    field("health_score", "Health Score", Number, &[]),
    field("certified_people", "Certified People", Number, &[]),
    field("mdf_balance", "MDF Balance", Currency, &[]),
    field("sourced_revenue", "Partner Sourced Revenue", Currency, &[]),
    field("influenced_revenue", "Partner Influenced Revenue", Currency, &[]),
    field("open_deals", "Open Deals", Number, &[]),
    field("agreement_start", "Agreement Start Date", Date, &[]),
    field("agreement_end", "Agreement End Date", Date, &[]),
    field("linkedin_url", "LinkedIn Page", Url, &[]),
    field("notes", "Internal Notes", Text, &[]),
    field("external_id", "External ID", Text, &[]),
    field("last_activity_at", "Last Activity", DateTime, &[]),
];

const COMPANY: &[Field] = &[
    field("name", "Company Name", Text, &[]),
    field("domain", "Company Domain", Text, &[]),
    field("website", "Website", Url, &[]),
    field("phone", "Phone", Phone, &[]),
    field("fax", "Fax", Phone, &[]),
    field("industry", "Industry", Picklist, &[]),
    field("description", "About", Text, &[]),
    field("employee_count", "Number of Employees", Number, &[]),
    field("annual_revenue", "Annual Revenue", Currency, &[]),
    field("company_type", "Company Type", Picklist, &["customer", "prospect", "partner", "vendor", "other"]),
    field("address_line1", "Address Line 1", Text, &[]),
    field("address_line2", "Address Line 2", Text, &[]),
    field("address_city", "City", Text, &[]),
    field("address_region", "State / Region", Text, &[]),
    field("address_postcode", "ZIP / Postcode", Text, &[]),
    field("address_country", "Country", Text, &[]),
    field("owner_id", "Account Owner", User, &[]),
    field("parent_company_id", "Parent Company", Reference, &[]),
    field("lifecycle_stage", "Lifecycle Stage", Picklist, &[]),
    field("linkedin_url", "LinkedIn URL", Url, &[]),
    field("twitter_handle", "Twitter Handle", Text, &[]),
    field("account_number", "Account Number", Text, &[]),
    field("ticker", "Ticker Symbol", Text, &[]),
    field("sic_code", "SIC Code", Text, &[]),
    field("year_founded", "Year Founded", Number, &[]),
    field("time_zone", "Time Zone", Text, &[]),
    field("is_target_account", "Target Account", Boolean, &[]),
    field("source", "Account Source", Picklist, &[]),
    field("partner_of_record_id", "Partner of Record", Reference, &[]),
    field("overlap_count", "Account Overlaps", Number, &[]),
    field("external_id", "External ID", Text, &[]),
    field("last_activity_at", "Last Activity Date", DateTime, &[]),
];

const DEAL: &[Field] = &[
    field("name", "Deal Name", Text, &[]),
    field("description", "Description", Text, &[]),
    field("account_name", "Account Name", Text, &[]),
    field("company_id", "Company", Reference, &[]),
    field("primary_contact_id", "Primary Contact", Reference, &[]),
    field("partner_id", "Partner", Reference, &[]),
    field(
        "partner_role",
        "Partner Involvement",
        Picklist,
        &["sourced", "influenced", "co-sell", "fulfilment"],
    ),
    field("amount", "Deal Value", Currency, &[]),
    field("currency", "Currency", Text, &[]),
    field("expected_revenue", "Weighted Value", Currency, &[]),
    field("stage", "Stage", Picklist, &[]),
    field("pipeline", "Pipeline", Picklist, &[]),
    field("status", "Deal Status", Picklist, &["open", "won", "lost"]),
    field("probability", "Win Probability", Percent, &[]),
    field("forecast_category", "Forecast Category", Picklist, &["pipeline", "best case", "commit", "closed"]),
    field("expected_close_date", "Expected Close Date", Date, &[]),
    field("actual_close_date", "Actual Close Date", Date, &[]),
    field("is_closed", "Closed", Boolean, &[]),
    field("is_won", "Won", Boolean, &[]),
    field("lost_reason", "Lost Reason", Text, &[]),
    field("won_reason", "Won Reason", Text, &[]),
    field("deal_type", "Deal Type", Picklist, &["new business", "renewal", "expansion"]),
    field("source", "Lead Source", Picklist, &[]),
    field("campaign_id", "Campaign", Reference, &[]),
    field("next_step", "Next Step", Text, &[]),
    field("owner_id", "Deal Owner", User, &[]),
    field(
        "registration_status",
        "Registration Status",
        Picklist,
        &["submitted", "under review", "approved", "rejected", "expired"],
    ),
    field("registered_at", "Registered On", DateTime, &[]),
    field("registration_expires_at", "Protection Expires", Date, &[]),
    field("competitor", "Competitor", Text, &[]),
    field("product_interest", "Products of Interest", MultiPicklist, &[]),
    field("commission_rate", "Commission Rate", Percent, &[]),
    field("commission_amount", "Commission Amount", Currency, &[]),
    field("quantity", "Quantity", Number, &[]),
    field("external_id", "External ID", Text, &[]),
    field("last_activity_at", "Last Activity", DateTime, &[]),
];

const CONTACT: &[Field] = &[
    field("first_name", "First Name", Text, &[]),
    field("last_name", "Last Name", Text, &[]),
    field("full_name", "Full Name", Text, &[]),
    field("salutation", "Salutation", Text, &[]),
    field("email", "Email", Email, &[]),
    field("secondary_email", "Secondary Email", Email, &[]),
    field("phone", "Work Phone", Phone, &[]),
    field("mobile", "Mobile", Phone, &[]),
    field("fax", "Fax", Phone, &[]),
    field("job_title", "Job Title", Text, &[]),
    field("department", "Department", Text, &[]),
    field("seniority", "Seniority", Picklist, &[]),
    field("company_name", "Company Name", Text, &[]),
    field("company_id", "Company", Reference, &[]),
    field("partner_id", "Partner", Reference, &[]),
    field("owner_id", "Contact Owner", User, &[]),
    field("manager_id", "Reports To", Reference, &[]),
    field("street", "Street", Text, &[]),
    field("city", "City", Text, &[]),
    field("state", "State / Region", Text, &[]),
    field("postal_code", "Postal Code", Text, &[]),
    field("country", "Country", Text, &[]),
    field("birthday", "Birthday", Date, &[]),
    field("linkedin_url", "LinkedIn Profile", Url, &[]),
    field("twitter_handle", "Twitter Handle", Text, &[]),
    field("source", "Contact Source", Picklist, &[]),
    field("lifecycle_stage", "Lifecycle Stage", Picklist, &[]),
    field("email_opt_out", "Email Opt-out", Boolean, &[]),
    field("do_not_call", "Do Not Call", Boolean, &[]),
    field("language", "Preferred Language", Text, &[]),
    field("time_zone", "Time Zone", Text, &[]),
    field("portal_role", "Portal Role", Picklist, &["partner admin", "partner member"]),
    field("portal_last_login", "Last Portal Login", DateTime, &[]),
    field("certifications", "Certifications", MultiPicklist, &[]),
    field("notes", "Notes", Text, &[]),
    field("external_id", "External ID", Text, &[]),
    field("last_activity_at", "Last Activity", DateTime, &[]),
];

const LEAD: &[Field] = &[
    field("first_name", "First Name", Text, &[]),
    field("last_name", "Last Name", Text, &[]),
    field("email", "Email", Email, &[]),
    field("phone", "Phone", Phone, &[]),
    field("mobile", "Mobile", Phone, &[]),
    field("job_title", "Job Title", Text, &[]),
    field("company_name", "Company", Text, &[]),
    field("website", "Website", Url, &[]),
    field("industry", "Industry", Picklist, &[]),
    field("employee_count", "Company Size", Number, &[]),
    field("annual_revenue", "Annual Revenue", Currency, &[]),
    field("street", "Street", Text, &[]),
    field("city", "City", Text, &[]),
    field("state", "State", Text, &[]),
    field("postal_code", "Postal Code", Text, &[]),
    field("country", "Country", Text, &[]),
    field("source", "Lead Source", Picklist, &[]),
    field(
        "status",
        "Lead Status",
        Picklist,
        &["new", "accepted", "working", "qualified", "rejected", "converted"],
    ),
    field("rating", "Rating", Picklist, &["hot", "warm", "cold"]),
    field("description", "Description", Text, &[]),
    field("owner_id", "Lead Owner", User, &[]),
    field("partner_id", "Referring Partner", Reference, &[]),
    field("referral_code", "Referral Code", Text, &[]),
    field("submitted_by", "Submitted By", Reference, &[]),
    field("distributed_at", "Distributed On", DateTime, &[]),
    field("campaign_id", "Campaign", Reference, &[]),
    field("is_converted", "Converted", Boolean, &[]),
    field("converted_at", "Converted On", Date, &[]),
    field("converted_company_id", "Converted Company", Reference, &[]),
    field("converted_contact_id", "Converted Contact", Reference, &[]),
    field("converted_deal_id", "Converted Deal", Reference, &[]),
    field("email_opt_out", "Email Opt-out", Boolean, &[]),
    field("external_id", "External ID", Text, &[]),
    field("last_activity_at", "Last Activity", DateTime, &[]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_has_its_title_and_match_fields() {
        for object in CanonicalObject::ALL {
            let schema = object.schema();
            for name in object.match_keys().iter().chain([&object.title_field()]) {
                assert!(schema.field(name).is_some(), "{object} has no field {name}");
            }
            assert!(object.default_match_keys().iter().all(|name| object.match_keys().contains(name)));
            for field in schema.fields.iter().filter(|field| field.references.is_some()) {
                assert_eq!(field.field_type, Reference, "{object}.{}", field.name);
            }
            assert_eq!(object.name().parse(), Ok(object));
            assert_eq!(object.label().to_lowercase().parse(), Ok(object));
        }
    }
}
