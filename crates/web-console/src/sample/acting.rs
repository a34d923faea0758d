//! What happened with a record.

use proto::crm::{Activity, Participant};

use super::{before, id};

/// A text as strangers write it: of many lines, with what would be markup.
const MAIL: &str = "Dear Mara,\n\nthank you for the offer. <script>alert('no')</script> is what our filter made of the price.\n\nTen presses would be fine, if they come before autumn. Our head of works would like to see one running first; could we visit you in April?\n\nKind regards\nCarol\n\n-- \nCarol Wild\nAcme Presses & Sons\nhttps://acme.example/with/a/very/long/address/that/does/not/end/and/does/not/end/and/does/not/end/and/does/not/end";
const SPOKEN: &str = "[00:00:04] Carol Wild: Good morning. Can everybody hear me?\n[00:00:09] Mara Lindqvist: Yes, very well. Jonas is on his way.\n[00:00:31] Mara Lindqvist: He is there now.\n[00:00:36] Jonas Weber: Sorry, the other call ran late. So: ten presses, you said?\n[00:00:44] Carol Wild: Ten, if they come before autumn. I would like to see one of them running first, because the last ones that we bought were louder than the law allows, and we had to build a house around them.\n[00:01:20] Jonas Weber: Come in April.";

/// Activities of each kind, newest first: a mail, a meeting with its transcript, a change of stage, a call of which
/// nothing is told, a mail to many.
#[must_use]
pub fn activities() -> Vec<Activity> {
    let preview = |text: &str| text.chars().take(500).collect::<String>();
    vec![
        Activity {
            direction: "inbound".to_owned(),
            subject: "Re: Offer for <ten> presses".to_owned(),
            preview: preview(MAIL),
            has_more_text: true,
            url: "https://outlook.office365.example/mail/AAMk".to_owned(),
            participants: vec![
                who("from", "Carol Wild", "carol@acme.example"),
                who("to", "Mara Lindqvist", "mara@northwind.example"),
                who("cc", "", "works@acme.example"),
            ],
            participant_count: 3,
            ..activity(1, "email", "m365")
        },
        Activity {
            subject: "Presses: first talk".to_owned(),
            preview: preview(SPOKEN),
            has_more_text: true,
            url: "https://meet.google.example/abc-defg-hij".to_owned(),
            participants: vec![
                who("organizer", "Mara Lindqvist", "mara@northwind.example"),
                who("attendee", "Carol Wild", "carol@acme.example"),
                who("attendee", "Jonas Weber", "jonas@northwind.example"),
            ],
            participant_count: 3,
            ..activity(2, "meeting", "google-calendar")
        },
        Activity { subject: "qualified → contractsent".to_owned(), ..activity(3, "stage_change", "accord") },
        Activity { direction: "outbound".to_owned(), ..activity(4, "call", "api") },
        Activity {
            direction: "outbound".to_owned(),
            subject: "Invitation: our presses at the fair in Hannover, hall 4, with a demonstration each day at ten".to_owned(),
            preview: "We would like to see you there.".to_owned(),
            participants: (0..50).map(|n| who("to", &format!("Guest {n}"), "guest@elsewhere.example")).collect(),
            participant_count: 800,
            url: "javascript:alert(1)".to_owned(),
            ..activity(5, "email", "m365")
        },
    ]
}

/// All of an activity's text.
#[must_use]
pub fn activity_text(activity: &Activity) -> String {
    match activity.kind.as_str() {
        "email" if activity.has_more_text => MAIL.to_owned(),
        "meeting" => SPOKEN.to_owned(),
        _ => activity.preview.clone(),
    }
}

fn activity(n: u32, kind: &str, source: &str) -> Activity {
    Activity {
        id: id("act", n),
        source: source.to_owned(),
        external_id: format!("sample-{n}"),
        kind: kind.to_owned(),
        at: before(i64::from(n) * 30_000),
        record_ids: vec![id("rec", 0), id("ptnr", 1)],
        recorded_by: "service:sample".to_owned(),
        ..Activity::default()
    }
}

fn who(role: &str, name: &str, email: &str) -> Participant {
    Participant { role: role.to_owned(), name: name.to_owned(), email: email.to_owned() }
}
