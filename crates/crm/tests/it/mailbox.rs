//! What the vendor's side of a campaign does: hears which mails are to be sent, answers, and tells of what comes in.

use std::collections::{BTreeMap, BTreeSet};

use bus::{Consumer, ConsumerConfig, Message, subject};
use jiff::SignedDuration;
use model::{
    ActivityParticipant, ActivityTold, Clock, ConnectionId, ConnectionState, MailId, MailSent, MailState,
    SendMail, WithdrawMail, kind,
};
use proto::crm::*;
use testkit::eventually;
use tonic::Status;
use uuid::Uuid;

use crate::{
    slack::changed,
    world::{SOON, World, by},
};

pub(crate) fn mailbox() -> ConnectionId {
    ConnectionId::from_uuid(Uuid::from_u128(0x400))
}

/// A mailbox that is connected.
pub(crate) struct Mailbox<'w> {
    pub(crate) world: &'w World,
    writes: Consumer,
    pub(crate) mails: Vec<SendMail>,
    /// Those that are not to be sent any more.
    pub(crate) withdrawn: Vec<MailId>,
}

/// Mails of these steps: after how many days, the subject, the text.
pub(crate) fn draft(steps: &[(u32, &str, &str)]) -> CampaignDraft {
    let step = |(after_days, subject, text): &(u32, &str, &str)| CampaignStep {
        after_days: *after_days,
        subject: (*subject).to_owned(),
        text: (*text).to_owned(),
    };
    CampaignDraft {
        name: "Autumn".to_owned(),
        connection_id: mailbox().to_string(),
        steps: steps.iter().map(step).collect(),
        ..CampaignDraft::default()
    }
}

/// Somebody with a first name.
pub(crate) fn person(email: &str) -> NewRecipient {
    let first = email.split('@').next().unwrap().to_owned();
    NewRecipient {
        email: email.to_owned(),
        fields: [("first_name".to_owned(), first)].into(),
        ..NewRecipient::default()
    }
}

/// What opens the opt-out link of a mail.
pub(crate) fn token(mail: &SendMail) -> String {
    let (_, token) = mail.text.split_once("https://api.example/opt-out?t=").expect("an opt-out link");
    token.split_whitespace().next().unwrap().to_owned()
}

impl World {
    pub(crate) async fn mailbox(&self) -> Mailbox<'_> {
        let authorized = changed(mailbox(), "m365", ConnectionState::Active);
        self.publish("connection", "authorized", kind::CONNECTION_AUTHORIZED, &authorized).await;
        self.knows_connections(1).await;
        let config =
            ConsumerConfig { max_wait_ms: 200, ..ConsumerConfig::new(subject::WRITES, "vendor-mails") };
        let writes = self.bus.consumer(config.filtered(["mail.m365.>"])).await.unwrap();
        Mailbox { world: self, writes, mails: Vec::new(), withdrawn: Vec::new() }
    }

    pub(crate) async fn campaign(&self, draft: CampaignDraft) -> Result<Campaign, Status> {
        Ok(self.client().create_campaign(by("ann", draft)).await?.into_inner())
    }

    pub(crate) async fn enrol(
        &self,
        campaign: &str,
        recipients: Vec<NewRecipient>,
    ) -> Result<EnrolRecipientsResponse, Status> {
        let request = EnrolRecipientsRequest { campaign_id: campaign.to_owned(), recipients };
        Ok(self.client().enrol_recipients(by("ann", request)).await?.into_inner())
    }

    pub(crate) async fn start(&self, campaign: &str) -> Result<Campaign, Status> {
        let request = StartCampaignRequest { id: campaign.to_owned(), if_version: None };
        Ok(self.client().start_campaign(by("ann", request)).await?.into_inner())
    }

    /// A campaign of these mails to these people that was started.
    pub(crate) async fn started(&self, steps: &[(u32, &str, &str)], people: &[&str]) -> Campaign {
        let made = self.campaign(draft(steps)).await.unwrap();
        let people: Vec<NewRecipient> = people.iter().copied().map(person).collect();
        let count = people.len();
        assert_eq!(self.enrol(&made.id, people).await.unwrap().enrolled as usize, count);
        self.start(&made.id).await.unwrap()
    }

    pub(crate) async fn recipients(&self, campaign: &str) -> BTreeMap<String, Recipient> {
        let request =
            ListRecipientsRequest { campaign_id: campaign.to_owned(), limit: 200, ..Default::default() };
        let listed = self.client().list_recipients(by("viewer", request)).await.unwrap().into_inner();
        listed.recipients.into_iter().map(|it| (it.email.clone(), it)).collect()
    }

    /// Somebody of a campaign, once in this state.
    pub(crate) async fn becomes(&self, campaign: &str, email: &str, state: &str) -> Recipient {
        let look = || async {
            let found = self.recipients(campaign).await.remove(email).unwrap();
            (found.state == state).then_some(found)
        };
        eventually(SOON, &format!("{email} to be {state}"), look).await
    }
}

