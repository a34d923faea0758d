//! Two processes and one mail: whoever stood still while another one went on sends nothing (R249, R250).

use bus::{Message, subject};
use jiff::SignedDuration;
use model::{ConnectionId, MailAddress, MailId, MailSent, MailState, SendMail, SystemClock, kind};
use testkit::eventually;

use crate::{
    acme::{FAST, Mailbox},
    world::{SOON, World},
};

impl World {
    async fn ask_for_mail(&self, connection: ConnectionId) -> MailId {
        let now = model::Clock::now(&SystemClock);
        let mail = SendMail {
            connection,
            mail: MailId::generate(now),
            to: MailAddress { name: String::new(), address: "ann@lee.example".into() },
            subject: "Offer".into(),
            text: "Hello".into(),
            answers: None,
            before: now + SignedDuration::from_hours(1),
        };
        let organization = self.organization();
        let subject = subject::mail("acme", subject::partition(&connection), &organization);
        let message = Message::json(subject, kind::MAIL, "test", organization, now, &mail).unwrap();
        self.bus.publish(&message).await.unwrap();
        mail.mail
    }
}

#[tokio::test]
async fn a_process_that_was_overtaken_throws_its_draft_away_and_sends_nothing() {
    let mut world = World::new(FAST).await;
    let mailbox = Mailbox::held();
    world.mailbox = Some(mailbox.clone());
    let mut replica = world.start_with(world.patient()).await;
    let connection = replica.connect(&world.acme).await;
    let mail = world.ask_for_mail(connection).await;
    eventually(SOON, "a draft", || async { (mailbox.ids(false).len() == 1).then_some(()) }).await;
    // Another process, which took it for dead, made a draft of its own, handed it over, and it left.
    mailbox.leaves("theirs", mail);
    let pool = world.database.pool("connector").await;
    let theirs = sqlx::query("UPDATE mails SET draft = 'theirs', handed_over = true").execute(&pool).await;
    assert_eq!(theirs.unwrap().rows_affected(), 1);
    mailbox.go_on();
    let answer = world.wait_for("the answer", kind::MAILED, |answer: &MailSent| answer.mail == mail).await;
    assert_eq!((answer.state, answer.external_id.as_deref()), (MailState::Sent, Some("sent:theirs")));
    assert_eq!((mailbox.ids(true), mailbox.ids(false)), (vec!["theirs".to_owned()], vec![]));
    replica.stop().await;
}
