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

play! {
    Crm asked {
    submit_deal_registration(SubmitDealRegistrationRequest) -> DealRegistration needs Some(RecordsWrite),
        |asked| format!("register {asked:?}"), |_| Ok(sample::registrations().remove(0));
    get_deal_registration(DealRegistrationRequest) -> DealRegistration needs Some(PartnersRead), quiet,
        |asked| find(&asked.id);
    list_deal_registrations(ListDealRegistrationsRequest) -> ListDealRegistrationsResponse needs Some(PartnersRead),
        |asked| format!("registrations {:?} {:?} {:?}", asked.status, asked.partner_id, asked.page),
        |asked| Ok(list(&asked));
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
    }
    never {
    record_activities(RecordActivitiesRequest) -> RecordActivitiesResponse;
    }
}
