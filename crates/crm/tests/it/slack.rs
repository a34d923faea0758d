//! What the vendor's side of the room's messages does: hears what is to be posted, answers, and tells of clicks.

use std::collections::BTreeMap;

use bus::{Consumer, ConsumerConfig, Message, subject};
use model::{
    AnswerPrivately, Clock, ConnectionChanged, ConnectionId, ConnectionState, InteractionReceived,
    MessagePosted, OrganizationId, PostMessage, VendorUser, VendorUserTold, kind,
};
use proto::crm::{ConfirmVendorUserRequest, NewNotificationRule, SetNotificationRulesRequest};
use serde::Serialize;
use serde_json::Value;
use testkit::eventually;
use uuid::Uuid;

use crate::world::{SOON, World, by, email, noon, user};

/// The channel that is told most.
pub(crate) const CHANNEL: &str = "C1";

pub(crate) fn connection() -> ConnectionId {
    ConnectionId::from_uuid(Uuid::from_u128(0x300))
}

/// A workspace that is connected.
pub(crate) struct Slack<'w> {
    pub(crate) world: &'w World,
    writes: Consumer,
    said: Consumer,
    pub(crate) posts: Vec<PostMessage>,
    pub(crate) answers: Vec<AnswerPrivately>,
    heard: Vec<(String, String, Value)>,
}

pub(crate) fn changed(connection: ConnectionId, vendor: &str, state: ConnectionState) -> ConnectionChanged {
    ConnectionChanged {
        connection: Some(connection),
        vendor: vendor.to_owned(),
        state: Some(state),
        account: None,
        reason: None,
        message: None,
        at: noon(),
    }
}

impl World {
    pub(crate) async fn slack(&self) -> Slack<'_> {
        let quick = |stream, name| ConsumerConfig { max_wait_ms: 200, ..ConsumerConfig::new(stream, name) };
        let writes = quick(subject::WRITES, "vendor").filtered(["post.>", "answer.>"]);
        let said = quick(subject::EVENTS, "said").filtered(["deal_registration.*.decision_refused", "crm.>"]);
        let authorized = changed(connection(), "slack", ConnectionState::Active);
        self.publish("connection", "authorized", kind::CONNECTION_AUTHORIZED, &authorized).await;
        self.knows_connections(1).await;
        Slack {
            world: self,
            writes: self.bus.consumer(writes).await.unwrap(),
            said: self.bus.consumer(said).await.unwrap(),
            posts: Vec::new(),
            answers: Vec::new(),
            heard: Vec::new(),
        }
    }

    pub(crate) async fn knows_connections(&self, count: i64) {
        eventually(SOON, "the room to know the connection", || async {
            let known: i64 =
                sqlx::query_scalar("SELECT count(*) FROM connections").fetch_one(&self.pool).await.unwrap();
            (known == count).then_some(())
        })
        .await;
    }

    /// Sets what is told in which channels.
    pub(crate) async fn rules(&self, rules: &[(&str, &[&str])]) {
        let rule = |(channel, events): &(&str, &[&str])| NewNotificationRule {
            channel_id: (*channel).to_owned(),
            channel_name: format!("#{channel}"),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
        };
        let rules = rules.iter().map(rule).collect();
        let request = SetNotificationRulesRequest { connection_id: connection().to_string(), rules };
        self.client().set_notification_rules(by("ann", request)).await.unwrap();
    }

    /// An admin says who somebody at the vendor is.
    pub(crate) async fn confirm(&self, vendor_user: &str, number: usize) {
        let request = ConfirmVendorUserRequest {
            connection_id: connection().to_string(),
            vendor_user_id: vendor_user.to_owned(),
            user_id: user(number).to_string(),
        };
        self.client().confirm_vendor_user(by("ann", request)).await.unwrap();
    }
}

