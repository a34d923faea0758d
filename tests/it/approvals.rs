//! Deals that partners register, decided in a channel of the demo's Slack (R32, R33, D9).

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, Start};

const WAIT: Duration = Duration::from_secs(60);
/// The partner who registers deals.
pub(crate) const PARTNER: &str = "Ada Writes";
const CHANNEL: &str = "deal-registrations";

/// The house's Slack, in which a channel is told of registrations and Accord knows who the people are.
pub(crate) struct Workspace {
    pub(crate) house: House,
    url: String,
    partner: String,
}

impl Workspace {
    /// A house whose Slack is connected by its consent page.
    pub(crate) async fn connected() -> Self {
        let house = House::start(Start { companies: 2, deals: 1, ..Start::default() }).await;
        let url = house.ready("sandboxes.slack.url").to_owned();
        let workspace = workspace(&house, &url).await;
        let team = workspace["id"].as_str().expect("a workspace").to_owned();
        let by = format!("{team} {}", id_of(&workspace["users"], "olivia"));
        house.connect("slack", &[("by", &by), ("decision", "allow")]).await;
        Self::of(house).await
    }

    /// What an admin sets up once Slack is connected: where it is told, and who is who.
    pub(crate) async fn of(house: House) -> Self {
        let url = house.ready("sandboxes.slack.url").to_owned();
        let connection = house.connection_to("slack").await;
        let workspace = workspace(&house, &url).await;
        control(&house, &url, "POST", "invite", json!({ "channel": CHANNEL })).await;
        let rule = json!({
            "channel_id": id_of(&workspace["channels"], CHANNEL), "channel_name": CHANNEL,
            "events": ["registration_submitted"] });
        let rules = json!({ "connection_id": connection, "rules": [rule] });
        house.ok("PUT", "/api/v1/notification-rules", Some(rules)).await;
        let users = house.ok("GET", "/api/v1/users", None).await;
        for name in ["olivia", "adam", "mia"] {
            let of_email = |user: &&Value| user["email"] == format!("{name}@northwind.example");
            let user = users["data"].as_array().expect("a list").iter().find(of_email).expect("the demo's");
            let theirs = id_of(&workspace["users"], name);
            let path = format!("/api/v1/vendor-users/{connection}/{theirs}");
            house.ok("PUT", &path, Some(json!({ "user_id": user["id"] }))).await;
        }
        let ada = json!({ "name": PARTNER, "email": "ada@blog.example" });
        let partner = house.ok("POST", "/api/partners", Some(ada)).await;
        let partner = partner["id"].as_str().expect("an id").to_owned();
        Self { house, url, partner }
    }

    /// The channel is told of all of these, and of nothing else.
    pub(crate) async fn tells(&self, events: &[&str]) {
        let connection = self.house.connection_to("slack").await;
        let workspace = workspace(&self.house, &self.url).await;
        let channel = id_of(&workspace["channels"], CHANNEL);
        let rule = json!({ "channel_id": channel, "channel_name": CHANNEL, "events": events });
        let rules = json!({ "connection_id": connection, "rules": [rule] });
        self.house.ok("PUT", "/api/v1/notification-rules", Some(rules)).await;
    }

    /// The next answers to this method of Slack's are lost on their way, after the call took effect.
    pub(crate) async fn loses_answers(&self, method: &str, times: u32) {
        let fault = json!({
            "match": { "path_prefix": format!("/api/{method}") }, "kind": "cut_mid_body", "times": times });
        control(&self.house, &self.url, "POST", "faults", fault).await;
    }

