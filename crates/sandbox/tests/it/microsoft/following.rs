//! Delta queries: first rounds, what changed since, links that are no good any more.

use sandbox::microsoft::Settings;
use serde_json::{Value, json};

use super::{Cloud, IMMUTABLE, NORA, cloud, cloud_with, refused, text, texts};

const INBOX: &str = "me/mailFolders/inbox/messages/delta";
const PAGES_OF_3: (&str, &str) = ("prefer", "IdType=\"ImmutableId\", odata.maxpagesize=3");

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}

fn removed(rows: &[Value]) -> Vec<(String, String)> {
    let gone = rows.iter().filter(|row| row["@removed"].is_object());
    gone.map(|row| (text(row, "id"), text(&row["@removed"], "reason"))).collect()
}

#[tokio::test]
async fn a_first_round_walks_all_messages_and_later_ones_what_changed() {
    let cloud = cloud().await;
    let ids: Vec<String> = (0..7)
        .map(|n| text(&cloud.arrives("a@outside.example", &format!("mail {n}")), "immutableId"))
        .collect();
    let page = cloud.get_with(INBOX, &[PAGES_OF_3]).await;
    assert_eq!(page.header("preference-applied"), Some("IdType=\"ImmutableId\", odata.maxpagesize=3"));
    let page = page.ok();
    assert_eq!(page["value"].as_array().map(Vec::len), Some(3));
    assert!(page["@odata.nextLink"].as_str().is_some_and(|link| link.contains("$skiptoken=")));
    assert!(page.get("@odata.deltaLink").is_none(), "one of the two links");
    let (rows, link) = cloud.drain(INBOX, &[PAGES_OF_3]).await;
    assert_eq!(sorted(texts(&rows, "id")), sorted(ids.clone()));
    assert!(rows.iter().all(|row| row["body"]["content"] == "Hello" && row["@odata.etag"].is_string()));
    assert!(link.contains("$deltatoken="));

    let (rows, link) = cloud.drain(&link, &[PAGES_OF_3]).await;
    assert_eq!(rows, Vec::<Value>::new(), "nothing changed");
    let new = text(&cloud.arrives("b@outside.example", "new"), "immutableId");
    cloud.patch(&format!("me/messages/{}", ids[2]), json!({"isRead": true})).await.ok();
    cloud.delete(&format!("me/messages/{}", ids[4])).await.ok();
    let (rows, again) = cloud.drain(&link, &[PAGES_OF_3]).await;
    assert_eq!(
        texts(&rows, "id"),
        [new.clone(), ids[2].clone(), ids[4].clone()],
        "in the order of the changes"
    );
    assert_eq!(rows[1]["isRead"], true);
    assert_eq!(removed(&rows), [(ids[4].clone(), "deleted".to_owned())]);
    let (replayed, _) = cloud.drain(&link, &[PAGES_OF_3]).await;
    assert_eq!(replayed, rows, "an older link tells the same again");
    assert_eq!(cloud.drain(&again, &[PAGES_OF_3]).await.0, Vec::<Value>::new());
}

#[tokio::test]
async fn what_happens_during_a_round_is_never_lost() {
    let cloud = cloud().await;
    let ids: Vec<String> =
        (0..6).map(|n| text(&cloud.arrives("a@outside.example", &format!("{n}")), "immutableId")).collect();
    let page = cloud.get_with(INBOX, &[PAGES_OF_3]).await.ok();
    let seen = texts(page["value"].as_array().expect("rows"), "id");
    cloud.control("delete", json!({"id": seen[0]}));
    cloud.control("move", json!({"id": ids[0], "folder": "archive"}));
    let new = text(&cloud.arrives("a@outside.example", "in the middle"), "immutableId");
    let (mut rows, link) = cloud.drain(&text(&page, "@odata.nextLink"), &[PAGES_OF_3]).await;
    rows.extend(cloud.drain(&link, &[PAGES_OF_3]).await.0);
    let mut known: Vec<String> = seen.clone();
    for row in &rows {
        let id = text(row, "id");
        known.retain(|one| *one != id);
        if row.get("@removed").is_none() {
            known.push(id);
        }
    }
    let left: Vec<String> =
        ids.iter().filter(|id| **id != seen[0] && **id != ids[0]).cloned().chain([new]).collect();
    assert_eq!(sorted(known), sorted(left));
}

