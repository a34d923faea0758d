//! What Microsoft makes of drafts, answers and what comes back.

use connector::{Connector, ErrorKind, FoundMail, Mailer};
use jiff::SignedDuration;
use model::{ConnectionId, MailAddress, MailId, SendMail};
use sandbox::microsoft::FaultKind;
use serde_json::json;

use crate::mailbox::{Mailbox, NORA, connected, consent, sandbox, session};

fn mail(mailbox: &Mailbox, to: &str) -> SendMail {
    let now = mailbox.session.now();
    SendMail {
        connection: ConnectionId::generate(now),
        mail: MailId::generate(now),
        to: MailAddress { name: "Ann Lee".into(), address: to.into() },
        subject: "Offer".into(),
        text: "Dear Ann\n<b>no markup</b>".into(),
        answers: None,
        before: now + SignedDuration::from_hours(1),
    }
}

async fn sent(mailbox: &Mailbox, mail: &SendMail) -> connector::Activity {
    let draft = mailbox.m365.draft(&mailbox.session, mail).await.unwrap();
    mailbox.m365.send(&mailbox.session, &draft).await.unwrap();
    mailbox.m365.sent(&mailbox.session, &draft).await.unwrap()
}

fn to(activity: &connector::Activity) -> Vec<&str> {
    activity.participants.iter().filter(|who| who.role == "to").map(|who| who.email.as_str()).collect()
}

#[tokio::test]
async fn an_answer_stays_in_the_conversation_and_says_only_what_it_was_given() {
    let mailbox = connected().await;
    mailbox.arrives("Question", json!({}));
    let (inbox, _) = mailbox.read("inbox", None).await;
    let answers = Some(inbox[0].external_id.clone());
    let first = SendMail { answers, subject: String::new(), ..mail(&mailbox, "ann@lee.example") };
    let first = sent(&mailbox, &first).await;
    assert_eq!((first.thread.as_str(), first.subject.as_str()), (inbox[0].thread.as_str(), "RE: Question"));
    assert_eq!((first.body.as_str(), to(&first)), ("Dear Ann\n<b>no markup</b>", vec!["ann@lee.example"]));
    // The next step of a sequence answers the mail of one's own, and goes to whom that one went.
    let answers = Some(first.external_id.clone());
    let second = SendMail { answers, ..mail(&mailbox, "ann@lee.example") };
    let second = sent(&mailbox, &second).await;
    assert_eq!((second.thread.as_str(), second.subject.as_str()), (inbox[0].thread.as_str(), "Offer"));
    assert_eq!(to(&second), ["ann@lee.example"]);

    let gone = SendMail { answers: Some("inbox:nothing".into()), ..mail(&mailbox, "ann@lee.example") };
    let refused = mailbox.m365.draft(&mailbox.session, &gone).await.unwrap_err();
    assert_eq!((refused.code.as_deref(), refused.is_transient()), (Some("answered_mail_gone"), false));
}

#[tokio::test]
async fn an_answer_that_was_begun_and_not_written_is_removed_and_never_sent() {
    let mailbox = connected().await;
    mailbox.arrives("Question", json!({}));
    let (inbox, _) = mailbox.read("inbox", None).await;
    let answers = Some(inbox[0].external_id.clone());
    let mail = SendMail { answers, ..mail(&mailbox, "ann@lee.example") };
    mailbox.post_fault("/createReply", FaultKind::TimeoutAfterApply, 1, 0);
    let lost = mailbox.m365.draft(&mailbox.session, &mail).await.unwrap_err();
    assert_eq!(lost.kind, ErrorKind::AnswerLost);
    let drafts = || {
        let state = mailbox.sandbox.state(NORA).unwrap();
        state["messages"].as_array().unwrap().iter().filter(|it| it["folder"] == "Drafts").count()
    };
    assert_eq!(drafts(), 1);
    assert_eq!(mailbox.m365.find(&mailbox.session, mail.mail, None).await.unwrap(), None);
    assert_eq!(drafts(), 0);
    let draft = mailbox.m365.draft(&mailbox.session, &mail).await.unwrap();
    let found = mailbox.m365.find(&mailbox.session, mail.mail, None).await.unwrap();
    assert_eq!(found, Some(FoundMail { id: draft, is_sent: false }));
}

