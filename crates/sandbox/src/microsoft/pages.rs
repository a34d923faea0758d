//! Pages where a person reads a mailbox and answers a mail. What mails say is shown as text only.

use std::fmt::Write;

use http::StatusCode;

use super::call::{Call, Outcome, Reply};
use super::consent::ACCENT;
use super::control::home;
use super::errors::Failure;
use super::mailbox::Mailbox;
use super::message::{Address, Message};
use super::sending;
use super::sim::Sim;
use super::wire::seconds;
use crate::page::{document, escape};

/// How many mails a page lists.
const LISTED: usize = 50;
/// Of a large mail, more is not shown.
const SHOWN: usize = 100_000;
const STYLE: &str = "<style>main{max-width:54rem;margin:4vh auto}table{width:100%;border-collapse:collapse}\
    td,th{text-align:left;padding:.45rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}\
    tr.unread{font-weight:600}a{color:var(--accent)}nav{display:flex;gap:1rem;flex-wrap:wrap;margin-bottom:1rem}\
    pre{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit;margin:1rem 0}\
    textarea{width:100%;min-height:7rem;font:inherit;padding:.6rem;border-radius:8px;border:1px solid var(--line);\
    background:var(--page);color:inherit}small{color:var(--soft)}\
    @media(max-width:38rem){main{margin:0;max-width:none}th{display:none}td{display:block;border:0;padding:0}\
    tr{display:block;padding:.6rem 0;border-bottom:1px solid var(--line)}}</style>";

fn page(title: &str, body: &str) -> Reply {
    let body =
        format!("{STYLE}<p class=\"sandbox\">Microsoft 365 sandbox</p><h1>{}</h1>{body}", escape(title));
    Reply::html(StatusCode::OK, document(&escape(title), &body, ACCENT))
}

/// `GET /mail`: whose mailboxes there are.
pub(crate) fn people(sim: &mut Sim, _call: &Call) -> Outcome {
    let mut body = String::from("<ul>");
    for mailbox in sim.boxes.iter().filter(|mailbox| mailbox.person.has_mailbox) {
        let (name, address) = (escape(&mailbox.person.name), escape(&mailbox.person.address));
        let _ = write!(body, "<li><a href=\"/mail/{address}\">{name}</a> <code>{address}</code></li>");
    }
    body.push_str("</ul>");
    Ok(page("Mailboxes", &body))
}

/// `GET /mail/{mailbox}?folder=&before=`
pub(crate) fn list(sim: &mut Sim, call: &Call) -> Outcome {
    let mailbox = &sim.boxes[home(sim, Some(call.param("mailbox")))?];
    let address = escape(&mailbox.person.address);
    let chosen = call.query("folder").and_then(|at| at.parse::<usize>().ok()).unwrap_or(0);
    let chosen = chosen.min(mailbox.folders.len() - 1);
    let mut body = String::from("<nav>");
    for (at, folder) in
        mailbox.folders.iter().enumerate().filter(|(_, folder)| !folder.by_received.is_empty())
    {
        let (name, current) =
            (escape(&folder.name), if at == chosen { " aria-current=\"page\"" } else { "" });
        let count = folder.by_received.len();
        let _ =
            write!(body, "<a href=\"/mail/{address}?folder={at}\"{current}>{name}</a><small>{count}</small>");
    }
    body.push_str("</nav><table><tr><th>With</th><th>Subject</th><th>Received</th></tr>");
    for (_, serial) in mailbox.folders[chosen].by_received.iter().rev().take(LISTED) {
        let Some(message) = mailbox.messages.get(serial) else { continue };
        let _ = write!(
            body,
            "<tr{}><td>{}</td><td><a href=\"/mail/{address}/{serial}\">{}</a><br><small>{}</small></td><td><small>{}</small></td></tr>",
            if message.is_read { "" } else { " class=\"unread\"" },
            escape(&other_side(mailbox, message)),
            escape(if message.subject.is_empty() { "(no subject)" } else { &message.subject }),
            escape(&message.preview.chars().take(90).collect::<String>()),
            seconds(message.received_ms),
        );
    }
    body.push_str("</table>");
    Ok(page(&format!("{}: {}", mailbox.person.name, mailbox.folders[chosen].name), &body))
}

