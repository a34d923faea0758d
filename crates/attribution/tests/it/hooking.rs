//! Merchants are told what happens.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::StatusCode;
use proto::attribution::{
    CreateWebhookRequest, CreateWebhookResponse, DeleteWebhookRequest, GetWebhookRequest,
    ListDeliveriesRequest, RetryDeliveryRequest, TestWebhookRequest, UpdateWebhookRequest, WebhookDelivery,
};
use serde_json::Value;
use sha2::Sha256;
use testkit::eventually;
use tokio::net::TcpListener;

use crate::world::{SOON, World, by_all, event, percent, with, world};

/// A server that is told things.
#[derive(Clone, Default)]
pub(crate) struct Receiver {
    heard: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    /// What it answers; 200 where it is none.
    answer: Arc<Mutex<Option<StatusCode>>>,
}

impl Receiver {
    pub(crate) async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(hear)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn answers(&self, status: StatusCode) {
        *self.answer.lock().unwrap() = Some(status);
    }

    pub(crate) fn heard(&self) -> Vec<(HeaderMap, Value)> {
        let heard = self.heard.lock().unwrap();
        heard.iter().map(|(headers, body)| (headers.clone(), serde_json::from_slice(body).unwrap())).collect()
    }

    pub(crate) fn events(&self) -> Vec<String> {
        self.heard().iter().map(|(_, body)| body["event"].as_str().unwrap().to_owned()).collect()
    }
}

async fn hear(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    receiver.heard.lock().unwrap().push((headers, body));
    receiver.answer.lock().unwrap().unwrap_or(StatusCode::OK)
}

pub(crate) async fn hook(world: &World, url: &str, events: &[&str]) -> CreateWebhookResponse {
    let request = CreateWebhookRequest {
        url: url.to_owned(),
        events: events.iter().map(|event| (*event).to_owned()).collect(),
        label: "the shop".to_owned(),
    };
    world.client().create_webhook(by_all(request)).await.unwrap().into_inner()
}

async fn deliveries(world: &World, webhook: &str) -> Vec<WebhookDelivery> {
    let request = ListDeliveriesRequest { webhook_id: webhook.to_owned(), ..Default::default() };
    world.client().list_deliveries(by_all(request)).await.unwrap().into_inner().deliveries
}

