use askama::Template;
use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use proto::{
    audit::{Entry, ListEntriesRequest},
    connections::{Connection, ConnectionRequest, ObjectProgress},
    sync::{
        Conflict, Issue, ListConflictsRequest, ListIssuesRequest, ListMappingsRequest, ListPairsRequest,
        Mapping, Pair,
    },
};

use super::stream;
use crate::{
    app::App,
    failure::Failure,
    people::People,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

/// One connection: where it stands, what it syncs, what happened.
#[derive(Template)]
#[template(path = "connection.html")]
pub(crate) struct ConnectionPage {
    shell: Shell,
    body: Body,
}
respond::page_response!(ConnectionPage);

/// All of the page below its frame, kept fresh by the script.
#[derive(Template)]
#[template(path = "_connection.html")]
pub(crate) struct Body {
    shell: Shell,
    vendor: String,
    base: String,
    connection: Connection,
    steps: [Step; 3],
    pairs: Vec<PairRow>,
    /// Pairs that few want: neither mapped nor recommended.
    further: Vec<PairRow>,
    progress: Vec<ObjectProgress>,
    streams: Vec<stream::Row>,
    issues: Vec<Issue>,
    conflicts: Vec<Conflict>,
    entries: Vec<(Entry, String)>,
    connected_by: String,
}

/// One of the three steps of setting up: `done`, `now` or `todo`.
struct Step {
    class: &'static str,
    name: &'static str,
    text: String,
}

/// A pair of objects, with its mapping where it has one.
struct PairRow {
    pair: Pair,
    mapping: Option<Mapping>,
}

impl PairRow {
    /// What is mapped, in words.
    fn mapped(&self) -> String {
        let Some(mapping) = &self.mapping else { return "Not mapped yet".to_owned() };
        let count =
            |states: &[&str]| mapping.fields.iter().filter(|field| states.contains(&&*field.state)).count();
        let (mapped, waiting) = (count(&["auto_mapped", "confirmed"]), count(&["suggested"]));
        let mut text = format!("{mapped} fields mapped");
        if waiting > 0 {
            text.push_str(&format!(", {waiting} waiting for you"));
        }
        if mapping.state != "draft" {
            text.push_str(&format!(
                ", {}",
                ui::count(&mapping.linked_records, "linked record", "linked records")
            ));
        }
        text
    }
}

/// What the rooms know about a connection.
pub(crate) struct Facts {
    pub connection: Connection,
    pub pairs: Vec<Pair>,
    pub mappings: Vec<Mapping>,
    pub progress: Vec<ObjectProgress>,
    pub issues: Vec<Issue>,
    pub conflicts: Vec<Conflict>,
    pub entries: Vec<Entry>,
}

impl Body {
    fn new(shell: Shell, people: &People, facts: Facts) -> Self {
        let Facts { connection, pairs, mappings, progress, issues, conflicts, entries } = facts;
        let steps = steps(&connection, &mappings);
        let rows = pairs.into_iter().map(|pair| {
            let mapping = mappings.iter().find(|mapping| mapping.id == pair.mapping_id).cloned();
            PairRow { pair, mapping }
        });
        let (mut pairs, further): (Vec<_>, Vec<_>) =
            rows.partition(|row| row.mapping.is_some() || row.pair.recommended);
        pairs.sort_by_key(|row| row.mapping.is_none());
        Self {
            vendor: ui::vendor(&connection.vendor),
            base: format!("/settings/integrations/{}/{}", connection.vendor, connection.id),
            connected_by: people.by(&connection.connected_by),
            entries: entries
                .into_iter()
                .map(|entry| {
                    let who = people.name(&entry.actor);
                    (entry, who)
                })
                .collect(),
            streams: stream::Row::all(&progress, &connection),
            shell,
            connection,
            steps,
            pairs,
            further,
            progress,
            issues,
            conflicts,
        }
    }

    /// Whether it reads and writes, or would if nothing was in the way.
    fn is_connected(&self) -> bool {
        self.connection.state != "disconnected"
    }

    /// Whether nobody has to connect it again before it goes on.
    fn is_authorized(&self) -> bool {
        is_authorized(&self.connection)
    }

    /// How the vendor's changes arrive, in words.
    fn arrival(&self) -> String {
        if !stream::is_followed(&self.connection) {
            "stopped".to_owned()
        } else if self.progress.is_empty() {
            "not before fields are mapped".to_owned()
        } else if self.streams.iter().any(|stream| !stream.is_polled()) {
            format!("pushed by {}", self.vendor)
        } else {
            format!("looked for every {} s", self.connection.poll_interval_seconds)
        }
    }

    /// Objects whose history is being read.
    fn backfills(&self) -> impl Iterator<Item = &ObjectProgress> {
        self.progress.iter().filter(|object| object.phase == "backfill")
    }
}

fn is_authorized(connection: &Connection) -> bool {
    !matches!(&*connection.state, "disconnected" | "reauth_required")
}

fn steps(connection: &Connection, mappings: &[Mapping]) -> [Step; 3] {
    let authorized = is_authorized(connection);
    let active = mappings.iter().filter(|mapping| mapping.state == "active").count() as u64;
    let mapped = mappings.iter().any(|mapping| mapping.activated_at.is_some());
    let class = |done: bool, now: bool| match (done, now) {
        (true, _) => "done",
        (false, true) => "now",
        _ => "todo",
    };
    let map_text = match (mapped, mappings.is_empty()) {
        (true, _) => "Fields are mapped",
        (false, true) if !authorized => "Begins once it is connected again",
        (false, true) => "Choose a pair of objects below",
        (false, false) => "Review the mapping, then its plan",
    };
    [
        Step {
            class: class(authorized, true),
            name: "Authorize",
            text: if authorized {
                format!("{} {}", ui::account(&connection.vendor), connection.account_id)
            } else {
                "Connect again".to_owned()
            },
        },
        Step { class: class(authorized && mapped, authorized), name: "Map", text: map_text.to_owned() },
        Step {
            class: class(authorized && active > 0, authorized && mapped),
            name: "Sync",
            text: match (active, authorized) {
                (0, _) => "Begins when a mapping is activated".to_owned(),
                (_, true) => format!("{} in step", ui::count(&active, "pair", "pairs")),
                (_, false) => "Goes on once it is connected again".to_owned(),
            },
        },
    ]
}

impl ConnectionPage {
    fn sample_with(shell: Shell, state: &str, mappings: Vec<Mapping>) -> Self {
        let facts = Facts {
            connection: sample::connection(state),
            pairs: sample::pairs(),
            mappings,
            progress: sample::progress(),
            issues: vec![sample::issue()],
            conflicts: vec![sample::conflict()],
            entries: sample::entries(),
        };
        let people = People::new(&sample::user(model::Role::Owner), &[]);
        Self { body: Body::new(shell.clone(), &people, facts), shell }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self::sample_with(shell, "active", vec![sample::mapping(1, "active"), sample::mapping(2, "active")])
    }

    /// A connection whose vendor pushes its changes, with an object in each state.
    pub(crate) fn sample_pushed(shell: Shell) -> Self {
        let facts = Facts {
            connection: sample::salesforce_connection(),
            pairs: Vec::new(),
            mappings: Vec::new(),
            progress: sample::streamed(),
            issues: Vec::new(),
            conflicts: Vec::new(),
            entries: Vec::new(),
        };
        let people = People::new(&sample::user(model::Role::Owner), &[]);
        Self { body: Body::new(shell.clone(), &people, facts), shell }
    }

    pub(crate) fn sample_reauth(shell: Shell) -> Self {
        Self::sample_with(shell, "reauth_required", vec![sample::mapping(1, "active")])
    }
}

/// The connection of an address. Under another vendor's name it is not there.
pub(crate) async fn find(
    app: &App,
    visitor: &Visitor,
    vendor: &str,
    id: &str,
) -> Result<Connection, Failure> {
    let request = visitor.ask(ConnectionRequest { connection_id: id.to_owned() })?;
    let connection = app.rooms().connections().get_connection(request).await?.into_inner();
    if connection.vendor == vendor { Ok(connection) } else { Err(Failure::not_found()) }
}

/// `GET /settings/integrations/{vendor}/{connection}`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path((vendor, connection)): Path<(String, String)>,
) -> Result<ConnectionPage, Failure> {
    let shell = visitor.shell(ui::vendor(&vendor), Nav::Integrations);
    let body = load(&app, &visitor, shell.clone(), &vendor, &connection).await?;
    Ok(ConnectionPage { shell, body })
}

