//! Folders and messages: listed, read, changed, moved, deleted.

use serde_json::{Value, json};

use super::{IMMUTABLE, JONAS, NORA, cloud, refused, text, texts};

#[tokio::test]
async fn a_mailbox_has_its_folders_and_can_have_more() {
    let cloud = cloud().await;
    cloud.arrives("a@outside.example", "one");
    let folders = cloud.get("me/mailFolders").await.ok();
    let names = texts(folders["value"].as_array().expect("rows"), "displayName");
    assert_eq!(names, ["Inbox", "Drafts", "Sent Items", "Deleted Items", "Archive", "Junk Email", "Outbox"]);
    let inbox = cloud.get("me/mailFolders/inbox").await.ok();
    assert_eq!((&inbox["totalItemCount"], &inbox["unreadItemCount"]), (&json!(1), &json!(1)));
    let made = cloud.post("me/mailFolders", json!({"displayName": "Partners"})).await.ok();
    refused(
        &cloud.post("me/mailFolders", json!({"displayName": "partners"})).await,
        409,
        "ErrorFolderExists",
    );
    let found = cloud.get(&format!("me/mailFolders/{}", text(&made, "id"))).await.ok();
    assert_eq!(found["displayName"], "Partners");
    let page = cloud.get("me/mailFolders?$top=5").await.ok();
    let rest = cloud.get(&text(&page, "@odata.nextLink")).await.ok();
    assert_eq!(rest["value"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn a_message_shows_what_was_selected_in_the_form_that_is_preferred() {
    let cloud = cloud().await;
    let mail = json!({
        "from": {"name": "Zoë Ångström", "address": "zoe@outside.example"}, "cc": ["c@outside.example"],
        "subject": "見積書 – Grüße", "html": "<html><body><p>Grüße &amp; more</p><p>Ende</p></body></html>",
        "headers": [{"name": "Content-Type", "value": "text/html; charset=iso-2022-jp"}],
        "attachments": [{"name": "offer.pdf", "content_type": "application/pdf", "size": 48_211}],
        "received": "2025-03-05T10:11:12.345Z",
    });
    let ids = cloud.handle.deliver(mail).expect("a mail arrives");
    let path = format!("me/messages/{}", text(&ids, "id"));
    let whole = cloud.get(&path).await.ok();
    assert_eq!(whole["subject"], "見積書 – Grüße");
    assert_eq!(whole["body"]["contentType"], "html");
    assert_eq!(whole["bodyPreview"], "Grüße & more Ende");
    assert_eq!(whole["receivedDateTime"], "2025-03-05T10:11:12Z", "whole seconds");
    assert_eq!(whole["from"]["emailAddress"]["name"], "Zoë Ångström");
    assert_eq!(whole["ccRecipients"][0]["emailAddress"]["address"], "c@outside.example");
    assert_eq!((&whole["hasAttachments"], &whole["isDraft"]), (&json!(true), &json!(false)));
    assert!(whole.get("internetMessageHeaders").is_none(), "only when selected");
    let few = cloud.get(&format!("{path}?$select=subject,internetMessageHeaders")).await.ok();
    let headers = few["internetMessageHeaders"].as_array().expect("headers");
    assert!(headers.iter().any(|header| header["value"] == "text/html; charset=iso-2022-jp"));
    assert!(few.get("body").is_none());
    let plain =
        cloud.get_with(&path, &[("prefer", "outlook.body-content-type=\"text\""), IMMUTABLE]).await.ok();
    assert_eq!(plain["body"], json!({"contentType": "text", "content": "Grüße & more\r\nEnde\r\n"}));
    assert_eq!(plain["id"], ids["immutableId"]);
    let attached = cloud.get(&format!("{path}/attachments")).await.ok();
    assert_eq!(
        (&attached["value"][0]["name"], &attached["value"][0]["size"]),
        (&json!("offer.pdf"), &json!(48_211))
    );
    assert!(
        cloud
            .get(&format!("{path}/$value"))
            .await
            .body
            .as_str()
            .is_some_and(|mime| mime.contains("Subject: 見積書"))
    );
    refused(&cloud.get(&format!("{path}?$select=sender,colour")).await, 400, "RequestBroker--ParseUri");
}

#[tokio::test]
async fn lists_are_filtered_ordered_and_paged() {
    let cloud = cloud().await;
    for (n, from) in
        ["a@one.example", "b@two.example", "a@one.example", "c@o''three.example"].iter().enumerate()
    {
        let received = format!("2025-03-05T10:00:0{n}Z");
        let mail =
            json!({"from": from.replace("''", "'"), "subject": format!("mail {n}"), "received": received});
        cloud.handle.deliver(mail).expect("a mail arrives");
    }
    let list = async |query: &str| {
        let page = cloud.get(&format!("me/mailFolders/inbox/messages?$select=subject&{query}")).await.ok();
        texts(page["value"].as_array().expect("rows"), "subject")
    };
    assert_eq!(list("").await, ["mail 3", "mail 2", "mail 1", "mail 0"], "newest first");
    assert_eq!(list("$orderby=receivedDateTime").await[0], "mail 0");
    assert_eq!(list("$orderby=subject desc&$top=1&$skip=1").await, ["mail 2"]);
    assert_eq!(list("$filter=from/emailAddress/address eq 'a@one.example'").await, ["mail 2", "mail 0"]);
    assert_eq!(list("$filter=from/emailAddress/address eq 'c@o''three.example'").await, ["mail 3"]);
    let span =
        "$filter=receivedDateTime gt 2025-03-05T10:00:00Z and receivedDateTime le 2025-03-05T10:00:02.000Z";
    assert_eq!(list(span).await, ["mail 2", "mail 1"]);
    assert_eq!(
        list("$filter=not (contains(subject,'1') or startswith(subject,'MAIL 2'))").await,
        ["mail 3", "mail 0"]
    );
    let page = cloud.get("me/messages?$top=3&$count=true&$filter=isRead eq false").await.ok();
    assert_eq!((page["value"].as_array().map(Vec::len), &page["@odata.count"]), (Some(3), &json!(4)));
    let rest = cloud.get(&text(&page, "@odata.nextLink")).await.ok();
    assert_eq!((rest["value"].as_array().map(Vec::len), rest.get("@odata.nextLink")), (Some(1), None));
    refused(&cloud.get("me/messages?$filter=isRead eq").await, 400, "BadRequest");
    refused(&cloud.get("me/messages?$top=many").await, 400, "RequestBroker--ParseUri");
}

#[tokio::test]
async fn a_message_is_marked_moved_and_deleted() {
    let cloud = cloud().await;
    let mail = cloud.arrives("a@outside.example", "one");
    let path = format!("me/messages/{}", text(&mail, "id"));
    let before = cloud.get(&path).await.ok();
    let marks = json!({"isRead": true, "categories": ["Partner"], "flag": {"flagStatus": "flagged"}});
    let after = cloud.patch(&path, marks).await.ok();
    assert_eq!((&after["isRead"], &after["flag"]["flagStatus"]), (&json!(true), &json!("flagged")));
    assert_ne!(before["@odata.etag"], after["@odata.etag"]);
    refused(&cloud.patch(&path, json!({"subject": "another"})).await, 400, "ErrorInvalidPropertySet");
    let old = [("if-match", before["@odata.etag"].as_str().expect("a tag"))];
    let late =
        cloud.send(reqwest::Method::PATCH, &path, cloud.handle.access_token(), &old, Some(json!({}))).await;
    refused(&late, 412, "ErrorIrresolvableConflict");
    let moved = cloud.post(&format!("{path}/move"), json!({"destinationId": "archive"})).await.ok();
    refused(&cloud.get(&path).await, 404, "ErrorItemNotFound");
    assert_eq!(cloud.delete(&format!("me/messages/{}", text(&moved, "id"))).await.status, 204);
    let bin = cloud.get("me/mailFolders/deleteditems/messages").await.ok();
    let id = text(&bin["value"][0], "id");
    assert_eq!(cloud.delete(&format!("me/messages/{id}")).await.status, 204);
    refused(
        &cloud.get(&format!("me/messages/{}", text(&mail, "immutableId"))).await,
        404,
        "ErrorItemNotFound",
    );
    let other = text(&cloud.arrives("a@outside.example", "two"), "id");
    assert_eq!(cloud.post(&format!("me/messages/{other}/permanentDelete"), json!({})).await.status, 204);
    assert_eq!(cloud.handle.state(NORA).expect("the state")["total"], 0);
}

#[tokio::test]
async fn a_mailbox_is_its_owners() {
    let cloud = cloud().await;
    let mine = text(&cloud.arrives("a@outside.example", "mine"), "id");
    let get = reqwest::Method::GET;
    let by_name = cloud.get(&format!("users/{NORA}/messages/{mine}")).await.ok();
    assert_eq!(by_name["subject"], "mine");
    let nested = cloud.get(&format!("users('{NORA}')/mailFolders('inbox')/messages/{mine}")).await.ok();
    assert_eq!(nested["subject"], "mine");
    refused(&cloud.get(&format!("users/{JONAS}/messages")).await, 403, "ErrorAccessDenied");
    refused(&cloud.get("users/nobody@nowhere.example/messages").await, 404, "Request_ResourceNotFound");
    let jonas = cloud.handle.access_token_of(JONAS).expect("a token");
    let others = cloud.send(get.clone(), &format!("me/messages/{mine}"), jonas, &[], None).await;
    refused(&others, 400, "ErrorInvalidIdMalformed");
    let guest = cloud.handle.users().pop().expect("a guest");
    let guest = cloud.handle.access_token_of(&guest).expect("a token");
    let me = cloud.send(get.clone(), "me?$select=id,mail", guest, &[], None).await.ok();
    assert_eq!((me["mail"].is_null(), me.get("displayName")), (true, None));
    let nothing = cloud.send(get, "me/mailFolders/inbox", guest, &[], None).await;
    refused(&nothing, 404, "MailboxNotEnabledForRESTAPI");
}

#[tokio::test]
async fn a_mail_of_ten_megabytes_is_read_whole() {
    let cloud = cloud().await;
    let mail = json!({"from": "a@outside.example", "subject": "large", "body_size": 10_000_000});
    let id = text(&cloud.handle.deliver(mail).expect("a mail arrives"), "id");
    let whole = cloud.get(&format!("me/messages/{id}")).await.ok();
    assert_eq!(whole["body"]["content"].as_str().map(str::len), Some(10_000_000));
    assert!(whole["bodyPreview"].as_str().is_some_and(|text| text.chars().count() == 255));
}

#[tokio::test]
async fn broken_requests_get_an_error_that_says_so() {
    let cloud = cloud().await;
    refused(&cloud.get("me/messages/nonsense").await, 400, "ErrorInvalidIdMalformed");
    refused(&cloud.get("me/calendar").await, 400, "BadRequest");
    refused(&cloud.delete("me/mailFolders/inbox").await, 405, "Request_BadRequest");
    refused(&cloud.post("me/messages", json!([])).await, 400, "BadRequest");
    refused(&cloud.post("me/messages", json!({"toRecipients": "a"})).await, 400, "BadRequest");
    refused(&cloud.post("me/sendMail", json!({})).await, 400, "BadRequest");
    let large: Value = json!({"subject": "x".repeat(5_000_000)});
    refused(&cloud.post("me/messages", large).await, 413, "RequestEntityTooLarge");
    let answer = cloud.get_with("me", &[("client-request-id", "b9a3")]).await;
    assert_eq!(answer.header("client-request-id"), Some("b9a3"));
}

#[tokio::test]
async fn a_batch_answers_each_of_its_calls() {
    let cloud = cloud().await;
    cloud.arrives("a@outside.example", "one");
    cloud.control("faults", json!({"match": {"path_prefix": "/v1.0/me/mailFolders"}, "kind": "429", "retry_after_s": 7, "times": 1}));
    let requests = json!({"requests": [
        {"id": "1", "method": "GET", "url": "/me/messages?$select=subject"},
        {"id": "2", "method": "GET", "url": "/me/mailFolders/inbox"},
        {"id": "3", "method": "POST", "url": "/me/messages", "headers": {"Prefer": "IdType=\"ImmutableId\""}, "body": {"subject": "draft"}},
        {"id": "4", "method": "GET", "url": "/me", "dependsOn": ["2"]},
        {"id": "5", "method": "GET", "url": "/nothing/here"},
        {"id": "6", "method": "POST", "url": "/$batch", "body": {"requests": []}},
    ]});
    let answer = cloud.post("$batch", requests).await.ok();
    let statuses: Vec<u64> = answer["responses"]
        .as_array()
        .expect("answers")
        .iter()
        .filter_map(|one| one["status"].as_u64())
        .collect();
    assert_eq!(statuses, [200, 429, 201, 424, 400, 400]);
    assert_eq!(answer["responses"][0]["body"]["value"][0]["subject"], "one");
    assert_eq!(answer["responses"][1]["headers"]["retry-after"], "7");
    let too_many: Vec<Value> =
        (0..21).map(|n| json!({"id": n.to_string(), "method": "GET", "url": "/me"})).collect();
    refused(&cloud.post("$batch", json!({"requests": too_many})).await, 400, "MaximumValueExceeded");
}
