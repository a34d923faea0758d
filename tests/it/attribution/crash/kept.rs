//! What was answered with 2xx, and whether it is there afterwards.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};
use testkit::eventually;

use super::{
    super::{guards::Receiver, shop::Shop},
    user,
};

/// Longer than a delivery waits whose sender was killed.
const TOLD_WITHIN: Duration = Duration::from_secs(90);

/// What was answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Answered {
    /// The id of the event by its sender's.
    pub(super) recorded: BTreeMap<String, String>,
    /// Clicks that nobody identified yet, with who it will be.
    pub(super) clicks: Vec<(String, String)>,
    /// Users with their only click.
    pub(super) identified: Vec<(String, String)>,
    /// Bodies of corrections.
    pub(super) corrected: Vec<Value>,
    /// Commissions that were answered as approved.
    pub(super) approved: BTreeSet<String>,
    /// The payouts of each run, by its key.
    pub(super) runs: BTreeMap<String, BTreeSet<String>>,
    /// Payouts that were answered as paid.
    pub(super) settled: BTreeSet<String>,
    pub(super) models: Models,
    /// The event of each of Pipedrive's deals, and what the deal is worth.
    delivered: BTreeMap<u32, (String, i32)>,
    /// HubSpot's deals that are won.
    pub(super) won: Vec<String>,
}

/// What the model was changed to.
#[derive(Clone, Debug, Default)]
pub(super) struct Models {
    /// By the last answer, or by what was asked after it: nobody knows.
    may_be: Vec<String>,
    /// How many changes were answered, and how many were not.
    done: usize,
    unanswered: usize,
}

impl Models {
    pub(super) fn begin(&mut self, model: &str) {
        self.may_be.push(model.to_owned());
    }

    /// The change that began last was answered or not.
    pub(super) fn end(&mut self, is_done: bool) {
        if is_done {
            self.may_be.drain(..self.may_be.len() - 1);
        }
        self.done += usize::from(is_done);
        self.unanswered += usize::from(!is_done);
    }
}

impl Answered {
    pub(super) fn note_approved(&mut self, answer: &Value) {
        let results = answer["results"].as_array().into_iter().flatten();
        let approved = results.filter(|result| result["commission"]["status"] == "approved");
        self.approved.extend(approved.filter_map(|one| one["commission"]["id"].as_str().map(str::to_owned)));
    }

    pub(super) fn note_delivered(&mut self, deal: u32, event: String, value: i32) {
        let before = self.delivered.insert(deal, (event.clone(), value));
        assert!(before.is_none_or(|(id, _)| id == event), "a deal is one event");
    }

    pub(super) fn models_are_kept(&self, model: &Value) {
        let model = model.as_str().unwrap_or_default();
        assert!(
            self.models.may_be.is_empty() || self.models.may_be.iter().any(|one| one == model),
            "{model} {:?}",
            self.models
        );
    }

    /// What there is too little of to say anything, and how much of it there is.
    pub(super) fn lacks(&self) -> Option<(&'static str, usize)> {
        let counts = [
            ("events", self.recorded.len(), 100),
            ("clicks", self.clicks.len(), 4),
            ("identifies", self.identified.len(), 4),
            ("corrections", self.corrected.len(), 10),
            ("approvals", self.approved.len(), 50),
            ("runs", self.runs.len(), 4),
            ("settlements", self.settled.len(), 4),
            ("changes of the model", self.models.done, 5),
            ("changes of the model that were cut short", self.models.unanswered, 1),
            ("bodies", self.delivered.len(), 5),
            ("deals", self.won.len(), 4),
        ];
        counts.into_iter().find(|(_, count, least)| count < least).map(|(what, count, _)| (what, count))
    }

    /// Everything is there, as it was answered.
    pub(super) async fn is_kept(&self, shop: &Shop) {
        let events = all(shop, "/attribution/events?limit=200", "events").await;
        let by_id: BTreeMap<&str, &Value> =
            events.iter().filter_map(|event| Some((event["id"].as_str()?, event))).collect();
        self.events_are_kept(&events, &by_id);
        self.corrections_are_kept(shop, &by_id).await;
        self.decisions_are_kept(shop, &by_id).await;
        self.clicks_are_kept(shop).await;
    }

