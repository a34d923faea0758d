use model::Role;

use crate::{
    assets,
    flash::Flash,
    pages::{
        account::AccountPage,
        attribution::{
            commissions::CommissionsPage,
            conversion_rules::{RuleFormPage, RulePage, RulesPage},
            crm::CrmPage,
            events::EventsPage,
            guards::GuardsPage,
            ingest::{IngestUrlPage, IngestUrlsPage, RevokeIngestPage},
            ledger::LedgerPage,
            model_change::ModelPage,
            partner::PartnerPage,
            partners::PartnersPage,
            payouts::PayoutsPage,
            program::ProgramPage,
            program_form::ProgramFormPage,
            programs::ProgramsPage,
            review::ReviewPage,
            webhooks::{DeleteWebhookPage, WebhookPage, WebhooksPage},
        },
        audit::AuditPage,
        campaigns::{
            detail::CampaignPage, form::CampaignFormPage, list::CampaignsPage, mailboxes::MailboxesPage,
            suppressions::SuppressionsPage,
        },
        connect::{ConnectPage, DisconnectPage, LeavingPage},
        connection::ConnectionPage,
        decisions::DecisionsPage,
        error::ErrorPage,
        health::HealthPage,
        integrations::IntegrationsPage,
        issues::IssuesPage,
        keys::KeysPage,
        mapping::MappingPage,
        partner_form::{ClosedPage, PartnerFormPage},
        plan::PlanPage,
        reconcile::ReconcilePage,
        record::RecordPage,
        record_edit::EditPage,
        records::RecordsPage,
        registrations::{detail::DetailPage, form::FormPage, queue::QueuePage, settings::SettingsPage},
        runs::{RunsPage, UndoPage},
        sign_in::{LinkPage, SignInPage},
        telling::{channels::ChannelsPage, people::VendorPeoplePage},
        timeline::{TimelinePage, activity::ActivityPage},
        users::{RemoveUserPage, UsersPage},
        writing::WritingPage,
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

/// Draws pages, each under its name.
macro_rules! draw {
    ($($name:literal => $page:expr),+ $(,)?) => {
        vec![$(Preview { name: $name, html: askama::Template::render(&$page)? }),+]
    };
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
    let mut previews = draw! {
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
        "writing" => WritingPage::sample(owner("HubSpot attribution", Nav::Integrations)),
        "writing-off" => WritingPage::sample_off(owner("HubSpot attribution", Nav::Integrations)),
        "writing-salesforce" => WritingPage::sample_salesforce(owner("Salesforce attribution", Nav::Integrations)),
        "writing-viewer" => WritingPage::sample(shell("HubSpot attribution", Nav::Integrations, Role::Viewer)),
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
    };
    previews.extend(attribution()?);
    previews.extend(sources_and_guards()?);
    previews.extend(registered()?.into_iter().chain(mailed()?));
    previews.extend(tools()?);
    Ok(previews)
}

/// The pages of tools that are no CRM.
fn tools() -> Result<Vec<Preview>, askama::Error> {
    let owner = |title: &str| shell(title, Nav::Integrations, Role::Owner);
    let viewer = |title: &str| shell(title, Nav::Integrations, Role::Viewer);
    Ok(draw! {
        "integrations-all" => IntegrationsPage::sample_all(owner("Integrations")),
        "connect-slack" => ConnectPage::sample_slack(owner("Connect Slack")),
        "connect-slack-again" => ConnectPage::sample_slack_again(owner("Connect Slack")),
        "connect-m365" => ConnectPage::sample_mail(owner("Connect Microsoft 365")),
        "connection-m365" => ConnectionPage::sample_mail(owner("Microsoft 365")),
        "connection-m365-viewer" => ConnectionPage::sample_mail(viewer("Microsoft 365")),
        "connection-slack" => ConnectionPage::sample_slack(owner("Slack")),
        "connection-slack-new" => ConnectionPage::sample_slack_new(owner("Slack")),
        "connection-slack-reauth" => ConnectionPage::sample_slack_reauth(owner("Slack")),
        "connection-slack-viewer" => ConnectionPage::sample_slack(viewer("Slack")),
        "channels" => ChannelsPage::sample(owner("What is told in Slack")),
        "channels-none" => ChannelsPage::sample_none(owner("What is told in Slack")),
        "channels-unlisted" => ChannelsPage::sample_unlisted(owner("What is told in Slack")),
        "channels-viewer" => ChannelsPage::sample(viewer("What is told in Slack")),
        "vendor-people" => VendorPeoplePage::sample(owner("People in Slack")),
        "vendor-people-none" => VendorPeoplePage::sample_none(owner("People in Slack")),
    })
}

/// The pages of what people do with records: timelines, and deals that partners register.
fn registered() -> Result<Vec<Preview>, askama::Error> {
    let owner = |title: &str| shell(title, Nav::Registrations, Role::Owner);
    let viewer = |title: &str| shell(title, Nav::Registrations, Role::Viewer);
    let deals = |title: &str| shell(title, Nav::Records("deal".to_owned()), Role::Viewer);
    let outside = || Shell::bare("Register a deal", sample::now());
    Ok(draw! {
        "timeline" => TimelinePage::sample(deals("Timeline of Halvorsen Freight — renewal")),
        "timeline-none" => TimelinePage::sample_none(deals("Timeline of Halvorsen Freight — renewal")),
        "timeline-nothing-fits" => TimelinePage::sample_nothing_fits(deals("Timeline of Halvorsen Freight — renewal")),
        "activity" => ActivityPage::sample(deals("Re: Offer for <ten> presses")),
        "activity-transcript" => ActivityPage::sample_transcript(deals("Presses: first talk")),
        "activity-bare" => ActivityPage::sample_bare(deals("Call made")),
        "registrations" => QueuePage::sample(owner("Deal registrations")),
        "registrations-none" => QueuePage::sample_none(owner("Deal registrations")),
        "registrations-viewer" => QueuePage::sample(viewer("Deal registrations")),
        "registration-new" => FormPage::sample(owner("Register a deal")),
        "registration-new-nobody" => FormPage::sample_nobody(owner("Register a deal")),
        "registration-settings" => SettingsPage::sample(owner("Settings of deal registrations")),
        "registration-settings-viewer" => SettingsPage::sample(viewer("Settings of deal registrations")),
        "registration" => DetailPage::sample(owner("Ten presses, lot 1")),
        "registration-viewer" => DetailPage::sample_reviewed(viewer("Ten presses, lot 2")),
        "registration-reviewed" => DetailPage::sample_reviewed(owner("Ten presses, lot 2")),
        "registration-approved" => DetailPage::sample_approved(owner("Ten presses, lot 3")),
        "registration-rejected" => DetailPage::sample_rejected(owner("Ten presses, lot 4")),
        "partner-form" => PartnerFormPage::sample(outside()),
        "partner-form-none" => PartnerFormPage::sample_none(outside()),
        "partner-form-refused" => PartnerFormPage::sample_refused(outside()),
        "partner-form-closed" => ClosedPage::sample(outside()),
        "partner-form-revoked" => ClosedPage::sample_revoked(outside()),
        "registration-expired" => DetailPage::sample_expired(owner("Ten presses, lot 5")),
    })
}

/// The pages of where events come from and of what is held back.
fn sources_and_guards() -> Result<Vec<Preview>, askama::Error> {
    let owner = |title: &str, nav: Nav| shell(title, nav, Role::Owner);
    Ok(draw! {
        "review" => ReviewPage::sample(owner("Review queue", Nav::Review)),
        "review-none" => ReviewPage::sample_none(owner("Review queue", Nav::Review)),
        "review-viewer" => ReviewPage::sample(shell("Review queue", Nav::Review, Role::Viewer)),
        "guards" => GuardsPage::sample(owner("What is held back", Nav::Review)),
        "guards-made" => GuardsPage::sample_made(owner("What is held back", Nav::Review)),
        "conversion-rules" => RulesPage::sample(owner("Conversion rules", Nav::Crm)),
        "conversion-rules-none" => RulesPage::sample_none(owner("Conversion rules", Nav::Crm)),
        "conversion-rules-viewer" => RulesPage::sample(shell("Conversion rules", Nav::Crm, Role::Viewer)),
        "conversion-rule" => RulePage::sample(owner("Won deals", Nav::Crm)),
        "conversion-rule-viewer" => RulePage::sample(shell("Won deals", Nav::Crm, Role::Viewer)),
        "conversion-rule-new" => RuleFormPage::sample(owner("New conversion rule", Nav::Crm)),
        "conversion-rule-edit" => RuleFormPage::sample_edit(owner("Edit the conversion rule", Nav::Crm)),
        "ingest" => IngestUrlsPage::sample(owner("Ingest URLs", Nav::Crm)),
        "ingest-made" => IngestUrlsPage::sample_made(owner("Ingest URLs", Nav::Crm)),
        "ingest-url" => IngestUrlPage::sample(owner("Pipedrive deals", Nav::Crm)),
        "ingest-url-revoke" => RevokeIngestPage::sample(owner("Revoke Pipedrive deals", Nav::Crm)),
        "webhooks" => WebhooksPage::sample(owner("Webhooks", Nav::Webhooks)),
        "webhooks-made" => WebhooksPage::sample_made(owner("Webhooks", Nav::Webhooks)),
        "webhook" => WebhookPage::sample(owner("Back office", Nav::Webhooks)),
        "webhook-delete" => DeleteWebhookPage::sample(owner("Delete a webhook", Nav::Webhooks)),
    })
}

/// The pages of partner programs.
fn attribution() -> Result<Vec<Preview>, askama::Error> {
    let owner = |title: &str, nav: Nav| shell(title, nav, Role::Owner);
    let viewer = |title: &str, nav: Nav| shell(title, nav, Role::Viewer);
    Ok(draw! {
        "programs" => ProgramsPage::sample(owner("Programs", Nav::Programs)),
        "programs-none" => ProgramsPage::sample_none(owner("Programs", Nav::Programs)),
        "program" => ProgramPage::sample(owner("Referrals", Nav::Programs)),
        "program-viewer" => ProgramPage::sample(viewer("Referrals", Nav::Programs)),
        "program-new" => ProgramFormPage::sample(owner("New program", Nav::Programs)),
        "program-edit" => ProgramFormPage::sample_edit(owner("Edit Referrals", Nav::Programs)),
        "model" => ModelPage::sample_open(owner("Change the model", Nav::Programs)),
        "model-difference" => ModelPage::sample(owner("Change the model", Nav::Programs)),
        "partners" => PartnersPage::sample(owner("Partners", Nav::Partners)),
        "partners-none" => PartnersPage::sample_none(owner("Partners", Nav::Partners)),
        "partners-viewer" => PartnersPage::sample(viewer("Partners", Nav::Partners)),
        "partner" => PartnerPage::sample(owner("Ada Writes", Nav::Partners)),
        "partner-new" => PartnerPage::sample_new(owner("Bo & Søn", Nav::Partners)),
        "partner-form-made" => PartnerPage::sample_form_made(owner("Ada Writes", Nav::Partners)),
        "partner-viewer" => PartnerPage::sample(viewer("Ada Writes", Nav::Partners)),
        "events" => EventsPage::sample(owner("Events", Nav::Events)),
        "events-lost" => EventsPage::sample_lost(owner("Events", Nav::Events)),
        "events-none" => EventsPage::sample_none(owner("Events", Nav::Events)),
        "events-viewer" => EventsPage::sample(viewer("Events", Nav::Events)),
        "commissions" => CommissionsPage::sample(owner("Commissions", Nav::Commissions)),
        "commissions-none" => CommissionsPage::sample_none(owner("Commissions", Nav::Commissions)),
        "commissions-viewer" => CommissionsPage::sample(viewer("Commissions", Nav::Commissions)),
        "ledger" => LedgerPage::sample(owner("Ledger", Nav::Ledger)),
        "ledger-broken" => LedgerPage::sample_broken(owner("Ledger", Nav::Ledger)),
        "payouts" => PayoutsPage::sample(owner("Payouts", Nav::Payouts)),
        "payouts-none" => PayoutsPage::sample_none(owner("Payouts", Nav::Payouts)),
        "payouts-viewer" => PayoutsPage::sample(viewer("Payouts", Nav::Payouts)),
        "crm" => CrmPage::sample(owner("CRM integration", Nav::Crm)),
        "crm-minted" => CrmPage::sample_minted(owner("CRM integration", Nav::Crm)),
    })
}

/// The stylesheet and the script with their addresses, for a preview without a server.
#[must_use]
pub fn asset_files() -> [(&'static str, &'static str); 3] {
    assets::all()
}

/// The pages of mails to many.
fn mailed() -> Result<Vec<Preview>, askama::Error> {
    let owner = |title: &str| shell(title, Nav::Campaigns, Role::Owner);
    let viewer = |title: &str| shell(title, Nav::Campaigns, Role::Viewer);
    Ok(draw! {
        "campaigns" => CampaignsPage::sample(owner("Campaigns")),
        "campaigns-none" => CampaignsPage::sample_none(owner("Campaigns")),
        "campaigns-viewer" => CampaignsPage::sample_none(viewer("Campaigns")),
        "campaign" => CampaignPage::sample(owner("Presses in autumn")),
        "campaign-viewer" => CampaignPage::sample(viewer("Presses in autumn")),
        "campaign-draft" => CampaignPage::sample_draft(owner("Presses in <spring>")),
        "campaign-empty" => CampaignPage::sample_empty(owner("Presses in <spring>")),
        "campaign-scheduled" => CampaignPage::sample_scheduled(owner("Presses in May")),
        "campaign-scheduled-viewer" => CampaignPage::sample_scheduled(viewer("Presses in May")),
        "campaign-paused" => CampaignPage::sample_paused(owner("News of March")),
        "campaign-new" => CampaignFormPage::sample(owner("New campaign")),
        "campaign-new-nowhere" => CampaignFormPage::sample_nowhere(owner("New campaign")),
        "campaign-edit" => CampaignFormPage::sample_edit(owner("Change the campaign")),
        "campaign-edit-refused" => CampaignFormPage::sample_refused(owner("Change the campaign")),
        "campaign-edit-overtaken" => CampaignFormPage::sample_overtaken(owner("Change the campaign")),
        "mailboxes" => MailboxesPage::sample(owner("Sending limits")),
        "mailboxes-refused" => MailboxesPage::sample_refused(owner("Sending limits")),
        "mailboxes-none" => MailboxesPage::sample_none(owner("Sending limits")),
        "mailboxes-viewer" => MailboxesPage::sample(viewer("Sending limits")),
        "suppressions" => SuppressionsPage::sample(owner("Who gets no mail")),
        "suppressions-none" => SuppressionsPage::sample_none(viewer("Who gets no mail")),
    })
}
