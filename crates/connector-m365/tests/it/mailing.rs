//! Mails that leave through a connected mailbox, with the runtime on a real Postgres and a real NATS.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use model::{ConnectionId, MailState, SendMail};
use sandbox::microsoft::{Fault, FaultKind, FaultMatch};
use testkit::eventually;

use crate::{
    mailbox::{NORA, fault, post_fault},
    world::{ANN, SOON, World},
};

const HOUR: i64 = 3_600;
const READING: [&str; 3] = ["offline_access", "User.Read", "Mail.Read"];

fn outcome(answer: &model::MailSent) -> (MailState, Option<&str>, bool) {
    (answer.state, answer.error.as_deref(), answer.retryable)
}

/// R249, R250, R253: it is sent once however often it is asked for, told at once, and logged once when its feed tells it too.
#[tokio::test]
async fn a_mail_is_sent_once_and_told_under_the_id_that_its_feed_has() {
    let world = World::new().await;
    let connection = world.connect().await;
    let mail = World::mail(connection, "Offer", HOUR);
    world.ask_for(&mail).await;
    world.ask_for(&mail).await;
    let answer = world.answer(&mail).await;
    assert_eq!(outcome(&answer), (MailState::Sent, None, false));
    let told = world.told("Offer").await;
    assert_eq!(
        (Some(&told.external_id), Some(&told.thread)),
        (answer.external_id.as_ref(), answer.thread.as_ref())
    );
    assert_eq!((told.direction.as_str(), told.automatic.as_str()), ("outbound", ""));
    assert!(told.participants.iter().any(|who| who.role == "to" && who.email == ANN), "whom it was for");
    world.ask_for(&mail).await;

    // What comes after it stays in its conversation.
    let next = World::mail(connection, "Offer, again", HOUR);
    let next = SendMail { answers: answer.external_id.clone(), ..next };
    world.ask_for(&next).await;
    assert_eq!(world.answer(&next).await.thread, answer.thread);
    // The feed of Sent Items tells both, under the same ids: one that a person sent proves that it was read.
    let by_hand = serde_json::json!({"from": NORA, "to": [ANN], "subject": "By hand", "text": "Hello", "folder": "sentitems"});
    world.sandbox.deliver(by_hand).unwrap();
    world.sync_now(connection).await;
    world.told("By hand").await;
    assert_eq!(world.left(), ["Offer", "Offer, again"], "each was sent once");
    let ids: BTreeSet<String> = world.activities().into_iter().map(|told| told.external_id).collect();
    assert_eq!(ids.len(), 3, "each is known by one id");
    assert_eq!(world.answers(&mail).len(), 1);
}

/// R249, R250: no answer that is lost makes a second mail, or none.
#[tokio::test]
async fn a_lost_answer_sends_nothing_twice_and_loses_nothing() {
    let world = World::new().await;
    let connection = world.connect().await;
    for (number, path) in ["/me/messages", "/send"].into_iter().enumerate() {
        post_fault(&world.sandbox, path, FaultKind::TimeoutAfterApply, 1, 0);
        let mail = World::mail(connection, &format!("Offer {number}"), HOUR);
        world.ask_for(&mail).await;
        assert_eq!(outcome(&world.answer(&mail).await), (MailState::Sent, None, false), "{path}");
    }
    // Nothing arrived of it, and nothing was done.
    post_fault(&world.sandbox, "/send", FaultKind::DropConnection, 1, 0);
    post_fault(&world.sandbox, "/me/messages", FaultKind::TooMany, 2, 0);
    let mail = World::mail(connection, "Offer 2", HOUR);
    world.ask_for(&mail).await;
    world.answer(&mail).await;
    assert_eq!(world.left(), ["Offer 0", "Offer 1", "Offer 2"]);
    assert_eq!((world.count_in("Drafts"), world.count_in("Sent Items")), (0, 3));
}

/// Microsoft does what is posted to such a path, and the process is dead before it hears of it.
async fn killed_at(path: &str, left: usize) {
    let mut world = World::new().await;
    let connection = world.connect().await;
    post_fault(&world.sandbox, path, FaultKind::TimeoutAfterApply, 1, 60_000);
    world.sandbox.clear_calls();
    let mail = World::mail(connection, "Offer", HOUR);
    world.ask_for(&mail).await;
    world.wait_until_called(path).await;
    world.kill();
    assert_eq!((world.left().len(), world.answers(&mail).len()), (left, 0));
    world.start_again().await;
    let answer = world.answer(&mail).await;
    assert_eq!(outcome(&answer), (MailState::Sent, None, false));
    assert_eq!(world.told("Offer").await.external_id, answer.external_id.unwrap());
    assert_eq!(world.left(), ["Offer"]);
    assert_eq!((world.count_in("Drafts"), world.count_in("Sent Items")), (0, 1));
}