    fn events_are_kept(&self, events: &[Value], by_id: &BTreeMap<&str, &Value>) {
        let named: Vec<&str> = events.iter().filter_map(|event| event["externalEventId"].as_str()).collect();
        let names: BTreeSet<&str> = named.iter().copied().collect();
        assert_eq!(names.len(), named.len(), "no event was recorded twice");
        for (name, id) in &self.recorded {
            let event = by_id.get(id.as_str()).unwrap_or_else(|| panic!("{name} was answered and is lost"));
            assert_eq!(event["externalEventId"], json!(name));
        }
        for (deal, (id, value)) in &self.delivered {
            let event = by_id.get(id.as_str()).unwrap_or_else(|| panic!("deal {deal} is lost"));
            assert_eq!(event["currentValue"].as_f64(), Some(f64::from(*value)), "deal {deal}: {event}");
        }
    }

    async fn corrections_are_kept(&self, shop: &Shop, by_id: &BTreeMap<&str, &Value>) {
        let (mut refunded, mut void) = (BTreeMap::<&str, f64>::new(), BTreeMap::new());
        for body in &self.corrected {
            let name = body["externalEventId"].as_str().expect("a name");
            *refunded.entry(name).or_default() += body["refund"].as_f64().unwrap_or_default();
            void.insert(name, body["void"] == true);
        }
        for (name, refunded) in refunded {
            let event = by_id[self.recorded[name].as_str()];
            let is_void = void[name];
            assert_eq!(event["void"], json!(is_void), "{event}");
            if !is_void {
                assert_eq!(event["currentValue"].as_f64(), Some(100.0 - refunded), "{event}");
            }
        }
        for body in &self.corrected {
            let again = shop.ok("POST", "/attribution/corrections", Some(body.clone())).await;
            assert_eq!(again["replayed"], true, "{body} was answered and is lost");
        }
    }

    async fn decisions_are_kept(&self, shop: &Shop, by_id: &BTreeMap<&str, &Value>) {
        let commissions = all(shop, "/commissions?limit=500", "commissions").await;
        let status: BTreeMap<&str, (&str, &str)> = commissions
            .iter()
            .filter_map(|row| {
                Some((row["id"].as_str()?, (row["status"].as_str()?, row["eventId"].as_str()?)))
            })
            .collect();
        for id in &self.approved {
            let (status, event) = status[id.as_str()];
            assert!(
                by_id[event]["void"] == false && matches!(status, "approved" | "paid"),
                "{id} is {status}"
            );
        }
        let payouts = all(shop, "/payouts?limit=200", "payouts").await;
        let by_id: BTreeMap<&str, &Value> =
            payouts.iter().filter_map(|payout| Some((payout["id"].as_str()?, payout))).collect();
        for id in &self.settled {
            assert_eq!(by_id[id.as_str()]["status"], "paid", "{id}");
        }
        for (key, answered) in &self.runs {
            let (_, again) = shop.try_keyed("/payouts/run", key, &json!({})).await.expect("the API answers");
            let again = again["payouts"].as_array().expect("a list").iter();
            let again: BTreeSet<String> =
                again.filter_map(|payout| payout["id"].as_str().map(str::to_owned)).collect();
            assert_eq!(again, *answered, "{key}");
        }
        let taken: Vec<&str> = payouts
            .iter()
            .flat_map(|payout| payout["commissionIds"].as_array().into_iter().flatten())
            .filter_map(Value::as_str)
            .collect();
        for (id, (status, _)) in status {
            let is_taken = taken.contains(&id);
            assert_eq!(is_taken, status == "paid", "{id} is {status}");
        }
    }

    /// Who was identified has their click, and a click that was answered can still be identified.
    async fn clicks_are_kept(&self, shop: &Shop) {
        for (user, click) in &self.clicks {
            let body = json!({ "cref": click, "userId": user });
            eventually(TOLD_WITHIN, "the address to identify again", || async {
                let (status, answer) = shop.call("POST", "/attribution/identify", Some(body.clone())).await;
                assert!(matches!(status, 200 | 429), "{click} was answered and is lost: {status} {answer}");
                (status == 200).then_some(())
            })
            .await;
        }
        for (user, click) in self.identified.iter().chain(&self.clicks) {
            let event = json!({ "userId": user, "type": "signup", "value": 5 });
            let recorded = shop.ok("POST", "/attribution/events", Some(event)).await;
            let found = &recorded["attribution"]["touches"][0]["clickId"];
            assert_eq!(found, click, "{user} was answered as identified: {recorded}");
        }
    }

    /// Each deal that is won in the CRM is one event.
    pub(super) async fn deals_are_events(&self, shop: &Shop, rule: &str) {
        for deal in &self.won {
            let path = format!("/attribution/events?metadataValue={deal}");
            let found = eventually(TOLD_WITHIN, &format!("deal {deal} to be an event"), || async {
                let found = shop.ok("GET", &path, None).await["events"].as_array().cloned()?;
                let own = found.into_iter().filter(|event| event["metadata"]["rule"] == json!(rule));
                Some(own.collect::<Vec<_>>()).filter(|own| !own.is_empty())
            })
            .await;
            let statuses: Vec<&Value> = found.iter().map(|event| &event["attribution"]["status"]).collect();
            assert_eq!(statuses, [&json!("attributed")], "a deal is won once: {found:?}");
        }
    }

