//! Campaigns over HTTP, and the page where their recipients opt out (R249, R250).

use axum::body::Body;
use chassis::guard;
use http::{Method, Request, StatusCode, header};
use proto::crm::*;
use serde_json::json;
use tonic::Code;

use crate::client::door;

#[tokio::test]
async fn a_campaign_is_drafted_filled_and_started_over_http() {
    let door = door().await;
    door.rooms.on("accord.crm.v1.Crm/CreateCampaign", |it: CampaignDraft| {
        let window = it.window.clone().unwrap();
        assert_eq!((window.from_minute, window.weekdays_only), (540, true));
        assert_eq!(it.starts_at.unwrap().seconds, 1_764_000_000);
        Ok(Campaign {
            id: "camp_1".to_owned(),
            name: it.name,
            steps: it.steps,
            window: it.window,
            state: "draft".to_owned(),
            recipients: vec![RecipientCount { state: "sent".to_owned(), count: 7 }],
            ..Campaign::default()
        })
    });
    let draft = json!({
        "name": "Autumn", "connection_id": "conn_1", "starts_at": "2025-11-24T16:00:00Z",
        "steps": [{ "subject": "A word", "text": "Dear {{first_name}}" }, { "after_days": 3, "text": "Again" }],
        "window": { "time_zone": "Europe/Berlin", "from_minute": 540, "until_minute": 1020, "weekdays_only": true },
    });
    let made = door.call(Method::POST, "/api/v1/campaigns", Some(draft.clone())).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let made = made.json();
    assert_eq!((&made["steps"][0]["after_days"], &made["steps"][1]["subject"]), (&json!(0), &json!(null)));
    assert_eq!((&made["recipients"]["sent"], &made["pause_reason"]), (&json!(7), &json!(null)));
    let mut odd = draft;
    odd["subject"] = json!("A word");
    for body in [odd, json!({}), json!({ "name": "x", "connection_id": "c", "steps": [{}] })] {
        assert_eq!(door.call(Method::POST, "/api/v1/campaigns", Some(body)).await.code(), "body_invalid");
    }
    door.rooms.on("accord.crm.v1.Crm/StartCampaign", |_: StartCampaignRequest| {
        let message = "{{company}} is not known of 2 recipients.";
        Err::<Campaign, _>(guard::status(Code::FailedPrecondition, "fields_missing", message))
    });
    let refused = door.call(Method::POST, "/api/v1/campaigns/camp_1/start", None).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::CONFLICT, "fields_missing"));
    door.call(Method::POST, "/api/v1/campaigns/camp_1/start?if_version=3", None).await;
    let asked: StartCampaignRequest = door.rooms.last().message();
    assert_eq!((asked.id.as_str(), asked.if_version), ("camp_1", Some(3)));
    let turns = [("pause", "PauseCampaign"), ("resume", "ResumeCampaign"), ("withdraw", "WithdrawCampaign")];
    for (action, method) in turns {
        let path = format!("/api/v1/campaigns/camp_1/{action}");
        assert_eq!(door.call(Method::POST, &path, None).await.status, StatusCode::OK);
        let asked: CampaignRequest = door.rooms.last_of(&format!("accord.crm.v1.Crm/{method}")).message();
        assert_eq!(asked.id, "camp_1");
    }
    door.rooms.on("accord.crm.v1.Crm/UpdateCampaign", |it: UpdateCampaignRequest| {
        assert_eq!((it.id.as_str(), it.draft.unwrap().name.as_str()), ("camp_1", "Autumn"));
        match it.if_version {
            Some(2) => Err(guard::status(Code::Aborted, "version_changed", "It changed meanwhile.")),
            _ => Ok(Campaign { version: 4, ..Campaign::default() }),
        }
    });
    let mut edit = json!({
        "name": "Autumn", "connection_id": "conn_1", "steps": [{ "subject": "A word", "text": "b" }] });
    let saved = door.call(Method::PUT, "/api/v1/campaigns/camp_1", Some(edit.clone())).await;
    assert_eq!(saved.json()["version"], json!(4));
    edit["if_version"] = json!(2);
    let refused = door.call(Method::PUT, "/api/v1/campaigns/camp_1", Some(edit)).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::CONFLICT, "version_changed"));
    door.get("/api/v1/campaigns/camp_1/preview?recipient_id=rcpt_1&limit=2").await;
    let asked: PreviewCampaignRequest = door.rooms.last().message();
    assert_eq!(
        (asked.campaign_id.as_str(), asked.recipient_id.as_str(), asked.limit),
        ("camp_1", "rcpt_1", 2)
    );
    door.call(Method::POST, "/api/v1/campaigns/camp_1/recipients/rcpt_1/stop", None).await;
    let asked: RecipientRequest = door.rooms.last().message();
    assert_eq!((asked.campaign_id.as_str(), asked.recipient_id.as_str()), ("camp_1", "rcpt_1"));
}

