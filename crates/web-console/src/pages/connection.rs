use askama::Template;
use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use model::Scope;
use proto::{
    audit::{Entry, ListEntriesRequest},
    connections::{
        Connection, ConnectionRequest, FeedProgress, GetProgressResponse, ObjectProgress, Reading,
    },
    crm::{NotificationRule, VendorUser},
    sync::{
        Conflict, Issue, ListConflictsRequest, ListIssuesRequest, ListMappingsRequest, ListPairsRequest,
        Mapping, Pair,
    },
};

use super::{
    purpose::Purpose,
    stream,
    telling::{channels, people},
};
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
    purpose: Purpose,
    steps: [Step; 3],
    /// What of the vendor people's doings is read from.
    feeds: Vec<FeedProgress>,
    /// How those are read, of a vendor that tells people's doings.
    reading: Option<Reading>,
    /// What is told in its channels.
    rules: Vec<NotificationRule>,
    /// The people in its channels, for whoever says who they are.
    people: Option<Vec<VendorUser>>,
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
    pub purpose: Purpose,
    pub progress: GetProgressResponse,
    pub reading: Option<Reading>,
    pub synced: Synced,
    pub told: Told,
    pub entries: Vec<Entry>,
}

/// What is known of records that sync.
#[derive(Default)]
pub(crate) struct Synced {
    pub pairs: Vec<Pair>,
    pub mappings: Vec<Mapping>,
    pub issues: Vec<Issue>,
    pub conflicts: Vec<Conflict>,
}

/// What is known of channels.
#[derive(Default)]
pub(crate) struct Told {
    pub rules: Vec<NotificationRule>,
    pub people: Option<Vec<VendorUser>>,
}

impl Facts {
    /// Of a connection of which nothing else is known: a CRM's.
    fn of(connection: Connection) -> Self {
        Self {
            connection,
            purpose: Purpose::Records,
            progress: GetProgressResponse::default(),
            reading: None,
            synced: Synced::default(),
            told: Told::default(),
            entries: Vec::new(),
        }
    }
}

impl Body {
    fn new(shell: Shell, people: &People, facts: Facts) -> Self {
        let Facts { connection, purpose, progress, reading, synced, told, entries } = facts;
        let Synced { pairs, mappings, issues, conflicts } = synced;
        let (feeds, progress) = (progress.feeds, progress.objects);
        let steps = match purpose {
            Purpose::Records => steps(&connection, &mappings),
            Purpose::Activities => following(&connection, &feeds),
            Purpose::Posts => telling(&connection, &told),
        };
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
            purpose,
            steps,
            feeds,
            reading,
            rules: told.rules,
            people: told.people,
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

    /// How often it is read, in words.
    fn looked_for(&self, reading: &Reading) -> String {
        let chosen = reading.interval_minutes;
        every(60 * if chosen > 0 { chosen } else { reading.usual_minutes })
    }

    /// Whether there is something to read at once.
    fn is_read(&self) -> bool {
        !self.purpose.is_posts()
    }

    /// How many people nobody confirmed yet.
    fn unknown_people(&self) -> u64 {
        let unknown = self.people.iter().flatten().filter(|person| person.user_id.is_empty());
        unknown.count() as u64
    }

    /// Objects whose history is being read.
    fn backfills(&self) -> impl Iterator<Item = &ObjectProgress> {
        self.progress.iter().filter(|object| object.phase == "backfill")
    }
}

/// Whether nobody has to connect it again before it goes on.
pub(crate) fn is_authorized(connection: &Connection) -> bool {
    !matches!(&*connection.state, "disconnected" | "reauth_required")
}

/// How far a step is, when the one before it is done.
fn class(done: bool, now: bool) -> &'static str {
    match (done, now) {
        (true, _) => "done",
        (false, true) => "now",
        _ => "todo",
    }
}

fn authorize(connection: &Connection) -> Step {
    let authorized = is_authorized(connection);
    let text = if authorized {
        format!("{} {}", ui::account(&connection.vendor), connection.account_id)
    } else {
        "Connect again".to_owned()
    };
    Step { class: class(authorized, true), name: "Authorize", text }
}