// R249, R250
#[tokio::test]
async fn a_process_that_is_killed_after_a_draft_was_made_and_before_it_is_known_sends_that_one() {
    killed_at("/me/messages", 0).await;
}

// R249, R250
#[tokio::test]
async fn a_process_that_is_killed_after_a_mail_left_and_before_that_is_known_does_not_send_it_again() {
    killed_at("/send", 1).await;
}

/// R249, R250: what Microsoft refuses is told once with a code and words, leaves nothing behind and holds nobody up.
#[tokio::test]
async fn a_mail_that_is_refused_or_too_late_is_told_so_and_leaves_no_draft() {
    let world = World::new().await;
    let connection = world.connect().await;
    let mut wrong = World::mail(connection, "Wrong", HOUR);
    wrong.to.address = "ann lee at nowhere".into();
    let late = World::mail(connection, "Late", -1);
    let good = World::mail(connection, "Good", HOUR);
    for mail in [&wrong, &late, &good] {
        world.ask_for(mail).await;
    }
    assert_eq!(outcome(&world.answer(&good).await), (MailState::Sent, None, false));
    let refused = world.answer(&wrong).await;
    assert_eq!(outcome(&refused), (MailState::Failed, Some("recipient_refused"), false));
    assert!(!refused.message.unwrap().contains("nowhere"));
    assert_eq!(outcome(&world.answer(&late).await), (MailState::Failed, Some("mail_too_late"), false));
    assert_eq!((world.left().as_slice(), world.count_in("Drafts")), (&["Good".to_owned()][..], 0));
}

/// R249, R250, R251: a mailbox that was connected to be read is read on, and says what sending needs.
#[tokio::test]
async fn a_mailbox_without_the_right_to_send_says_so_and_is_read_on() {
    let world = World::new().await;
    world.allow(&READING);
    let connection = world.connect().await;
    let mail = World::mail(connection, "Offer", HOUR);
    world.ask_for(&mail).await;
    let answer = world.answer(&mail).await;
    assert_eq!(outcome(&answer), (MailState::Failed, Some("scope_missing"), true));
    assert!(answer.message.unwrap().contains("connect it again"));
    world.sandbox.deliver(serde_json::json!({"from": ANN, "subject": "News", "text": "Hello"})).unwrap();
    world.sync_now(connection).await;
    world.told("News").await;
    world.wait_for_state(connection, "active").await;

    // Connected again with the right to, the same is sent under a new id.
    world.allow(&["offline_access", "User.Read", "Mail.Read", "Mail.ReadWrite", "Mail.Send"]);
    assert_eq!(world.connect().await, connection);
    let again = World::mail(connection, "Offer", HOUR);
    world.ask_for(&again).await;
    assert_eq!(outcome(&world.answer(&again).await), (MailState::Sent, None, false));
}

/// R249, R250: a dead grant holds mails until somebody connects again, and those that are too late by then are told so.
#[tokio::test]
async fn a_revoked_grant_holds_mails_until_it_is_given_again_and_no_longer_than_they_may_wait() {
    let world = World::new().await;
    let connection = world.connect().await;
    world.sandbox.revoke();
    let (short, long) = (World::mail(connection, "Short", 3), World::mail(connection, "Long", HOUR));
    world.ask_for(&short).await;
    world.ask_for(&long).await;
    let answer = world.answer(&short).await;
    assert_eq!(outcome(&answer), (MailState::Failed, Some("mail_too_late"), false));
    assert!(world.answers(&long).is_empty() && world.left().is_empty());
    assert_eq!(world.connect().await, connection);
    assert_eq!(outcome(&world.answer(&long).await), (MailState::Sent, None, false));
    eventually(SOON, "one mail to leave", || async { (world.left() == ["Long"]).then_some(()) }).await;
}

/// Microsoft sends the mail, and the process does not hear of it; gives the mail and Microsoft's id of it.
async fn sent_without_an_answer(world: &World, connection: ConnectionId) -> (SendMail, String) {
    post_fault(&world.sandbox, "/send", FaultKind::TimeoutAfterApply, 1, 1_500);
    world.sandbox.clear_calls();
    let mail = World::mail(connection, "Offer", HOUR);
    world.ask_for(&mail).await;
    world.wait_until_called("/send").await;
    let state = world.sandbox.state(NORA).unwrap();
    let is_it = |message: &&serde_json::Value| message["folder"] == "Sent Items";
    let sent = state["messages"].as_array().unwrap().iter().find(is_it).unwrap();
    (mail, sent["id"].as_str().unwrap().to_owned())
}

