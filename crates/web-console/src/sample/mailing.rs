//! Mails to many.

use proto::crm::{
    Campaign, CampaignStep, Mailbox, MissingField, PreviewCampaignResponse, PreviewedMail, Recipient,
    RecipientCount, SendingWindow, Suppression,
};

use super::{before, id};

fn step(after_days: u32, subject: &str, text: &str) -> CampaignStep {
    CampaignStep { after_days, subject: subject.to_owned(), text: text.to_owned() }
}

/// Campaigns: a draft with a time to start at, one that runs, one that its mailbox paused, one that is over, and one that
/// starts soon.
#[must_use]
pub fn campaigns() -> Vec<Campaign> {
    let steps = vec![
        step(0, "Presses for {{company}}", "Dear {{first_name}},\n\nwe have <ten> presses."),
        step(3, "", "Did you see it?"),
    ];
    let window = SendingWindow {
        time_zone: "Europe/Berlin".to_owned(),
        from_minute: 540,
        until_minute: 1020,
        weekdays_only: true,
    };
    let campaign = |n, name: &str, state: &str| Campaign {
        id: id("camp", n),
        name: name.to_owned(),
        connection_id: id("conn", 4),
        vendor: "m365".to_owned(),
        steps: steps.clone(),
        window: Some(window.clone()),
        state: state.to_owned(),
        created_by: format!("user:{}", id("user", 1)),
        created_at: before(86_400),
        started_at: before(7_200),
        recipients: [("scheduled", 40), ("sent", 1_200), ("replied", 31), ("bounced", 4), ("opted_out", 2)]
            .map(|(state, count)| RecipientCount { state: state.to_owned(), count })
            .into(),
        recipient_count: 1_277,
        mails_sent: 1_237,
        version: 3,
        ..Campaign::default()
    };
    let draft = Campaign {
        // Nine in the morning in Berlin, five days from now.
        starts_at: before(-4 * 86_400 - 81_000),
        started_at: None,
        mails_sent: 0,
        recipients: vec![RecipientCount { state: "scheduled".to_owned(), count: 3 }],
        recipient_count: 3,
        ..campaign(1, "Presses in <spring>", "draft")
    };
    let paused = Campaign {
        pause_reason: "scope_missing".to_owned(),
        pause_message: "The connection may not send mails: connect it again and allow it.".to_owned(),
        ..campaign(3, "News of March", "paused")
    };
    let over = Campaign {
        steps: vec![step(0, "Closed on Friday", "We are closed.")],
        window: None,
        ..campaign(4, "Closed on Friday", "finished")
    };
    let soon = Campaign {
        state: "running".to_owned(),
        started_at: before(600),
        ..Campaign { id: id("camp", 5), name: "Presses in May".to_owned(), ..draft.clone() }
    };
    vec![draft, campaign(2, "Presses in autumn", "running"), paused, over, soon]
}

/// Recipients in every kind of state.
#[must_use]
pub fn recipients() -> Vec<Recipient> {
    let recipient = |n, state: &str, reason: &str, message: &str| Recipient {
        id: id("rcpt", n),
        campaign_id: id("camp", 2),
        contact_id: if n % 2 == 0 { id("rec", n) } else { String::new() },
        email: format!("person{n}@halvorsen.example"),
        name: "Ada <Writes>".to_owned(),
        state: state.to_owned(),
        reason: reason.to_owned(),
        reason_message: message.to_owned(),
        step: n,
        due_at: if state == "scheduled" { before(-86_400) } else { None },
        changed_at: before(600),
    };
    vec![
        recipient(0, "scheduled", "", ""),
        recipient(1, "sent", "", ""),
        recipient(2, "replied", "", ""),
        recipient(3, "bounced", "", ""),
        recipient(4, "suppressed", "opted_out", "Opted out by the link of another mail."),
        recipient(5, "failed", "recipient_refused", "The mailbox refused the address."),
    ]
}

/// The mails of one recipient, and of one who lacks something.
#[must_use]
pub fn campaign_preview() -> PreviewCampaignResponse {
    let mail = |n, subject: &str, text: &str, missing: &str| PreviewedMail {
        recipient_id: id("rcpt", n),
        email: format!("person{n}@halvorsen.example"),
        step: 0,
        subject: subject.to_owned(),
        text: text.to_owned(),
        missing: missing.to_owned(),
    };
    PreviewCampaignResponse {
        mails: vec![
            mail(0, "Presses for Halvorsen", "Dear Ada,\n\nwe have <ten> presses.", ""),
            mail(1, "", "", "company"),
        ],
        missing: vec![MissingField { field: "company".to_owned(), recipients: 1 }],
    }
}

/// A mailbox that sends, and one that does not.
#[must_use]
pub fn mailboxes() -> Vec<Mailbox> {
    let mailbox = |n, state: &str| Mailbox {
        connection_id: id("conn", n),
        vendor: "m365".to_owned(),
        state: state.to_owned(),
        per_minute: 30,
        per_day: 2_000,
        asked_today: 12,
    };
    vec![mailbox(4, "active"), mailbox(6, "reauth_required")]
}

/// Who gets no mail, for each reason.
#[must_use]
pub fn suppressions() -> Vec<Suppression> {
    let suppression = |n, reason: &str, campaign: &str| Suppression {
        email: format!("person{n}@halvorsen.example"),
        reason: reason.to_owned(),
        campaign_id: campaign.to_owned(),
        at: before(3_600),
    };
    let campaign = id("camp", 2);
    vec![
        suppression(1, "opted_out", &campaign),
        suppression(2, "bounced", &campaign),
        suppression(3, "manual", ""),
    ]
}