impl Mailbox<'_> {
    async fn listen(&mut self) {
        for delivery in self.writes.next_batch().await.unwrap() {
            if delivery.message.envelope.kind == kind::MAIL_WITHDRAWAL {
                let withdrawn: WithdrawMail = delivery.message.decode().unwrap();
                assert_eq!(withdrawn.connection, mailbox());
                self.withdrawn.push(withdrawn.mail);
            } else {
                let mail: SendMail = delivery.message.decode().unwrap();
                assert_eq!(delivery.message.envelope.id, mail.mail.to_string());
                self.mails.push(mail);
            }
            delivery.ack().await.unwrap();
        }
    }

    /// The mails that are to be sent, once there are so many.
    pub(crate) async fn mails(&mut self, count: usize) -> &[SendMail] {
        let listen = async {
            while self.mails.len() < count {
                self.listen().await;
            }
        };
        tokio::time::timeout(SOON, listen).await.expect("so many mails");
        &self.mails
    }

    /// The mails that are not to be sent any more, once there are so many.
    pub(crate) async fn withdrawn(&mut self, count: usize) -> BTreeSet<MailId> {
        let listen = async {
            while self.withdrawn.len() < count {
                self.listen().await;
            }
        };
        tokio::time::timeout(SOON, listen).await.expect("so many withdrawals");
        assert_eq!(self.withdrawn.len(), count);
        self.withdrawn.iter().copied().collect()
    }

    /// So many mails and no more, after the room has looked again.
    pub(crate) async fn no_more_than(&mut self, count: usize) {
        let beat = std::time::Duration::from_millis(1_200);
        let until = tokio::time::Instant::now() + 2 * beat;
        while tokio::time::Instant::now() < until {
            self.listen().await;
        }
        assert_eq!(self.mails.len(), count);
    }

    pub(crate) fn to(&self, address: &str) -> &SendMail {
        self.mails.iter().rev().find(|mail| mail.to.address == address).expect("a mail")
    }

    /// The mailbox sent a mail, as `sent-{number}` in the thread `thread-{number}`.
    pub(crate) async fn sent(&self, number: usize) {
        let sent = MailSent {
            connection: mailbox(),
            mail: self.mails[number].mail,
            state: MailState::Sent,
            external_id: Some(format!("sent-{number}")),
            thread: Some(format!("thread-{number}")),
            at: self.world.clock.now(),
            error: None,
            message: None,
            retryable: false,
        };
        self.answer(&sent).await;
    }

    pub(crate) async fn failed(&self, number: usize, error: &str, retryable: bool) {
        let failed = MailSent {
            connection: mailbox(),
            mail: self.mails[number].mail,
            state: MailState::Failed,
            external_id: None,
            thread: None,
            at: self.world.clock.now(),
            error: Some(error.to_owned()),
            message: None,
            retryable,
        };
        self.answer(&failed).await;
    }

    pub(crate) async fn answer(&self, answer: &MailSent) {
        let organization = self.world.organization;
        let subject = subject::mailed(&organization, "m365");
        let at = self.world.clock.now();
        let message = Message::json(subject, kind::MAILED, "connector/m365", organization, at, answer);
        self.world.bus.publish(&message.unwrap()).await.unwrap();
    }

    /// A mail comes in: from whom, in which thread, what a machine wrote, and its text.
    pub(crate) async fn comes_in(&self, from: &str, thread: &str, automatic: &str, body: &str) {
        let organization = self.world.organization;
        let at = self.world.clock.now();
        let who = |role: &str, email: &str| ActivityParticipant {
            role: role.to_owned(),
            name: String::new(),
            email: email.to_owned(),
        };
        let told = ActivityTold {
            connection: mailbox(),
            source: "m365".to_owned(),
            external_id: format!("{from}/{thread}/{automatic}/{at}"),
            version: 1,
            is_gone: false,
            kind: "email".to_owned(),
            direction: "inbound".to_owned(),
            // As a mailbox tells it: to the second.
            at: at - SignedDuration::from_nanos(at.subsec_nanosecond().into()),
            subject: "Re".to_owned(),
            body: body.to_owned(),
            is_preview: false,
            thread: thread.to_owned(),
            url: String::new(),
            participants: vec![who("from", from), who("to", "sales@accord.example")],
            automatic: automatic.to_owned(),
        };
        let subject = subject::activity(&organization, "m365");
        let source = "connector/m365";
        let message = Message::json(subject, kind::ACTIVITY_TOLD, source, organization, at, &told).unwrap();
        self.world.bus.publish(&message).await.unwrap();
    }
}
