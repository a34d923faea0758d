//! The crm room, played: it answers from the console's own samples.

use model::Scope::{PartnersRead, PartnersWrite, RecordsRead, RecordsWrite, UsersManage};
use proto::crm::{self as wire, crm_server::Crm};
use tonic::{Request, Response, Status};
use web_console::sample;

use crate::{
    attribution_room::{play, quiet},
    rooms::{Answer, Rooms},
};

/// The registration with this id.
fn find(id: &str) -> Result<wire::DealRegistration, Status> {
    let found = sample::registrations().into_iter().find(|it| it.id == id);
    found.ok_or_else(|| Status::not_found("There is no such deal registration."))
}

fn list(asked: &wire::ListDealRegistrationsRequest) -> wire::ListDealRegistrationsResponse {
    let mut registrations = sample::registrations();
    let is_open = |it: &wire::DealRegistration| matches!(&*it.status, "submitted" | "under_review");
    registrations.retain(|it| match &*asked.status {
        "" => true,
        "open" => is_open(it),
        status => it.status == status,
    });
    registrations.retain(|it| asked.partner_id.is_empty() || it.partner_id == asked.partner_id);
    let next_page = if asked.page.is_empty() { "p2/=".to_owned() } else { String::new() };
    wire::ListDealRegistrationsResponse { registrations, next_page }
}

/// Whether the page of a record asks, and not a timeline's.
fn is_recent(asked: &wire::GetTimelineRequest) -> bool {
    asked.limit == 5
}

/// About the fourth record nothing is answered.
fn timeline(asked: wire::GetTimelineRequest) -> Result<wire::GetTimelineResponse, Status> {
    if asked.record_id == sample::id("rec", 3) {
        return Err(Status::unavailable("The database does not answer."));
    }
    let next_page = if asked.page.is_empty() { "p2/=".to_owned() } else { String::new() };
    Ok(wire::GetTimelineResponse { activities: sample::activities(), next_page })
}

/// The rules of the workspace, and one of another.
fn rules() -> wire::ListNotificationRulesResponse {
    let mut rules = sample::notification_rules();
    let elsewhere = wire::NotificationRule {
        connection_id: sample::id("conn", 8),
        channel_id: "C0ELSEWHERE".to_owned(),
        channel_name: "elsewhere".to_owned(),
        ..rules[0].clone()
    };
    rules.push(elsewhere);
    wire::ListNotificationRulesResponse { rules }
}

/// The people of the workspace, and one of another.
fn people() -> Vec<wire::VendorUser> {
    let mut people = sample::vendor_users();
    let elsewhere = wire::VendorUser {
        connection_id: sample::id("conn", 8),
        vendor_user_id: "U0ELSEWHERE".to_owned(),
        ..people[2].clone()
    };
    people.push(elsewhere);
    people
}

/// What is to be told in which channel of which connection.
fn told(asked: &wire::SetNotificationRulesRequest) -> String {
    let rules = asked.rules.iter();
    let rules =
        rules.map(|rule| format!(" {} #{} {}", rule.channel_id, rule.channel_name, rule.events.join("+")));
    format!("rules of {}:{}", asked.connection_id, rules.collect::<Vec<_>>().join(","))
}

fn campaign(id: &str) -> Result<wire::Campaign, Status> {
    let found = sample::campaigns().into_iter().find(|it| it.id == id);
    found.ok_or_else(|| Status::not_found("There is no such campaign."))
}

/// A campaign's mails and hours.
fn drafted(asked: &wire::CampaignDraft) -> String {
    let steps = asked.steps.iter().map(|it| format!(" +{} {:?} {:?}", it.after_days, it.subject, it.text));
    let hours = asked.window.as_ref().map(|it| (it.from_minute, it.until_minute, it.weekdays_only));
    let start = asked.starts_at.as_ref().map(|at| proto::from_wire_time(at).unwrap());
    let start = start.map(|at| format!(" at {at}")).unwrap_or_default();
    format!("draft {}{} {hours:?}{start}", asked.name, steps.collect::<String>())
}

