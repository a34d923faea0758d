//! Ingest URLs: webhooks of CRMs as they are sent.

use std::{collections::HashMap, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use proto::attribution::{ingest_urls_client::IngestUrlsClient, *};
use serde_json::{Value, json};
use sha2::Sha256;
use tonic::{
    Code, Status,
    transport::{Channel, Server},
};

use crate::world::{Brought, World, by_all, percent, serve, with, world};

pub(crate) struct Inlet {
    pub(crate) world: World,
    pub(crate) urls: IngestUrlsClient<Channel>,
    pub(crate) ada: Brought,
}

/// What came back.
pub(crate) type Answer = Result<(String, String), Status>;

impl Inlet {
    pub(crate) async fn open() -> Self {
        let world = world().await;
        let program = world.program("Referrals", percent("10")).await;
        let ada = world.partner("ada", &program).await;
        let click = world.click(&ada).await;
        world.identify(&click, "buyer@shop.example").await;
        world.clock.advance(Duration::from_secs(60));
        let server = Server::builder().add_service(world.running.ingest_urls());
        let urls = IngestUrlsClient::new(serve(server).await);
        Self { world, urls, ada }
    }

    pub(crate) async fn make(&self, vendor: &str, mapping: Option<IngestMapping>) -> CreateIngestUrlResponse {
        let request = CreateIngestUrlRequest {
            name: format!("{vendor}'s deals"),
            vendor: vendor.to_owned(),
            mapping,
            signature_key: String::new(),
        };
        self.urls.clone().create_ingest_url(by_all(request)).await.unwrap().into_inner()
    }

    pub(crate) async fn post(
        &self,
        made: &CreateIngestUrlResponse,
        body: &str,
        headers: &[(&str, String)],
    ) -> Answer {
        let url = made.url.clone().unwrap();
        let secret = made.secret_path.strip_prefix(&url.path).unwrap().trim_start_matches('/').to_owned();
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let request = IngestRequest {
            ingest_url_id: url.id,
            secret,
            body: body.as_bytes().to_vec(),
            headers: headers.collect::<HashMap<_, _>>(),
        };
        let answer = self.urls.clone().ingest(request).await?.into_inner();
        Ok((answer.outcome, answer.message))
    }

    pub(crate) async fn earned(&self) -> Vec<String> {
        self.world.earned(&self.ada).await
    }

    pub(crate) async fn preview(
        &self,
        made: &CreateIngestUrlResponse,
        mapping: Option<IngestMapping>,
    ) -> Vec<IngestedBody> {
        let ingest_url_id = made.url.clone().unwrap().id;
        let request = PreviewIngestRequest { ingest_url_id, mapping };
        self.urls.clone().preview_ingest(by_all(request)).await.unwrap().into_inner().bodies
    }
}

pub(crate) fn basic(made: &CreateIngestUrlResponse) -> [(&'static str, String); 1] {
    let pair = BASE64_STANDARD.encode(format!("{}:{}", made.user, made.secret));
    [("authorization", format!("Basic {pair}"))]
}

/// How Close signs a body, by a key in hexadecimal digits.
pub(crate) fn signed(key: &str, at: &str, body: &str) -> [(&'static str, String); 2] {
    let byte = |at: usize| u8::from_str_radix(&key[at..at + 2], 16).unwrap();
    let key: Vec<u8> = (0..key.len()).step_by(2).map(byte).collect();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{at}{body}").as_bytes());
    let hash: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    [("close-sig-hash", hash), ("close-sig-timestamp", at.to_owned())]
}

fn recorded() -> (String, String) {
    ("recorded".to_owned(), String::new())
}

/// The vendor's usual mapping, with the place of the user.
pub(crate) fn with_user(made: &CreateIngestUrlResponse, paths: &[&str]) -> IngestMapping {
    let mapping = made.url.clone().unwrap().mapping.unwrap();
    IngestMapping { user_id: paths.iter().map(|path| (*path).to_owned()).collect(), ..mapping }
}

// R126, R173, D11
#[tokio::test(flavor = "multi_thread")]
async fn pipedrives_webhooks_of_both_versions_are_events_once_and_its_password_is_checked() {
    let inlet = Inlet::open().await;
    let made = inlet.make("pipedrive", None).await;
    let second = json!({
        "meta": { "action": "change", "entity": "deal", "entity_id": "7", "version": "2.0", "attempt": 1,
                  "timestamp": "2026-11-20T12:00:30.000Z", "host": "shop.pipedrive.com" },
        "data": { "id": 7, "title": "A deal", "value": 2786.08, "currency": "EUR", "status": "won", "person_id": 3,
                  "won_time": "2026-11-20T12:00:30Z",
                  "custom_fields": { "9dc8": { "type": "varchar", "value": "buyer@shop.example" } } },
        "previous": { "status": "open" },
    })
    .to_string();
    let refused = inlet.post(&made, &second, &basic(&made)).await.unwrap();
    assert_eq!(refused, ("refused".to_owned(), "The mapping does not say where the user is.".to_owned()));

    // The preview shows what another mapping would make of what came.
    let mapping = with_user(&made, &["data.custom_fields.9dc8.value", "current.9dc8"]);
    let shown = inlet.preview(&made, Some(mapping.clone())).await.remove(0);
    assert_eq!(
        (
            shown.user_id.as_str(),
            shown.value.as_str(),
            shown.currency.as_str(),
            shown.external_event_id.as_str()
        ),
        ("buyer@shop.example", "2786.08", "EUR", "7")
    );
    assert!(shown.meets_conditions && shown.problems.is_empty(), "{shown:?}");
    let id = made.url.clone().unwrap().id;
    let update = UpdateIngestUrlRequest { ingest_url_id: id, mapping: Some(mapping), ..Default::default() };
    inlet.urls.clone().update_ingest_url(by_all(update)).await.unwrap();
    assert_eq!(inlet.post(&made, &second, &basic(&made)).await.unwrap(), recorded());
    assert_eq!(inlet.post(&made, &second, &basic(&made)).await.unwrap(), recorded(), "a retry");
    assert_eq!(inlet.earned().await, ["accrued 278.61 EUR"]);

    let first = |status: &str, before: &str| {
        let body = json!({
            "v": 1, "event": "updated.deal", "retry": 0,
            "meta": { "v": 1, "action": "updated", "object": "deal", "id": 8, "timestamp": 1_795_176_030 },
            "current": { "id": 8, "status": status, "value": 50, "currency": "USD", "9dc8": "buyer@shop.example",
                         "won_time": "2026-11-20 12:00:30" },
            "previous": { "id": 8, "status": before },
        });
        body.to_string()
    };
    let skipped = inlet.post(&made, &first("open", "open"), &basic(&made)).await.unwrap();
    assert_eq!(skipped.0, "skipped");
    assert_eq!(inlet.post(&made, &first("won", "open"), &basic(&made)).await.unwrap(), recorded());
    assert_eq!(inlet.earned().await, ["accrued 278.61 EUR", "accrued 5.00 USD"]);

    for headers in [
        vec![],
        vec![("authorization", "Basic YWNjb3JkOndyb25n".to_owned())],
        vec![("authorization", "Basic".to_owned())],
    ] {
        let status = inlet.post(&made, &second, &headers).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
    }
    inlet.world.assert_whole().await;
}

// R174, R176
#[tokio::test(flavor = "multi_thread")]
async fn closes_signature_is_checked_and_its_cents_are_cents() {
    let inlet = Inlet::open().await;
    let made = inlet.make("close", None).await;
    let body = json!({
        "subscription_id": "whsub_1",
        "event": {
            "id": "ev_1", "action": "updated", "object_type": "opportunity", "object_id": "oppo_1",
            "date_created": "2026-11-20T12:00:30.395000", "changed_fields": ["status_type"],
            "previous_data": { "status_type": "active" },
            "data": { "id": "oppo_1", "value": 450_000, "value_currency": "USD", "status_type": "won", "contact_id": "cont_1",
                      "custom.cf_1": "buyer@shop.example" },
        },
    })
    .to_string();
    let key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let by_key = signed(key, "1795176030", &body);
    assert_eq!(
        inlet.post(&made, &body, &by_key).await.unwrap_err().code(),
        Code::Unauthenticated,
        "no key yet"
    );
    let update = UpdateIngestUrlRequest {
        ingest_url_id: made.url.clone().unwrap().id,
        signature_key: key.to_owned(),
        mapping: Some(with_user(&made, &["event.data.custom.cf_1"])),
        ..Default::default()
    };
    inlet.urls.clone().update_ingest_url(by_all(update)).await.unwrap();
    let changed = body.replace("450000", "990000");
    for (body, headers) in [
        (&changed, by_key.clone()),
        (&body, signed(&key.replace("00", "01"), "1795176030", &body)),
        (&body, [by_key[0].clone(), ("close-sig-timestamp", "1795176031".to_owned())]),
    ] {
        assert_eq!(inlet.post(&made, body, &headers).await.unwrap_err().code(), Code::Unauthenticated);
    }
    assert_eq!(inlet.post(&made, &body, &by_key).await.unwrap(), recorded());
    assert_eq!(inlet.earned().await, ["accrued 450.00 USD"]);
}

// R175, R177
#[tokio::test(flavor = "multi_thread")]
async fn each_opportunity_of_a_copper_notification_is_an_event_and_its_secret_is_kept_by_nobody() {
    let inlet = Inlet::open().await;
    let made = inlet.make("copper", None).await;
    let body = |secret: &str| {
        json!({
            "subscription_id": 1, "type": "opportunity", "event": "update", "ids": [11, 12],
            "updated_attributes": { "status": ["Open", "Won"] }, "timestamp": "2026-11-20T12:00:30.000Z",
            "accord_secret": secret,
        })
        .to_string()
    };
    let update = UpdateIngestUrlRequest {
        ingest_url_id: made.url.clone().unwrap().id,
        mapping: Some(with_user(&made, &["ids.0"])),
        ..Default::default()
    };
    inlet.urls.clone().update_ingest_url(by_all(update)).await.unwrap();
    assert_eq!(inlet.post(&made, &body("wrong"), &[]).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(made.user, "accord_secret");
    assert_eq!(inlet.post(&made, &body(&made.secret), &[]).await.unwrap(), recorded());
    let request = ListEventsRequest { status: "no_identity".to_owned(), limit: 10, ..Default::default() };
    let events = inlet.world.client().list_events(by_all(request)).await.unwrap().into_inner().events;
    let mut users: Vec<&str> = events.iter().map(|event| event.user_id.as_str()).collect();
    users.sort_unstable();
    assert_eq!(users, ["11", "12"]);
    for shown in inlet.preview(&made, None).await {
        assert!(!shown.body_json.contains(&made.secret), "{}", shown.body_json);
    }
}

// R127, R178, R179
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_its_organizations_and_bodies_are_kept_for_a_day() {
    let inlet = Inlet::open().await;
    let made = inlet.make("other", None).await;
    let body = json!({ "userId": "buyer@shop.example", "value": "12.50" });
    assert_eq!(inlet.post(&made, &body.to_string(), &[]).await.unwrap(), recorded());
    assert_eq!(inlet.post(&made, &body.to_string(), &[]).await.unwrap(), recorded());
    assert_eq!(inlet.earned().await, ["accrued 1.25 USD"], "the same body is the same event");
    for odd in [
        "5",
        "[]",
        "{}",
        r#"{"userId":{}}"#,
        r#"{"userId":"u","value":"a lot"}"#,
        r#"{"userId":"u","value":-5}"#,
    ] {
        let (outcome, message) = inlet.post(&made, odd, &[]).await.unwrap();
        assert_eq!(outcome, "refused", "{odd}");
        assert!(!message.is_empty(), "{odd}");
    }
    assert_eq!(inlet.post(&made, "no json", &[]).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(inlet.preview(&made, None).await.len(), 8);
    let stored: Vec<Vec<u8>> = sqlx::query_scalar("SELECT body FROM attribution.ingest_bodies")
        .fetch_all(&inlet.world.pool)
        .await
        .unwrap();
    let holds = |body: &Vec<u8>| body.windows(5).any(|bytes| bytes == b"buyer");
    assert!(!stored.iter().any(holds), "bodies are sealed");
    inlet.world.clock.advance(Duration::from_secs(86_401));
    assert!(inlet.preview(&made, None).await.is_empty());

    let id = made.url.clone().unwrap().id;
    let revoke = |key| with(key, RevokeIngestUrlRequest { ingest_url_id: id.clone() });
    let mut urls = inlet.urls.clone();
    assert_eq!(urls.revoke_ingest_url(revoke("ak_other")).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(urls.revoke_ingest_url(revoke("ak_events")).await.unwrap_err().code(), Code::PermissionDenied);
    let listed = urls.list_ingest_urls(by_all(ListIngestUrlsRequest {})).await.unwrap().into_inner().urls;
    assert_eq!((listed[0].received, listed[0].recorded, listed[0].refused), (8, 2, 6));
    urls.revoke_ingest_url(revoke("ak_all")).await.unwrap();
    assert_eq!(inlet.post(&made, &Value::to_string(&body), &[]).await.unwrap_err().code(), Code::NotFound);
}