#[tokio::test]
async fn a_move_is_a_removal_in_one_folder_and_an_arrival_in_the_other() {
    let cloud = cloud().await;
    let mail = cloud.arrives("a@outside.example", "moving");
    let archive = "me/mailFolders('archive')/messages/delta()";
    let links = async |headers: &[(&str, &str)]| {
        (cloud.drain(INBOX, headers).await.1, cloud.drain(archive, headers).await.1)
    };
    let (inbox, other) = links(&[]).await;
    let (inbox_immutable, other_immutable) = links(&[IMMUTABLE]).await;
    let moved = cloud
        .post(&format!("me/messages/{}/move", text(&mail, "id")), json!({"destinationId": "archive"}))
        .await
        .ok();
    let gone = cloud.drain(&inbox, &[]).await.0;
    assert_eq!(removed(&gone), [(text(&mail, "id"), "deleted".to_owned())]);
    let came = cloud.drain(&other, &[]).await.0;
    assert_eq!(texts(&came, "id"), [text(&moved, "id")]);
    assert_ne!(text(&moved, "id"), text(&mail, "id"), "the id changes with the place");
    let gone = cloud.drain(&inbox_immutable, &[IMMUTABLE]).await.0;
    let came = cloud.drain(&other_immutable, &[IMMUTABLE]).await.0;
    assert_eq!(
        (text(&gone[0], "id"), text(&came[0], "id")),
        (text(&mail, "immutableId"), text(&mail, "immutableId"))
    );

    cloud.control("settings", json!({"moves_are_changed": true}));
    assert_eq!(removed(&cloud.drain(&inbox, &[]).await.0)[0].1, "changed");
}

#[tokio::test]
async fn deleted_mail_that_can_be_recovered_lies_in_a_folder_that_no_list_has() {
    let cloud = cloud().await;
    let mail = text(&cloud.arrives("a@outside.example", "recoverable"), "immutableId");
    let folder = cloud.get("me/mailFolders/recoverableitemsdeletions").await.ok();
    cloud.control("move", json!({"id": mail, "folder": "recoverableitemsdeletions"}));
    let place =
        cloud.get_with(&format!("me/messages/{mail}?$select=parentFolderId"), &[IMMUTABLE]).await.ok();
    assert_eq!(place["parentFolderId"], folder["id"]);
    let listed = cloud.get("me/mailFolders?$top=100").await.ok();
    assert!(!texts(listed["value"].as_array().expect("rows"), "id").contains(&text(&folder, "id")));
}

#[tokio::test]
async fn ids_are_what_the_header_of_each_call_prefers() {
    let cloud = cloud().await;
    let mail = cloud.arrives("a@outside.example", "ids");
    let (rows, link) = cloud.drain(INBOX, &[]).await;
    assert_eq!(texts(&rows, "id"), [text(&mail, "id")]);
    cloud.control("edit", json!({"id": text(&mail, "id"), "is_read": true}));
    let (rows, _) = cloud.drain(&link, &[IMMUTABLE]).await;
    assert_eq!(texts(&rows, "id"), [text(&mail, "immutableId")], "a link serves either kind");
    let ids = json!({"inputIds": [text(&mail, "id"), "nonsense"], "sourceIdType": "restId", "targetIdType": "restImmutableEntryId"});
    let found = cloud.post("me/translateExchangeIds", ids).await.ok();
    assert_eq!(
        (&found["value"][0]["targetId"], &found["value"][1]["targetId"]),
        (&mail["immutableId"], &Value::Null)
    );
    let unknown = json!({"inputIds": [], "sourceIdType": "restId", "targetIdType": "ewsId"});
    refused(&cloud.post("me/translateExchangeIds", unknown).await, 400, "ErrorInvalidRequest");
}

