//! What is not believed without asking, whom it is told, and who may see it, over the public API.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, Start};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use super::shop::Shop;

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn what_is_odd_waits_for_a_person_and_everything_that_happens_is_told() {
    let settings = vec![("ACCORD_PRIVATE_WEBHOOKS", "true".to_owned())];
    let house = House::start(Start { companies: 5, deals: 5, settings, ..Start::default() }).await;
    let shop = Shop::open(&house).await;
    let receiver = Receiver::start().await;
    let webhook = a_webhook_is_made_and_tried(&shop, &receiver).await;
    a_partner_who_is_the_customer_waits_until_somebody_decides(&shop).await;
    an_identify_is_refused_that_is_not_signed_as_the_merchant_wants(&shop).await;
    a_partner_sees_what_is_theirs_and_nothing_else(&shop).await;
    a_payout_is_told(&shop, &receiver, &webhook).await;
    every_decision_is_in_the_audit_log(&house).await;
    let kinds = house.assert_events_are_as_described().await;
    for kind in [
        "attribution.created",
        "attribution.decided",
        "attribution.settings_changed",
        "commission.accrued",
        "commission.approved",
        "commission.paid",
        "commission.reversed",
        "partner.created",
        "partner.activated",
        "payout.created",
    ] {
        assert!(kinds.iter().any(|known| known == kind), "nobody heard {kind}: {kinds:?}");
    }
    assert!(!house.log().contains("panicked"), "something panicked: {}", house.log());
}

async fn a_webhook_is_made_and_tried(shop: &Shop, receiver: &Receiver) -> String {
    let body =
        json!({ "url": receiver.url, "events": ["payout.created", "commission.reversed"], "label": "ours" });
    let created = shop.ok("POST", "/webhooks", Some(body)).await;
    let endpoint = &created["endpoint"];
    assert_eq!((&endpoint["active"], &endpoint["label"]), (&json!(true), &json!("ours")));
    assert!(created["secret"].as_str().is_some_and(|secret| secret.starts_with("whsec_")), "{created}");
    let id = endpoint["id"].as_str().expect("an id").to_owned();
    let listed = shop.ok("GET", "/webhooks", None).await;
    assert_eq!(listed["endpoints"][0]["id"], json!(id));
    assert!(!listed.to_string().contains(created["secret"].as_str().expect("text")), "it is shown once");
    let tested = shop.ok("POST", &format!("/webhooks/{id}/test"), None).await;
    assert_eq!((&tested["event"], &tested["delivery"]["httpStatus"]), (&json!("webhook.test"), &json!(200)));
    let heard = receiver.heard();
    assert_eq!(heard[0].1["event"], "webhook.test");
    for header in
        ["x-openpartner-event: webhook.test", "x-openpartner-signature: ", "x-openpartner-timestamp: "]
    {
        assert!(heard[0].0.contains(header), "{header}: {}", heard[0].0);
    }
    for (url, events, field) in
        [("nonsense", json!(["*"]), "url"), ("https://hooks.example/", json!(["deal.won"]), "events")]
    {
        let (status, refused) =
            shop.call("POST", "/webhooks", Some(json!({ "url": url, "events": events }))).await;
        assert_eq!((status, &refused["error"]), (400, &json!("invalid_body")));
        assert!(refused["detail"]["fieldErrors"][field].is_array(), "{refused}");
    }
    let (status, refused) = shop.call("DELETE", "/webhooks/hook_nothing", None).await;
    assert_eq!((status, refused), (404, json!({ "error": "not_found" })));
    id
}