#[tokio::test]
async fn a_refusal_says_what_to_do_and_nothing_of_the_person() {
    let mailbox = connected().await;
    let wrong = mail(&mailbox, "ann lee at nowhere");
    let draft = mailbox.m365.draft(&mailbox.session, &wrong).await.unwrap();
    let refused = mailbox.m365.send(&mailbox.session, &draft).await.unwrap_err();
    assert_eq!((refused.kind, refused.code.as_deref()), (ErrorKind::Validation, Some("recipient_refused")));
    assert!(!format!("{refused} {refused:?}").contains("nowhere"));

    let (sandbox, m365) = sandbox().await;
    let reading = json!({"scopes_granted": ["offline_access", "User.Read", "Mail.Read"]});
    sandbox.change_settings(reading).unwrap();
    let session = session(&m365, &consent(&sandbox, &m365, NORA).await);
    let refused = m365.draft(&session, &wrong).await.unwrap_err();
    assert_eq!((refused.kind, refused.code.as_deref()), (ErrorKind::Permission, Some("scope_missing")));
    assert!(refused.message.contains("connect it again"), "{refused}");
    m365.fetch_activities(&session, "inbox", None, session.vendor_now()).await.unwrap();
}

#[tokio::test]
async fn what_comes_back_by_itself_is_told_from_what_a_person_answers() {
    let mailbox = connected().await;
    mailbox.sandbox.change_settings(json!({"bouncing": ["nowhere.example"]})).unwrap();
    let lost = sent(&mailbox, &mail(&mailbox, "ann@nowhere.example")).await;
    let away = json!([{"name": "Auto-Submitted", "value": "auto-replied"}]);
    mailbox.arrives("Re: Offer", json!({"headers": away}));
    mailbox.arrives("Automatic reply: Offer", json!({}));
    mailbox.arrives("Re: Offer, yes", json!({}));
    let (inbox, _) = mailbox.read("inbox", None).await;
    let of = |subject: &str| inbox.iter().find(|mail| mail.subject == subject).unwrap();
    let bounce = of("Undeliverable: Offer");
    assert_eq!((bounce.automatic, &bounce.thread), ("bounce", &lost.thread));
    assert_eq!(of("Re: Offer").automatic, "auto_reply");
    assert_eq!(of("Automatic reply: Offer").automatic, "auto_reply");
    assert_eq!(of("Re: Offer, yes").automatic, "");
    assert_eq!(lost.automatic, "");
}

#[tokio::test]
async fn a_mail_that_is_late_or_that_a_postmaster_wrote_did_not_come_back_in_any_language() {
    let mailbox = connected().await;
    let offer = sent(&mailbox, &mail(&mailbox, "ann@slow.example")).await;
    let id = offer.external_id.strip_prefix("sent:").unwrap();
    for language in ["en", "de", "ja"] {
        for action in ["failed", "delayed"] {
            let report = json!({"id": id, "report": {"action": action, "language": language}});
            mailbox.sandbox.control("POST", "/_sandbox/bounce", report).unwrap();
        }
    }
    let master = "postmaster@slow.example";
    mailbox.arrives("Your mails", json!({"from": master, "text": "Our 5.1.1 was a mistake."}));
    let read = json!({"message_class": "REPORT.IPM.Note.IPNRN", "headers": [
        {"name": "Content-Type", "value": "multipart/report; report-type=disposition-notification"}]});
    mailbox.arrives("Gelesen: Offer", read);
    // Exchange made no report of these, so that they have to say it themselves.
    let lost = json!({"from": "mailer-daemon@slow.example", "text": "Action: failed\r\nStatus: 5.1.1"});
    mailbox.arrives("failure notice", lost);
    mailbox.arrives("late", json!({"from": "mailer-daemon@slow.example", "text": "Status: 4.4.1"}));

    let (inbox, _) = mailbox.read("inbox", None).await;
    let of = |subject: &str| {
        let found = inbox.iter().find(|mail| mail.subject == subject);
        found.unwrap_or_else(|| panic!("no {subject}")).automatic
    };
    for lost in ["Undeliverable: Offer", "Unzustellbar: Offer", "配信不能: Offer", "failure notice"] {
        assert_eq!(of(lost), "bounce", "{lost}");
    }
    for late in
        ["Delivery delayed:Offer", "Zustellung verzögert:Offer", "配信遅延:Offer", "Gelesen: Offer", "late"]
    {
        assert_eq!(of(late), "auto_reply", "{late}");
    }
    assert_eq!(of("Your mails"), "");
}
