//! A vendor that pushes its changes and has several places to sign in.

use proto::connections::{Connection, Login, ObjectProgress, ObjectStream, Vendor};

use super::{before, connection, id};

/// The vendor.
#[must_use]
pub fn salesforce() -> Vendor {
    let login = |site: &str, label: &str| Login { site: site.to_owned(), label: label.to_owned() };
    let objects = ["Account", "Contact", "Opportunity", "Lead"];
    Vendor {
        name: "salesforce".to_owned(),
        label: "Salesforce".to_owned(),
        summary: "Accounts, contacts, opportunities and leads, both ways, within seconds.".to_owned(),
        objects: objects.map(str::to_owned).to_vec(),
        logins: vec![login("", "Production or Developer Edition"), login("sandbox", "Sandbox")],
        own_login: "My Domain".to_owned(),
        posts: false,
    }
}

/// A connection to it that works.
#[must_use]
pub fn salesforce_connection() -> Connection {
    Connection {
        id: id("conn", 2),
        vendor: "salesforce".to_owned(),
        account_id: "00DWU000000fQkZ2AU".to_owned(),
        account_name: "Northwind Partners".to_owned(),
        tier: "Enterprise Edition".to_owned(),
        scopes: vec!["api".to_owned(), "refresh_token".to_owned(), "id".to_owned()],
        notices: Vec::new(),
        ..connection("active")
    }
}

/// How its objects are followed: one in each state.
#[must_use]
pub fn streamed() -> Vec<ObjectProgress> {
    let object = |name: &str, state: &str, since, changed: Option<(i64, u64)>, message: &str| {
        let channel = match name.strip_suffix("__c") {
            Some(custom) => format!("/data/{custom}__ChangeEvent"),
            None => format!("/data/{name}ChangeEvent"),
        };
        let has_position = matches!(state, "following" | "interrupted");
        ObjectProgress {
            vendor_object: name.to_owned(),
            phase: "live".to_owned(),
            read: 640,
            total: 640,
            watermark: before(40),
            last_poll_at: before(21),
            last_error: String::new(),
            stream: Some(ObjectStream {
                state: state.to_owned(),
                message: message.to_owned(),
                since: before(since),
                channel,
                position: if has_position { "AAAAAAAUqWkAAA==".to_owned() } else { String::new() },
                position_at: if has_position { before(75) } else { None },
                changed_at: changed.and_then(|(ago, _)| before(ago)),
                lag_ms: changed.map(|(_, lag_ms)| lag_ms),
            }),
        }
    };
    vec![
        object("Account", "following", 86_400 * 3, Some((240, 412)), ""),
        object("Contact", "catching_up", 4, None, ""),
        object(
            "Opportunity",
            "interrupted",
            95,
            Some((700, 1840)),
            "Salesforce's event bus closed the stream or cannot be reached",
        ),
        object(
            "Lead",
            "lost",
            150,
            Some((86_400 * 4, 655)),
            "Salesforce no longer has the events since the last one that was read: it keeps them for three days; all that \
             was changed since 2026-03-08T09:15:00Z is being read again",
        ),
        object(
            "Machine__c",
            "polled",
            86_400 * 3,
            None,
            "Salesforce sends no change events of Machine__c: an administrator selects it under Setup, Change Data Capture, \
             and gives the user who connected \"View All\" on it",
        ),
    ]
}
