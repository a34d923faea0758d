use std::time::Duration;

use askama::Template;
use axum::{
    extract::{Query, State},
    http::HeaderMap,
    response::Response,
};
use jiff::{SignedDuration, Timestamp};
use model::Scope;
use proto::{
    audit::ListEntriesRequest,
    connections::{Connection, ListConnectionsRequest, ListVendorsRequest, Vendor},
    crm::{ListNotificationRulesRequest, NotificationRule},
    sync::{ListMappingsRequest, Mapping},
};
use serde::Deserialize;

use super::purpose::Purpose;
use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

/// The vendors in the order in which they are shown, with what each will be for.
const VENDORS: &[(&str, &str)] = &[
    ("salesforce", "Accounts, contacts, opportunities and leads, both ways and near real time."),
    ("hubspot", "Companies and deals, both ways, with reviewed field mappings."),
    ("slack", "Partner news in a channel, and deal registrations decided from the message."),
    ("google-calendar", "Meetings and their transcripts beside the partner they concern."),
    ("m365", "Outlook mail, on the timelines of the partners and contacts it is with."),
];

/// A refusal is that of the authorization that came back if it is not older than this.
const REFUSED_WITHIN: SignedDuration = SignedDuration::from_mins(2);
/// How often the audit log is looked at for a refusal before only its code is explained.
const LOOKS: u32 = 8;
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Settings > Integrations: a card for each vendor.
#[derive(Template)]
#[template(path = "integrations.html")]
pub(crate) struct IntegrationsPage {
    shell: Shell,
    cards: Cards,
}
respond::page_response!(IntegrationsPage);

/// The cards, kept fresh by the script.
#[derive(Template)]
#[template(path = "_cards.html")]
pub(crate) struct Cards {
    now: Timestamp,
    may_connect: bool,
    cards: Vec<Card>,
}

/// What the rooms know about all vendors.
#[derive(Default)]
struct Facts {
    vendors: Vec<Vendor>,
    connections: Vec<Connection>,
    mappings: Vec<Mapping>,
    /// What is told in channels.
    rules: Vec<NotificationRule>,
}

struct Card {
    vendor: &'static str,
    label: String,
    summary: String,
    /// Whether a connector for it runs.
    available: bool,
    connection: Option<Connection>,
    /// Further connections to the same vendor.
    others: Vec<Connection>,
    /// What to do next, when there is something.
    next: String,
}

impl Cards {
    fn new(shell: &Shell, facts: &Facts) -> Self {
        let Facts { vendors, connections, .. } = facts;
        let card = |&(vendor, summary): &(&'static str, &str)| {
            let served = vendors.iter().find(|served| served.name == vendor);
            let mut own: Vec<Connection> =
                connections.iter().filter(|connection| connection.vendor == vendor).cloned().collect();
            // The one in use first; among equals the newest.
            own.sort_by_key(|connection| {
                let since = connection.connected_at.as_ref().map_or(0, |at| at.seconds);
                (connection.state == "disconnected", -since)
            });
            let mut own = own.into_iter();
            let connection = own.next();
            Card {
                vendor,
                label: served.map_or_else(|| ui::vendor(vendor), |served| served.label.clone()),
                summary: served.map_or(summary, |served| &served.summary).to_owned(),
                available: served.is_some(),
                next: connection
                    .as_ref()
                    .map(|connection| next_step(connection, served, facts))
                    .unwrap_or_default(),
                connection,
                others: own.filter(|other| other.state != "disconnected").collect(),
            }
        };
        let mut cards: Vec<Card> = VENDORS.iter().map(card).collect();
        // What can be used comes first.
        cards.sort_by_key(|card| !card.available);
        Self { now: shell.now, may_connect: shell.may_connect(), cards }
    }
}

impl Card {
    /// Whether a person can (again) start the authorization from here.
    fn wants_connecting(&self) -> bool {
        self.connection
            .as_ref()
            .is_none_or(|connection| matches!(&*connection.state, "disconnected" | "reauth_required"))
    }
}

fn next_step(connection: &Connection, vendor: Option<&Vendor>, facts: &Facts) -> String {
    let is_told = || facts.rules.iter().any(|rule| rule.connection_id == connection.id);
    match vendor.map(Purpose::of) {
        _ if connection.state != "active" => return connection.next_step.clone(),
        Some(Purpose::Posts) if !is_told() => {
            return "Next: choose what is told in which channel.".to_owned();
        }
        Some(Purpose::Posts | Purpose::Activities) => return connection.next_step.clone(),
        Some(Purpose::Records) | None => {}
    }
    let own = || facts.mappings.iter().filter(|mapping| mapping.connection_id == connection.id);
    if own().any(|mapping| mapping.state == "active") {
        connection.next_step.clone()
    } else if own().next().is_some() {
        "Next: review the mapping and activate it.".to_owned()
    } else {
        "Next: map the fields. Nothing is synced before that.".to_owned()
    }
}

impl IntegrationsPage {
    fn new(shell: Shell, facts: &Facts) -> Self {
        let cards = Cards::new(&shell, facts);
        Self { shell, cards }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let facts = Facts {
            vendors: vec![sample::hubspot()],
            connections: vec![sample::connection("active")],
            mappings: vec![sample::mapping(1, "active"), sample::mapping(2, "draft")],
            rules: Vec::new(),
        };
        Self::new(shell, &facts)
    }

