use model::Role;

use crate::{
    assets,
    flash::Flash,
    pages::{
        account::AccountPage,
        audit::AuditPage,
        connect::{ConnectPage, DisconnectPage, LeavingPage},
        connection::ConnectionPage,
        decisions::DecisionsPage,
        error::ErrorPage,
        health::HealthPage,
        integrations::IntegrationsPage,
        issues::IssuesPage,
        keys::KeysPage,
        mapping::MappingPage,
        plan::PlanPage,
        reconcile::ReconcilePage,
        record::RecordPage,
        record_edit::EditPage,
        records::RecordsPage,
        runs::{RunsPage, UndoPage},
        sign_in::{LinkPage, SignInPage},
        users::{RemoveUserPage, UsersPage},
    },
    sample,
    shell::{Nav, Shell, Who},
};

/// One page drawn from its sample.
#[derive(Debug, Clone)]
pub struct Preview {
    /// A short name that is also a file name.
    pub name: &'static str,
    /// The whole page.
    pub html: String,
}

fn shell(title: &str, nav: Nav, role: Role) -> Shell {
    let who = Who::new(&sample::user(role), "Northwind Partners", "sample-token", &role.scopes());
    Shell::signed_in(title, nav, who, None, sample::now())
}

/// Every page of the console, drawn from its sample: to look at, and to check.
///
/// # Errors
/// A template does not draw.
pub fn previews() -> Result<Vec<Preview>, askama::Error> {
    let owner = |title: &str, nav: Nav| shell(title, nav, Role::Owner);
    let bare = || Shell::bare("Sign in", sample::now());
    let deals = || Nav::Records("deal".to_owned());
    let mut previews = Vec::new();
    macro_rules! draw {
        ($($name:literal => $page:expr),+ $(,)?) => {
            $(previews.push(Preview { name: $name, html: askama::Template::render(&$page)? });)+
        };
    }
    draw! {
        "sign-in" => SignInPage::sample(bare()),
        "sign-in-refused" => SignInPage::sample_refused(bare()),
        "integrations" => IntegrationsPage::sample({
            let mut shell = owner("Integrations", Nav::Integrations);
            shell.flash = Some(Flash::good("HubSpot is connected."));
            shell
        }),
        "integrations-both" => IntegrationsPage::sample_both(owner("Integrations", Nav::Integrations)),
        "integrations-new" => IntegrationsPage::sample_new(owner("Integrations", Nav::Integrations)),
        "integrations-viewer" => IntegrationsPage::sample_new(shell("Integrations", Nav::Integrations, Role::Viewer)),
        "connect" => ConnectPage::sample(owner("Connect HubSpot", Nav::Integrations)),
        "connect-logins" => ConnectPage::sample_logins(owner("Connect Salesforce", Nav::Integrations)),
        "connect-again" => ConnectPage::sample_again(owner("Connect Salesforce", Nav::Integrations)),
        "connect-refused" => ConnectPage::sample_refused(owner("Connect Salesforce", Nav::Integrations)),
        "leaving" => LeavingPage::sample(owner("To HubSpot", Nav::Integrations)),
        "disconnect" => DisconnectPage::sample(owner("Disconnect HubSpot", Nav::Integrations)),
        "connection" => ConnectionPage::sample(owner("HubSpot", Nav::Integrations)),
        "connection-reauth" => ConnectionPage::sample_reauth(owner("HubSpot", Nav::Integrations)),
        "connection-viewer" => ConnectionPage::sample(shell("HubSpot", Nav::Integrations, Role::Viewer)),
        "connection-pushed" => ConnectionPage::sample_pushed(owner("Salesforce", Nav::Integrations)),
        "issues" => IssuesPage::sample(owner("HubSpot issues", Nav::Integrations)),
        "issues-none" => IssuesPage::sample_none(owner("HubSpot issues", Nav::Integrations)),
        "issues-viewer" => IssuesPage::sample(shell("HubSpot issues", Nav::Integrations, Role::Viewer)),
        "reconcile" => ReconcilePage::sample(owner("HubSpot compared", Nav::Integrations)),
        "reconcile-none" => ReconcilePage::sample_none(owner("HubSpot compared", Nav::Integrations)),
        "runs" => RunsPage::sample(owner("HubSpot runs", Nav::Integrations)),
        "runs-viewer" => RunsPage::sample(shell("HubSpot runs", Nav::Integrations, Role::Viewer)),
        "undo" => UndoPage::sample(owner("Put a run back", Nav::Integrations)),
        "mapping" => MappingPage::sample(owner("Deals mapping", Nav::Integrations)),
        "mapping-changed" => MappingPage::sample_changed(owner("Deals mapping", Nav::Integrations)),
        "mapping-new" => MappingPage::sample_new(owner("Deals mapping", Nav::Integrations)),
        "mapping-viewer" => MappingPage::sample(shell("Deals mapping", Nav::Integrations, Role::Viewer)),
        "plan" => PlanPage::sample(owner("Plan", Nav::Integrations)),
        "plan-reading" => PlanPage::sample_reading(owner("Plan", Nav::Integrations)),
        "plan-of-changes" => PlanPage::sample_of_changes(owner("Plan", Nav::Integrations)),
        "plan-applying" => PlanPage::sample_applying(owner("Plan", Nav::Integrations)),
        "plan-none" => PlanPage::sample_none(owner("Plan", Nav::Integrations)),
        "decisions" => DecisionsPage::sample(owner("Decisions", Nav::Integrations)),
        "decisions-none" => DecisionsPage::sample_none(owner("Decisions", Nav::Integrations)),
        "health" => HealthPage::sample(owner("Integration Health", Nav::Health)),
        "health-new" => HealthPage::sample_new(owner("Integration Health", Nav::Health)),
        "audit" => AuditPage::sample(owner("Audit log", Nav::Audit)),
        "audit-none" => AuditPage::sample_none(owner("Audit log", Nav::Audit)),
        "keys" => KeysPage::sample(owner("Keys", Nav::Keys)),
        "keys-minted" => KeysPage::sample_minted(owner("Keys", Nav::Keys)),
        "users" => UsersPage::sample(owner("People", Nav::Users)),
        "remove-user" => RemoveUserPage::sample(owner("Remove Adam", Nav::Users)),
        "sign-in-link" => LinkPage::sample(bare()),
        "account" => AccountPage::sample(owner("Your account", Nav::Account)),
        "records" => RecordsPage::sample(owner("Deals", deals())),
        "records-none" => RecordsPage::sample_none(owner("Partners", Nav::Records("partner".to_owned()))),
        "record" => RecordPage::sample(owner("Halvorsen Freight — renewal", deals())),
        "record-why" => RecordPage::sample_why(owner("Halvorsen Freight — renewal", deals())),
        "record-edit" => EditPage::sample(owner("Edit Halvorsen Freight — renewal", deals())),
        "error-down" => ErrorPage::sample(bare()),
        "error-refused" => ErrorPage::sample_refused(owner("Your role does not allow this", Nav::None)),
    }
    Ok(previews)
}

/// The stylesheet and the script with their addresses, for a preview without a server.
#[must_use]
pub fn asset_files() -> [(&'static str, &'static str); 3] {
    assets::all()
}
