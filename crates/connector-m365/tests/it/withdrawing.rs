//! Mails that are not to be sent any more: those that wait at the connector do not leave, and those that left are told as sent.

use model::{MAIL_WITHDRAWN, MailSent, MailState};
use sandbox::microsoft::{FaultKind, FaultMatch};

use crate::{
    mailbox::{fault, post_fault},
    world::World,
};

const HOUR: i64 = 3_600;
/// More than a story needs.
const MANY: u32 = 10_000;

fn outcome(answer: &MailSent) -> (MailState, Option<&str>, bool) {
    (answer.state, answer.error.as_deref(), answer.retryable)
}

const SENT: (MailState, Option<&str>, bool) = (MailState::Sent, None, false);
const WITHDRAWN: (MailState, Option<&str>, bool) = (MailState::Failed, Some(MAIL_WITHDRAWN), false);

/// R249, R250: a draft of which no answer came may be there; it is thrown away, and nobody else is held up.
#[tokio::test]
async fn what_is_withdrawn_while_the_mailbox_is_down_is_not_sent_and_the_others_are() {
    let world = World::new().await;
    let connection = world.connect().await;
    // The draft is made without an answer, and then nothing works.
    post_fault(&world.sandbox, "/me/messages", FaultKind::TimeoutAfterApply, 1, 0);
    let down = FaultMatch { contains: Some("/me/messages".into()), ..FaultMatch::default() };
    world.sandbox.add_fault(fault(down, FaultKind::MailboxMoving, MANY));
    let [first, second, third] = ["One", "Two", "Three"].map(|name| World::mail(connection, name, HOUR));
    world.ask_for(&first).await;
    world.wait_until_drafted().await;
    for mail in [&second, &third] {
        world.ask_for(mail).await;
    }
    world.wait_until_held(connection, 3).await;
    world.withdraw(&first).await;
    world.wait_until_held(connection, 3).await;
    assert!(world.answers(&first).is_empty() && world.left().is_empty());
    world.sandbox.clear_faults();
    assert_eq!(outcome(&world.answer(&first).await), WITHDRAWN);
    for mail in [&second, &third] {
        assert_eq!(outcome(&world.answer(mail).await), SENT);
    }
    let mut left = world.left();
    left.sort();
    assert_eq!(left, ["Three", "Two"]);
    assert_eq!(world.count_in("Drafts"), 0);
}

/// R249, R250: where the mailbox takes drafts and sends none, a draft is thrown away that was handed over and did not leave.
#[tokio::test]
async fn a_draft_that_the_mailbox_did_not_send_is_thrown_away_once_its_mail_is_withdrawn() {
    let world = World::new().await;
    let connection = world.connect().await;
    post_fault(&world.sandbox, "/send", FaultKind::MailboxMoving, MANY, 0);
    let mail = World::mail(connection, "Offer", HOUR);
    world.sandbox.clear_calls();
    world.ask_for(&mail).await;
    world.wait_until_called("/send").await;
    world.withdraw(&mail).await;
    // It is known before the mailbox sends again.
    assert_eq!(outcome(&world.answer(&mail).await), WITHDRAWN);
    world.sandbox.clear_faults();
    assert_eq!((world.left().len(), world.count_in("Drafts")), (0, 0));
}

/// R249, R250: whoever is overtaken by a withdrawal while the draft is made does not hand it over.
#[tokio::test]
async fn a_withdrawal_between_the_draft_and_its_sending_comes_in_time() {
    let world = World::new().await;
    let connection = world.connect().await;
    post_fault(&world.sandbox, "/me/messages", FaultKind::Slow, 1, 3_000);
    let mail = World::mail(connection, "Offer", HOUR);
    world.ask_for(&mail).await;
    world.wait_until_struck().await;
    world.withdraw(&mail).await;
    assert_eq!(outcome(&world.answer(&mail).await), WITHDRAWN);
    assert_eq!((world.left().len(), world.count_in("Drafts")), (0, 0));
}

/// R249, R250: nothing orders the two on the bus.
#[tokio::test]
async fn a_withdrawal_that_overtakes_its_mail_counts_and_needs_no_mailbox() {
    let world = World::new().await;
    let connection = world.connect().await;
    world.sandbox.add_fault(fault(FaultMatch::default(), FaultKind::MailboxMoving, MANY));
    let (mail, other) = (World::mail(connection, "Offer", HOUR), World::mail(connection, "Other", HOUR));
    world.withdraw(&mail).await;
    world.withdraw(&mail).await;
    world.wait_until_held(connection, 0).await;
    world.ask_for(&mail).await;
    world.ask_for(&mail).await;
    world.ask_for(&other).await;
    assert_eq!(outcome(&world.answer(&mail).await), WITHDRAWN);
    world.sandbox.clear_faults();
    assert_eq!(outcome(&world.answer(&other).await), SENT);
    assert_eq!((world.left().as_slice(), world.answers(&mail).len()), (&["Other".to_owned()][..], 1));
}

/// R249, R250: what left is told as sent, whenever the withdrawal comes and whatever dies then.
#[tokio::test]
async fn what_was_handed_over_is_told_as_sent_although_it_is_withdrawn() {
    let mut world = World::new().await;
    let connection = world.connect().await;
    post_fault(&world.sandbox, "/send", FaultKind::TimeoutAfterApply, 1, 60_000);
    world.sandbox.clear_calls();
    let mail = World::mail(connection, "Offer", HOUR);
    world.ask_for(&mail).await;
    world.wait_until_called("/send").await;
    world.withdraw(&mail).await;
    world.wait_until_held(connection, 1).await;
    world.kill();
    world.start_again().await;
    assert_eq!(outcome(&world.answer(&mail).await), SENT);
    world.withdraw(&mail).await;
    world.wait_until_held(connection, 0).await;
    assert_eq!((world.left().as_slice(), world.answers(&mail).len()), (&["Offer".to_owned()][..], 1));
}