    /// Two vendors side by side.
    pub(crate) fn sample_both(shell: Shell) -> Self {
        let facts = Facts {
            vendors: vec![sample::hubspot(), sample::salesforce()],
            connections: vec![sample::connection("active"), sample::salesforce_connection()],
            mappings: vec![sample::mapping(1, "active")],
            rules: Vec::new(),
        };
        Self::new(shell, &facts)
    }

    /// All five, each connected.
    pub(crate) fn sample_all(shell: Shell) -> Self {
        let facts = Facts {
            vendors: vec![
                sample::hubspot(),
                sample::salesforce(),
                sample::slack(),
                sample::google(),
                sample::m365(),
            ],
            connections: vec![
                sample::connection("active"),
                sample::salesforce_connection(),
                sample::slack_connection("active"),
                sample::google_connection(),
                sample::m365_connection(),
            ],
            mappings: vec![sample::mapping(1, "active")],
            rules: Vec::new(),
        };
        Self::new(shell, &facts)
    }

    pub(crate) fn sample_new(shell: Shell) -> Self {
        Self::new(shell, &Facts { vendors: vec![sample::hubspot()], ..Facts::default() })
    }
}

/// What the gateway tells about an authorization when it sends the browser back.
#[derive(Deserialize)]
pub(crate) struct Came {
    error: Option<String>,
}

/// `GET /settings/integrations`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Query(came): Query<Came>,
) -> Result<IntegrationsPage, Failure> {
    let mut shell = visitor.shell("Integrations", Nav::Integrations);
    let cards = load(&app, &visitor, &shell).await?;
    // The address is anybody's to write: what is said is what the rooms know.
    if let Some(code) = came.error {
        let why = refusal(&app, &visitor, &code).await;
        shell.flash = Some(Flash::bad(why.unwrap_or_else(|| why_not_connected(&code).to_owned()), code));
    }
    Ok(IntegrationsPage { shell, cards })
}

/// Why the authorization that just came back was refused, with what is missing, as the audit log has it. The log hears
/// of it over the bus, so this waits for it a moment.
async fn refusal(app: &App, visitor: &Visitor, code: &str) -> Option<String> {
    if !visitor.may(Scope::AuditRead) {
        return None;
    }
    let asked = ListEntriesRequest {
        action: "oauth.refused".to_owned(),
        actor: format!("user:{}", visitor.user().id),
        from: Some(proto::to_wire_time(app.now() - REFUSED_WITHIN)),
        limit: 1,
        ..ListEntriesRequest::default()
    };
    for _ in 0..LOOKS {
        let request = visitor.ask(asked.clone()).ok()?;
        let entries = app.rooms().audit().list_entries(request).await.ok()?.into_inner().entries;
        if let Some(entry) = entries.first() {
            let details: Refused = serde_json::from_str(&entry.details_json).ok()?;
            return Some(details.message).filter(|message| details.reason == code && !message.is_empty());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    None
}

/// What the audit log holds of a refused authorization.
#[derive(Deserialize)]
struct Refused {
    reason: String,
    message: String,
}

/// `GET /settings/integrations/live`.
pub(crate) async fn live(
    State(app): State<App>,
    visitor: Visitor,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let cards = load(&app, &visitor, &visitor.shell("", Nav::Integrations)).await?;
    Ok(respond::fragment(&headers, &cards))
}

async fn load(app: &App, visitor: &Visitor, shell: &Shell) -> Result<Cards, Failure> {
    let (mut connections, mut connector, mut sync) =
        (app.rooms().connections(), app.rooms().connections(), app.rooms().sync());
    let (vendors, connections, mappings) = tokio::try_join!(
        connector.list_vendors(visitor.ask(ListVendorsRequest {})?),
        connections.list_connections(visitor.ask(ListConnectionsRequest {})?),
        sync.list_mappings(visitor.ask(ListMappingsRequest::default())?),
    )?;
    let mut facts = Facts {
        vendors: vendors.into_inner().vendors,
        connections: connections.into_inner().connections,
        mappings: mappings.into_inner().mappings,
        rules: Vec::new(),
    };
    let posts = |connection: &Connection| {
        facts.vendors.iter().any(|vendor| vendor.posts && vendor.name == connection.vendor)
    };
    if facts.connections.iter().any(posts) {
        let request = visitor.ask(ListNotificationRulesRequest {})?;
        facts.rules = app.rooms().crm().list_notification_rules(request).await?.into_inner().rules;
    }
    Ok(Cards::new(shell, &facts))
}

fn why_not_connected(code: &str) -> &'static str {
    match code {
        "oauth_denied" => "The consent was not given, so nothing was connected. You can try again.",
        "missing_scopes" => {
            "The user who gave the consent, or the account, lacks a permission that Accord needs. The audit log says which one."
        }
        "oauth_state_unknown" | "oauth_nonce_mismatch" | "oauth_ticket_unknown" => {
            "This authorization was not started in this browser, or it took too long. Start it again from here."
        }
        "oauth_exchange_refused" | "oauth_no_refresh_token" => {
            "The vendor did not complete the authorization. Try again; if it stays, check the app's client id and secret."
        }
        _ => "The connection was not made. Try again; the audit log says more.",
    }
}