    /// Everybody who listens heard of each approval and each payout, as of one event, maybe several times.
    pub(super) async fn is_told(&self, shop: &Shop, receiver: &Receiver) {
        let payouts = all(shop, "/payouts?limit=200", "payouts").await;
        let payouts = payouts.iter().filter_map(|payout| payout["id"].as_str());
        let wanted: BTreeSet<&str> = payouts.chain(self.approved.iter().map(String::as_str)).collect();
        let heard = eventually(TOLD_WITHIN, "everything to be told", || async {
            let mut heard: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for (_, body) in receiver.heard() {
                let about = body["data"]["payoutId"].as_str().filter(|_| body["event"] == "payout.created");
                let about = about.or(body["data"]["commissionId"].as_str()).map(str::to_owned);
                if let (Some(about), Some(id)) = (about, body["id"].as_str()) {
                    heard.entry(about).or_default().insert(id.to_owned());
                }
            }
            wanted.iter().all(|id| heard.contains_key(*id)).then_some(heard)
        })
        .await;
        for (about, ids) in heard {
            assert_eq!(ids.len(), 1, "{about} happened once: {ids:?}");
        }
    }
}

async fn all(shop: &Shop, path: &str, name: &str) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = shop.ok("GET", &format!("{path}&cursor={cursor}"), None).await;
        rows.extend(page[name].as_array().cloned().expect("a list"));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return rows,
        }
    }
}

/// Each event earns a fifth of what it is worth, whoever shares it.
pub(super) async fn every_event_earns_once(shop: &Shop) {
    let events = all(shop, "/attribution/events?limit=200", "events").await;
    let commissions = all(shop, "/commissions?limit=500", "commissions").await;
    let mut earned: BTreeMap<&str, f64> = BTreeMap::new();
    for row in &commissions {
        let amount: f64 = row["amount"].as_str().and_then(|text| text.parse().ok()).expect("an amount");
        *earned.entry(row["eventId"].as_str().expect("an id")).or_default() += amount;
    }
    for event in &events {
        let value = event["currentValue"].as_f64().filter(|_| event["void"] == false).unwrap_or_default();
        let earned = earned.get(event["id"].as_str().expect("an id")).copied().unwrap_or_default();
        assert!((earned - value / 5.0).abs() < 0.001, "{event} earned {earned}");
    }
}

/// What payouts took in all is what is owed for the commissions that they took, to the cent. A commission may be in several: a
/// correction after its payout leaves a rest, which the next one takes or takes back.
pub(super) async fn no_cent_is_paid_twice(shop: &Shop) {
    // It is worth more than all that is to be taken back, so that no rest waits.
    let last = json!({
        "userId": user(0), "type": "opportunity_won", "externalEventId": "the last", "value": 1_000_000 });
    let last = shop.ok("POST", "/attribution/events", Some(last)).await;
    let accrued = format!("/commissions?status=accrued&limit=500&programId={}", shop.program);
    let accrued = all(shop, &accrued, "commissions").await;
    let ids: Vec<&Value> =
        accrued.iter().filter(|row| row["eventId"] == last["eventId"]).map(|row| &row["id"]).collect();
    assert_eq!(ids.len(), 1, "{last}");
    shop.ok("POST", "/commissions/approve", Some(json!({ "ids": ids }))).await;
    let (status, run) = shop.keyed("/payouts/run", "run-last", &json!({})).await;
    assert_eq!((status, run["payouts"].as_array().map(Vec::len)), (200, Some(1)), "{run}");
    let commissions = all(shop, "/commissions?limit=500", "commissions").await;
    let owed: i64 = commissions.iter().filter(|row| row["status"] == "paid").map(cents).sum();
    let payouts = all(shop, "/payouts?limit=200", "payouts").await;
    let taken: i64 = payouts.iter().map(cents).sum();
    assert_eq!(taken, owed, "no cent is paid twice, and none is forgotten");
}

fn cents(row: &Value) -> i64 {
    let amount = row["amount"].as_str().expect("an amount");
    let (whole, cents) = amount.split_once('.').unwrap_or((amount, "00"));
    assert_eq!(cents.len(), 2, "{row}");
    format!("{whole}{cents}").parse().unwrap_or_else(|_| panic!("{row} has no amount"))
}
