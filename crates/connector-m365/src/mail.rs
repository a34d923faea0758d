//! A message as an activity: pure.

use connector::Activity;
use jiff::Timestamp;
use model::ActivityParticipant;

use crate::{automatic, html, wire};

/// The longest subject that is told, in bytes; one line of a mail has half of it.
const LONGEST_SUBJECT: usize = 2_000;
/// The longest body, in bytes: the runtime tells no more of one, so what is behind it need not be read.
const LONGEST_BODY: usize = 64 * 1024;
/// The longest name of somebody, in bytes.
const LONGEST_NAME: usize = 256;
/// The longest address there is, in bytes: RFC 5321, 64 and 255 and the `@` between.
const LONGEST_ADDRESS: usize = 320;

/// A mail of this folder; `own` are the addresses of the mailbox. None when it says less than a whole message does.
pub(crate) fn from_wire(
    message: wire::Message,
    id: String,
    is_sent: bool,
    own: &[String],
) -> Option<Activity> {
    let moment = |text: &Option<String>| text.as_deref()?.parse::<Timestamp>().ok();
    let modified = moment(&message.last_modified_date_time)?;
    let (received, sent) = (moment(&message.received_date_time), moment(&message.sent_date_time));
    let from = message.from.or(message.sender).and_then(|from| participant("from", from));
    // What one sends to oneself, or drags out of the sent items, is in the inbox.
    let is_own =
        from.as_ref().is_some_and(|from| own.iter().any(|own| own.eq_ignore_ascii_case(&from.email)));
    let is_outbound = is_sent || is_own;
    let subject = line(&message.subject.unwrap_or_default().0, LONGEST_SUBJECT);
    let headers = message.internet_message_headers.unwrap_or_default();
    let sender = from.as_ref().map_or("", |from| from.email.as_str());
    let text = message.body.map(body).unwrap_or_default();
    let told = automatic::Told {
        headers: &headers,
        sender,
        subject: &subject,
        body: &text,
        class: message.class.as_deref(),
    };
    let automatic = if is_outbound { "" } else { automatic::of(&told) };
    let lists =
        [("to", message.to_recipients), ("cc", message.cc_recipients), ("bcc", message.bcc_recipients)];
    let others = lists.into_iter().flat_map(|(role, list)| {
        list.unwrap_or_default().into_iter().filter_map(move |recipient| participant(role, recipient))
    });
    Some(Activity {
        external_id: id,
        version: modified.as_millisecond(),
        is_gone: false,
        kind: "email".to_owned(),
        direction: if is_outbound { "outbound" } else { "inbound" }.to_owned(),
        at: if is_sent { sent.or(received) } else { received.or(sent) }.unwrap_or(modified),
        subject,
        body: text,
        thread: message.conversation_id.unwrap_or_default(),
        url: message.web_link.filter(|link| link.starts_with("https://")).unwrap_or_default(),
        participants: from.into_iter().chain(others).collect(),
        automatic,
    })
}

/// Whether a row of a delta query says all that is asked for. One of what changed may say only that.
pub(crate) fn is_whole(message: &wire::Message) -> bool {
    message.last_modified_date_time.is_some()
        && message.is_draft.is_some()
        && message.to_recipients.is_some()
        && message.body.is_some()
}

/// Whether it may be a report of what became of a mail, of which its class says more.
pub(crate) fn may_be_report(message: &wire::Message) -> bool {
    let address = |from: &wire::Recipient| Some(from.email_address.as_ref()?.address.as_ref()?.0.clone());
    let sender = message.from.as_ref().or(message.sender.as_ref()).and_then(address).unwrap_or_default();
    automatic::may_be_report(message.internet_message_headers.as_deref().unwrap_or_default(), &sender)
}

/// The version of what is gone. The row says of no time; what was told of it before has whole seconds up to now.
pub(crate) fn gone_version(now: Timestamp) -> i64 {
    now.as_second().saturating_mul(1_000).saturating_add(999)
}

