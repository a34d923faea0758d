use model::{ConnectionId, MailAddress, MailId, SendMail};

use super::{Driver, Fault, Subject, went_well};
use crate::{ErrorKind, FoundMail};

fn mail(driver: &dyn Driver, subject: &Subject) -> SendMail {
    let now = subject.session.now();
    SendMail {
        connection: ConnectionId::generate(now),
        mail: MailId::generate(now),
        to: MailAddress { name: String::new(), address: driver.recipient() },
        subject: "About the offer".to_owned(),
        text: "Hello".to_owned(),
        answers: None,
        before: now + jiff::SignedDuration::from_hours(1),
    }
}

/// R249, R250: a mail is a draft first, which is known by its id and by the mail's; it is sent once, and the feed tells it by
/// the id that was foretold, as often as it was sent.
///
/// # Panics
/// With what was missed.
pub async fn a_mail_is_drafted_sent_and_told_by_its_feed_under_one_id(driver: &dyn Driver) {
    let subject = Subject::of(driver).await;
    let Some(mailer) = subject.connector.mailer() else { return };
    let (mail, session) = (mail(driver, &subject), &subject.session);
    let find =
        async |draft: Option<&str>| went_well("find a mail", mailer.find(session, mail.mail, draft).await);
    assert_eq!(find(None).await, None, "a mail is found that was not begun");
    let draft = went_well("make a draft", mailer.draft(session, &mail).await);
    let there = Some(FoundMail { id: draft.clone(), is_sent: false });
    assert_eq!(find(None).await, there, "a draft is not found by its mail");
    assert_eq!(find(Some(&draft)).await, there, "a draft is not found by its id");
    went_well("send a draft", mailer.send(session, &draft).await);
    let gone = Some(FoundMail { id: draft.clone(), is_sent: true });
    assert_eq!(find(None).await, gone, "what was sent is not found by its mail");
    assert_eq!(find(Some(&draft)).await, gone, "what was sent has another id");
    assert!(mailer.send(session, &draft).await.is_err(), "a draft is sent twice");
    let sent = went_well("read a sent mail", mailer.sent(session, &draft).await);
    assert_eq!(sent.external_id, mailer.external_id(&draft));
    assert_eq!((sent.kind.as_str(), sent.direction.as_str()), ("email", "outbound"));
    assert!(sent.participants.iter().any(|who| who.email == mail.to.address), "whom it was for is not told");
    let mut told = Vec::new();
    for feed in subject.connector.capabilities().feeds {
        told.extend(subject.activities(feed.name, None).await.0);
    }
    let told: Vec<_> = told.iter().filter(|told| told.external_id == sent.external_id).collect();
    assert_eq!(told.len(), 1, "the feeds tell a sent mail {} times under its id", told.len());
    assert_eq!(told[0], &sent, "the feed tells another mail");
}

/// R249, R250: a draft of which no answer came is found by its mail, and one that is thrown away is not sent.
///
/// # Panics
/// With what was missed.
pub async fn a_draft_without_an_answer_is_found_and_one_thrown_away_is_not_sent(driver: &dyn Driver) {
    let subject = Subject::of(driver).await;
    let Some(mailer) = subject.connector.mailer() else { return };
    let (mail, session) = (mail(driver, &subject), &subject.session);
    driver.fault_in_mail(Fault::LostAnswer).await;
    let lost = mailer.draft(session, &mail).await.map_err(|error| error.kind);
    assert_eq!(lost, Err(ErrorKind::AnswerLost), "a lost answer is told as another thing");
    let found = went_well("find a mail", mailer.find(session, mail.mail, None).await);
    let Some(FoundMail { id, is_sent: false }) = found else { panic!("the draft is lost: {found:?}") };
    went_well("throw a draft away", mailer.discard(session, &id).await);
    went_well("throw it away again", mailer.discard(session, &id).await);
}