play! {
    Crm asked {
    submit_deal_registration(SubmitDealRegistrationRequest) -> DealRegistration needs Some(RecordsWrite),
        |asked| format!("register {asked:?}"), |_| Ok(sample::registrations().remove(0));
    get_deal_registration(DealRegistrationRequest) -> DealRegistration needs Some(PartnersRead), quiet,
        |asked| find(&asked.id);
    list_deal_registrations(ListDealRegistrationsRequest) -> ListDealRegistrationsResponse needs Some(PartnersRead),
        |asked| format!("registrations {:?} {:?} {:?}", asked.status, asked.partner_id, asked.page),
        |asked| Ok(list(&asked));
    get_deal_form(GetDealFormRequest) -> DealForm needs None, quiet, |_| Ok(wire::DealForm {
        partner_id: sample::id("ptnr", 1), partner_name: "Ada Writes".to_owned(), revoked: false });
    review_deal_registration(DealRegistrationRequest) -> DealRegistration needs Some(PartnersWrite),
        |_| "review".to_owned(), |asked| find(&asked.id);
    approve_deal_registration(ApproveDealRegistrationRequest) -> DealRegistration needs Some(PartnersWrite),
        |asked| format!("approve for {}", asked.days), |asked| find(&asked.id);
    reject_deal_registration(RejectDealRegistrationRequest) -> DealRegistration needs Some(PartnersWrite),
        |asked| format!("reject “{}”", asked.reason), |asked| find(&asked.id);
    get_timeline(GetTimelineRequest) -> GetTimelineResponse needs Some(RecordsRead),
        |asked| if is_recent(asked) { String::new() } else {
            format!("timeline {} {:?} {:?} {:?}", asked.record_id, asked.kinds, asked.query, asked.page)
        }, timeline;
    get_activity(ActivityRequest) -> ActivityText needs Some(RecordsRead), quiet, |asked| {
        let found = sample::activities().into_iter().find(|it| it.id == asked.id);
        let found = found.ok_or_else(|| Status::not_found("There is no such activity."))?;
        Ok(wire::ActivityText { body: sample::activity_text(&found), activity: Some(found) })
    };
    get_settings(GetSettingsRequest) -> Settings needs Some(PartnersRead), quiet, |_| Ok(sample::crm_settings());
    list_notification_rules(ListNotificationRulesRequest) -> ListNotificationRulesResponse needs Some(PartnersRead),
        quiet, |_| Ok(rules());
    set_notification_rules(SetNotificationRulesRequest) -> ListNotificationRulesResponse needs Some(PartnersWrite),
        told, |_| Ok(rules());
    list_vendor_users(ListVendorUsersRequest) -> ListVendorUsersResponse needs Some(UsersManage), quiet,
        |_| Ok(wire::ListVendorUsersResponse { users: people() });
    confirm_vendor_user(ConfirmVendorUserRequest) -> VendorUser needs Some(UsersManage),
        |asked| format!("confirm {} as {}", asked.vendor_user_id, asked.user_id), |_| Ok(people().remove(0));
    remove_vendor_user(VendorUserRequest) -> RemoveVendorUserResponse needs Some(UsersManage),
        |asked| format!("forget {}", asked.vendor_user_id), |_| Ok(wire::RemoveVendorUserResponse {});
    set_settings(Settings) -> Settings needs Some(PartnersWrite), |asked| format!("set {asked:?}"), Ok;
    create_campaign(CampaignDraft) -> Campaign needs Some(RecordsWrite), drafted,
        |_| Ok(sample::campaigns().remove(0));
    get_campaign(CampaignRequest) -> Campaign needs Some(RecordsRead), quiet, |asked| campaign(&asked.id);
    list_campaigns(ListCampaignsRequest) -> ListCampaignsResponse needs Some(RecordsRead), quiet, |asked| {
        let next_page = if asked.page.is_empty() { "p2/=".to_owned() } else { String::new() };
        Ok(wire::ListCampaignsResponse { campaigns: sample::campaigns(), next_page })
    };
    update_campaign(UpdateCampaignRequest) -> Campaign needs Some(RecordsWrite),
        |asked| format!("{} over {:?}", drafted(asked.draft.as_ref().unwrap()), asked.if_version),
        |asked| campaign(&asked.id);
    start_campaign(StartCampaignRequest) -> Campaign needs Some(RecordsWrite),
        |asked| format!("start {:?}", asked.if_version), |asked| campaign(&asked.id);
    withdraw_campaign(CampaignRequest) -> Campaign needs Some(RecordsWrite), |_| "withdraw".to_owned(),
        |asked| campaign(&asked.id);
    pause_campaign(CampaignRequest) -> Campaign needs Some(RecordsWrite), |_| "pause".to_owned(),
        |asked| campaign(&asked.id);
    resume_campaign(CampaignRequest) -> Campaign needs Some(RecordsWrite), |_| "resume".to_owned(),
        |asked| campaign(&asked.id);
    enrol_recipients(EnrolRecipientsRequest) -> EnrolRecipientsResponse needs Some(RecordsWrite),
        |asked| {
            let one = |it: &wire::NewRecipient| format!(" {} {:?}", it.email, it.fields.get("first_name"));
            format!("enrol{}", asked.recipients.iter().map(one).collect::<String>())
        }, |asked| {
            let refused = asked.recipients.iter().enumerate().filter(|(_, it)| !it.email.contains('@'));
            let refused = refused.map(|(index, _)| wire::RecipientRefused {
                index: u32::try_from(index).unwrap(),
                code: "address_invalid".to_owned(),
                field: String::new(),
            });
            Ok(wire::EnrolRecipientsResponse { enrolled: 1, known: 0, refused: refused.collect() })
        };
    list_recipients(ListRecipientsRequest) -> ListRecipientsResponse needs Some(RecordsRead), quiet, |asked| {
        let mut recipients = sample::recipients();
        recipients.retain(|it| asked.state.is_empty() || it.state == asked.state);
        Ok(wire::ListRecipientsResponse { recipients, next_page: String::new() })
    };
    stop_recipient(RecipientRequest) -> Recipient needs Some(RecordsWrite),
        |asked| format!("stop {}", asked.recipient_id), |_| Ok(sample::recipients().remove(0));
    preview_campaign(PreviewCampaignRequest) -> PreviewCampaignResponse needs Some(RecordsRead), quiet, |asked| {
        let mut preview = sample::campaign_preview();
        if asked.campaign_id != sample::id("camp", 1) {
            preview.missing.clear();
        }
        Ok(preview)
    };
    list_mailboxes(ListMailboxesRequest) -> ListMailboxesResponse needs Some(RecordsRead), quiet,
        |_| Ok(wire::ListMailboxesResponse { mailboxes: sample::mailboxes() });
    set_mailbox(SetMailboxRequest) -> Mailbox needs Some(RecordsWrite),
        |asked| format!("limit {} {} {}", asked.connection_id, asked.per_minute, asked.per_day),
        |asked| Ok(wire::Mailbox { per_minute: asked.per_minute, per_day: asked.per_day, ..Default::default() });
    list_suppressions(ListSuppressionsRequest) -> ListSuppressionsResponse needs Some(RecordsRead),
        |asked| format!("suppressions {:?}", asked.query),
        |_| Ok(wire::ListSuppressionsResponse { suppressions: sample::suppressions(), next_page: String::new() });
    add_suppressions(AddSuppressionsRequest) -> AddSuppressionsResponse needs Some(RecordsWrite),
        |asked| format!("suppress {}", asked.emails.join(" ")),
        |_| Ok(wire::AddSuppressionsResponse { added: 2, known: 1, refused: Vec::new() });
    remove_suppression(RemoveSuppressionRequest) -> RemoveSuppressionResponse needs Some(RecordsWrite),
        |asked| format!("unsuppress {}", asked.email), |_| Ok(wire::RemoveSuppressionResponse {});
    }
    never {
    record_activities(RecordActivitiesRequest) -> RecordActivitiesResponse;
    opt_out(OptOutRequest) -> OptOutResponse;
    }
}