/// The steps of a vendor whose people's doings are read.
fn following(connection: &Connection, feeds: &[FeedProgress]) -> [Step; 3] {
    let authorized = is_authorized(connection);
    let whole = !feeds.is_empty() && feeds.iter().all(|feed| feed.phase == "live");
    let read: u64 = feeds.iter().map(|feed| feed.read).sum();
    let read = match (whole, read) {
        (true, _) => "What was there is read".to_owned(),
        (false, 0) => "Begins by itself".to_owned(),
        (false, read) => format!("{} so far", ui::count(&read, "activity", "activities")),
    };
    let is_pushed =
        feeds.iter().filter_map(|feed| feed.arrival.as_ref()).any(|arrival| arrival.state == "pushed");
    let follow = match feeds.iter().map(|feed| feed.interval_seconds).min() {
        Some(seconds) if is_pushed => format!("Pushed, and looked for every {}", every(seconds)),
        Some(seconds) => format!("Looked for every {}", every(seconds)),
        None => "Begins once everything was read".to_owned(),
    };
    let follow = if authorized { follow } else { "Goes on once it is connected again".to_owned() };
    [
        authorize(connection),
        Step { class: class(authorized && whole, authorized), name: "Read", text: read },
        Step {
            class: class(authorized && whole && stream::is_followed(connection), authorized && whole),
            name: "Follow",
            text: follow,
        },
    ]
}

/// The steps of a vendor in whose channels things are told.
fn telling(connection: &Connection, told: &Told) -> [Step; 3] {
    let authorized = is_authorized(connection);
    let channels = told.rules.len() as u64;
    let known = told.people.iter().flatten().filter(|person| !person.user_id.is_empty()).count() as u64;
    let people = match (&told.people, known) {
        (None, _) => "An Owner or Admin says who may decide".to_owned(),
        (Some(_), 0) => "Nobody can decide from a message yet".to_owned(),
        (Some(_), known) => format!("{} confirmed", ui::count(&known, "person", "people")),
    };
    let channels_text = match channels {
        0 => "Nothing is told yet".to_owned(),
        channels => format!("Told in {}", ui::count(&channels, "channel", "channels")),
    };
    [
        authorize(connection),
        Step { class: class(authorized && channels > 0, authorized), name: "Tell", text: channels_text },
        Step {
            class: class(authorized && known > 0, authorized && channels > 0),
            name: "Decide",
            text: people,
        },
    ]
}

/// A span between two looks: `30 s`, `5 min`.
fn every(seconds: u32) -> String {
    if seconds.is_multiple_of(60) { format!("{} min", seconds / 60) } else { format!("{seconds} s") }
}