async fn a_partner_who_is_the_customer_waits_until_somebody_decides(shop: &Shop) {
    for (user, id) in [("boss@blog.example", "own-1"), ("ada@blog.example", "own-2")] {
        shop.click(user).await;
        let event = json!({ "userId": user, "type": "opportunity_won", "value": 100, "externalEventId": id });
        shop.ok("POST", "/attribution/events", Some(event)).await;
    }
    let waiting = shop.ok("GET", "/reviews", None).await;
    let reviews = waiting["reviews"].as_array().expect("a list").clone();
    assert_eq!(reviews.len(), 2, "{waiting}");
    for review in &reviews {
        assert_eq!((&review["reason"], &review["amount"]), (&json!("self_referral"), &json!("20.00")));
        assert_eq!((&review["partnerName"], &review["held"]), (&json!("Ada"), &json!(true)));
    }
    let total = json!({ "reason": "self_referral", "currency": "USD", "count": 2, "amount": "40.00" });
    assert_eq!(waiting["totals"], json!([total]));
    let id = |place: usize| reviews[place]["commissionId"].clone();
    let (status, refused) =
        shop.call("POST", &format!("/commissions/{}/approve", id(0).as_str().expect("text")), None).await;
    assert_eq!((status, &refused["error"]), (409, &json!("commission_held")));
    let decide = |ids: Value, decision: &str| {
        shop.ok(
            "POST",
            "/reviews/decide",
            Some(json!({ "ids": ids, "decision": decision, "note": "asked them" })),
        )
    };
    let cleared = decide(json!([id(0), "comm_nothing"]), "clear").await;
    assert_eq!(
        (&cleared["results"][0]["ok"], &cleared["results"][1]["error"]),
        (&json!(true), &json!("not_found"))
    );
    let rejected = decide(json!([id(1)]), "reject").await;
    assert_eq!(rejected["results"][0]["commission"]["status"], "reversed");
    assert_eq!(shop.ok("GET", "/reviews", None).await["reviews"], json!([]));
    let accrued = shop.ok("GET", "/reviews?state=accrued", None).await;
    let cleared =
        accrued["reviews"].as_array().expect("a list").iter().find(|one| one["commissionId"] == id(0));
    let cleared = cleared.expect("what was cleared waits for its approval");
    assert_eq!(
        (&cleared["decisions"][0]["decision"], &cleared["decisions"][0]["note"]),
        (&json!("release"), &json!("asked them"))
    );
    let actor = cleared["decisions"][0]["actor"].as_str().expect("text");
    assert!(actor.starts_with("api_key:"), "{actor}");
}

async fn an_identify_is_refused_that_is_not_signed_as_the_merchant_wants(shop: &Shop) {
    let click = shop.visit().await;
    let wanted = Some(json!({ "signedIdentify": "required" }));
    let (status, refused) = shop.call("PATCH", "/attribution/guards", wanted.clone()).await;
    assert_eq!((status, &refused["error"]), (409, &json!("secret_missing")));
    let made = shop.ok("POST", "/attribution/guards/secret", None).await;
    assert!(made["secret"].as_str().is_some_and(|secret| secret.starts_with("idsec_")), "{made}");
    let guards = shop.ok("PATCH", "/attribution/guards", wanted).await;
    assert_eq!((&guards["signedIdentify"], &guards["usersPerClick"]), (&json!("required"), &json!(5)));
    for (signature, error) in [(Value::Null, "signature_required"), (json!("00"), "signature_invalid")] {
        let body = json!({ "cref": click, "userId": "new@else.example", "signature": signature });
        let (status, refused) = shop.call("POST", "/attribution/identify", Some(body)).await;
        assert_eq!((status, &refused["error"]), (403, &json!(error)));
    }
    shop.ok("PATCH", "/attribution/guards", Some(json!({ "signedIdentify": "off" }))).await;
    assert_eq!(shop.identify(&click, "new@else.example").await["firstStitch"], true);
    let (status, refused) = shop
        .call("PATCH", "/attribution/guards", Some(json!({ "usersPerClick": -1, "signedIdentify": "maybe" })))
        .await;
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_body")), "{refused}");
}

