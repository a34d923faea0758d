//! Reports of what became of a mail, as Exchange makes them of what it or another server has to tell.

use serde::Deserialize;

use super::mailbox::INBOX;
use super::message::{Address, Body, Extended, Header, Message};
use super::sending::new_internet_id;
use super::sim::Sim;
use crate::page::escape;

/// `PidTagMessageClass`, as the vendor spells it in answers.
pub(crate) const CLASS: &str = "String 0x1a";
/// Of what people write.
pub(crate) const NOTE: &str = "IPM.Note";

/// What is reported, in which language; that it failed, in English, where nothing is said.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Report {
    action: Action,
    language: Language,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    #[default]
    Failed,
    Delayed,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Language {
    #[default]
    En,
    De,
    Ja,
}

impl Report {
    /// How its subject begins, and what it says.
    const fn words(self) -> (&'static str, &'static str) {
        match (self.action, self.language) {
            (Action::Failed, Language::En) => ("Undeliverable: ", "Your message couldn't be delivered to"),
            (Action::Failed, Language::De) => {
                ("Unzustellbar: ", "Ihre Nachricht konnte nicht zugestellt werden an")
            }
            (Action::Failed, Language::Ja) => ("配信不能: ", "メッセージを配信できませんでした:"),
            (Action::Delayed, Language::En) => {
                ("Delivery delayed:", "We are still trying to deliver your message to")
            }
            (Action::Delayed, Language::De) => {
                ("Zustellung verzögert:", "Die Zustellung verzögert sich und wird weiter versucht an")
            }
            (Action::Delayed, Language::Ja) => ("配信遅延:", "配信が遅延しています。再試行を続けます:"),
        }
    }

    const fn class(self) -> &'static str {
        match self.action {
            Action::Failed => "REPORT.IPM.Note.NDR",
            Action::Delayed => "REPORT.IPM.Note.Delayed.DR",
        }
    }

    const fn answer(self) -> &'static str {
        match self.action {
            Action::Failed => "550 5.1.10 RESOLVER.ADR.RecipientNotFound",
            Action::Delayed => "400 4.4.7 Message delayed",
        }
    }
}

/// A report comes back to the sender of a mail. Answers with its number.
pub(crate) fn report(
    sim: &mut Sim,
    sent: &Message,
    (recipient, told): (&str, Report),
    now_ms: i64,
) -> Option<(usize, u64)> {
    let sender = sent.from.as_ref()?;
    let home = sim.boxes.iter().position(|mailbox| sender.is(&mailbox.person.address))?;
    let mailbox = &mut sim.boxes[home];
    let mut report = Message::new(now_ms);
    let exchange = format!("MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@{}", super::DOMAIN);
    report.from = Some(Address::new("Microsoft Outlook", &exchange));
    report.to = vec![sender.clone()];
    let (begins, says) = told.words();
    report.subject = format!("{begins}{}", sent.subject);
    report.internet_id = new_internet_id();
    report.headers = [
        ("Content-Type", "multipart/report; report-type=delivery-status"),
        ("In-Reply-To", &sent.internet_id),
        ("References", &sent.internet_id),
        ("X-Failed-Recipients", recipient),
        ("Auto-Submitted", "auto-replied"),
    ]
    .map(|(name, value)| Header { name: name.to_owned(), value: value.to_owned() })
    .to_vec();
    let words = format!(
        "<html><body><p>{says} <b>{}</b></p><p>Remote server returned '{}'</p></body></html>",
        escape(recipient),
        told.answer()
    );
    report.set_body(Body { html: true, content: words.into() });
    report.folder = INBOX;
    report.extended = vec![Extended { id: CLASS.to_owned(), value: told.class().to_owned() }];
    report.conversation = mailbox.conversation(Some(&sent.internet_id));
    Some((home, mailbox.insert(report, true)))
}
