//! What changes in a mailbox, and what Microsoft makes of it.

use std::collections::HashMap;

use connector::{ErrorKind, Retry};
use sandbox::microsoft::{FaultKind, FaultMatch};
use serde_json::json;

use crate::mailbox::{connected, fault, subjects};

#[tokio::test]
async fn what_is_deleted_is_gone_wherever_deleted_mail_lies() {
    let mailbox = connected().await;
    let erased = mailbox.arrives("erased", json!({}));
    let binned = mailbox.arrives("binned", json!({}));
    let recoverable = mailbox.arrives("recoverable", json!({}));
    let (told, mut position) = mailbox.read("inbox", None).await;
    assert_eq!(told.len(), 3);
    mailbox.control("delete", json!({"id": erased, "for_good": true}));
    mailbox.control("delete", json!({"id": binned}));
    mailbox.control("move", json!({"id": recoverable, "folder": "recoverableitemsdeletions"}));
    let gone = mailbox.news("inbox", &mut position).await;
    assert_eq!(gone.len(), 3);
    for mail in &gone {
        assert!(mail.is_gone, "{mail:?}");
        let before = told.iter().find(|told| told.external_id == mail.external_id);
        let before = before.expect("what is gone is known by the same id, wherever it went");
        assert!(mail.version > before.version);
    }
}

#[tokio::test]
async fn what_is_moved_to_a_folder_that_is_not_read_stays_as_it_was_told() {
    let mailbox = connected().await;
    let mails = ["archived", "filed"].map(|subject| mailbox.arrives(subject, json!({})));
    let (_, mut position) = mailbox.read("inbox", None).await;
    let own = mailbox.post("me/mailFolders", json!({"displayName": "Partners"})).await;
    for (id, folder) in mails.iter().zip(["archive", own["id"].as_str().unwrap()]) {
        mailbox.post(&format!("me/messages/{id}/move"), json!({"destinationId": folder})).await;
    }
    let told = mailbox.news("inbox", &mut position).await;
    assert!(told.is_empty(), "{told:?}");
    // What is back before it is looked for is not gone either.
    mailbox.sandbox.advance_clock(300_000);
    mailbox.control("move", json!({"id": mails[0], "folder": "inbox"}));
    mailbox.control("move", json!({"id": mails[0], "folder": "archive"}));
    mailbox.control("move", json!({"id": mails[0], "folder": "inbox"}));
    let back = mailbox.news("inbox", &mut position).await;
    assert!(back.iter().all(|mail| !mail.is_gone), "{back:?}");
    assert_eq!(subjects(&back), ["archived"]);
}

#[tokio::test]
async fn what_cannot_be_looked_for_is_looked_for_again_and_nothing_is_lost() {
    let mailbox = connected().await;
    let [deleted, archived] = ["deleted", "archived"].map(|subject| mailbox.arrives(subject, json!({})));
    let (_, mut position) = mailbox.read("inbox", None).await;
    mailbox.control("delete", json!({"id": deleted}));
    mailbox.control("move", json!({"id": archived, "folder": "archive"}));
    for looked_at in ["/me/messages/", "/me/mailFolders/deleteditems"] {
        for (kind, told) in
            [(FaultKind::Internal, ErrorKind::Unavailable), (FaultKind::Denied, ErrorKind::Permission)]
        {
            mailbox.fault(looked_at, kind, 100);
            let refused = mailbox.try_read("inbox", Some(&position)).await.unwrap_err();
            assert_eq!(refused.kind, told, "{looked_at}");
            assert_eq!(refused.is_transient(), kind == FaultKind::Internal);
            mailbox.sandbox.clear_faults();
        }
    }
    let gone = mailbox.news("inbox", &mut position).await;
    assert!(gone.len() == 1 && gone[0].is_gone && gone[0].external_id.ends_with(&deleted), "{gone:?}");
}