/// `GET /settings/integrations/{vendor}/{connection}/live`.
pub(crate) async fn live(
    State(app): State<App>,
    visitor: Visitor,
    headers: HeaderMap,
    Path((vendor, connection)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let shell = visitor.shell("", Nav::Integrations);
    let body = load(&app, &visitor, shell, &vendor, &connection).await?;
    Ok(respond::fragment(&headers, &body))
}

async fn load(
    app: &App,
    visitor: &Visitor,
    shell: Shell,
    vendor: &str,
    connection_id: &str,
) -> Result<Body, Failure> {
    let id = || connection_id.to_owned();
    let rooms = app.rooms();
    let connection = find(app, visitor, vendor, connection_id).await?;
    let (mut connections, mut audit) = (rooms.connections(), rooms.audit());
    let (mut pairs, mut mappings, mut issues, mut conflicts) =
        (rooms.sync(), rooms.sync(), rooms.sync(), rooms.sync());
    let (progress, entries, pairs, mappings, issues, conflicts) = tokio::try_join!(
        connections.get_progress(visitor.ask(ConnectionRequest { connection_id: id() })?),
        audit.list_entries(visitor.ask(ListEntriesRequest {
            connection_id: id(),
            limit: 8,
            ..ListEntriesRequest::default()
        })?),
        pairs.list_pairs(visitor.ask(ListPairsRequest { connection_id: id() })?),
        mappings.list_mappings(visitor.ask(ListMappingsRequest { connection_id: id() })?),
        issues.list_issues(visitor.ask(ListIssuesRequest {
            connection_id: id(),
            limit: 5,
            ..ListIssuesRequest::default()
        })?),
        conflicts.list_conflicts(visitor.ask(ListConflictsRequest {
            connection_id: id(),
            limit: 8,
            ..ListConflictsRequest::default()
        })?),
    )?;
    let people = People::load(app, visitor).await?;
    let facts = Facts {
        connection,
        pairs: pairs.into_inner().pairs,
        mappings: mappings.into_inner().mappings,
        progress: progress.into_inner().objects,
        issues: issues.into_inner().issues,
        conflicts: conflicts.into_inner().conflicts,
        entries: entries.into_inner().entries,
    };
    Ok(Body::new(shell, &people, facts))
}
