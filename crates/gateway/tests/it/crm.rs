use chassis::guard;
use http::{Method, StatusCode};
use proto::crm::{
    Activity, ApproveDealRegistrationRequest, ConfirmVendorUserRequest, DealRegistration, GetTimelineRequest,
    GetTimelineResponse, ListNotificationRulesResponse, NotificationRule, RecordActivitiesRequest,
    RecordActivitiesResponse, RecordedActivity, RegistrationConflict, RejectDealRegistrationRequest,
    RemoveVendorUserResponse, SetNotificationRulesRequest, SubmitDealRegistrationRequest, VendorUser,
    VendorUserRequest,
};
use serde_json::json;
use tonic::Code;

use crate::client::door;

#[tokio::test]
async fn a_deal_is_registered_and_decided_over_http() {
    let door = door().await;
    door.rooms.on("accord.crm.v1.Crm/SubmitDealRegistration", |it: SubmitDealRegistrationRequest| {
        Ok(DealRegistration {
            id: "dreg_1".to_owned(),
            company_name: it.company_name,
            amount: it.amount,
            status: "submitted".to_owned(),
            conflicts: vec![RegistrationConflict { kind: "channel".to_owned(), ..<_>::default() }],
            ..DealRegistration::default()
        })
    });
    let new = json!({
        "company_name": "Acme", "company_domain": "acme.example", "contact_name": "Carol",
        "contact_email": "carol@acme.example", "deal_name": "Ten presses", "amount": "45000.10", "currency": "EUR",
    });
    let made = door.call(Method::POST, "/api/v1/deal-registrations", Some(new)).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let made = made.json();
    assert_eq!(
        (&made["id"], &made["amount"], &made["note"]),
        (&json!("dreg_1"), &json!("45000.10"), &json!(null))
    );
    // What partners are not told is not there.
    let nothing = json!({ "kind": "channel", "registration_id": null, "partner_id": null, "status": null });
    assert_eq!((&made["submitted_by"], &made["conflicts"]), (&json!(null), &json!([nothing])));
    door.rooms.on("accord.crm.v1.Crm/ApproveDealRegistration", |it: ApproveDealRegistrationRequest| {
        assert_eq!((it.id.as_str(), it.days), ("dreg_1", 30));
        Ok(DealRegistration { deal_id: "rec_1".to_owned(), ..DealRegistration::default() })
    });
    let path = "/api/v1/deal-registrations/dreg_1/approve";
    let approved = door.call(Method::POST, path, Some(json!({ "days": 30 }))).await;
    assert_eq!(approved.json()["deal_id"], "rec_1");
    door.rooms.on("accord.crm.v1.Crm/RejectDealRegistration", |_: RejectDealRegistrationRequest| {
        let message = "It is approved already: user:user_1 decided.";
        Err::<DealRegistration, _>(guard::status(Code::FailedPrecondition, "already_decided", message))
    });
    let path = "/api/v1/deal-registrations/dreg_1/reject";
    let late = door.call(Method::POST, path, Some(json!({ "reason": "no" }))).await;
    assert_eq!((late.status, late.code().as_str()), (StatusCode::CONFLICT, "already_decided"));
    assert!(late.json()["error"]["message"].as_str().unwrap().contains("user_1"));
    for body in [json!({}), json!({ "reason": 3 }), json!({ "reason": "no", "x": 1 }), json!([])] {
        assert_eq!(door.call(Method::POST, path, Some(body)).await.code(), "body_invalid");
    }
}