#[tokio::test]
async fn what_comes_back_is_newer_than_that_it_was_gone() {
    let mailbox = connected().await;
    for moves_are_changed in [false, true] {
        mailbox.sandbox.change_settings(json!({"moves_are_changed": moves_are_changed})).unwrap();
        let id = mailbox.arrives("there and back", json!({}));
        let (told, mut position) = mailbox.read("inbox", None).await;
        let told = told.into_iter().find(|mail| mail.external_id.ends_with(&id)).unwrap();
        mailbox.control("delete", json!({"id": id}));
        let gone = mailbox.news("inbox", &mut position).await;
        assert!(gone.len() == 1 && gone[0].is_gone, "{gone:?}");
        mailbox.sandbox.advance_clock(300_000);
        mailbox.control("move", json!({"id": id, "folder": "inbox"}));
        let back = mailbox.news("inbox", &mut position).await;
        assert_eq!(subjects(&back), ["there and back"]);
        assert!(!back[0].is_gone && back[0].external_id == told.external_id);
        assert!(back[0].version > gone[0].version && gone[0].version > told.version);
        // Its clock is ahead now, and what is gone is still newer than what was told of it.
        mailbox.control("delete", json!({"id": id}));
        let gone = mailbox.news("inbox", &mut position).await;
        assert!(gone[0].is_gone && gone[0].version > back[0].version, "{gone:?} {back:?}");
    }
}

#[tokio::test]
async fn what_is_dragged_from_one_folder_to_the_other_is_there_once_whichever_is_read_first() {
    for order in [["inbox", "sent"], ["sent", "inbox"]] {
        let mailbox = connected().await;
        let id = mailbox.arrives("dragged", json!({"from": "nora.field@harborline.example"}));
        let mut positions = HashMap::new();
        let mut known = HashMap::new();
        for (feed, count) in [("inbox", 1), ("sent", 0)] {
            let (told, position) = mailbox.read(feed, None).await;
            assert_eq!(told.len(), count);
            assert!(told.iter().all(|mail| mail.direction == "outbound"), "it is from the own address");
            positions.insert(feed, position);
            known.extend(told.into_iter().map(|mail| (mail.external_id.clone(), mail)));
        }
        for (folder, feed) in [("sentitems", "sent"), ("inbox", "inbox")] {
            mailbox.sandbox.advance_clock(5_000);
            mailbox.control("move", json!({"id": id, "folder": folder}));
            for read in order {
                for mail in mailbox.news(read, positions.get_mut(read).unwrap()).await {
                    let newest = known.get(&mail.external_id).is_none_or(|it| it.version < mail.version);
                    assert!(newest, "{mail:?} is not newer");
                    known.insert(mail.external_id.clone(), mail);
                }
            }
            let there: Vec<&str> =
                known.values().filter(|it| !it.is_gone).map(|it| it.external_id.as_str()).collect();
            assert_eq!(there, [format!("{feed}:{id}")], "{order:?}");
        }
    }
}

#[tokio::test]
async fn a_lost_position_is_told_and_everything_is_read_again_with_the_same_ids() {
    let mailbox = connected().await;
    mailbox.arrives("kept", json!({}));
    let (before, position) = mailbox.read("inbox", None).await;
    // Whatever Microsoft calls it.
    for kind in [FaultKind::SyncState, FaultKind::Resync] {
        mailbox.fault("$deltatoken", kind, 1);
        let lost = mailbox.try_read("inbox", Some(&position)).await.unwrap_err();
        assert_eq!((lost.kind, lost.retry), (ErrorKind::PositionLost, Retry::Never), "{kind:?}");
    }
    for reset in [json!({"resync_with_location": true}), json!({"resync_with_location": false})] {
        mailbox.sandbox.change_settings(reset).unwrap();
        mailbox.control("user", json!({"sync_reset": true}));
        let lost = mailbox.try_read("inbox", Some(&position)).await.unwrap_err();
        assert_eq!(lost.kind, ErrorKind::PositionLost);
        assert!(!lost.to_string().contains("token"), "{lost}");
    }
    let (again, _) = mailbox.read("inbox", None).await;
    assert!(before.iter().eq(&again), "the same ids and versions make repeats known");
    // A position that is none is lost too: no reading could ever go on from it.
    for position in [
        "/v1.0/me/mailFolders/inbox/messages/delta?$deltatoken=nonsense",
        "/v1.0/me/mailFolders/x/messages/delta",
    ] {
        let lost = mailbox.try_read("inbox", Some(position)).await.unwrap_err();
        assert_eq!(lost.kind, ErrorKind::PositionLost, "{position}");
    }
}

