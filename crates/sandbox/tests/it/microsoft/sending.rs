//! Drafts, mail that is sent, answers, and what comes back.

use serde_json::{Value, json};

use super::{Cloud, IMMUTABLE, JONAS, NORA, cloud, refused, text, texts};

fn to(address: &str) -> Value {
    json!([{"emailAddress": {"address": address}}])
}

async fn post(cloud: &Cloud, path: &str, body: Value) -> Value {
    let token = cloud.handle.access_token();
    cloud.send(reqwest::Method::POST, path, token, &[IMMUTABLE], Some(body)).await.ok()
}

async fn inbox(cloud: &Cloud, address: &str) -> Vec<Value> {
    let token = cloud.handle.access_token_of(address).expect("a token");
    let list = "me/mailFolders/inbox/messages?$select=subject,from,toRecipients,bccRecipients,conversationId,internetMessageId,internetMessageHeaders,bodyPreview";
    let page = cloud.send(reqwest::Method::GET, list, token, &[], None).await.ok();
    page["value"].as_array().expect("rows").clone()
}

fn sent(cloud: &Cloud) -> Vec<Value> {
    let all = cloud.handle.control("GET", "/_sandbox/sent", Value::Null).expect("what was sent");
    all["sent"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn a_draft_is_written_changed_and_sent_under_one_immutable_id() {
    let cloud = cloud().await;
    let headers = json!([{"name": "x-accord-message", "value": "msg_1"}]);
    let draft = json!({"subject": "Hallo", "body": {"contentType": "HTML", "content": "<p>Grüße</p>"},
        "toRecipients": to("out@side.example"), "internetMessageHeaders": headers});
    let draft = post(&cloud, "me/messages", draft).await;
    let id = text(&draft, "id");
    assert_eq!((&draft["isDraft"], draft.get("from")), (&json!(true), None));
    let changed = cloud
        .patch(&format!("me/messages/{id}"), json!({"toRecipients": to(JONAS), "subject": "Hello"}))
        .await
        .ok();
    assert_eq!(changed["internetMessageId"], draft["internetMessageId"]);
    let answer = cloud.post(&format!("me/messages/{id}/send"), json!({})).await;
    assert_eq!((answer.status, answer.body), (202, json!("")));
    let after = cloud.get_with(&format!("me/messages/{id}?$select=isDraft,from,parentFolderId,internetMessageId,internetMessageHeaders"), &[IMMUTABLE]).await.ok();
    assert_eq!((&after["isDraft"], text(&after, "id")), (&json!(false), id.clone()));
    assert_eq!(after["from"]["emailAddress"]["address"], NORA);
    assert_eq!(after["parentFolderId"], cloud.get("me/mailFolders/sentitems").await.ok()["id"]);
    refused(&cloud.get(&format!("me/messages/{}", text(&changed, "id"))).await, 404, "ErrorItemNotFound");
    refused(&cloud.post(&format!("me/messages/{id}/send"), json!({})).await, 400, "ErrorInvalidRequest");

    let came = inbox(&cloud, JONAS).await;
    assert_eq!((came.len(), &came[0]["subject"]), (1, &json!("Hello")));
    assert_eq!(came[0]["internetMessageId"], draft["internetMessageId"], "the same mail in another mailbox");
    assert!(came[0]["internetMessageHeaders"].as_array().is_some_and(|all| all.contains(&headers[0])));
    let (rows, _) = cloud.drain("me/mailFolders/sentitems/messages/delta", &[IMMUTABLE]).await;
    assert_eq!(texts(&rows, "id"), [id]);
}

#[tokio::test]
async fn a_draft_can_be_written_in_any_folder() {
    let cloud = cloud().await;
    let draft = post(&cloud, "me/mailFolders/archive/messages", json!({"subject": "kept aside"})).await;
    let archive = cloud.get("me/mailFolders/archive/messages").await.ok();
    assert_eq!((&archive["value"][0]["subject"], &draft["isDraft"]), (&json!("kept aside"), &json!(true)));
}

#[tokio::test]
async fn mail_is_sent_at_once_and_kept_or_not() {
    let cloud = cloud().await;
    let message = json!({"subject": "at once", "body": {"contentType": "text", "content": "x"},
        "toRecipients": to("out@side.example"), "bccRecipients": to(JONAS)});
    for save in [true, false] {
        let mail = json!({"message": message, "saveToSentItems": save});
        assert_eq!(cloud.post("me/sendMail", mail).await.status, 202);
    }
    let kept = cloud.get("me/mailFolders/sentitems/messages").await.ok();
    assert_eq!(texts(kept["value"].as_array().expect("rows"), "subject"), ["at once"]);
    assert_eq!(sent(&cloud).len(), 2);
    assert_eq!(sent(&cloud)[0]["to"], json!(["out@side.example", JONAS]));
    let hidden = inbox(&cloud, JONAS).await;
    assert_eq!(hidden[0]["toRecipients"][0]["emailAddress"]["address"], "out@side.example");
    let other = json!({"message": {"toRecipients": to("a@b.example"), "from": to(JONAS)[0]}});
    refused(&cloud.post("me/sendMail", other).await, 403, "ErrorSendAsDenied");
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused() {
    let cloud = cloud().await;
    let mail = |message: Value| json!({ "message": message });
    refused(
        &cloud.post("me/sendMail", mail(json!({"subject": "to nobody"}))).await,
        400,
        "ErrorInvalidRecipients",
    );
    for wrong in ["nobody", "a b@c.example", "a@b@c.example", "<a@b.example>"] {
        refused(
            &cloud.post("me/sendMail", mail(json!({"toRecipients": to(wrong)}))).await,
            400,
            "ErrorInvalidRecipients",
        );
    }
    let many = |count: usize| -> Value {
        (0..count).map(|n| json!({"emailAddress": {"address": format!("r{n}@side.example")}})).collect()
    };
    assert_eq!(cloud.post("me/sendMail", mail(json!({"toRecipients": many(1_000)}))).await.status, 202);
    refused(
        &cloud.post("me/sendMail", mail(json!({"toRecipients": many(1_001)}))).await,
        400,
        "ErrorInvalidRecipients",
    );
    let headers = |name: &str| json!({"internetMessageHeaders": [{"name": name, "value": "1"}]});
    for name in ["In-Reply-To", "x-a\r\nBcc: b@c.example"] {
        refused(&cloud.post("me/messages", headers(name)).await, 400, "InvalidInternetMessageHeader");
    }
    let six: Vec<Value> = (0..6).map(|n| json!({"name": format!("x-{n}"), "value": "1"})).collect();
    let six = json!({ "internetMessageHeaders": six });
    refused(&cloud.post("me/messages", six).await, 400, "InvalidInternetMessageHeaderCollection");
    let empty = text(&cloud.post("me/messages", json!({})).await.ok(), "id");
    refused(
        &cloud.post(&format!("me/messages/{empty}/send"), json!({})).await,
        400,
        "ErrorInvalidRecipients",
    );
    assert_eq!(sent(&cloud).len(), 1);
}

#[tokio::test]
async fn answers_stay_in_their_conversation_on_both_sides() {
    let cloud = cloud().await;
    let first = json!({"subject": "Plan", "toRecipients": to(JONAS), "ccRecipients": to("out@side.example"),
        "body": {"contentType": "text", "content": "What do you think?"}});
    let draft = post(&cloud, "me/messages", first).await;
    cloud.post(&format!("me/messages/{}/send", text(&draft, "id")), json!({})).await.ok();
    let jonas = cloud.handle.access_token_of(JONAS).expect("a token");
    let came = inbox(&cloud, JONAS).await;
    let by_jonas = async |verb: &str, body: Value| {
        let path = format!("me/messages/{}/{verb}", text(&came[0], "id"));
        cloud.send(reqwest::Method::POST, &path, jonas, &[], Some(body)).await
    };
    assert_eq!(by_jonas("reply", json!({"comment": "Good"})).await.status, 202);
    let back = inbox(&cloud, NORA).await;
    assert_eq!(back[0]["subject"], "RE: Plan");
    assert_eq!(
        back[0]["conversationId"], draft["conversationId"],
        "the same conversation in the first mailbox"
    );
    assert!(text(&back[0], "bodyPreview").starts_with("Good"));
    let header = json!({"name": "In-Reply-To", "value": draft["internetMessageId"]});
    assert!(back[0]["internetMessageHeaders"].as_array().is_some_and(|all| all.contains(&header)));
    assert_eq!(by_jonas("replyAll", json!({"comment": "All"})).await.status, 202);
    assert_eq!(sent(&cloud).last().expect("sent")["to"], json!([NORA, "out@side.example"]));
    for verb in ["createReply", "createReplyAll"] {
        let draft = by_jonas(verb, json!({"message": {"subject": "Another subject"}})).await.ok();
        assert_eq!((&draft["isDraft"], &draft["subject"]), (&json!(true), &json!("Another subject")));
        assert_eq!(draft["conversationId"], came[0]["conversationId"]);
    }
    let outside = cloud
        .handle
        .deliver(json!({"from": "out@side.example", "subject": "RE: Plan", "text": "me too",
        "in_reply_to": text(&draft, "internetMessageId")}))
        .expect("a mail arrives");
    assert_eq!(outside["conversationId"], draft["conversationId"]);
}

#[tokio::test]
async fn what_cannot_be_delivered_comes_back() {
    let cloud = cloud().await;
    cloud.control("settings", json!({"bouncing": ["gone.example", "left@side.example"]}));
    let mail = json!({"message": {"subject": "Offer", "toRecipients": [
        {"emailAddress": {"address": "a@gone.example"}}, {"emailAddress": {"address": "LEFT@side.example"}},
        {"emailAddress": {"address": "here@side.example"}}]}});
    cloud.post("me/sendMail", mail).await.ok();
    let back = inbox(&cloud, NORA).await;
    assert_eq!(texts(&back, "subject"), ["Undeliverable: Offer", "Undeliverable: Offer"]);
    let kept = cloud.get("me/mailFolders/sentitems/messages").await.ok()["value"][0].clone();
    assert_eq!(back[0]["conversationId"], kept["conversationId"]);
    let failed = json!({"name": "X-Failed-Recipients", "value": "a@gone.example"});
    assert!(
        back.iter()
            .any(|one| one["internetMessageHeaders"].as_array().is_some_and(|all| all.contains(&failed)))
    );
    let late = cloud.control("bounce", json!({"id": text(&kept, "id"), "recipient": "here@side.example"}));
    assert_eq!(late["folder"], "Inbox");
    assert_eq!(inbox(&cloud, NORA).await.len(), 3);
}

#[tokio::test]
async fn a_report_has_the_class_of_what_it_tells_in_any_language() {
    let cloud = cloud().await;
    let mail = json!({"message": {"subject": "Offer", "toRecipients": [
        {"emailAddress": {"address": "a@slow.example"}}]}});
    cloud.post("me/sendMail", mail).await.ok();
    let kept = cloud.get("me/mailFolders/sentitems/messages").await.ok()["value"][0].clone();
    let expand = "$expand=singleValueExtendedProperties($filter=id%20eq%20'String%200x001A')";
    let class = async |id: String| {
        let found = cloud.get(&format!("me/messages/{id}?$select=subject&{expand}")).await.ok();
        let property = found["singleValueExtendedProperties"][0].clone();
        assert_eq!(property["id"], "String 0x1a", "{found}");
        (text(&found, "subject"), text(&property, "value"))
    };
    assert_eq!(class(text(&kept, "id")).await, ("Offer".to_owned(), "IPM.Note".to_owned()));
    for (action, language, subject, expected) in [
        ("failed", "en", "Undeliverable: Offer", "REPORT.IPM.Note.NDR"),
        ("failed", "ja", "配信不能: Offer", "REPORT.IPM.Note.NDR"),
        ("delayed", "en", "Delivery delayed:Offer", "REPORT.IPM.Note.Delayed.DR"),
        ("delayed", "de", "Zustellung verzögert:Offer", "REPORT.IPM.Note.Delayed.DR"),
        ("delayed", "ja", "配信遅延:Offer", "REPORT.IPM.Note.Delayed.DR"),
    ] {
        let report = json!({"action": action, "language": language});
        let made = cloud.control("bounce", json!({"id": text(&kept, "id"), "report": report}));
        assert_eq!(class(text(&made, "id")).await, (subject.to_owned(), expected.to_owned()));
    }
    let planted =
        json!({"from": "a@slow.example", "subject": "Read: Offer", "message_class": "REPORT.IPM.Note.IPNRN"});
    let planted = cloud.handle.deliver(planted).expect("a mail arrives");
    assert_eq!(class(text(&planted, "id")).await.1, "REPORT.IPM.Note.IPNRN");
    let wrong = format!("me/messages/{}?$expand=singleValueExtendedProperties", text(&kept, "id"));
    assert_eq!(cloud.get(&wrong).await.status, 400);
}

#[tokio::test]
async fn a_person_reads_a_mail_on_a_page_and_answers_it() {
    let cloud = cloud().await;
    let mail = json!({"from": {"name": "<b>Eve</b>", "address": "eve@side.example"}, "subject": "<script>alert(1)</script>",
        "html": "<p>Hi <img src=x onerror=alert(1)> there</p><script>alert(2)</script><p>&lt;script&gt;alert(3)&lt;/script&gt;</p>"});
    cloud.handle.deliver(mail).expect("a mail arrives");
    let page = async |path: &str| cloud.get(path).await.body.as_str().expect("a page").to_owned();
    assert!(page("/mail").await.contains("Nora Field"));
    let list = page(&format!("/mail/{NORA}")).await;
    assert!(list.contains("&lt;script&gt;alert(1)") && list.contains("class=\"unread\""));
    let link = list
        .split("<td><a href=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a link")
        .to_owned();
    let whole = page(&link).await;
    for harmful in ["<script", "<img", "<b>Eve", "onerror=", "alert(2)"] {
        assert!(!whole.contains(harmful), "{harmful} came through");
    }
    assert!(whole.contains("&lt;script&gt;alert(3)"), "text stays text");
    assert!(!page(&format!("/mail/{NORA}")).await.contains("class=\"unread\""), "read is read");
    let answer = cloud.form(&format!("{link}/reply"), &[("comment", "Thank you & bye")]).await;
    assert_eq!(answer.status, 302);
    assert_eq!(sent(&cloud)[0]["to"], json!(["eve@side.example"]));
    assert!(page(answer.header("location").expect("a place")).await.contains("RE: &lt;script&gt;"));
    assert_eq!(cloud.get("/mail/nobody").await.status, 404);
    assert_eq!(cloud.get(&format!("/mail/{NORA}/99")).await.status, 404);
}