fn steps(connection: &Connection, mappings: &[Mapping]) -> [Step; 3] {
    let authorized = is_authorized(connection);
    let active = mappings.iter().filter(|mapping| mapping.state == "active").count() as u64;
    let mapped = mappings.iter().any(|mapping| mapping.activated_at.is_some());
    let map_text = match (mapped, mappings.is_empty()) {
        (true, _) => "Fields are mapped",
        (false, true) if !authorized => "Begins once it is connected again",
        (false, true) => "Choose a pair of objects below",
        (false, false) => "Review the mapping, then its plan",
    };
    [
        authorize(connection),
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
        let synced = Synced {
            pairs: sample::pairs(),
            mappings,
            issues: vec![sample::issue()],
            conflicts: vec![sample::conflict()],
        };
        let progress = GetProgressResponse { objects: sample::progress(), feeds: Vec::new() };
        let entries = sample::entries();
        let facts = Facts { progress, synced, entries, ..Facts::of(sample::connection(state)) };
        Self::sample_of(shell, facts)
    }

    fn sample_of(shell: Shell, facts: Facts) -> Self {
        let people = People::new(&sample::user(model::Role::Owner), &[]);
        Self { body: Body::new(shell.clone(), &people, facts), shell }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self::sample_with(shell, "active", vec![sample::mapping(1, "active"), sample::mapping(2, "active")])
    }

    /// A connection whose vendor pushes its changes, with an object in each state.
    pub(crate) fn sample_pushed(shell: Shell) -> Self {
        let progress = GetProgressResponse { objects: sample::streamed(), feeds: Vec::new() };
        Self::sample_of(shell, Facts { progress, ..Facts::of(sample::salesforce_connection()) })
    }

    /// A mailbox, whose folders are read.
    pub(crate) fn sample_mail(shell: Shell) -> Self {
        let progress = GetProgressResponse { objects: Vec::new(), feeds: sample::feeds() };
        let facts = Facts::of(sample::m365_connection());
        Self::sample_of(
            shell,
            Facts { purpose: Purpose::Activities, progress, reading: Some(sample::reading()), ..facts },
        )
    }

    /// A workspace in this state, in whose channels things are told.
    fn sample_told(shell: Shell, state: &str, rules: Vec<NotificationRule>) -> Self {
        let people = shell.may(Scope::UsersManage).then(sample::vendor_users);
        let facts = Facts::of(sample::slack_connection(state));
        let told = Told { rules, people };
        Self::sample_of(shell, Facts { purpose: Purpose::Posts, told, ..facts })
    }

    pub(crate) fn sample_slack(shell: Shell) -> Self {
        Self::sample_told(shell, "active", sample::notification_rules())
    }

    pub(crate) fn sample_slack_new(shell: Shell) -> Self {
        Self::sample_told(shell, "active", Vec::new())
    }

    pub(crate) fn sample_slack_reauth(shell: Shell) -> Self {
        Self::sample_told(shell, "reauth_required", sample::notification_rules())
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
    let connection = find(app, visitor, vendor, connection_id).await?;
    let purpose = Purpose::find(app, visitor, vendor).await?;
    let (mut connections, mut audit) = (app.rooms().connections(), app.rooms().audit());
    let connection_id = || connection.id.clone();
    let (progress, entries) = tokio::try_join!(
        connections.get_progress(visitor.ask(ConnectionRequest { connection_id: connection_id() })?),
        audit.list_entries(visitor.ask(ListEntriesRequest {
            connection_id: connection_id(),
            limit: 8,
            ..ListEntriesRequest::default()
        })?),
    )?;
    let synced = match purpose {
        Purpose::Records => synced(app, visitor, &connection.id).await?,
        _ => Synced::default(),
    };
    let told = match purpose {
        Purpose::Posts => told(app, visitor, &connection.id).await?,
        _ => Told::default(),
    };
    let reading = match purpose {
        Purpose::Activities => {
            let request = visitor.ask(ConnectionRequest { connection_id: connection.id.clone() })?;
            Some(app.rooms().connections().get_reading(request).await?.into_inner())
        }
        _ => None,
    };
    let people = People::load(app, visitor).await?;
    let (progress, entries) = (progress.into_inner(), entries.into_inner().entries);
    let facts = Facts { connection, purpose, progress, reading, synced, told, entries };
    Ok(Body::new(shell, &people, facts))
}

async fn synced(app: &App, visitor: &Visitor, connection: &str) -> Result<Synced, Failure> {
    let id = || connection.to_owned();
    let rooms = app.rooms();
    let (mut pairs, mut mappings, mut issues, mut conflicts) =
        (rooms.sync(), rooms.sync(), rooms.sync(), rooms.sync());
    let (pairs, mappings, issues, conflicts) = tokio::try_join!(
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
    Ok(Synced {
        pairs: pairs.into_inner().pairs,
        mappings: mappings.into_inner().mappings,
        issues: issues.into_inner().issues,
        conflicts: conflicts.into_inner().conflicts,
    })
}

async fn told(app: &App, visitor: &Visitor, connection: &str) -> Result<Told, Failure> {
    let people = match visitor.may(Scope::UsersManage) {
        true => Some(people::list(app, visitor, connection).await?),
        false => None,
    };
    Ok(Told { rules: channels::rules(app, visitor, connection).await?, people })
}