/// R249, R250: a right that is taken away and given back makes no second mail of one that may have left.
#[tokio::test]
async fn a_mail_whose_answer_was_lost_is_not_sent_again_after_the_right_was_taken_and_given_back() {
    let world = World::new().await;
    let connection = world.connect().await;
    let (mail, _) = sent_without_an_answer(&world, connection).await;
    let denied = FaultMatch { contains: Some("/me/messages".into()), ..FaultMatch::default() };
    world.sandbox.add_fault(fault(denied, FaultKind::Denied, 10_000));
    let other = World::mail(connection, "Other", HOUR);
    world.ask_for(&other).await;
    let answer = world.answer(&mail).await;
    assert_eq!(outcome(&answer), (MailState::Unsure, Some("mail_unsure"), false));
    assert_eq!(outcome(&world.answer(&other).await), (MailState::Failed, Some("scope_missing"), true));

    world.sandbox.clear_faults();
    // As a campaign that is resumed asks: anew for what did not leave.
    let again = World::mail(connection, "Other", HOUR);
    world.ask_for(&mail).await;
    world.ask_for(&again).await;
    assert_eq!(outcome(&world.answer(&again).await), (MailState::Sent, None, false));
    world.wait_until_held(connection, 0).await;
    assert_eq!(
        (world.left().as_slice(), world.count_in("Drafts")),
        (&["Offer", "Other"].map(str::to_owned)[..], 0)
    );
    assert_eq!(world.answers(&mail).len(), 1);
}

/// R249, R250: what was handed over and is nowhere any more may have left, so that it is not made anew.
#[tokio::test]
async fn a_mail_that_left_and_was_deleted_before_anybody_looked_is_unsure_and_not_sent_again() {
    let world = World::new().await;
    let connection = world.connect().await;
    let (mail, id) = sent_without_an_answer(&world, connection).await;
    world
        .sandbox
        .control("POST", "/_sandbox/delete", serde_json::json!({ "id": id, "for_good": true }))
        .unwrap();
    assert_eq!(outcome(&world.answer(&mail).await), (MailState::Unsure, Some("mail_unsure"), false));
    world.ask_for(&mail).await;
    world.wait_until_held(connection, 0).await;
    assert_eq!((world.left().len(), world.count_in("Drafts")), (1, 0));
}

/// R249, R250: a pause that Microsoft asks for holds every mail of the mailbox, and nobody asks before it is over.
#[tokio::test]
async fn a_long_pause_holds_all_mails_of_the_mailbox_and_loses_and_doubles_none() {
    const PAUSE: Duration = Duration::from_secs(35);
    let world = World::limited().await;
    let connection = world.connect().await;
    let on = FaultMatch { contains: Some("/send".into()), ..FaultMatch::default() };
    let pause_s = i64::try_from(PAUSE.as_secs()).unwrap();
    let too_many = Fault { retry_after_s: Some(pause_s), ..fault(on, FaultKind::TooMany, 1) };
    world.sandbox.add_fault(too_many);
    let mails: Vec<SendMail> =
        (0..5).map(|number| World::mail(connection, &format!("Offer {number}"), HOUR)).collect();
    world.sandbox.clear_calls();
    let began = Instant::now();
    for mail in &mails {
        world.ask_for(mail).await;
    }
    for mail in &mails {
        assert_eq!(outcome(&world.answer(mail).await), (MailState::Sent, None, false));
    }
    assert!(began.elapsed() >= PAUSE, "it went on after {:?}", began.elapsed());
    assert_eq!(world.count_of("/send"), mails.len() + 1, "it asked before the pause was over");
    assert_each_left_once(&world, &mails);
}

/// R249, R250: a mailbox that takes thirty mails a minute gets them all, in its pace.
#[tokio::test]
async fn what_is_over_the_limit_of_a_minute_leaves_in_the_next_one() {
    let world = World::limited().await;
    let connection = world.connect().await;
    let mails: Vec<SendMail> =
        (0..34).map(|number| World::mail(connection, &format!("Offer {number}"), HOUR)).collect();
    world.sandbox.clear_calls();
    let began = Instant::now();
    for mail in &mails {
        world.ask_for(mail).await;
    }
    for mail in &mails {
        assert_eq!(outcome(&world.answer(mail).await), (MailState::Sent, None, false));
    }
    assert!(began.elapsed() >= Duration::from_secs(59), "a minute took {:?}", began.elapsed());
    // One is told to wait, and no other asks before that.
    assert!(world.count_of("/send") <= mails.len() + 2, "{} calls", world.count_of("/send"));
    assert_each_left_once(&world, &mails);
}

fn assert_each_left_once(world: &World, mails: &[SendMail]) {
    let expected: BTreeSet<String> = mails.iter().map(|mail| mail.subject.clone()).collect();
    let left = world.left();
    assert_eq!(left.len(), mails.len());
    assert_eq!(left.into_iter().collect::<BTreeSet<_>>(), expected);
    assert!(mails.iter().all(|mail| world.answers(mail).len() == 1));
    assert_eq!(world.count_in("Drafts"), 0);
}