fn participant(role: &str, recipient: wire::Recipient) -> Option<ActivityParticipant> {
    let wire::Address { name, address } = recipient.email_address?;
    let name = line(&name.unwrap_or_default().0, LONGEST_NAME);
    // Senders of the own organization may be told by their place in the directory, `/O=EXCHANGELABS/…`.
    let is_address =
        |told: &str| told.contains('@') && !told.starts_with('/') && told.len() <= LONGEST_ADDRESS;
    let email =
        address.map(|told| line(&told.0, usize::MAX)).filter(|told| is_address(told)).unwrap_or_default();
    let name = if name == email { String::new() } else { name };
    let is_somebody = !name.is_empty() || !email.is_empty();
    is_somebody.then(|| ActivityParticipant { role: role.to_owned(), name, email })
}

fn body(body: wire::Body) -> String {
    let content = body.content.unwrap_or_default().0;
    let is_html = !body.content_type.eq_ignore_ascii_case("text");
    let text = if is_html { html::text_of(&content, LONGEST_BODY) } else { content };
    let mut text = visible(&text, LONGEST_BODY);
    text.truncate(text.trim_end().len());
    text
}

/// Text of one line, cut at so many bytes.
fn line(text: &str, longest: usize) -> String {
    let mut line = visible(text, usize::MAX).split_whitespace().collect::<Vec<_>>().join(" ");
    line.truncate(line.floor_char_boundary(longest));
    line
}