impl Slack<'_> {
    async fn listen(&mut self) {
        for delivery in self.writes.next_batch().await.unwrap() {
            match delivery.message.envelope.kind.as_str() {
                kind::POST => {
                    let post: PostMessage = delivery.message.decode().unwrap();
                    assert_eq!(delivery.message.envelope.id, post.post.to_string());
                    self.posts.push(post);
                }
                kind::ANSWER => self.answers.push(delivery.message.decode().unwrap()),
                other => panic!("{other}"),
            }
            delivery.ack().await.unwrap();
        }
    }

    /// The messages that are to be posted, once there are so many.
    pub(crate) async fn posts(&mut self, count: usize) -> &[PostMessage] {
        let listen = async {
            while self.posts.len() < count {
                self.listen().await;
            }
        };
        tokio::time::timeout(SOON, listen).await.expect("so many messages");
        assert_eq!(self.posts.len(), count, "{:#?}", self.posts);
        &self.posts
    }

    /// What people are told privately, once there are so many answers.
    pub(crate) async fn answers(&mut self, count: usize) -> Vec<String> {
        let listen = async {
            while self.answers.len() < count {
                self.listen().await;
            }
        };
        tokio::time::timeout(SOON, listen).await.expect("so many answers");
        assert_eq!(self.answers.len(), count, "{:#?}", self.answers);
        self.answers.iter().map(|answer| answer.text.clone()).collect()
    }

    /// What the room says for the audit: kind, actor and body, once there is so much.
    pub(crate) async fn said(&mut self, count: usize) -> &[(String, String, Value)] {
        let listen = async {
            while self.heard.len() < count {
                for delivery in self.said.next_batch().await.unwrap() {
                    let envelope = &delivery.message.envelope;
                    let (kind, actor) = (envelope.kind.clone(), envelope.actor.clone().unwrap_or_default());
                    self.heard.push((kind, actor, delivery.message.decode().unwrap()));
                    delivery.ack().await.unwrap();
                }
            }
        };
        tokio::time::timeout(SOON, listen).await.expect("so much to be said");
        assert_eq!(self.heard.len(), count, "{:#?}", self.heard);
        &self.heard
    }

    async fn publish<T: Serialize>(&self, subject: String, kind: &str, body: &T) {
        let (at, organization) = (self.world.clock.now(), self.world.organization);
        let message = Message::json(subject, kind, "connector-slack", organization, at, body).unwrap();
        self.world.bus.publish(&message).await.unwrap();
    }

    /// The vendor posted a message, or not.
    pub(crate) async fn answer(&self, post: &PostMessage, answer: Result<&str, &str>) {
        let posted = MessagePosted {
            connection: post.connection,
            post: post.post,
            channel: post.channel.clone(),
            message: answer.ok().map(str::to_owned),
            error: answer.err().map(str::to_owned),
        };
        self.publish(subject::posted(&self.world.organization, "slack"), kind::POSTED, &posted).await;
    }

    /// Somebody, `U0` …, did something with a message.
    pub(crate) async fn interact(
        &self,
        id: &str,
        number: usize,
        action: &str,
        value: &str,
        reason: Option<&str>,
    ) {
        let organization: OrganizationId = self.world.organization;
        let fields = reason.map(|reason| ("reason".to_owned(), reason.to_owned()));
        let received = InteractionReceived {
            connection: connection(),
            id: id.to_owned(),
            kind: if reason.is_some() { "dialog" } else { "button" }.to_owned(),
            user: VendorUser {
                id: format!("U{number}"),
                name: format!("person {number}"),
                email: Some(email(number).to_uppercase()),
            },
            action: action.to_owned(),
            value: value.to_owned(),
            channel: CHANNEL.to_owned(),
            message: "1.1".to_owned(),
            reply: "handle".to_owned(),
            fields: BTreeMap::from_iter(fields),
            at: self.world.clock.now(),
        };
        self.publish(subject::interaction(&organization, "slack"), kind::INTERACTION, &received).await;
    }

    /// The vendor said who somebody is.
    pub(crate) async fn tell(&self, id: &str, name: &str, email: &str) {
        let user = VendorUser { id: id.to_owned(), name: name.to_owned(), email: Some(email.to_owned()) };
        let told = VendorUserTold { connection: connection(), user, at: self.world.clock.now() };
        let subject = subject::interaction(&self.world.organization, "slack");
        self.publish(subject, kind::VENDOR_USER, &told).await;
    }

    /// Somebody whose name was not looked up clicked “Approve”.
    pub(crate) async fn click_as(&self, id: &str, who: &str, name: &str, registration: &str) {
        let user = VendorUser { id: who.to_owned(), name: name.to_owned(), email: None };
        let received = InteractionReceived {
            connection: connection(),
            id: id.to_owned(),
            kind: "button".to_owned(),
            user,
            action: "registration:approve".to_owned(),
            value: registration.to_owned(),
            channel: CHANNEL.to_owned(),
            message: "1.1".to_owned(),
            reply: String::new(),
            fields: BTreeMap::new(),
            at: self.world.clock.now(),
        };
        let subject = subject::interaction(&self.world.organization, "slack");
        self.publish(subject, kind::INTERACTION, &received).await;
    }

    pub(crate) async fn approve(&self, id: &str, number: usize, registration: &str) {
        self.interact(id, number, "registration:approve", registration, None).await;
    }

    pub(crate) async fn reject(&self, id: &str, number: usize, registration: &str, reason: &str) {
        self.interact(id, number, "registration:reject:ask", registration, Some(reason)).await;
    }
}
