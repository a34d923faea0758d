//! The checks that every connector passes, as far as they are about what a mailbox has, here against the simulator of
//! Microsoft.

use std::{collections::BTreeSet, time::Duration};

use connector::{Connector, ErrorKind, Session};
use sandbox::microsoft::{FaultKind, FaultMatch};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::mailbox::{Mailbox, connected, fault, session, subjects};

async fn refreshed(mailbox: &Mailbox) -> Result<connector::Grant, connector::Error> {
    let token = mailbox.grant.refresh_token.as_ref().unwrap();
    mailbox.m365.read_grant(&mailbox.session.send(mailbox.m365.refresh_request(token)).await?)
}

#[tokio::test]
async fn the_account_is_the_mailbox_and_it_has_no_objects() {
    let mailbox = connected().await;
    let account = mailbox.m365.account(&mailbox.session).await.unwrap();
    assert_eq!(account.name, "nora.field@harborline.example");
    assert!(!account.id.is_empty() && account.missing.is_empty(), "{account:?}");
    assert_eq!(account.scopes, ["User.Read", "Mail.Read", "Mail.ReadWrite", "Mail.Send"]);
    assert!(account.notices.is_empty(), "{account:?}");
    assert!(mailbox.m365.capabilities().objects.is_empty());
    assert!(mailbox.m365.describe(&mailbox.session).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_refresh_brings_a_working_token_and_a_new_refresh_token() {
    let mailbox = connected().await;
    let grant = refreshed(&mailbox).await.unwrap();
    assert!(grant.expires_in.is_some_and(|lives| lives > Duration::ZERO));
    let old = mailbox.grant.refresh_token.as_ref().unwrap();
    assert_ne!(grant.refresh_token.as_ref().unwrap().expose_secret(), old.expose_secret());
    mailbox.m365.account(&session(&mailbox.m365, &grant)).await.unwrap();
    // The old one keeps working.
    refreshed(&mailbox).await.unwrap();
}

#[tokio::test]
async fn a_dead_grant_is_told_from_a_passing_failure() {
    let mailbox = connected().await;
    mailbox.sandbox.revoke();
    let refused = refreshed(&mailbox).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::AccessRevoked);
    assert!(!refused.is_transient());
    let token = mailbox.grant.refresh_token.as_ref().unwrap();
    assert!(!refused.to_string().contains(token.expose_secret()), "the error shows the token");
    let refused = mailbox.try_read("inbox", None).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::TokenExpired);
    // A login that is out of order is another thing.
    let mailbox = connected().await;
    for code in [90_033, 50_196] {
        let mut down = fault(FaultMatch::default(), FaultKind::Aadsts, 8);
        down.code = Some(code);
        mailbox.sandbox.add_fault(down);
        assert_eq!(refreshed(&mailbox).await.unwrap_err().kind, ErrorKind::Unavailable, "{code}");
        mailbox.sandbox.clear_faults();
    }
}

#[tokio::test]
async fn passing_failures_are_retried_and_nothing_is_read_twice() {
    let mailbox = connected().await;
    let subject = |number: u32| format!("mail {number}");
    (0..5).for_each(|number| drop(mailbox.arrives(&subject(number), json!({}))));
    let faults = [
        FaultKind::TooMany,
        FaultKind::Internal,
        FaultKind::Gateway,
        FaultKind::Unavailable,
        FaultKind::Timeout,
        FaultKind::MailboxMoving,
        FaultKind::CutMidBody,
        FaultKind::DropConnection,
    ];
    for kind in faults {
        mailbox.fault("/delta", kind, 1);
        let (read, _) = mailbox.read("inbox", None).await;
        let told: BTreeSet<&str> = subjects(&read).into_iter().collect();
        assert_eq!((read.len(), told.len()), (5, 5), "after {kind:?}");
    }
}

#[tokio::test]
async fn every_mail_of_a_folder_is_read_once_and_then_only_what_is_new() {
    let mailbox = connected().await;
    mailbox.control("seed", json!({"count": 450, "folder": "inbox", "spread_days": 30}));
    mailbox.control("seed", json!({"count": 30, "folder": "sentitems", "spread_days": 30}));
    let (inbox, mut position) = mailbox.read("inbox", None).await;
    let ids: BTreeSet<&str> = inbox.iter().map(|mail| mail.external_id.as_str()).collect();
    assert_eq!((inbox.len(), ids.len()), (450, 450));
    assert_eq!(mailbox.calls_of("/mailFolders/inbox/messages/delta"), 3, "a page has 200");
    assert!(inbox.iter().all(|mail| mail.direction == "inbound" && mail.kind == "email"));
    let (sent, _) = mailbox.read("sent", None).await;
    assert_eq!(sent.len(), 30);
    assert!(sent.iter().all(|mail| mail.direction == "outbound"));

    assert!(mailbox.news("inbox", &mut position).await.is_empty());
    mailbox.arrives("new", json!({}));
    assert_eq!(subjects(&mailbox.news("inbox", &mut position).await), ["new"]);
    assert!(mailbox.news("inbox", &mut position).await.is_empty());
    // The same position gives the same again, with the same versions: repeats are known.
    let (again, _) = mailbox.read("inbox", None).await;
    let version = |mails: &[connector::Activity]| -> BTreeSet<(String, i64)> {
        mails.iter().map(|mail| (mail.external_id.clone(), mail.version)).collect()
    };
    assert!(version(&again).is_superset(&version(&inbox)));
}

#[tokio::test]
async fn a_feed_that_is_none_is_refused() {
    let mailbox = connected().await;
    let refused = mailbox.try_read("drafts", None).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Protocol);
    let nobody = Session::for_tests(mailbox.m365.clone(), "", "none".into()).unwrap();
    let refused = mailbox.m365.account(&nobody).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::TokenExpired);
}
