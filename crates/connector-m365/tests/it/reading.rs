//! What of a mail is told.

use serde_json::json;

use crate::mailbox::{connected, moment, subjects};

#[tokio::test]
async fn a_mail_says_who_wrote_what_to_whom_when_and_where_to_look() {
    let mailbox = connected().await;
    let first = mailbox.arrives(
        "Offer",
        json!({
            "from": {"name": "Ann Lee", "address": "ann@lee.example"}, "text": "Dear Nora,\r\n\r\nplease find …",
            "cc": ["bo@lee.example"], "received": "2031-03-04T05:06:07Z",
        }),
    );
    mailbox.arrives("RE: Offer", json!({"in_reply_to": first}));
    mailbox.arrives("Other", json!({}));
    let (mails, _) = mailbox.read("inbox", None).await;
    let of = |subject: &str| mails.iter().find(|mail| mail.subject == subject).unwrap();
    let offer = of("Offer");
    assert!(offer.external_id.ends_with(&first), "the id is the one that stays when it is moved");
    assert_eq!(offer.at, moment("2031-03-04T05:06:07Z"));
    assert_eq!(offer.body, "Dear Nora,\n\nplease find …");
    let people: Vec<_> = offer.participants.iter().map(|one| (&*one.role, &*one.name, &*one.email)).collect();
    assert_eq!(
        people,
        [
            ("from", "Ann Lee", "ann@lee.example"),
            ("to", "", "nora.field@harborline.example"),
            ("cc", "", "bo@lee.example")
        ]
    );
    assert!(offer.url.starts_with("https://outlook.office365.com/"), "{}", offer.url);
    assert!(!offer.thread.is_empty());
    assert_eq!(offer.thread, of("RE: Offer").thread);
    assert_ne!(offer.thread, of("Other").thread);
}

#[tokio::test]
async fn html_becomes_text_without_markup_and_forged_content_stays_text() {
    let mailbox = connected().await;
    let html = "<html><head><style>p{color:red}</style><script>alert('x')</script></head><body>\
                <p onclick=\"alert('y')\">Gr&uuml;&szlig;e<br>from <b>Ann</b></p><img src=x onerror=alert(1)>\
                <iframe src='https://evil.example'>z</iframe><a href=\"javascript:alert(2)\">a link</a>\
                <p>&lt;script&gt;alert(3)&lt;/script&gt;</p></body></html>";
    mailbox.arrives("html", json!({"html": html}));
    mailbox.arrives("text", json!({"text": "<script>alert(4)</script> & more"}));
    mailbox.arrives("<img src=x onerror=alert(5)>", json!({"text": ""}));
    let (mails, _) = mailbox.read("inbox", None).await;
    let body = |subject: &str| mails.iter().find(|mail| mail.subject == subject).unwrap().body.as_str();
    assert_eq!(body("html"), "Grüße\nfrom Ann\n\na link\n\n<script>alert(3)</script>");
    // What is text is text: whoever shows it escapes it.
    assert_eq!(body("text"), "<script>alert(4)</script> & more");
    assert!(subjects(&mails).contains(&"<img src=x onerror=alert(5)>"));
}

#[tokio::test]
async fn characters_of_all_kinds_are_kept_and_controls_are_not() {
    let mailbox = connected().await;
    mailbox
        .arrives("ユニコード 😀 \u{202e}gnp.exe\u{0}", json!({"text": "a\u{0}b\u{1b}[0m\u{fffd}\u{301}é"}));
    let (mails, _) = mailbox.read("inbox", None).await;
    assert_eq!(mails[0].subject, "ユニコード 😀 gnp.exe");
    assert_eq!(mails[0].body, "ab[0m\u{fffd}\u{301}é");
}

#[tokio::test]
async fn a_mail_to_a_thousand_people_names_them_all() {
    let mailbox = connected().await;
    let people = |what: &str, count: usize| -> Vec<String> {
        (0..count).map(|number| format!("{what}{number}@lee.example")).collect()
    };
    mailbox.arrives(
        "to all",
        json!({"to": people("to", 600), "cc": people("cc", 250), "bcc": people("bcc", 150)}),
    );
    let (mails, _) = mailbox.read("inbox", None).await;
    let count = |role: &str| mails[0].participants.iter().filter(|one| one.role == role).count();
    assert_eq!(["from", "to", "cc", "bcc"].map(count), [1, 600, 250, 150]);
}

#[tokio::test]
async fn mails_of_ten_megabytes_are_read_in_smaller_pages() {
    let mailbox = connected().await;
    const MEGABYTES_10: usize = 10 * 1024 * 1024;
    const TOLD: usize = 64 * 1024;
    // Together they are larger than any answer that is read.
    for number in 0..8 {
        let kind = if number % 2 == 0 { "html" } else { "text" };
        mailbox.arrives(&format!("large {number}"), json!({"body_size": MEGABYTES_10, kind: ""}));
    }
    let (mails, _) = mailbox.read("inbox", None).await;
    let mut told = subjects(&mails);
    told.sort_unstable();
    assert_eq!(told, (0..8).map(|number| format!("large {number}")).collect::<Vec<_>>());
    let told = TOLD - 2..=TOLD;
    assert!(mails.iter().all(|mail| told.contains(&mail.body.len())), "the beginning of each");
}
