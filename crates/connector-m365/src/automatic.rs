//! Which mails no person wrote: reports that a mail could not be delivered, and answers of machines. Pure.

use crate::wire::Header;

/// The name of Exchange's own sender of reports.
const EXCHANGE: &str = "microsoftexchange329e71ec88ae4615bbc36ab6ce41109e";
/// Other senders of reports.
const POSTMASTERS: [&str; 2] = ["mailer-daemon", "postmaster"];
/// How subjects of reports begin that tell of no failure.
const NO_FAILURE: [&str; 6] = [
    "delivered:",
    "relayed:",
    "expanded:",
    "delivery delayed",
    "delivery status notification (delay)",
    "read:",
];
/// How subjects begin that a mailbox whose owner is away gives, as Outlook and others spell them.
const AWAY: [&str; 14] = [
    "automatic reply:",
    "auto reply:",
    "autoreply:",
    "auto:",
    "out of office",
    "automatische antwort:",
    "abwesenheitsnotiz",
    "réponse automatique",
    "respuesta automática",
    "risposta automatica",
    "resposta automática",
    "automatisch antwoord",
    "autosvar:",
    "odpowiedź automatyczna",
];
/// Headers that only answers of machines have.
const ANSWERS: [&str; 4] = ["x-autoreply", "x-auto-reply", "x-autorespond", "x-autoresponder"];

/// `bounce`, `auto_reply`, or empty of what a person wrote. Headers are not told of what was listed before they were asked for:
/// then sender and subject say it.
pub(crate) fn of(headers: &[Header], sender: &str, subject: &str) -> &'static str {
    let (sender, subject) = (sender.to_lowercase(), subject.to_lowercase());
    let is_report = headers.iter().any(is_report) || is_postmaster(&sender);
    if is_report {
        let is_failure = !NO_FAILURE.iter().any(|start| subject.starts_with(start));
        return if is_failure { "bounce" } else { "auto_reply" };
    }
    let is_answer = headers.iter().any(is_answer) || AWAY.iter().any(|start| subject.starts_with(start));
    if is_answer { "auto_reply" } else { "" }
}

fn is_postmaster(sender: &str) -> bool {
    let name = sender.split('@').next().unwrap_or_default();
    name.starts_with(EXCHANGE) || POSTMASTERS.contains(&name)
}

/// RFC 3464: a report of what became of a mail.
fn is_report(header: &Header) -> bool {
    let value = header.value.0.to_lowercase();
    header.name.eq_ignore_ascii_case("x-ms-exchange-message-is-ndr")
        || header.name.eq_ignore_ascii_case("x-failed-recipients")
        || header.name.eq_ignore_ascii_case("content-type")
            && value.trim_start().starts_with("multipart/report")
            && value.contains("delivery-status")
}

/// RFC 3834, and what is older than it.
fn is_answer(header: &Header) -> bool {
    let (name, value) = (header.name.to_ascii_lowercase(), header.value.0.trim().to_lowercase());
    match name.as_str() {
        "auto-submitted" => !value.is_empty() && value != "no",
        "precedence" => value == "auto_reply",
        name => ANSWERS.contains(&name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Text;

    /// A header by its name and value.
    type Told = (&'static str, &'static str);

    fn headers(told: &[Told]) -> Vec<Header> {
        let one =
            |(name, value): &(&str, &str)| Header { name: (*name).into(), value: Text((*value).into()) };
        told.iter().map(one).collect()
    }

    #[test]
    fn reports_and_answers_of_machines_are_told_from_what_people_write() {
        let report = [("Content-Type", "multipart/report; boundary=x; report-type=\"delivery-status\"")];
        let read = [("Content-Type", "multipart/report; report-type=disposition-notification")];
        let ann = "ann@lee.example";
        let rows: [(&[Told], &str, &str, &str); 14] = [
            (&report, "x@mail.example", "Undeliverable: Offer", "bounce"),
            (&report, "x@mail.example", "Delivery delayed:Offer", "auto_reply"),
            (&[("X-Failed-Recipients", "a@b.example")], ann, "Returned", "bounce"),
            (
                &[],
                "MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@own.example",
                "Unzustellbar: Angebot",
                "bounce",
            ),
            (&[], "MAILER-DAEMON@mail.example", "failure notice", "bounce"),
            (&[], "postmaster@own.example", "Delivered: Offer", "auto_reply"),
            (&[("Auto-Submitted", "auto-replied")], ann, "I am away", "auto_reply"),
            (&[("auto-submitted", " No ")], ann, "RE: Offer", ""),
            (&[("X-Autoreply", "yes")], ann, "Re: Offer", "auto_reply"),
            (&[("Precedence", "auto_reply")], ann, "Re: Offer", "auto_reply"),
            (&[("Precedence", "bulk")], ann, "Letter", ""),
            (&[], ann, "Automatische Antwort: Angebot", "auto_reply"),
            (&[], ann, "RE: Automatic reply: Offer", ""),
            (&read, ann, "Re: Offer", ""),
        ];
        for (told, sender, subject, expected) in rows {
            assert_eq!(of(&headers(told), sender, subject), expected, "{told:?} {sender} {subject}");
        }
    }
}