#[tokio::test]
async fn a_round_can_be_bounded_by_time_and_by_kind_of_change() {
    let cloud = cloud().await;
    for (day, subject) in [(1, "old"), (5, "middle"), (9, "new")] {
        let received = format!("2025-03-0{day}T12:00:00Z");
        let mail = json!({"from": "a@outside.example", "subject": subject, "received": received});
        cloud.handle.deliver(mail).expect("a mail arrives");
    }
    let bounded = format!(
        "{INBOX}?$filter=receivedDateTime ge 2025-03-05T12:00:00Z&$select=subject&$orderby=receivedDateTime desc"
    );
    let (rows, link) = cloud.drain(&bounded, &[]).await;
    assert_eq!(texts(&rows, "subject"), ["new", "middle"]);
    assert!(rows[0].get("body").is_none(), "only what was selected");
    let old = json!({"from": "a@outside.example", "subject": "older", "received": "2025-02-01T00:00:00Z"});
    cloud.handle.deliver(old).expect("a mail arrives");
    let kept = text(&cloud.arrives("a@outside.example", "later"), "id");
    let (rows, _) = cloud.drain(&link, &[]).await;
    assert_eq!(texts(&rows, "subject"), ["later"], "the options stay with the link");

    let (_, created) = cloud.drain(&format!("{INBOX}?changeType=created"), &[]).await;
    cloud.control("edit", json!({"id": kept, "is_read": true}));
    cloud.arrives("a@outside.example", "last");
    assert_eq!(texts(&cloud.drain(&created, &[]).await.0, "subject"), ["last"]);
    for wrong in
        ["$filter=subject eq 'a'", "$search=a", "$count=true", "$orderby=subject", "changeType=moved"]
    {
        refused(&cloud.get(&format!("{INBOX}?{wrong}")).await, 400, "ErrorInvalidUrlQuery");
    }
}

async fn link_of_the_middle(cloud: &Cloud) -> String {
    (0..5).for_each(|n| drop(cloud.arrives("a@outside.example", &format!("{n}"))));
    text(&cloud.get_with(INBOX, &[PAGES_OF_3]).await.ok(), "@odata.nextLink")
}

#[tokio::test]
async fn links_expire_by_the_clock_and_on_demand() {
    let cloud = cloud_with(Settings { delta_token_minutes: Some(60), ..Settings::default() }).await;
    let next = link_of_the_middle(&cloud).await;
    let (_, delta) = cloud.drain(&next, &[]).await;
    cloud.get(&delta).await.ok();
    cloud.handle.advance_clock(61 * 60_000);
    refused(&cloud.get(&next).await, 410, "syncStateNotFound");
    cloud.control("settings", json!({"resync_with_location": true}));
    let answer = cloud.get(&delta).await;
    refused(&answer, 410, "resyncRequired");
    let (rows, delta) = cloud.drain(answer.header("location").expect("an address"), &[]).await;
    assert_eq!(rows.len(), 5, "the fresh round has everything again");
    cloud.control("user", json!({"mailbox": NORA, "sync_reset": true}));
    refused(&cloud.get(&delta).await, 410, "resyncRequired");
}

#[tokio::test]
async fn a_link_that_was_never_given_is_refused() {
    let cloud = cloud().await;
    for token in ["nonsense", "e30", ""] {
        refused(&cloud.get(&format!("{INBOX}?$deltatoken={token}")).await, 400, "badRequest");
    }
    let (_, link) = cloud.drain(INBOX, &[]).await;
    let elsewhere = link.replace("inbox", "sentitems");
    refused(&cloud.get(&elsewhere).await, 400, "badRequest");
    refused(&cloud.get("me/mailFolders/nowhere/messages/delta").await, 400, "ErrorInvalidIdMalformed");
}

#[tokio::test]
async fn the_vendor_may_send_empty_pages_repeat_itself_and_say_little() {
    let cloud = cloud().await;
    let ids: Vec<String> =
        (0..5).map(|n| text(&cloud.arrives("a@outside.example", &format!("{n}")), "id")).collect();
    cloud.control("settings", json!({"empty_pages": true, "repeat_rows": true, "sparse_updates": true}));
    let first = cloud.get(INBOX).await.ok();
    assert_eq!(first["value"], json!([]));
    let (rows, link) =
        cloud.drain(&text(&first, "@odata.nextLink"), &[("prefer", "odata.maxpagesize=2")]).await;
    assert_eq!(rows.len(), 7, "each page after the first repeats a row");
    cloud.control("edit", json!({"id": ids[0], "is_read": true}));
    let (rows, _) = cloud.drain(&link, &[]).await;
    assert_eq!((rows.len(), &rows[0]["isRead"], rows[0].get("subject")), (1, &json!(true), None));
}