#[tokio::test]
async fn ten_thousand_recipients_go_through_in_one_call_and_any_other_body_stays_small() {
    let door = door().await;
    door.rooms.on("accord.crm.v1.Crm/EnrolRecipients", |it: EnrolRecipientsRequest| {
        assert_eq!((it.campaign_id.as_str(), it.recipients.len()), ("camp_1", 10_000));
        let refused =
            vec![RecipientRefused { index: 3, code: "address_invalid".to_owned(), field: String::new() }];
        Ok(EnrolRecipientsResponse { enrolled: 9_999, known: 0, refused })
    });
    let person = |number: usize| {
        json!({
            "email": format!("person{number}@company{number}.example"), "name": "Ann Field",
            "fields": { "first_name": "Ann", "company": "A company with a rather long name of its own, Limited" },
        })
    };
    let people: Vec<_> = (0..10_000).map(person).collect();
    let body = json!({ "recipients": people });
    assert!(body.to_string().len() > 1024 * 1024);
    let told = door.call(Method::POST, "/api/v1/campaigns/camp_1/recipients", Some(body.clone())).await;
    assert_eq!(
        told.json(),
        json!({
            "enrolled": 9_999, "known": 0, "refused": [{ "index": 3, "code": "address_invalid", "field": null }],
        })
    );
    let other = door.call(Method::POST, "/api/v1/campaigns", Some(body)).await;
    assert_eq!(other.code(), "body_too_large");
    door.rooms.on("accord.crm.v1.Crm/ListRecipients", |it: ListRecipientsRequest| {
        assert_eq!((it.state.as_str(), it.limit), ("bounced", 5));
        let one = Recipient { state: it.state, reason: "x".to_owned(), step: 2, ..Recipient::default() };
        Ok(ListRecipientsResponse { recipients: vec![one], next_page: "rcpt_9".to_owned() })
    });
    let listed = door.get("/api/v1/campaigns/camp_1/recipients?state=bounced&limit=5").await.json();
    assert_eq!((&listed["data"][0]["mails_sent"], &listed["next_page"]), (&json!(2), &json!("rcpt_9")));
}

#[tokio::test]
async fn who_gets_no_mail_and_how_many_a_mailbox_sends_is_set_over_http() {
    let door = door().await;
    door.rooms.on("accord.crm.v1.Crm/AddSuppressions", |it: AddSuppressionsRequest| {
        assert_eq!(it.emails, ["a@x.example", "b@x.example"]);
        Ok(AddSuppressionsResponse { added: 1, known: 1, refused: Vec::new() })
    });
    let emails = json!({ "emails": ["a@x.example", "b@x.example"] });
    let added = door.call(Method::POST, "/api/v1/suppressions", Some(emails)).await.json();
    assert_eq!(added, json!({ "added": 1, "known": 1, "refused": [] }));
    door.get("/api/v1/suppressions?query=x.example&page=1.a").await;
    let asked: ListSuppressionsRequest = door.rooms.last().message();
    assert_eq!((asked.query.as_str(), asked.page.as_str()), ("x.example", "1.a"));
    let one = json!({ "email": "a@x.example" });
    let removed = door.call(Method::POST, "/api/v1/suppressions/remove", Some(one.clone())).await;
    assert_eq!(removed.json(), one);
    let limits = json!({ "per_minute": 20, "per_day": 900 });
    door.call(Method::PUT, "/api/v1/mailboxes/conn_1", Some(limits)).await;
    let asked: SetMailboxRequest = door.rooms.last().message();
    assert_eq!((asked.connection_id.as_str(), asked.per_minute, asked.per_day), ("conn_1", 20, 900));
}

#[tokio::test]
async fn looking_at_the_opt_out_page_changes_nothing_and_its_button_or_one_click_does() {
    let door = door().await;
    let request = |method: Method, body: &'static str| {
        let form = "application/x-www-form-urlencoded";
        let request = Request::builder().method(method).uri("/opt-out?utm=1&t=T0ken");
        request.header(header::CONTENT_TYPE, form).body(Body::from(body)).unwrap()
    };
    for method in [Method::GET, Method::HEAD] {
        let page = door.send(request(method, "")).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.header("content-security-policy").contains("default-src 'none'"));
        assert_eq!(page.header("referrer-policy"), "no-referrer");
    }
    let page = door.send(request(Method::GET, "")).await;
    assert!(page.text.contains("<form method=\"post\"><button>") && !page.text.contains("T0ken"));
    assert!(door.rooms.calls().is_empty());
    for body in ["", "List-Unsubscribe=One-Click"] {
        let done = door.send(request(Method::POST, body)).await;
        assert_eq!(done.status, StatusCode::OK);
        assert!(done.text.contains("You get no more of these mails."));
        let call = door.rooms.last();
        assert_eq!(call.message::<OptOutRequest>().token, "T0ken");
        assert_eq!(call.header("authorization"), None);
    }
    door.rooms.on("accord.crm.v1.Crm/OptOut", |_: OptOutRequest| {
        Err::<OptOutResponse, _>(guard::status(Code::NotFound, "link_not_found", "There is no such link."))
    });
    assert_eq!(door.send(request(Method::POST, "")).await.status, StatusCode::NOT_FOUND);
    door.rooms.on("accord.crm.v1.Crm/OptOut", |_: OptOutRequest| {
        Err::<OptOutResponse, _>(guard::status(Code::Unavailable, "database_unavailable", "Later."))
    });
    let later = door.send(request(Method::POST, "")).await;
    assert_eq!(later.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(later.text.contains("Try again"));
}
