//! The frame around every page.

use std::collections::BTreeSet;

use jiff::Timestamp;
use model::Scope;
use proto::identity::User;

use crate::flash::Flash;

/// The entry of the navigation that a page belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Nav {
    None,
    /// Records of the object with this name.
    Records(String),
    Campaigns,
    Programs,
    Partners,
    Registrations,
    Events,
    Review,
    Commissions,
    Ledger,
    Payouts,
    Integrations,
    Crm,
    Webhooks,
    Health,
    Audit,
    Keys,
    Users,
    Account,
}

impl Nav {
    /// Whether the navigation shows the records of this object as the current ones.
    pub(crate) fn is_records(&self, object: &str) -> bool {
        matches!(self, Self::Records(current) if current == object)
    }
}

/// Who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub name: String,
    pub initials: String,
    pub role: &'static str,
    pub organization: String,
    /// The token of this session's forms.
    pub token: String,
    pub scopes: BTreeSet<Scope>,
}

impl Who {
    pub(crate) fn new(user: &User, organization: &str, token: &str, scopes: &BTreeSet<Scope>) -> Self {
        let name = if user.name.is_empty() { &user.email } else { &user.name };
        Self {
            name: name.clone(),
            initials: initials(name),
            role: role_label(&user.role),
            organization: organization.to_owned(),
            token: token.to_owned(),
            scopes: scopes.clone(),
        }
    }
}

/// What the frame needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Shell {
    pub title: String,
    pub nav: Nav,
    /// None on the pages before signing in.
    pub who: Option<Who>,
    pub flash: Option<Flash>,
    pub now: Timestamp,
}

impl Shell {
    pub(crate) fn bare(title: impl Into<String>, now: Timestamp) -> Self {
        Self { title: title.into(), nav: Nav::None, who: None, flash: None, now }
    }

    pub(crate) fn signed_in(
        title: impl Into<String>,
        nav: Nav,
        who: Who,
        flash: Option<Flash>,
        now: Timestamp,
    ) -> Self {
        Self { title: title.into(), nav, who: Some(who), flash, now }
    }

    /// Whether the person may do this. The rooms decide by themselves; this only keeps buttons away that lead nowhere.
    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.who.as_ref().is_some_and(|who| who.scopes.contains(&scope))
    }

    pub(crate) fn may_connect(&self) -> bool {
        self.may(Scope::ConnectionsManage)
    }

    pub(crate) fn may_map(&self) -> bool {
        self.may(Scope::MappingsWrite)
    }

    pub(crate) fn may_edit(&self) -> bool {
        self.may(Scope::RecordsWrite)
    }

    pub(crate) fn may_program(&self) -> bool {
        self.may(Scope::ProgramsWrite)
    }

    pub(crate) fn may_partner(&self) -> bool {
        self.may(Scope::PartnersWrite)
    }

    pub(crate) fn may_decide(&self) -> bool {
        self.may(Scope::CommissionsWrite)
    }

    pub(crate) fn may_send_events(&self) -> bool {
        self.may(Scope::EventsWrite)
    }

    pub(crate) fn may_pay(&self) -> bool {
        self.may(Scope::PayoutsWrite)
    }

    /// The token of this session's forms.
    pub(crate) fn token(&self) -> &str {
        self.who.as_ref().map_or("", |who| &who.token)
    }
}

/// The role as people read it.
pub(crate) fn role_label(role: &str) -> &'static str {
    match role {
        "owner" => "Owner",
        "admin" => "Admin",
        "member" => "Member",
        "viewer" => "Viewer",
        _ => "No role",
    }
}

fn initials(name: &str) -> String {
    let mut words = name.split([' ', '.', '@', '-']).filter_map(|word| word.chars().next());
    let first = words.next();
    let last = words.next();
    first.into_iter().chain(last).flat_map(char::to_uppercase).collect()
}

/// The records in the navigation: object and label.
pub(crate) const OBJECTS: &[(&str, &str)] = &[
    ("partner", "Partners"),
    ("company", "Companies"),
    ("deal", "Deals"),
    ("contact", "Contacts"),
    ("lead", "Leads"),
];

/// The partner programs in the navigation: entry, path, icon, label.
pub(crate) const ATTRIBUTION: &[(Nav, &str, &str, &str)] = &[
    (Nav::Programs, "/attribution/programs", "flag", "Programs"),
    (Nav::Partners, "/attribution/partners", "partner", "Partners"),
    (Nav::Registrations, "/attribution/registrations", "deal", "Deal registrations"),
    (Nav::Events, "/attribution/events", "spark", "Events"),
    (Nav::Review, "/attribution/review", "shield", "Review queue"),
    (Nav::Commissions, "/attribution/commissions", "coins", "Commissions"),
    (Nav::Ledger, "/attribution/ledger", "book", "Ledger"),
    (Nav::Payouts, "/attribution/payouts", "bank", "Payouts"),
];

/// The settings in the navigation: entry, path, icon, label.
pub(crate) const SETTINGS: &[(Nav, &str, &str, &str)] = &[
    (Nav::Integrations, "/settings/integrations", "plug", "Integrations"),
    (Nav::Crm, "/settings/crm", "away", "CRM integration"),
    (Nav::Webhooks, "/settings/webhooks", "bell", "Webhooks"),
    (Nav::Health, "/settings/integrations/health", "pulse", "Integration Health"),
    (Nav::Audit, "/settings/audit", "log", "Audit log"),
    (Nav::Keys, "/settings/keys", "key", "Keys"),
    (Nav::Users, "/settings/users", "people", "People"),
];
