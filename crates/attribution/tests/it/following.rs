//! Bodies of ingest URLs that correct the event of an earlier one.

use proto::attribution::{
    CreateIngestUrlResponse, IngestMapping, UpdateIngestUrlRequest, correct_event_request::Correction,
};
use serde_json::{Value, json};
use tonic::Code;

use crate::{
    ingest::{Answer, Inlet, basic, signed, with_user},
    world::by_all,
};

const BUYER: &str = "buyer@shop.example";

/// What Close signs by.
const CLOSES_KEY: &str = "00112233445566778899aabbccddeeff";

fn is_signed(made: &CreateIngestUrlResponse) -> bool {
    made.url.as_ref().is_some_and(|url| url.vendor == "close")
}

/// An address whose bodies follow records.
struct Followed {
    inlet: Inlet,
    made: CreateIngestUrlResponse,
}

impl Followed {
    async fn open(vendor: &str, user: &str) -> Self {
        let inlet = Inlet::open().await;
        let made = inlet.make(vendor, None).await;
        let followed = Self { inlet, made };
        let mapping = with_user(&followed.made, &[user]);
        followed.read_by(IngestMapping { follow_records: true, ..mapping }).await;
        followed
    }

    async fn read_by(&self, mapping: IngestMapping) {
        let update = UpdateIngestUrlRequest {
            ingest_url_id: self.made.url.clone().unwrap().id,
            mapping: Some(mapping),
            signature_key: if is_signed(&self.made) { CLOSES_KEY.to_owned() } else { String::new() },
            ..Default::default()
        };
        self.inlet.urls.clone().update_ingest_url(by_all(update)).await.unwrap();
    }

    async fn post(&self, body: &Value) -> Answer {
        let body = body.to_string();
        let headers = if is_signed(&self.made) {
            signed(CLOSES_KEY, "1795176030", &body).to_vec()
        } else {
            basic(&self.made).to_vec()
        };
        self.inlet.post(&self.made, &body, &headers).await
    }

    /// What came of a body, and what is earned then.
    async fn tells(&self, body: Value, outcome: &str, earned: &[&str]) -> String {
        let (came, message) = self.post(&body).await.unwrap();
        assert_eq!(came, outcome, "{body} {message}");
        let mut found = self.inlet.earned().await;
        found.sort_unstable();
        assert_eq!(found, earned, "{body} {message}");
        message
    }
}

/// A change of a deal in Pipedrive, so many seconds after noon.
fn deal(id: u64, second: u32, status: &str, value: &str, currency: &str) -> Value {
    let value: Value = serde_json::from_str(value).unwrap();
    json!({
        "meta": { "action": "change", "entity": "deal", "entity_id": id.to_string(), "version": "2.0",
                  "id": format!("message-{second}"), "timestamp": format!("2026-11-20T12:00:{second:02}.000Z") },
        "data": { "id": id, "value": value, "currency": currency, "status": status,
                  "won_time": "2026-11-20T12:00:10Z", "custom_fields": { "user": { "value": BUYER } } },
        "previous": { "title": "A deal" },
    })
}

fn deleted(id: u64, second: u32) -> Value {
    json!({
        "meta": { "action": "delete", "entity": "deal", "entity_id": id.to_string(), "version": "2.0",
                  "timestamp": format!("2026-11-20T12:00:{second:02}.000Z") },
        "data": null,
        "previous": { "id": id, "status": "won" },
    })
}