async fn a_partner_sees_what_is_theirs_and_nothing_else(shop: &Shop) {
    let other = json!({ "email": "ben@other.example", "name": "Ben" });
    let other = shop.ok("POST", "/partners", Some(other)).await["id"].as_str().expect("an id").to_owned();
    let own = &shop.partner;
    let path = format!("/partners/{own}/api-keys");
    let minted = shop.ok("POST", &path, Some(json!({ "label": "Ada" }))).await;
    let ada = shop.with_key(minted["plaintext"].as_str().expect("it is shown once"));
    let introspected = ada.ok("GET", "/auth/introspect", None).await;
    assert_eq!(introspected, json!({ "role": "partner", "partnerId": own }));
    for path in ["", "/commissions", "/dashboard", "/timeseries", "/links", "/payouts", "/events"] {
        ada.ok("GET", &format!("/partners/{own}{path}"), None).await;
        let (status, refused) = ada.call("GET", &format!("/partners/{other}{path}"), None).await;
        assert_eq!((status, refused), (403, json!({ "error": "forbidden" })), "{path}");
    }
    for (method, path) in [
        ("GET", "/partners".to_owned()),
        ("GET", "/commissions".to_owned()),
        ("GET", "/reviews".to_owned()),
        ("GET", "/webhooks".to_owned()),
        ("GET", "/attributions".to_owned()),
        ("GET", "/programs".to_owned()),
        ("GET", "/payouts".to_owned()),
        ("GET", "/api-keys".to_owned()),
        ("POST", "/attribution/events".to_owned()),
        ("POST", "/payouts/run".to_owned()),
        ("POST", format!("/partners/{own}/links")),
        ("POST", format!("/partners/{own}/api-keys")),
        ("GET", format!("/partners/{own}/api-keys")),
    ] {
        let (status, refused) = ada.call(method, &path, None).await;
        assert_eq!((status, refused), (403, json!({ "error": "forbidden" })), "{method} {path}");
    }
    let listed = shop.ok("GET", &path, None).await;
    assert_eq!(
        (&listed["apiKeys"][0]["id"], listed["apiKeys"].as_array().map(Vec::len)),
        (&minted["id"], Some(1))
    );
    shop.ok("DELETE", &format!("/api-keys/{}", minted["id"].as_str().expect("an id")), None).await;
    eventually(SOON, "the revoked key to be refused", || async {
        (ada.call("GET", &format!("/partners/{own}"), None).await.0 == 401).then_some(())
    })
    .await;
    let (status, refused) = shop.call("POST", &format!("/partners/{own}/invite"), None).await;
    assert_eq!((status, refused), (409, json!({ "error": "already_activated" })));
    an_invited_partner_is_active_when_they_use_their_key(shop).await;
}

async fn an_invited_partner_is_active_when_they_use_their_key(shop: &Shop) {
    let cleo = json!({ "email": "cleo@other.example", "name": "Cleo", "sendInvite": true });
    let made = shop.ok("POST", "/partners", Some(cleo)).await;
    assert_eq!((&made["status"], &made["activatedAt"]), (&json!("invited"), &Value::Null), "{made}");
    let path = format!("/partners/{}", made["id"].as_str().expect("an id"));
    let invited = shop.ok("POST", &format!("{path}/invite"), None).await;
    assert_eq!((&invited["ok"], &invited["notified"]), (&json!(true), &json!(false)));
    assert!(invited["invitedAt"].as_str() > made["invitedAt"].as_str(), "{made} {invited}");
    let minted = shop.ok("POST", &format!("{path}/api-keys"), Some(json!({ "label": "Cleo" }))).await;
    assert_eq!(
        shop.ok("GET", &path, None).await["status"],
        "invited",
        "an admin's look is no use of the key"
    );
    let key = shop.with_key(minted["plaintext"].as_str().expect("it is shown once"));
    key.ok("GET", &format!("{path}/commissions"), None).await;
    let active = shop.ok("GET", &path, None).await;
    assert_eq!(active["status"], "active", "{active}");
    let (status, refused) = shop.call("POST", &format!("{path}/invite"), None).await;
    assert_eq!((status, refused), (409, json!({ "error": "already_activated" })));
    an_invited_partner_is_active_when_an_admin_says_so(shop).await;
}