    /// A partner registers a deal, and the channel is told; gives its id.
    pub(crate) async fn registered(&self, deal: &str, domain: &str) -> String {
        let registration = json!({
            "partner_id": self.partner, "deal_name": deal, "company_name": deal, "company_domain": domain,
            "contact_name": "Carol Wild", "contact_email": format!("carol@{domain}"),
            "amount": "45000.00", "currency": "EUR" });
        let made = self.house.register(&registration).await;
        self.message(deal, |_| true).await;
        made["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn registration(&self, id: &str) -> Value {
        self.house.ok("GET", &format!("/api/v1/deal-registrations/{id}"), None).await
    }

    /// The deal that approving it created, once it is there.
    pub(crate) async fn deal_of(&self, id: &str) -> Value {
        eventually(WAIT, "the deal to be there", || async {
            let path = format!("/api/v1/records/deal/{}", self.registration(id).await["deal_id"].as_str()?);
            let deal = self.house.call("GET", &path, None).await;
            (deal.status == 200).then_some(deal.body)
        })
        .await
    }

    pub(crate) async fn messages(&self) -> Vec<Value> {
        let path = format!("messages?channel={CHANNEL}");
        let found = control(&self.house, &self.url, "GET", &path, Value::Null).await;
        found["messages"].as_array().expect("a list").clone()
    }

    /// The message to everybody that says this, once it is so.
    async fn message(&self, says: &str, is_so: impl Fn(&str) -> bool) -> Value {
        let what = format!("the channel to be told of {says}");
        eventually(WAIT, &what, || async {
            let messages = self.messages().await;
            let mut public = messages.into_iter().filter(|message| message["only_for"].is_null());
            public.find(|message| {
                let text = message.to_string();
                text.contains(says) && is_so(&text)
            })
        })
        .await
    }

    /// What a person is told that nobody else sees, once there is so much of it.
    async fn told_privately(&self, name: &str, count: usize) -> Vec<String> {
        let who = self.user(name).await;
        let what = format!("{name} to be told privately");
        eventually(WAIT, &what, || async {
            let messages = self.messages().await;
            let theirs = messages.iter().filter(|message| message["only_for"] == who.as_str());
            let texts: Vec<String> =
                theirs.filter_map(|message| message["text"].as_str().map(str::to_owned)).collect();
            (texts.len() >= count).then_some(texts)
        })
        .await
    }

    async fn user(&self, name: &str) -> String {
        id_of(&workspace(&self.house, &self.url).await["users"], name)
    }

    /// Somebody presses Approve; Accord takes it within Slack's three seconds.
    async fn approves(&self, name: &str, message: &Value) {
        let click = json!({
            "channel": CHANNEL, "ts": message["ts"], "user": self.user(name).await,
            "action_id": "registration:approve" });
        let answered = control(&self.house, &self.url, "POST", "click", click).await;
        assert_eq!(answered["delivery"]["state"], "acknowledged", "{answered}");
    }
}

async fn workspace(house: &House, url: &str) -> Value {
    control(house, url, "GET", "workspace", Value::Null).await
}

async fn control(house: &House, url: &str, method: &str, path: &str, body: Value) -> Value {
    let method = method.parse().expect("a method");
    let mut request = house.http().request(method, format!("{url}/_sandbox/{path}"));
    if !body.is_null() {
        request = request.json(&body);
    }
    let answer = request.send().await.expect("the sandbox answers");
    let (status, body) = (answer.status(), answer.text().await.expect("the answer has an end"));
    assert!(status.is_success(), "{path}: {status} {body}");
    serde_json::from_str(&body).expect("JSON")
}

fn id_of(list: &Value, name: &str) -> String {
    let found = list.as_array().expect("a list").iter().find(|one| one["name"] == name);
    found.and_then(|one| one["id"].as_str()).unwrap_or_else(|| panic!("no {name} in {list}")).to_owned()
}

/// Why a decision was refused, as an entry of the audit log tells it.
fn reason(entry: &Value) -> String {
    let details = entry["details_json"].as_str().expect("an entry has details");
    let details: Value = serde_json::from_str(details).expect("JSON");
    details["reason"].as_str().expect("a reason").to_owned()
}

/// D9: who clicks is known, and may decide or not; whoever may not is told so alone, and the audit log tells of it.
#[tokio::test]
async fn a_click_of_somebody_who_may_not_decide_is_refused_privately_and_audited() {
    let slack = Workspace::connected().await;
    let id = slack.registered("Ten presses", "acme.example").await;
    let message = slack.message("Ten presses", |_| true).await;
    slack.approves("mia", &message).await;
    let told = slack.told_privately("mia", 1).await;
    assert_eq!(told, ["Your role in Accord does not let you decide about deal registrations."]);
    slack.approves("victor", &message).await;
    let told = slack.told_privately("victor", 1).await;
    assert!(told[0].starts_with("Accord does not know yet who you are."), "{told:?}");
    assert_eq!(slack.registration(&id).await["status"], "submitted");
    let refused = eventually(WAIT, "the audit log to tell of both", || async {
        let entries =
            slack.house.audit(&format!("action=deal_registration.decision_refused&target={id}")).await;
        (entries.len() == 2).then_some(entries)
    })
    .await;
    let reasons: Vec<String> = refused.iter().map(reason).collect();
    assert_eq!(reasons, ["user_unmapped", "role_forbidden"], "{refused:?}");
    assert!(refused.iter().all(|entry| entry["outcome"] == "refused"), "{refused:?}");
    assert!(!json!(refused).to_string().contains("northwind.example"), "no address is in it");
    // Whoever may decides it after all.
    slack.approves("adam", &message).await;
    assert_eq!(slack.deal_of(&id).await["fields"]["name"], "Ten presses");
    slack.message("Ten presses", |text| text.contains("Approved by Adam Admin")).await;
}

/// R33: two people decide at the same instant, in Slack and by the API, and one of them did.
#[tokio::test]
async fn of_two_decisions_at_the_same_instant_one_stands_and_makes_one_deal() {
    let slack = Workspace::connected().await;
    for round in 0..4 {
        let deal = format!("Deal {round}");
        let id = slack.registered(&deal, &format!("buyer{round}.example")).await;
        let message = slack.message(&deal, |_| true).await;
        let reject = format!("/api/v1/deal-registrations/{id}/reject");
        let no = slack.house.call("POST", &reject, Some(json!({ "reason": "We know them." })));
        let ((), (), rejected) =
            tokio::join!(slack.approves("adam", &message), slack.approves("olivia", &message), no);
        let decided = eventually(WAIT, "one decision", || async {
            let seen = slack.registration(&id).await;
            seen["decided_at"].is_string().then_some(seen)
        })
        .await;
        let is_rejected = decided["status"] == "rejected";
        assert_eq!(rejected.status == 200, is_rejected, "{} and {decided}", rejected.body);
        let says = if is_rejected { "Rejected by" } else { "Approved by" };
        slack.message(&deal, |text| text.contains(says)).await;
        let losers = if is_rejected { 2 } else { 1 };
        let of_round = format!("action=deal_registration.decision_refused&target={id}");
        let late = eventually(WAIT, "the late clicks to be in the audit log", || async {
            let entries = slack.house.audit(&of_round).await;
            (entries.len() == losers).then_some(entries)
        })
        .await;
        assert!(late.iter().all(|entry| reason(entry) == "already_decided"), "{late:?}");
        assert_eq!(slack.registration(&id).await, decided, "the first decision stands");
        if !is_rejected {
            slack.deal_of(&id).await;
        }
        assert_eq!(deals(&slack.house, &deal).await, usize::from(!is_rejected));
    }
}

/// How many deals have this name.
async fn deals(house: &House, name: &str) -> usize {
    let found = house.ok("GET", "/api/v1/records/deal?limit=100", None).await;
    let deals = found["data"].as_array().expect("a list");
    deals.iter().filter(|deal| deal["fields"]["name"] == name).count()
}