async fn pipedrive() -> Followed {
    Followed::open("pipedrive", "data.custom_fields.user.value").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deal_that_is_lost_won_again_worth_another_amount_or_deleted_corrects_its_event_once() {
    let crm = pipedrive().await;
    crm.tells(deal(7, 5, "open", "100", "USD"), "skipped", &[]).await;
    for (body, outcome, earned) in [
        (deal(7, 10, "won", "100", "USD"), "recorded", "accrued 10.00 USD"),
        (deal(7, 11, "won", "300", "USD"), "corrected", "accrued 30.00 USD"),
        (deal(7, 12, "lost", "300", "USD"), "corrected", "reversed 0.00 USD"),
        (deal(7, 13, "open", "300", "USD"), "skipped", "reversed 0.00 USD"),
        (deal(7, 14, "won", "200.50", "USD"), "corrected", "accrued 20.05 USD"),
        (deleted(7, 15), "corrected", "reversed 0.00 USD"),
    ] {
        crm.tells(body.clone(), outcome, &[earned]).await;
        assert_ne!(crm.post(&body).await.unwrap().0, "corrected", "a repeat corrects nothing: {body}");
        assert_eq!(crm.inlet.earned().await, [earned]);
    }
    let events: i64 = sqlx::query_scalar("SELECT count(*) FROM attribution.events")
        .fetch_one(&crm.inlet.world.pool)
        .await
        .unwrap();
    assert_eq!(events, 1);
    let shown = crm.inlet.preview(&crm.made, None).await;
    let count = |status: &str| shown.iter().filter(|body| body.record_status == status).count();
    assert_eq!((count("won"), count("lost"), count("deleted")), (6, 5, 2), "each but the first came twice");
    crm.inlet.world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_come_in_another_order_come_to_the_same() {
    let crm = pipedrive().await;
    // Its loss came before its win.
    crm.tells(deal(7, 20, "lost", "100", "USD"), "skipped", &[]).await;
    let message = crm.tells(deal(7, 10, "won", "100", "USD"), "skipped", &[]).await;
    assert!(message.contains("not won"), "{message}");
    crm.tells(deal(7, 30, "won", "100", "USD"), "recorded", &["accrued 10.00 USD"]).await;
    // It was lost and won again with another amount, and the loss comes last.
    crm.tells(deal(7, 50, "won", "400", "USD"), "corrected", &["accrued 40.00 USD"]).await;
    let message = crm.tells(deal(7, 40, "lost", "100", "USD"), "skipped", &["accrued 40.00 USD"]).await;
    assert!(message.contains("newer"), "{message}");
    crm.tells(deal(7, 45, "won", "100", "USD"), "skipped", &["accrued 40.00 USD"]).await;
    crm.inlet.world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_corrected_stays_until_the_deal_changes_and_another_currency_is_another_event() {
    let crm = pipedrive().await;
    crm.tells(deal(7, 10, "won", "100", "USD"), "recorded", &["accrued 10.00 USD"]).await;
    let event = crm.inlet.preview(&crm.made, None).await.remove(0).event_id;
    assert!(crm.inlet.world.correct(&event, "refund", Correction::Refund("40".to_owned())).await);
    crm.tells(deal(7, 11, "won", "100", "USD"), "recorded", &["accrued 6.00 USD"]).await;
    let euros = ["accrued 9.00 EUR", "reversed 0.00 USD"];
    crm.tells(deal(7, 12, "won", "90", "EUR"), "corrected", &euros).await;
    crm.tells(deal(7, 12, "won", "90", "EUR"), "recorded", &euros).await;
    crm.tells(deal(7, 11, "won", "100", "USD"), "skipped", &euros).await;
    let lost = ["reversed 0.00 EUR", "reversed 0.00 USD"];
    crm.tells(deal(7, 13, "lost", "90", "EUR"), "corrected", &lost).await;
    crm.inlet.world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_body_ten_times_at_once_corrects_once_and_a_box_that_is_ticked_later_knows_the_event() {
    let crm = pipedrive().await;
    let following =
        IngestMapping { follow_records: true, ..with_user(&crm.made, &["data.custom_fields.user.value"]) };
    crm.read_by(IngestMapping { follow_records: false, ..following.clone() }).await;
    crm.tells(deal(7, 10, "won", "100", "USD"), "recorded", &["accrued 10.00 USD"]).await;
    crm.tells(deal(7, 11, "lost", "100", "USD"), "skipped", &["accrued 10.00 USD"]).await;
    crm.read_by(following).await;
    let lost = deal(7, 11, "lost", "100", "USD");
    let answers = futures::future::join_all((0..10).map(|_| crm.post(&lost))).await;
    let corrected = answers.into_iter().filter(|answer| answer.as_ref().unwrap().0 == "corrected").count();
    assert_eq!((corrected, crm.inlet.earned().await), (1, vec!["reversed 0.00 USD".to_owned()]));
    crm.inlet.world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_of_pipedrives_first_version_correct_their_deals_event_by_the_microsecond() {
    let crm = Followed::open("pipedrive", "current.9dc8").await;
    let body = |action: &str, micro: u64, status: &str, value: u32| {
        let current = json!({ "id": 8, "status": status, "value": value, "currency": "USD", "9dc8": BUYER,
                              "won_time": "2026-11-20 12:00:30" });
        json!({
            "v": 1, "event": format!("{action}.deal"), "retry": 0,
            "meta": { "v": 1, "action": action, "object": "deal", "id": 8, "timestamp": 1_795_176_030,
                      "timestamp_micro": 1_795_176_030_000_000 + micro },
            "current": if action == "deleted" { Value::Null } else { current },
            "previous": { "id": 8, "status": "open", "9dc8": BUYER },
        })
    };
    crm.tells(body("added", 1, "open", 100), "skipped", &[]).await;
    crm.tells(body("updated", 2, "won", 100), "recorded", &["accrued 10.00 USD"]).await;
    crm.tells(body("updated", 6, "won", 300), "corrected", &["accrued 30.00 USD"]).await;
    // All of it is in one second, and these come late.
    crm.tells(body("updated", 4, "lost", 100), "skipped", &["accrued 30.00 USD"]).await;
    crm.tells(body("updated", 5, "won", 200), "skipped", &["accrued 30.00 USD"]).await;
    crm.tells(body("updated", 7, "lost", 300), "corrected", &["reversed 0.00 USD"]).await;
    crm.tells(body("updated", 8, "won", 300), "corrected", &["accrued 30.00 USD"]).await;
    crm.tells(body("deleted", 9, "", 0), "corrected", &["reversed 0.00 USD"]).await;
    crm.tells(body("updated", 8, "won", 300), "skipped", &["reversed 0.00 USD"]).await;
    crm.inlet.world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closes_webhooks_correct_their_opportunitys_event_in_cents() {
    let crm = Followed::open("close", "event.data.custom.cf_1").await;
    let body = |action: &str, second: u32, status: &str, cents: u32| {
        let data = json!({ "id": "oppo_1", "value": cents, "value_currency": "USD", "status_type": status,
                           "custom.cf_1": BUYER });
        json!({
            "subscription_id": "whsub_1",
            "event": {
                "id": format!("ev_{second}"), "action": action, "object_type": "opportunity", "object_id": "oppo_1",
                "date_created": "2026-11-20T12:00:00.000000",
                "date_updated": format!("2026-11-20T12:00:{second:02}.395000"),
                "previous_data": { "status_type": "active" },
                "data": if action == "deleted" { json!({}) } else { data },
            },
        })
    };
    crm.tells(body("created", 1, "active", 100_000), "skipped", &[]).await;
    crm.tells(body("updated", 2, "won", 100_000), "recorded", &["accrued 100.00 USD"]).await;
    crm.tells(body("updated", 3, "won", 250_050), "corrected", &["accrued 250.05 USD"]).await;
    crm.tells(body("updated", 6, "lost", 250_050), "corrected", &["reversed 0.00 USD"]).await;
    crm.tells(body("updated", 5, "won", 900_000), "skipped", &["reversed 0.00 USD"]).await;
    crm.tells(body("updated", 7, "won", 200_000), "corrected", &["accrued 200.00 USD"]).await;
    let deleted = body("deleted", 8, "", 0);
    crm.tells(deleted.clone(), "corrected", &["reversed 0.00 USD"]).await;
    crm.tells(deleted, "skipped", &["reversed 0.00 USD"]).await;
    let unsigned = crm.inlet.post(&crm.made, &body("updated", 9, "won", 1).to_string(), &[]).await;
    assert_eq!(unsigned.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(crm.inlet.earned().await, ["reversed 0.00 USD"]);
    crm.inlet.world.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copper_tells_only_what_changed_and_an_unknown_crm_follows_nothing() {
    let crm = Followed::open("copper", "ids.0").await;
    let click = crm.inlet.world.click(&crm.inlet.ada).await;
    crm.inlet.world.identify(&click, "11").await;
    let body = |event: &str, second: u32, changed: Value| {
        json!({
            "type": "opportunity", "event": event, "ids": [11], "updated_attributes": changed,
            "timestamp": format!("2026-11-20T12:02:{second:02}.000Z"), "accord_secret": crm.made.secret,
        })
    };
    let worth = |second, new: u32| body("update", second, json!({ "monetary_value": [null, new] }));
    let status = |second, new: &str| body("update", second, json!({ "status": ["Open", new] }));
    crm.tells(worth(10, 500), "skipped", &[]).await;
    crm.tells(status(11, "Won"), "recorded", &["accrued 50.00 USD"]).await;
    crm.tells(worth(12, 600), "corrected", &["accrued 60.00 USD"]).await;
    crm.tells(status(13, "Abandoned"), "corrected", &["reversed 0.00 USD"]).await;
    crm.tells(status(14, "Won"), "corrected", &["accrued 60.00 USD"]).await;
    crm.tells(body("delete", 15, json!({})), "corrected", &["reversed 0.00 USD"]).await;
    crm.inlet.world.assert_whole().await;

    let other = crm.inlet.make("other", None).await;
    let update = UpdateIngestUrlRequest {
        ingest_url_id: other.url.clone().unwrap().id,
        mapping: Some(IngestMapping { follow_records: true, ..with_user(&other, &["userId"]) }),
        ..Default::default()
    };
    let status = crm.inlet.urls.clone().update_ingest_url(by_all(update)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}