async fn an_invited_partner_is_active_when_an_admin_says_so(shop: &Shop) {
    let dora = json!({ "email": "dora@other.example", "name": "Dora", "sendInvite": true });
    let made = shop.ok("POST", "/partners", Some(dora)).await;
    let path = format!("/partners/{}", made["id"].as_str().expect("an id"));
    assert_eq!(shop.ok("POST", &format!("{path}/activate"), None).await, json!({ "ok": true }));
    let active = shop.ok("GET", &path, None).await;
    assert_eq!((&active["status"], active["activatedAt"].is_string()), (&json!("active"), true), "{active}");
    assert_eq!(shop.ok("POST", &format!("{path}/activate"), None).await, json!({ "ok": true }));
    let again = shop.ok("GET", &path, None).await;
    assert_eq!(again["activatedAt"], active["activatedAt"], "they were active already");
    let (status, refused) = shop.call("POST", &format!("{path}/invite"), None).await;
    assert_eq!((status, refused), (409, json!({ "error": "already_activated" })));
}

async fn a_payout_is_told(shop: &Shop, receiver: &Receiver, webhook: &str) {
    let accrued = shop.ok("GET", "/commissions?status=accrued&limit=500", None).await;
    let ids: Vec<&Value> =
        accrued["commissions"].as_array().expect("a list").iter().map(|row| &row["id"]).collect();
    assert!(!ids.is_empty());
    shop.ok("POST", "/commissions/approve", Some(json!({ "ids": ids }))).await;
    let run = shop.ok("POST", "/payouts/run", None).await;
    let payout = run["payouts"][0]["id"].clone();
    let told = eventually(SOON, "the webhook to be told", || async {
        receiver.heard().into_iter().map(|(_, body)| body).find(|body| body["event"] == "payout.created")
    })
    .await;
    assert_eq!((&told["data"]["payoutId"], &told["data"]["partnerId"]), (&payout, &json!(shop.partner)));
    eventually(SOON, "the log to say so", || async {
        let listed = shop.ok("GET", &format!("/webhooks/{webhook}/deliveries?status=delivered"), None).await;
        let own = |row: &Value| row["eventId"] == told["id"] && row["attempts"] == 1;
        listed["deliveries"].as_array().expect("a list").iter().any(own).then_some(())
    })
    .await;
}

async fn every_decision_is_in_the_audit_log(house: &House) {
    for (decision, noted) in [("release", "asked them"), ("reverse", "asked them"), ("approve", "")] {
        let entry = eventually(SOON, &format!("the audit log to have {decision}"), || async {
            let entries = house.audit("action=attribution.decided").await;
            entries.into_iter().find(|entry| details(entry)["decision"] == decision)
        })
        .await;
        assert!(entry["actor"].as_str().is_some_and(|actor| actor.starts_with("api_key:")), "{entry}");
        assert!(entry["target"].as_str().is_some_and(|target| target.starts_with("comm_")), "{entry}");
        assert_eq!(details(&entry)["note"].as_str().unwrap_or_default(), noted, "{entry}");
    }
    let entry = house.wait_for_audit("action=attribution.settings_changed&target=identify_secret").await;
    assert_eq!(details(&entry)["change"], "rotated");
}

fn details(entry: &Value) -> Value {
    let text = entry["details_json"].as_str().expect("an entry has details");
    serde_json::from_str(text).expect("they are JSON")
}

/// A server that is told things and says that it is fine.
pub(super) struct Receiver {
    pub(super) url: String,
    heard: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Receiver {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let heard: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let all = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&all)));
            }
        });
        Self { url, heard }
    }

    /// The head and the body of each request.
    pub(super) fn heard(&self) -> Vec<(String, Value)> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn answer(stream: TcpStream, heard: Arc<Mutex<Vec<(String, Value)>>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or_default()];
        stream.read_exact(&mut body).await?;
        let body = serde_json::from_slice(&body).unwrap_or_default();
        heard.lock().unwrap_or_else(PoisonError::into_inner).push((head, body));
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
    }
}
