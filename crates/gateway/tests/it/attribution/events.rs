use axum::body::Body;
use http::{Method, Request, StatusCode};
use proto::attribution::{
    CorrectEventRequest, CorrectEventResponse, EventAnswer, ListEventsRequest, ListEventsResponse, NewEvent,
    RecordEventsRequest, RecordEventsResponse, RecordedEvent, Refusal, Touch, Weight,
    correct_event_request::Correction, event_answer::Answer,
};
use serde_json::json;

use super::{RECORD, attributed, house};

const PATH: &str = "/api/attribution/events";

fn last(door: &crate::client::Door) -> NewEvent {
    door.rooms.last().message::<RecordEventsRequest>().events.remove(0)
}

// R128, R133, R134, R144-R160
#[tokio::test]
async fn the_documented_sample_is_recorded_and_answered_to_the_letter() {
    let door = house().await;
    let sample = r#"{
  "userId": "ada@example.com",
  "type": "opportunity_won",
  "value": 4500.00,
  "currency": "USD",
  "metadata": { "deal_id": "deal_1842", "stage": "Closed Won" }
}"#;
    let answer = door.post_as("ak_test", PATH, sample).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(
        answer.text,
        "{\"ok\":true,\"eventId\":\"evt_0\",\"attribution\":{\"status\":\"attributed\",\"touches\":[{\"clickId\":\"01JCLICK\",\
         \"partnerId\":\"ptnr_1\",\"weight\":1,\"attributionId\":\"attr_1\",\"commissionId\":\"comm_1\"}],\"model\":\"last_click\"}}"
    );
    let event = last(&door);
    assert_eq!((event.user_id.as_str(), event.r#type.as_str()), ("ada@example.com", "opportunity_won"));
    assert_eq!((event.value.as_deref(), event.currency.as_str()), (Some("4500"), "USD"));
    assert_eq!(event.metadata_json, r#"{ "deal_id": "deal_1842", "stage": "Closed Won" }"#);
    assert_eq!((event.ts, event.external_event_id.as_str(), event.idempotency_key.as_str()), (None, "", ""));
    assert_eq!(door.rooms.last().header("authorization"), Some("Bearer ak_test"));
}

// Mistake 11
#[tokio::test]
async fn a_deal_of_several_contacts_names_them_all() {
    let door = house().await;
    let mut body = json!({ "userId": "chief@example.com", "type": "t", "otherUserIds": ["a@example.com", "b@example.com"] });
    assert_eq!(door.post(PATH, &body).await.status, StatusCode::OK);
    assert_eq!(last(&door).other_user_ids, ["a@example.com", "b@example.com"]);
    for (others, message) in [
        (json!(["a", 7]), "Expected string, received number"),
        (json!("a"), "Expected array, received string"),
        (json!(vec!["a"; 21]), "Array must contain at most 20 element(s)"),
    ] {
        body["otherUserIds"] = others;
        let answer = door.post(PATH, &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.json()["detail"]["fieldErrors"], json!({ "otherUserIds": [message] }));
    }
}

#[tokio::test]
async fn each_status_has_its_shape() {
    let door = house().await;
    let third = |numerator| Touch {
        click_id: "c".to_owned(),
        partner_id: "p".to_owned(),
        weight: Some(Weight { numerator, denominator: 3 }),
        attribution_id: "a".to_owned(),
        commission_id: String::new(),
    };
    let event = |status: &str, model: &str, touches| RecordedEvent {
        event_id: "evt".to_owned(),
        status: status.to_owned(),
        model: model.to_owned(),
        touches,
    };
    for (event, expected) in [
        (event("no_identity", "", vec![]), r#"{"status":"no_identity"}"#),
        (event("no_click", "", vec![]), r#"{"status":"no_click"}"#),
        (event("outside_window", "", vec![]), r#"{"status":"outside_window"}"#),
        (
            event("already_attributed", "linear", vec![]),
            r#"{"status":"already_attributed","model":"linear"}"#,
        ),
        (
            event("attributed", "linear", vec![third(1)]),
            r#"{"status":"attributed","touches":[{"clickId":"c","partnerId":"p","weight":0.3333333333333333,"attributionId":"a"}],"model":"linear"}"#,
        ),
    ] {
        door.rooms.on(RECORD, move |_: RecordEventsRequest| {
            let answers = vec![EventAnswer { answer: Some(Answer::Recorded(event.clone())) }];
            Ok(RecordEventsResponse { answers })
        });
        let answer = door.post(PATH, &json!({ "userId": "u", "type": "t" })).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.text, format!("{{\"ok\":true,\"eventId\":\"evt\",\"attribution\":{expected}}}"));
    }
}

#[tokio::test]
async fn what_is_optional_may_be_null_and_amounts_and_times_come_as_systems_write_them() {
    let door = house().await;
    let body =
        r#"{"userId":"u","type":"t","value":null,"currency":null,"metadata":null,"ts":null,"colour":"red"}"#;
    assert_eq!(door.post_as("ak_test", PATH, body).await.status, StatusCode::OK);
    assert_eq!(last(&door), NewEvent { user_id: "u".into(), r#type: "t".into(), ..NewEvent::default() });

    for (value, expected) in [
        ("\"4500.00\"", "4500"),
        ("0", "0"),
        ("0.10", "0.1"),
        ("1e3", "1000"),
        ("12345678901234567.89", "12345678901234567.89"),
    ] {
        let answer =
            door.post_as("ak_test", PATH, &format!(r#"{{"userId":"u","type":"t","value":{value}}}"#)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(last(&door).value.as_deref(), Some(expected));
    }
    for ts in ["2026-04-20T12:00:00Z", "2026-04-20T14:00:00.000+02:00", "2026-04-20T12:00:00.000+0000"] {
        let answer = door.post(PATH, &json!({ "userId": "u", "type": "t", "ts": ts })).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(last(&door).ts.unwrap().seconds, 1_776_686_400, "{ts}");
    }
}

#[tokio::test]
async fn a_body_is_json_whatever_it_is_declared_as() {
    let door = house().await;
    for media in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let request =
            Request::builder().method(Method::POST).uri(PATH).header("authorization", "Bearer ak_test");
        let request = request.header("content-type", media).body(Body::from(r#"{"userId":"u","type":"t"}"#));
        assert_eq!(door.send(request.unwrap()).await.status, StatusCode::OK, "{media}");
    }
}

#[tokio::test]
async fn by_what_a_repeat_is_recognized_reaches_the_room() {
    let door = house().await;
    let request = |key: &str| {
        let request =
            Request::builder().method(Method::POST).uri(PATH).header("authorization", "Bearer ak_test");
        let body = r#"{"userId":"u","type":"t","externalEventId":"deal-7"}"#;
        request.header("idempotency-key", key).body(Body::from(body)).unwrap()
    };
    assert_eq!(door.send(request("a-key")).await.status, StatusCode::OK);
    let event = last(&door);
    assert_eq!((event.external_event_id.as_str(), event.idempotency_key.as_str()), ("deal-7", "a-key"));

    let calls = door.rooms.calls().len();
    let long = "x".repeat(256);
    for key in ["", "two words", long.as_str()] {
        let answer = door.send(request(key)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.json()["error"], "invalid_body");
    }
    assert!(door.rooms.calls()[calls..].iter().all(|call| call.method == super::CHECK));
}

#[tokio::test]
async fn what_only_the_room_can_refuse_has_the_same_shape() {
    let door = house().await;
    door.rooms.on(RECORD, |_: RecordEventsRequest| {
        let refused = Refusal {
            code: "currency_unknown".into(),
            field: "currency".into(),
            message: "ISO 4217 has no such currency.".into(),
        };
        Ok(RecordEventsResponse { answers: vec![EventAnswer { answer: Some(Answer::Refused(refused)) }] })
    });
    let answer = door.post(PATH, &json!({ "userId": "u", "type": "t", "currency": "zzz" })).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        answer.json(),
        json!({
            "error": "invalid_body",
            "detail": { "formErrors": [], "fieldErrors": { "currency": ["ISO 4217 has no such currency."] } },
        })
    );
}

#[tokio::test]
async fn a_batch_is_answered_event_by_event() {
    let door = house().await;
    door.rooms.on(RECORD, |request: RecordEventsRequest| {
        let answer = |event: &NewEvent| match event.user_id.as_str() {
            "refused" => Answer::Refused(Refusal {
                code: "type_invalid".into(),
                field: "type".into(),
                message: "No.".into(),
            }),
            user => Answer::Recorded(attributed(&format!("evt_{user}"))),
        };
        let answers =
            request.events.iter().map(|event| EventAnswer { answer: Some(answer(event)) }).collect();
        Ok(RecordEventsResponse { answers })
    });
    let body = json!({ "events": [
        { "userId": "a", "type": "t" }, { "type": "t" }, { "userId": "refused", "type": "t" }, 7, { "userId": "b", "type": "t" },
    ] });
    let request = Request::builder().method(Method::POST).uri("/api/attribution/events/batch");
    let request = request.header("authorization", "Bearer ak_events").header("idempotency-key", "import-1");
    let answer = door.send(request.body(Body::from(body.to_string())).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let body = answer.json();
    assert_eq!(body["ok"], false);
    let results = body["results"].as_array().unwrap();
    assert_eq!(results[0]["eventId"], "evt_a");
    assert_eq!(results[1]["detail"]["fieldErrors"], json!({ "userId": ["Required"] }));
    assert_eq!(results[2]["detail"]["fieldErrors"], json!({ "type": ["No."] }));
    assert_eq!(results[3]["detail"]["formErrors"], json!(["Expected object, received number"]));
    assert_eq!(results[4]["eventId"], "evt_b");
    assert_eq!(results.len(), 5);
    assert_eq!(results[1], json!({ "ok": false, "error": "invalid_body", "detail": results[1]["detail"] }));
    let asked = door.rooms.last().message::<RecordEventsRequest>().events;
    let keys: Vec<&str> = asked.iter().map(|event| event.idempotency_key.as_str()).collect();
    assert_eq!(keys, ["import-1/0", "import-1/2", "import-1/4"]);

    for (body, message) in [
        (json!({}), "Required"),
        (json!({ "events": {} }), "Expected array, received object"),
        (json!({ "events": [] }), "Array must contain at least 1 element(s)"),
        (json!({ "events": vec![json!({}); 1_001] }), "Array must contain at most 1000 element(s)"),
    ] {
        let answer = door.post("/attribution/events/batch", &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.json()["detail"]["fieldErrors"]["events"], json!([message]));
    }
    let answer = door.post_as("ak_unknown", "/attribution/events/batch", r#"{"events":[{}]}"#).await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (StatusCode::UNAUTHORIZED, r#"{"error":"unauthorized"}"#)
    );
}

#[tokio::test]
async fn a_correction_is_one_of_four_and_has_a_key() {
    const CORRECT: &str = "accord.attribution.v1.Attribution/CorrectEvent";
    let door = house().await;
    door.rooms.on(CORRECT, |_: CorrectEventRequest| Ok(CorrectEventResponse { recorded: true, event: None }));
    for (body, correction) in [
        (json!({ "value": "10.50" }), Correction::Value("10.5".into())),
        (json!({ "refund": 3 }), Correction::Refund("3".into())),
        (json!({ "void": true }), Correction::Void(true)),
        (json!({ "restore": true, "void": false }), Correction::Restore(true)),
    ] {
        let mut body = body;
        body["externalEventId"] = json!("deal-7");
        body["idempotencyKey"] = json!("k1");
        let answer = door.post("/attribution/corrections", &body).await;
        assert_eq!(answer.json(), json!({ "ok": true, "replayed": false, "event": null }));
        let asked = door.rooms.last().message::<CorrectEventRequest>();
        assert_eq!((asked.correction, asked.idempotency_key.as_str()), (Some(correction), "k1"));
    }
    for (body, faults) in [
        (json!({ "eventId": "evt_1", "idempotencyKey": "k" }), json!({})),
        (json!({ "eventId": "evt_1", "idempotencyKey": "k", "value": 1, "void": true }), json!({})),
        (json!({ "void": true }), json!({ "eventId": ["Required"], "idempotencyKey": ["Required"] })),
        (
            json!({ "eventId": "e", "idempotencyKey": "k", "refund": -1 }),
            json!({ "refund": ["Number must be greater than or equal to 0"] }),
        ),
    ] {
        let answer = door.post("/attribution/corrections", &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answer.json()["detail"]["fieldErrors"], faults, "{body}");
    }
}

#[tokio::test]
async fn events_are_listed_with_the_reason_of_their_status() {
    const LIST: &str = "accord.attribution.v1.Attribution/ListEvents";
    let door = house().await;
    door.rooms.on(LIST, |_: ListEventsRequest| {
        let event = proto::attribution::ConversionEvent {
            id: "evt_1".into(),
            user_id: "u".into(),
            r#type: "lead_qualified".into(),
            value: "12.50".into(),
            currency: "EUR".into(),
            status: "no_identity".into(),
            ..Default::default()
        };
        Ok(ListEventsResponse { events: vec![event], next_cursor: "next".into() })
    });
    let answer = door.get("/api/attribution/events?status=unattributed&metadataValue=deal_1&limit=5").await;
    let body = answer.json();
    assert_eq!(body["events"][0]["attribution"], json!({ "status": "no_identity" }));
    assert_eq!(body["events"][0]["value"], json!(12.5));
    assert_eq!(body["events"][0]["metadata"], json!({}));
    assert_eq!(body["nextCursor"], "next");
    let asked = door.rooms.last().message::<ListEventsRequest>();
    assert_eq!(
        (asked.status.as_str(), asked.metadata_value.as_str(), asked.limit),
        ("unattributed", "deal_1", 5)
    );
}