/// Text without what is no letter: control characters, and those that have what follows shown backwards, which make one
/// name look like another; no more than so many bytes of it.
fn visible(text: &str, longest: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(longest));
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let letter = match letter {
            '\r' if letters.peek() == Some(&'\n') => continue,
            '\r' => '\n',
            '\u{202d}' | '\u{202e}' => continue,
            letter if letter.is_control() && !matches!(letter, '\n' | '\t') => continue,
            letter => letter,
        };
        if shown.len() + letter.len_utf8() > longest {
            break;
        }
        shown.push(letter);
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn message(changes: Value) -> wire::Message {
        let mut message = json!({
            "id": "AAMk=", "subject": "Offer", "isDraft": false,
            "receivedDateTime": "2031-01-05T10:11:12Z", "sentDateTime": "2031-01-05T10:11:10Z",
            "lastModifiedDateTime": "2031-01-05T10:11:13Z", "conversationId": "AAQk=",
            "webLink": "https://outlook.office365.com/owa/?ItemID=AAMk%3D",
            "body": {"contentType": "html", "content": "<p>Hello</p>"},
            "from": {"emailAddress": {"name": "Ann Lee", "address": "ann@lee.example"}},
            "toRecipients": [{"emailAddress": {"name": "nora@own.example", "address": "nora@own.example"}}],
            "ccRecipients": [], "bccRecipients": [],
        });
        for (name, value) in changes.as_object().unwrap() {
            message[name] = value.clone();
        }
        serde_json::from_value(message).unwrap()
    }

    fn read(changes: Value, is_sent: bool) -> Activity {
        from_wire(message(changes), "id".into(), is_sent, &["Nora@own.example".into()]).unwrap()
    }

    fn people(mail: &Activity) -> Vec<String> {
        let shown = |one: &ActivityParticipant| format!("{} {} <{}>", one.role, one.name, one.email);
        mail.participants.iter().map(shown).collect()
    }

    #[test]
    fn a_mail_says_who_wrote_what_to_whom_and_when() {
        let mail = read(json!({}), false);
        assert_eq!((mail.kind.as_str(), mail.direction.as_str()), ("email", "inbound"));
        assert_eq!(mail.at.to_string(), "2031-01-05T10:11:12Z");
        assert_eq!(mail.version, 1_925_374_273_000);
        assert_eq!((mail.subject.as_str(), mail.body.as_str()), ("Offer", "Hello"));
        assert_eq!((mail.thread.as_str(), mail.url.starts_with("https://outlook")), ("AAQk=", true));
        assert_eq!(people(&mail), ["from Ann Lee <ann@lee.example>", "to  <nora@own.example>"]);
        assert!(!mail.is_gone);
    }

    #[test]
    fn what_was_sent_is_outbound_wherever_it_lies() {
        let mail = read(json!({}), true);
        assert_eq!(
            (mail.direction.as_str(), mail.at.to_string().as_str()),
            ("outbound", "2031-01-05T10:11:10Z")
        );
        let own = json!({"from": {"emailAddress": {"name": "Nora", "address": "NORA@own.example"}}});
        assert_eq!(read(own, false).direction, "outbound");
    }

    #[test]
    fn people_without_an_address_keep_their_names() {
        let of = |name: &str, address: &str| json!({"emailAddress": {"name": name, "address": address}});
        let mail = read(
            json!({
                "from": null, "sender": of("Jo", "/O=EXCHANGELABS/OU=X/CN=RECIPIENTS/CN=JO@X"),
                "toRecipients": [of("", ""), {"emailAddress": null}, {}, of("A\r\nBcc: b@c.example", " a@b.example ")],
                "bccRecipients": [of("Undisclosed", "undisclosed")],
            }),
            false,
        );
        assert_eq!(
            people(&mail),
            ["from Jo <>", "to A Bcc: b@c.example <a@b.example>", "bcc Undisclosed <>"]
        );
    }

    #[test]
    fn what_is_too_long_for_a_line_is_cut_and_is_no_address() {
        let mail = read(
            json!({
                "subject": "ü".repeat(5_000),
                "from": {"emailAddress": {"name": "é".repeat(900), "address": format!("{}@x.example", "a".repeat(900))}},
            }),
            false,
        );
        assert_eq!(mail.subject.chars().count(), 1_000);
        let from = &mail.participants[0];
        assert_eq!((from.name.len(), from.email.as_str()), (256, ""));
    }

    #[test]
    fn only_what_can_be_seen_is_kept() {
        let mail = read(
            json!({
                "subject": "In\u{202e}voice\u{0}\r\n\tdue", "webLink": "javascript:alert(1)",
                "body": {"contentType": "text", "content": "<b>1 < 2</b>\r\n\u{0}\u{1b}[31mred\u{9f}\n\n"},
            }),
            false,
        );
        assert_eq!((mail.subject.as_str(), mail.url.as_str()), ("Invoice due", ""));
        assert_eq!(mail.body, "<b>1 < 2</b>\n[31mred", "text stays the text that it is");
    }

    #[test]
    fn of_a_long_mail_the_beginning_is_kept_whatever_it_is_written_in() {
        let long = format!("\u{0}{}", "é\r\n".repeat(LONGEST_BODY));
        for kind in ["text", "html"] {
            let body = read(json!({"body": {"contentType": kind, "content": long}}), false).body;
            let told = LONGEST_BODY - 2..=LONGEST_BODY;
            assert!(told.contains(&body.len()) && body.starts_with('é'), "{kind}: {}", body.len());
        }
    }

    #[test]
    fn a_body_of_no_known_kind_is_read_as_html() {
        let mail = read(json!({"body": {"contentType": "HTML", "content": "<i>a</i>"}}), false);
        assert_eq!(mail.body, "a");
        let mail = read(json!({"body": {"contentType": "richText", "content": "<i>a</i>"}}), false);
        assert_eq!(mail.body, "a");
        assert_eq!(read(json!({"body": {"contentType": "html", "content": null}}), false).body, "");
    }

    #[test]
    fn a_row_of_what_changed_is_no_whole_message() {
        assert!(is_whole(&message(json!({}))));
        for left_out in ["lastModifiedDateTime", "isDraft", "toRecipients", "body"] {
            assert!(!is_whole(&message(json!({left_out: null}))), "{left_out}");
        }
        assert!(
            from_wire(message(json!({"lastModifiedDateTime": "soon"})), "id".into(), false, &[]).is_none()
        );
    }

    #[test]
    fn what_is_gone_is_newer_than_what_was_told_of_it_and_older_than_what_comes_back() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let gone = gone_version(at("2031-01-05T10:11:13.2Z"));
        assert!(gone > at("2031-01-05T10:11:13Z").as_millisecond());
        assert!(gone < at("2031-01-05T10:11:14Z").as_millisecond());
    }
}