pub(crate) async fn until_heard(receiver: &Receiver, count: usize) {
    eventually(SOON, "the receiver to hear it", || async {
        (receiver.events().len() >= count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_happened_is_told_once_and_signed() {
    let world = world().await;
    let receiver = Receiver::default();
    let url = receiver.start().await;
    let created = hook(&world, &url, &["commission.accrued", "attribution.created"]).await;
    let endpoint = created.endpoint.unwrap();
    assert!(created.secret.starts_with(&endpoint.secret_prefix) && endpoint.active);
    let program = world.program("referrals", percent("20")).await;
    let ada = world.partner("ada", &program).await;
    world.identify(&world.click(&ada).await, "jo@corp.example").await;
    world.record(event("jo@corp.example", "100")).await;
    until_heard(&receiver, 2).await;
    let mut events = receiver.events();
    events.sort();
    assert_eq!(events, ["attribution.created", "commission.accrued"]);
    for (headers, body) in receiver.heard() {
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        assert_eq!(header("x-openpartner-event"), body["event"]);
        assert_eq!(header("x-openpartner-delivery"), body["id"]);
        let raw = receiver.heard.lock().unwrap();
        let (_, raw) = raw.iter().find(|(heard, _)| *heard == headers).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(created.secret.as_bytes()).unwrap();
        mac.update(format!("{}.", header("x-openpartner-timestamp")).as_bytes());
        mac.update(raw);
        let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(header("x-openpartner-signature"), expected);
        assert!(body["id"].as_str().unwrap().starts_with("evt_"));
        if body["event"] == "commission.accrued" {
            assert_eq!(
                (&body["data"]["partnerId"], &body["data"]["amount"]),
                (&ada.partner.into(), &"20.00".into())
            );
            break;
        }
    }
    eventually(SOON, "the log to say so", || async {
        let all = deliveries(&world, &endpoint.id).await;
        (all.len() == 2 && all.iter().all(|one| one.status == "delivered" && one.http_status == 200))
            .then_some(())
    })
    .await;
    world.record(event("nobody@corp.example", "100")).await;
    world.record(event("jo@corp.example", "50")).await;
    until_heard(&receiver, 4).await;
    assert_eq!(receiver.events().len(), 4);
}

#[tokio::test]
async fn what_fails_is_told_again_later_and_a_dead_receiver_holds_up_nobody() {
    let world = world().await;
    // It takes connections and never answers.
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    hook(&world, &format!("http://{}/", dead.local_addr().unwrap()), &["*"]).await;
    let receiver = Receiver::default();
    receiver.answers(StatusCode::INTERNAL_SERVER_ERROR);
    let endpoint = hook(&world, &receiver.start().await, &["partner.created"]).await.endpoint.unwrap();
    let program = world.program("referrals", percent("20")).await;
    world.partner("ada", &program).await;
    until_heard(&receiver, 1).await;
    let failed = eventually(SOON, "the failure to be noted", || async {
        deliveries(&world, &endpoint.id).await.into_iter().find(|one| one.attempts == 1)
    })
    .await;
    assert_eq!(
        (failed.status.as_str(), failed.http_status, failed.error.as_str()),
        ("pending", 500, "HTTP 500")
    );
    let seconds = |at: Option<prost_types::Timestamp>| at.unwrap().seconds;
    assert_eq!(seconds(failed.next_attempt_at) - seconds(failed.last_attempt_at), 5);
    receiver.answers(StatusCode::NO_CONTENT);
    world.clock.advance(Duration::from_secs(6));
    until_heard(&receiver, 2).await;
    let ids: Vec<Value> = receiver.heard().into_iter().map(|(_, body)| body["id"].clone()).collect();
    assert_eq!(ids[0], ids[1], "the same event, told again");
    eventually(SOON, "it to be delivered", || async {
        let all = deliveries(&world, &endpoint.id).await;
        (all[0].status == "delivered" && all[0].attempts == 2).then_some(())
    })
    .await;
    // Somebody asks for it once more.
    let request = RetryDeliveryRequest { webhook_id: endpoint.id.clone(), delivery_id: failed.id };
    let sent = world.client().retry_delivery(by_all(request)).await.unwrap().into_inner();
    assert_eq!((sent.status.as_str(), sent.attempts), ("delivered", 3));
    assert_eq!(receiver.events().len(), 3);
}

#[tokio::test]
async fn what_goes_on_failing_is_told_ever_later_and_is_given_up_after_the_last_time() {
    const WAITS: [i64; 9] = [5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200];
    let world = world().await;
    let receiver = Receiver::default();
    receiver.answers(StatusCode::SERVICE_UNAVAILABLE);
    let endpoint = hook(&world, &receiver.start().await, &["partner.created"]).await.endpoint.unwrap();
    let program = world.program("referrals", percent("20")).await;
    world.partner("ada", &program).await;
    let attempted = async |attempts: u32| {
        eventually(SOON, "the failure to be noted", || async {
            deliveries(&world, &endpoint.id).await.into_iter().find(|one| one.attempts == attempts)
        })
        .await
    };
    for (attempts, wait) in (1_u32..).zip(WAITS) {
        let failed = attempted(attempts).await;
        let seconds = |at: Option<prost_types::Timestamp>| at.unwrap().seconds;
        let waits = seconds(failed.next_attempt_at) - seconds(failed.last_attempt_at);
        assert_eq!((failed.status.as_str(), waits), ("pending", wait), "after {attempts} attempts");
        world.clock.advance(Duration::from_secs(wait.unsigned_abs()));
    }
    let given_up = attempted(10).await;
    assert_eq!((given_up.status.as_str(), given_up.next_attempt_at), ("failed", None));
    assert_eq!(receiver.heard().len(), 10);
}

#[tokio::test]
async fn an_endpoint_is_tried_changed_and_removed() {
    let world = world().await;
    let receiver = Receiver::default();
    let endpoint = hook(&world, &receiver.start().await, &["payout.created"]).await.endpoint.unwrap();
    let test = |event: &str| TestWebhookRequest { webhook_id: endpoint.id.clone(), event: event.to_owned() };
    for (event, expected) in [("", "webhook.test"), ("commission.accrued", "commission.accrued")] {
        let sent = world.client().test_webhook(by_all(test(event))).await.unwrap().into_inner();
        assert_eq!((sent.event.as_str(), sent.status.as_str()), (expected, "delivered"));
    }
    assert_eq!(receiver.events(), ["webhook.test", "commission.accrued"]);
    let change = UpdateWebhookRequest {
        webhook_id: endpoint.id.clone(),
        events: vec!["partner.created".to_owned()],
        active: Some(false),
        ..Default::default()
    };
    let changed = world.client().update_webhook(by_all(change)).await.unwrap().into_inner();
    assert_eq!(
        (changed.events, changed.active, changed.url),
        (vec!["partner.created".to_owned()], false, endpoint.url)
    );
    let refused = world.client().test_webhook(by_all(test(""))).await.unwrap_err();
    assert_eq!(chassis::guard::stable_code(&refused), Some("endpoint_inactive"));
    for (key, code) in [("ak_other", "webhook_not_found"), ("ak_events", "scope_missing")] {
        let request = with(key, GetWebhookRequest { webhook_id: endpoint.id.clone() });
        let refused = world.client().get_webhook(request).await.unwrap_err();
        assert_eq!(chassis::guard::stable_code(&refused), Some(code));
    }
    let request = DeleteWebhookRequest { webhook_id: endpoint.id.clone(), hard: true };
    world.client().delete_webhook(by_all(request.clone())).await.unwrap();
    let refused = world.client().delete_webhook(by_all(request)).await.unwrap_err();
    assert_eq!(chassis::guard::stable_code(&refused), Some("webhook_not_found"));
    for (url, events, code) in [
        ("nothing", "*", "url_invalid"),
        ("ftp://hooks.example/", "*", "address_refused"),
        ("https://ann:secret@hooks.example/", "*", "address_refused"),
        ("https://hooks.example/", "deal.won", "event_unknown"),
    ] {
        let request = CreateWebhookRequest {
            url: url.to_owned(),
            events: vec![events.to_owned()],
            ..Default::default()
        };
        let refused = world.client().create_webhook(by_all(request)).await.unwrap_err();
        assert_eq!(chassis::guard::stable_code(&refused), Some(code), "{url}");
    }
}