/// The sender, or, of what one wrote oneself, the first recipient.
fn other_side(mailbox: &Mailbox, message: &Message) -> String {
    let from = message.from.as_ref().filter(|from| !from.is(&mailbox.person.address));
    let other = from.or(message.to.first());
    other
        .map(|one| if one.name.is_empty() { one.address.clone() } else { one.name.clone() })
        .unwrap_or_default()
}

fn serial(call: &Call) -> Result<u64, Failure> {
    call.param("serial").parse().map_err(|_| Failure::item_not_found())
}

/// `GET /mail/{mailbox}/{serial}`: a mail, which is read from then on.
pub(crate) fn message(sim: &mut Sim, call: &Call) -> Outcome {
    let at = home(sim, Some(call.param("mailbox")))?;
    let serial = serial(call)?;
    let mailbox = &mut sim.boxes[at];
    if mailbox.messages.get(&serial).is_some_and(|message| !message.is_read) {
        mailbox.update(serial, call.now_ms, |message| message.is_read = true);
    }
    let message = mailbox.messages.get(&serial).ok_or_else(Failure::item_not_found)?;
    let list = |list: &[Address]| escape(&list.iter().map(Address::header).collect::<Vec<_>>().join(", "));
    let address = escape(&mailbox.person.address);
    let mut body = format!("<nav><a href=\"/mail/{address}?folder={}\">Back</a></nav><p>", message.folder);
    let from = message.from.as_ref().map(Address::header).unwrap_or_default();
    let _ = write!(body, "From {}<br>To {}", escape(&from), list(&message.to));
    if !message.cc.is_empty() {
        let _ = write!(body, "<br>Cc {}", list(&message.cc));
    }
    let _ = write!(body, "<br><small>{}</small></p>", seconds(message.received_ms));
    let text: String = sending::plain(&message.body).chars().take(SHOWN).collect();
    let _ = write!(body, "<pre id=\"text\">{}</pre>", escape(text.trim()));
    for attachment in &message.attachments {
        let _ = write!(body, "<p>{} <small>{} bytes</small></p>", escape(&attachment.name), attachment.size);
    }
    if !message.is_draft {
        let _ = write!(
            body,
            "<form method=\"post\" action=\"/mail/{address}/{serial}/reply\"><label for=\"comment\">Your answer</label>\
             <textarea id=\"comment\" name=\"comment\" required></textarea><div class=\"actions\">\
             <button class=\"main\" id=\"send\">Send</button></div></form>"
        );
    }
    let title = if message.subject.is_empty() { "(no subject)" } else { &message.subject };
    Ok(page(title, &body))
}

/// `POST /mail/{mailbox}/{serial}/reply`: the owner of the mailbox answers a mail.
pub(crate) fn reply(sim: &mut Sim, call: &Call) -> Outcome {
    let at = home(sim, Some(call.param("mailbox")))?;
    let form = call.form();
    let comment = form.get("comment").map(String::as_str).unwrap_or_default();
    let mailbox = &sim.boxes[at];
    let asked = mailbox.messages.get(&serial(call)?).ok_or_else(Failure::item_not_found)?;
    let answer = sending::compose(asked, comment, call.now_ms);
    sending::send(sim, at, answer, true, call.now_ms)?;
    let sent = super::mailbox::SENT;
    Ok(Reply::redirect(format!("/mail/{}?folder={sent}", sim.boxes[at].person.address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_mail_says_is_never_markup() {
        let reply = page("<b>hi</b>", "");
        let html = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(html.contains("&lt;b&gt;hi&lt;/b&gt;") && !html.contains("<b>hi"));
    }
}