#[tokio::test]
async fn activities_are_recorded_and_timelines_read_over_http() {
    let door = door().await;
    door.rooms.on("accord.crm.v1.Crm/RecordActivities", |it: RecordActivitiesRequest| {
        assert_eq!(it.activities[0].participants[0].email, "ann@acme.example");
        let recorded = RecordedActivity { outcome: "new".to_owned(), ..RecordedActivity::default() };
        Ok(RecordActivitiesResponse { activities: vec![recorded] })
    });
    let told = json!({ "activities": [{
        "source": "api", "external_id": "1", "kind": "call", "at": "2026-11-20T12:00:00Z",
        "participants": [{ "role": "from", "email": "ann@acme.example" }],
    }] });
    let told = door.call(Method::POST, "/api/v1/activities", Some(told)).await;
    assert_eq!(told.json()["data"][0]["outcome"], "new");
    door.rooms.on("accord.crm.v1.Crm/GetTimeline", |it: GetTimelineRequest| {
        assert_eq!(
            (it.kinds, it.query.as_str(), it.limit),
            (vec!["call".into(), "note".into()], "blue press", 2)
        );
        let preview = "<script>".to_owned();
        let activities = vec![Activity { preview, ..Activity::default() }];
        Ok(GetTimelineResponse { activities, next_page: "1.2".to_owned() })
    });
    let path = "/api/v1/timeline?record_id=rec_1&kinds=call,note&query=blue%20press&limit=2";
    let timeline = door.get(path).await.json();
    assert_eq!(
        (&timeline["next_page"], &timeline["data"][0]["preview"]),
        (&json!("1.2"), &json!("<script>"))
    );
    for query in ["", "?record_id=rec_1&limit=-1", "?record_id=rec_1&x=1", "?record_id=%00"] {
        assert_eq!(door.get(&format!("/api/v1/timeline{query}")).await.code(), "query_invalid", "{query}");
    }
}

#[tokio::test]
async fn rules_are_set_and_people_confirmed_over_http() {
    let door = door().await;
    door.rooms.on("accord.crm.v1.Crm/SetNotificationRules", |it: SetNotificationRulesRequest| {
        let rule = it.rules.into_iter().next().unwrap();
        let rule = NotificationRule {
            id: "nrule_1".to_owned(),
            connection_id: it.connection_id,
            channel_id: rule.channel_id,
            events: rule.events,
            error: "is_archived".to_owned(),
            error_message: "The channel is archived.".to_owned(),
            ..NotificationRule::default()
        };
        Ok(ListNotificationRulesResponse { rules: vec![rule] })
    });
    let rules = json!({
        "connection_id": "conn_1", "rules": [{ "channel_id": "C1", "events": ["deal_won"] }],
    });
    let set = door.call(Method::PUT, "/api/v1/notification-rules", Some(rules)).await.json();
    let rule = &set["data"][0];
    assert_eq!((&rule["channel_id"], &rule["events"]), (&json!("C1"), &json!(["deal_won"])));
    assert_eq!(
        (&rule["error_message"], &rule["posted_at"]),
        (&json!("The channel is archived."), &json!(null))
    );
    for body in
        [json!({}), json!({ "connection_id": "conn_1" }), json!({ "connection_id": "c", "rules": [{}] })]
    {
        let refused = door.call(Method::PUT, "/api/v1/notification-rules", Some(body)).await;
        assert_eq!(refused.code(), "body_invalid");
    }
    door.rooms.on("accord.crm.v1.Crm/ConfirmVendorUser", |it: ConfirmVendorUserRequest| {
        Ok(VendorUser { vendor_user_id: it.vendor_user_id, user_id: it.user_id, ..VendorUser::default() })
    });
    let path = "/api/v1/vendor-users/conn_1/U1";
    let confirmed = door.call(Method::PUT, path, Some(json!({ "user_id": "user_1" }))).await.json();
    assert_eq!((&confirmed["vendor_user_id"], &confirmed["user_id"]), (&json!("U1"), &json!("user_1")));
    door.rooms.on("accord.crm.v1.Crm/RemoveVendorUser", |it: VendorUserRequest| {
        assert_eq!((it.connection_id.as_str(), it.vendor_user_id.as_str()), ("conn_1", "U1"));
        Ok(RemoveVendorUserResponse {})
    });
    assert_eq!(door.call(Method::DELETE, path, None).await.status, StatusCode::OK);
}
