//! Tools that are no CRM: a mailbox, a calendar, and channels in which things are told.

use proto::{
    connections::{Channel, Connection, FeedArrival, FeedProgress, Login, Reading, Vendor},
    crm::{NotificationRule, VendorUser},
};

use super::{before, connection, hubspot, id};

/// The vendor in whose channels things are told.
#[must_use]
pub fn slack() -> Vendor {
    Vendor {
        posts: true,
        ..tool("slack", "Slack", "Tells channels what happens with partners, and takes decisions there.")
    }
}

/// The vendor of calendars.
#[must_use]
pub fn google() -> Vendor {
    tool("google-calendar", "Google Calendar", "Shows meetings and what was said in them.")
}

/// The vendor of mailboxes.
#[must_use]
pub fn m365() -> Vendor {
    let login = Login { site: String::new(), label: "Microsoft account of any tenant".to_owned() };
    Vendor {
        logins: vec![login],
        own_login: "Tenant".to_owned(),
        ..tool("m365", "Microsoft 365", "Logs the mail of a mailbox on timelines.")
    }
}

fn tool(name: &str, label: &str, summary: &str) -> Vendor {
    Vendor {
        name: name.to_owned(),
        label: label.to_owned(),
        summary: summary.to_owned(),
        objects: Vec::new(),
        ..hubspot()
    }
}

/// A workspace in this state.
#[must_use]
pub fn slack_connection(state: &str) -> Connection {
    Connection {
        id: id("conn", 3),
        vendor: "slack".to_owned(),
        account_id: "T0NORTHWIND".to_owned(),
        account_name: "Northwind <HQ>".to_owned(),
        tier: String::new(),
        last_sync_at: None,
        schema_refreshed_at: None,
        notices: Vec::new(),
        message: connection(state).message.replace("HubSpot", "Slack"),
        next_step: connection(state).next_step.replace("HubSpot", "Slack"),
        ..connection(state)
    }
}

/// A mailbox that is read.
#[must_use]
pub fn m365_connection() -> Connection {
    Connection {
        id: id("conn", 4),
        vendor: "m365".to_owned(),
        account_id: "9b1f0c52-5c1e-4a41-9d34-7f1d0f6e2a10".to_owned(),
        account_name: "mara@northwind.example".to_owned(),
        tier: String::new(),
        schema_refreshed_at: None,
        notices: Vec::new(),
        ..connection("active")
    }
}

/// A calendar that is read.
#[must_use]
pub fn google_connection() -> Connection {
    Connection {
        id: id("conn", 5),
        vendor: "google-calendar".to_owned(),
        account_id: "117238472640".to_owned(),
        ..m365_connection()
    }
}

/// How a mailbox is read, as nobody changed it.
#[must_use]
pub fn reading() -> Reading {
    Reading {
        usual_minutes: 5,
        least_minutes: 1,
        most_minutes: 1_440,
        has_bodies: true,
        ..Reading::default()
    }
}

/// A mailbox's folders: one of which history is read, one that did not answer the last time.
#[must_use]
pub fn feeds() -> Vec<FeedProgress> {
    let arrival = |state: &str, message: &str| FeedArrival {
        state: state.to_owned(),
        message: message.to_owned(),
        since: before(86_400),
        pushed_at: before(75),
    };
    let feed = |name: &str, label: &str, phase: &str, read, error: &str| FeedProgress {
        feed: name.to_owned(),
        label: label.to_owned(),
        phase: phase.to_owned(),
        read,
        last_poll_at: before(75),
        last_error: error.to_owned(),
        interval_seconds: 300,
        arrival: Some(arrival("pushed", "")),
    };
    let sent = feed("sentitems", "Sent Items", "live", 3114, "Microsoft 365 answered 503 to list messages");
    let polled = "Microsoft did not get the answer that it wants from Accord's public address";
    vec![
        feed("inbox", "Inbox", "backfill", 12_480, ""),
        FeedProgress { arrival: Some(arrival("polled", polled)), ..sent },
    ]
}

/// Channels: one that has a rule, one that Accord is not in, one that nothing is told in yet.
#[must_use]
pub fn channels() -> Vec<Channel> {
    let channel = |n: u32, name: &str, is_private, is_member| Channel {
        id: format!("C0SAMPLE{n}"),
        name: name.to_owned(),
        is_private,
        is_member,
    };
    vec![
        channel(1, "deals", false, true),
        channel(2, "partner-ops", true, true),
        channel(3, "random", false, false),
    ]
}

/// Rules of the workspace: one that works, one whose last message could not be posted.
#[must_use]
pub fn notification_rules() -> Vec<NotificationRule> {
    let rule = |n: u32, channel: &str, events: &[&str]| NotificationRule {
        id: id("nrule", n),
        connection_id: id("conn", 3),
        vendor: "slack".to_owned(),
        channel_id: format!("C0SAMPLE{channel}"),
        events: events.iter().map(|&event| event.to_owned()).collect(),
        ..NotificationRule::default()
    };
    vec![
        NotificationRule {
            channel_name: "deals".to_owned(),
            posted_at: before(640),
            ..rule(1, "1", &["deal_won", "registration_submitted"])
        },
        NotificationRule {
            channel_name: "old-<partners>".to_owned(),
            error: "is_archived".to_owned(),
            error_message: "The channel is archived.".to_owned(),
            error_at: before(5400),
            posted_at: before(86_400 * 20),
            ..rule(2, "9", &["partner_created", "payout_created"])
        },
    ]
}

/// People of the workspace: one who is confirmed, one whose address suggests who it is, one whom nobody knows.
#[must_use]
pub fn vendor_users() -> Vec<VendorUser> {
    let person = |n: u32, name: &str, email: &str| VendorUser {
        connection_id: id("conn", 3),
        vendor: "slack".to_owned(),
        vendor_user_id: format!("U0SAMPLE{n}"),
        name: name.to_owned(),
        email: email.to_owned(),
        seen_at: before(i64::from(n) * 4000),
        ..VendorUser::default()
    };
    vec![
        VendorUser {
            user_id: id("user", 1),
            user_name: "Mara Lindqvist".to_owned(),
            confirmed_by: format!("user:{}", id("user", 2)),
            confirmed_at: before(86_400 * 2),
            ..person(1, "mara", "mara@northwind.example")
        },
        VendorUser {
            suggested_user_id: id("user", 3),
            suggested_user_name: "Aiko Tanaka".to_owned(),
            ..person(2, "Aiko <T>", "aiko@northwind.example")
        },
        person(3, "", ""),
    ]
}
