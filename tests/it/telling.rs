//! What happened is told in the channel of the demo's Slack once, whatever comes twice or gets lost on the way (R3, R31).

use std::{collections::BTreeMap, time::Duration};

use bus::{Bus, ConnectOptions, Message, subject};
use jiff::Timestamp;
use model::{
    CanonicalObject, Clock as _, CommissionChanged, CommissionId, ConnectionChanged, ConnectionId,
    ConnectionState, ConversionId, OrganizationId, PartnerChanged, PartnerId, PayoutCreated, PayoutId,
    ProgramId, RecordChanged, RecordId, SystemClock, Value, kind,
};
use serde::Serialize;
use testkit::eventually;

use crate::approvals::{PARTNER, Workspace};

const WAIT: Duration = Duration::from_secs(60);

/// The events, by the names that rules have for them, and how their messages begin.
const TOLD: [(&str, &str); 7] = [
    ("partner_created", "New partner"),
    ("partner_tier_changed", "A partner is in another tier"),
    ("deal_won", "Deal won"),
    ("deal_lost", "Deal lost"),
    ("commission_accrued", "Commission accrued"),
    ("payout_created", "Payout written down"),
    ("sync_trouble", "HubSpot does not sync"),
];

/// Who publishes on the bus as the rooms do.
struct Teller {
    bus: Bus,
    organization: OrganizationId,
    partner: PartnerId,
    now: Timestamp,
}

impl Teller {
    async fn of(slack: &Workspace) -> Self {
        let url = slack.house.ready("nats_url");
        let bus = Bus::connect(url, ConnectOptions::named("story")).await.expect("NATS answers");
        let organization = slack.house.ready("organization_id").parse().expect("an id");
        let now = SystemClock.now();
        Self { bus, organization, partner: PartnerId::generate(now), now }
    }

    fn message<T: Serialize>(&self, noun: &str, rest: &str, kind: &str, body: &T) -> Message {
        let subject = subject::event(noun, &self.organization, rest);
        Message::json(subject, kind, "story", self.organization, self.now, body).expect("a message")
    }

    /// A record's field is another one than before.
    fn changed(&self, object: CanonicalObject, version: i64, field: [&str; 3]) -> Message {
        let [name, before, after] = field;
        let one = |text: &str| BTreeMap::from([(name.to_owned(), Value::text(text))]);
        let changed = RecordChanged {
            record: RecordId::generate(self.now),
            object,
            version,
            fields: one(after),
            before: one(before),
            truncated: false,
            pii: Vec::new(),
            actor: "service:story".to_owned(),
            at: self.now,
            connection: None,
        };
        self.message("record", object.name(), kind::RECORD_CHANGED, &changed)
    }

    fn payout(&self, amount: &str) -> Message {
        let payout = PayoutCreated {
            payout: PayoutId::generate(self.now),
            partner: self.partner,
            amount: amount.to_owned(),
            currency: "EUR".to_owned(),
            commissions: 1,
            at: self.now,
        };
        self.message("payout", "created", kind::PAYOUT_CREATED, &payout)
    }

    fn commission(&self) -> Message {
        let accrued = CommissionChanged {
            commission: CommissionId::generate(self.now),
            event: ConversionId::generate(self.now),
            partner: self.partner,
            program: ProgramId::generate(self.now),
            amount: "900.00".to_owned(),
            before: None,
            currency: "EUR".to_owned(),
            status: "accrued".to_owned(),
            reason: "on_hold".to_owned(),
            at: self.now,
        };
        self.message("commission", "accrued", kind::COMMISSION_ACCRUED, &accrued)
    }

    /// One message of each kind, in the order of [`TOLD`].
    fn all(&self) -> Vec<Message> {
        let created = PartnerChanged {
            partner: self.partner,
            name: "Tidal Loom".to_owned(),
            status: "active".to_owned(),
            note: String::new(),
            at: self.now,
        };
        let broken = ConnectionChanged {
            connection: Some(ConnectionId::generate(self.now)),
            vendor: "hubspot".to_owned(),
            state: Some(ConnectionState::ReauthRequired),
            account: None,
            reason: None,
            message: Some("HubSpot revoked the access".to_owned()),
            at: self.now,
        };
        vec![
            self.message("partner", "created", kind::PARTNER_CREATED, &created),
            self.changed(CanonicalObject::Partner, 2, ["tier", "Silver", "Gold"]),
            self.changed(CanonicalObject::Deal, 2, ["status", "open", "won"]),
            self.changed(CanonicalObject::Deal, 2, ["status", "open", "lost"]),
            self.commission(),
            self.payout("900.00"),
            self.message("connection", "changed", kind::CONNECTION_CHANGED, &broken),
        ]
    }

    async fn publish(&self, message: &Message) {
        self.bus.publish(message).await.expect("published");
    }
}

/// How many messages of the channel say this. The partner who was there before may be told or not: the room may come to read
/// of them before or after the rule is set.
async fn count(slack: &Workspace, says: &str) -> usize {
    let messages = slack.messages().await;
    let texts = messages.iter().map(ToString::to_string);
    texts.filter(|text| text.contains(says) && !text.contains(PARTNER)).count()
}

// R3
#[tokio::test]
async fn each_event_is_one_message_in_the_channel_though_it_comes_twice_and_answers_are_lost() {
    let slack = Workspace::connected().await;
    slack.tells(&TOLD.map(|(event, _)| event)).await;
    let teller = Teller::of(&slack).await;
    for ((event, says), message) in TOLD.into_iter().zip(teller.all()) {
        assert_eq!(count(&slack, says).await, 0, "{event}");
        slack.loses_answers("chat.postMessage", 1).await;
        teller.publish(&message).await;
        teller.publish(&message).await;
        let what = format!("the channel to be told of {event}");
        eventually(WAIT, &what, || async { (count(&slack, says).await > 0).then_some(()) }).await;
    }
    // What comes behind all of them is told when all of them were.
    teller.publish(&teller.payout("1.23")).await;
    eventually(WAIT, "the last one", || async { (count(&slack, "1.23 EUR").await > 0).then_some(()) }).await;
    let payouts = |says: &str| usize::from(says == "Payout written down");
    for (event, says) in TOLD {
        assert_eq!(count(&slack, says).await, 1 + payouts(says), "{event}");
    }
    assert!(!slack.house.log().contains("panicked"), "something panicked: {}", slack.house.log());
}