#[tokio::test]
async fn a_position_that_is_lost_in_the_middle_of_history_is_told() {
    let mailbox = connected().await;
    mailbox.control("seed", json!({"count": 250, "folder": "inbox"}));
    mailbox.fault("$skiptoken", FaultKind::SyncState, 1);
    let lost = mailbox.try_read("inbox", None).await.unwrap_err();
    assert_eq!(lost.kind, ErrorKind::PositionLost);
    assert_eq!(mailbox.read("inbox", None).await.0.len(), 250);
    // A beginning that is refused is no position: asking for it again at once would go round in a circle.
    mailbox.fault("/delta", FaultKind::SyncState, 1);
    let refused = mailbox.try_read("inbox", None).await.unwrap_err();
    assert_eq!((refused.kind, refused.retry), (ErrorKind::Unavailable, Retry::Backoff));
}

#[tokio::test]
async fn links_expire_by_time_too() {
    let mailbox = connected().await;
    mailbox.sandbox.change_settings(json!({"delta_token_minutes": 20})).unwrap();
    let (_, mut position) = mailbox.read("inbox", None).await;
    mailbox.sandbox.advance_clock(15 * 60_000);
    assert!(mailbox.news("inbox", &mut position).await.is_empty());
    mailbox.sandbox.advance_clock(21 * 60_000);
    let lost = mailbox.try_read("inbox", Some(&position)).await.unwrap_err();
    assert_eq!(lost.kind, ErrorKind::PositionLost);
}

#[tokio::test]
async fn empty_pages_repeated_rows_and_sparse_rows_lose_nothing() {
    let mailbox = connected().await;
    mailbox
        .sandbox
        .change_settings(json!({"empty_pages": true, "repeat_rows": true, "sparse_updates": true}))
        .unwrap();
    mailbox.control("seed", json!({"count": 401, "folder": "inbox"}));
    let id = mailbox.arrives("to be read", json!({"cc": ["bo@lee.example"]}));
    let (told, mut position) = mailbox.read("inbox", None).await;
    let ids: std::collections::BTreeSet<_> = told.iter().map(|mail| mail.external_id.as_str()).collect();
    assert_eq!(ids.len(), 402);
    mailbox.sandbox.advance_clock(5_000);
    mailbox.control("edit", json!({"id": id, "is_read": true}));
    // A row of what changed has neither people nor text: they are read.
    let changed = mailbox.news("inbox", &mut position).await;
    assert_eq!(subjects(&changed), ["to be read"]);
    assert_eq!((changed[0].participants.len(), changed[0].body.as_str()), (3, "Hello"));
    let before = told.iter().find(|mail| mail.external_id == changed[0].external_id).unwrap();
    assert!(changed[0].version > before.version);
    // What is gone before it is read tells nothing now: the next round says that it is gone.
    mailbox.control("edit", json!({"id": id, "is_read": false}));
    mailbox.sandbox.add_fault(fault(
        FaultMatch { contains: Some("/me/messages/".into()), ..FaultMatch::default() },
        FaultKind::Unavailable,
        1,
    ));
    assert_eq!(subjects(&mailbox.news("inbox", &mut position).await), ["to be read"], "a failure is retried");
}

#[tokio::test]
async fn a_throttled_mailbox_says_how_long_to_wait() {
    let mailbox = connected().await;
    let on = FaultMatch { contains: Some("/delta".into()), ..FaultMatch::default() };
    mailbox.sandbox.add_fault(sandbox::microsoft::Fault {
        retry_after_s: Some(120),
        ..fault(on, FaultKind::TooMany, 1)
    });
    let refused = mailbox.try_read("inbox", None).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::RateLimit);
    assert_eq!(refused.retry, Retry::After(std::time::Duration::from_secs(120)));
    assert_eq!(mailbox.calls_of("/delta"), 1, "asking again before counts against the limit");
    assert!(mailbox.read("inbox", None).await.0.is_empty());
}

#[tokio::test]
async fn drafts_are_nobodys_business() {
    let mailbox = connected().await;
    let (_, mut position) = mailbox.read("sent", None).await;
    mailbox.control("seed", json!({"count": 1, "folder": "sentitems"}));
    mailbox.control("seed", json!({"count": 1, "folder": "drafts"}));
    assert_eq!(mailbox.news("sent", &mut position).await.len(), 1);
}
