//! Which mails no person wrote: reports that a mail could not be delivered, and answers of machines. Pure.

use crate::wire::Header;

/// The name of Exchange's own sender of reports.
const EXCHANGE: &str = "microsoftexchange329e71ec88ae4615bbc36ab6ce41109e";
const DAEMON: &str = "mailer-daemon";
/// Machines report by this name, and people answer by it.
const POSTMASTER: &str = "postmaster";
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

/// What is known of a mail.
pub(crate) struct Told<'a> {
    /// None of what was listed before they were asked for.
    pub(crate) headers: &'a [Header],
    pub(crate) sender: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) body: &'a str,
    /// What Exchange made of it, where that was asked for.
    pub(crate) class: Option<&'a str>,
}

/// `bounce`, `auto_reply`, or empty of what a person wrote. Only what says of itself that it failed for good is a bounce: nobody
/// gets mail any more of whom there was one. No language is read for it.
pub(crate) fn of(mail: &Told<'_>) -> &'static str {
    if let Some(is_failure) = report(mail) {
        return if is_failure { "bounce" } else { "auto_reply" };
    }
    let subject = mail.subject.to_lowercase();
    let is_answer = mail.headers.iter().any(is_answer) || AWAY.iter().any(|start| subject.starts_with(start));
    if is_answer { "auto_reply" } else { "" }
}

/// Whether a mail may be a report, as far as its headers and sender say, so that its class is worth a call.
pub(crate) fn may_be_report(headers: &[Header], sender: &str) -> bool {
    let names = [EXCHANGE, DAEMON, POSTMASTER];
    headers.iter().any(|header| is_report(header, "")) || names.iter().any(|name| is_from(sender, name))
}

/// Of a report whether it tells of a failure for good; none of other mails. Exchange gives reports a class by the `Action:` in
/// them (MS-OXCMAIL 2.2.3.8): `….NDR` of what failed, `….Delayed.DR` and others of what did not, `….IPNRN` of what was read.
fn report(mail: &Told<'_>) -> Option<bool> {
    let Told { headers, sender, body, .. } = *mail;
    let class = mail.class.unwrap_or_default().to_ascii_lowercase();
    let outcomes = outcomes(body);
    if class.starts_with("report.") {
        // What was given up because it took too long, or was refused to the sender, may go through another time.
        return Some(class.ends_with(".ndr") && (outcomes.is_unreachable || !outcomes.may_go_through));
    }
    let is_of_machine = is_from(sender, POSTMASTER) && headers.iter().any(is_answer);
    let is_report = headers.iter().any(|header| is_report(header, "delivery-status"))
        || is_from(sender, EXCHANGE)
        || is_from(sender, DAEMON)
        || is_of_machine;
    is_report.then_some((outcomes.is_unreachable || outcomes.failed) && !outcomes.may_go_through)
}

fn is_from(sender: &str, name: &str) -> bool {
    let known = sender.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    known && (name == EXCHANGE || sender[name.len()..].starts_with('@'))
}

/// RFC 3464: a report of what became of a mail; of this type, or of any.
fn is_report(header: &Header, kind: &str) -> bool {
    let value = header.value.0.to_lowercase();
    header.name.eq_ignore_ascii_case("x-ms-exchange-message-is-ndr")
        || header.name.eq_ignore_ascii_case("x-failed-recipients")
        || header.name.eq_ignore_ascii_case("content-type")
            && value.trim_start().starts_with("multipart/report")
            && value.contains(kind)
}

/// What a report says, by its fields `Action:` and its enhanced status codes (RFC 3463), `5.1.1` and `4.4.7`.
#[derive(Clone, Copy, Default)]
struct Outcomes {
    /// There is no such address.
    is_unreachable: bool,
    /// Something failed.
    failed: bool,
    /// Something was not given up, or for a reason that is not the address.
    may_go_through: bool,
}

fn outcomes(body: &str) -> Outcomes {
    let mut all = Outcomes::default();
    for line in body.lines() {
        let line = line.trim().to_ascii_lowercase();
        match line.strip_prefix("action:").map(str::trim) {
            Some("failed") => all.failed = true,
            Some("delayed" | "relayed" | "delivered" | "expanded") => all.may_go_through = true,
            _ => {}
        }
        for word in line.split(|letter: char| !letter.is_ascii_digit() && letter != '.') {
            let code = word.trim_matches('.');
            match class_of(code) {
                Some('5') if !is_of_another(code) => all.is_unreachable = true,
                Some('4' | '5') => all.may_go_through = true,
                _ => {}
            }
        }
    }
    all
}

/// Whether a permanent failure is not that of the address: of the sender (`5.1.7`, `5.1.8`, and Exchange's `5.1.90` over its
/// limits), a mailbox that is full, what is too large, what the mail holds, and policy, which refuses whoever sends too much.
fn is_of_another(code: &str) -> bool {
    matches!(code, "5.1.7" | "5.1.8" | "5.1.90" | "5.2.2" | "5.2.3")
        || ["5.3.", "5.6.", "5.7."].iter().any(|start| code.starts_with(start))
}

/// The class of an enhanced status code, of nothing else with dots.
fn class_of(word: &str) -> Option<char> {
    let mut parts = word.split('.');
    let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
    let is_code = class.len() == 1
        && matches!(subject.as_bytes(), [b'0'..=b'7'])
        && (1..=3).contains(&detail.len())
        && parts.next().is_none();
    class.chars().next().filter(|_| is_code)
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
    type Named = (&'static str, &'static str);

    fn headers(told: &[Named]) -> Vec<Header> {
        let one =
            |(name, value): &(&str, &str)| Header { name: (*name).into(), value: Text((*value).into()) };
        told.iter().map(one).collect()
    }

    #[test]
    fn reports_and_answers_of_machines_are_told_from_what_people_write() {
        let report = [("Content-Type", "multipart/report; boundary=x; report-type=\"delivery-status\"")];
        let read = [("Content-Type", "multipart/report; report-type=disposition-notification")];
        let (ann, daemon, master) =
            ("ann@lee.example", "MAILER-DAEMON@mail.example", "postmaster@own.example");
        let exchange = "MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@own.example";
        let automatic = [("Auto-Submitted", "auto-replied")];
        let lost = "Remote server returned '550 5.1.10 RESOLVER.ADR.RecipientNotFound'";
        let late = "Remote server returned '400 4.4.7 Message delayed'";
        let limit = "Action: failed\nRemote server returned '550 5.1.90 Your message can't be sent'";
        let rows: [(&[Named], &str, &str, &str, &str); 29] = [
            (&report, "x@mail.example", "Undeliverable: Offer", limit, "auto_reply"),
            (&[], exchange, "Unzustellbar: Angebot", "550 5.7.708 Access denied", "auto_reply"),
            (&[], daemon, "failure notice", "552 5.2.2 mailbox full", "auto_reply"),
            (&report, "x@mail.example", "Undeliverable: Offer", lost, "bounce"),
            (&report, "x@mail.example", "配信不能: Offer", "Action: failed", "bounce"),
            (&report, "x@mail.example", "Undeliverable: Offer", "", "auto_reply"),
            (&report, "x@mail.example", "Delivery delayed:Offer", late, "auto_reply"),
            (&report, "x@mail.example", "配信遅延:Offer", "Action: delayed\nStatus: 4.4.1", "auto_reply"),
            (
                &report,
                "x@mail.example",
                "Unzustellbar: Offer",
                "5.4.300 expired, at last 4.4.1",
                "auto_reply",
            ),
            (&[("X-Failed-Recipients", "a@b.example")], ann, "Returned", "(#5.1.1)", "bounce"),
            (&[("X-Failed-Recipients", "a@b.example")], ann, "Noch nicht zugestellt", late, "auto_reply"),
            (&[("X-MS-Exchange-Message-Is-Ndr", "")], ann, "Unzustellbar: Angebot", lost, "bounce"),
            (&[], exchange, "Unzustellbar: Angebot", lost, "bounce"),
            (&[], exchange, "Zustellung verzögert:Angebot", late, "auto_reply"),
            (&[], exchange, "Version 5.1.1", "at 192.5.1.1, on 5.1.2026, by 15.20.5.1", "auto_reply"),
            (&[], daemon, "failure notice", "said: 550-5.1.1 no such user.", "bounce"),
            (&[], daemon, "failure notice", "I am giving up.", "auto_reply"),
            (&[], master, "RE: Your mails", "We had 5.1.1 for a while, it is mended.", ""),
            (&[], "postmaster.jo@own.example", "RE: Offer", "5.1.1", ""),
            (&automatic, master, "Nicht zugestellt", lost, "bounce"),
            (&automatic, master, "Noch nicht zugestellt", late, "auto_reply"),
            (&automatic, ann, "I am away", "5.1.1", "auto_reply"),
            (&[("auto-submitted", " No ")], ann, "RE: Offer", "", ""),
            (&[("X-Autoreply", "yes")], ann, "Re: Offer", "", "auto_reply"),
            (&[("Precedence", "auto_reply")], ann, "Re: Offer", "", "auto_reply"),
            (&[("Precedence", "bulk")], ann, "Letter", "", ""),
            (&[], ann, "Automatische Antwort: Angebot", "", "auto_reply"),
            (&[], ann, "RE: Automatic reply: Offer", lost, ""),
            (&read, ann, "Re: Offer", "", ""),
        ];
        for (told, sender, subject, body, expected) in rows {
            let headers = headers(told);
            let mail = Told { headers: &headers, sender, subject, body, class: None };
            assert_eq!(of(&mail), expected, "{told:?} {sender} {subject} {body}");
        }
    }

    #[test]
    fn what_exchange_made_of_a_mail_decides_whatever_else_it_looks_like() {
        let (lost, late) = ("550 5.1.10 not found", "550 4.4.7 expired");
        let rows = [
            ("REPORT.IPM.Note.NDR", lost, "bounce"),
            ("report.ipm.schedule.meeting.request.ndr", "", "bounce"),
            ("REPORT.IPM.Note.NDR", "5.4.300 expired, at last 4.4.1", "bounce"),
            ("REPORT.IPM.Note.NDR", late, "auto_reply"),
            (
                "REPORT.IPM.Note.NDR",
                "Action: failed\n550 5.7.705 tenant has exceeded threshold",
                "auto_reply",
            ),
            ("REPORT.IPM.Note.Delayed.DR", lost, "auto_reply"),
            ("REPORT.IPM.Note.DR", "", "auto_reply"),
            ("REPORT.IPM.Note.IPNRN", "", "auto_reply"),
            ("IPM.Note", lost, ""),
        ];
        for (class, body, expected) in rows {
            let (sender, class) = ("postmaster@own.example", Some(class));
            let mail = Told { headers: &[], sender, subject: "Undeliverable: Offer", body, class };
            assert_eq!(of(&mail), expected, "{class:?} {body}");
        }
    }
}
