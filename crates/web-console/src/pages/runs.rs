use askama::Template;
use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use proto::sync::{ListRunsRequest, Run, RunRequest, UndoPreview};

use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Nothing},
    pages::connection,
    people::People,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

/// The runs of a connection that changed records, each of which can be put back.
#[derive(Template)]
#[template(path = "runs.html")]
pub(crate) struct RunsPage {
    shell: Shell,
    vendor: String,
    base: String,
    runs: Vec<(Run, String)>,
    /// The address of the next page; empty on the last one.
    next: String,
}
respond::page_response!(RunsPage);

/// What putting a run back would do, before it does it.
#[derive(Template)]
#[template(path = "undo.html")]
pub(crate) struct UndoPage {
    shell: Shell,
    vendor: String,
    base: String,
    run: Run,
    who: String,
    preview: UndoPreview,
}
respond::page_response!(UndoPage);

/// A kind of run in words.
fn kind(run: &Run, vendor: &str) -> String {
    match &*run.kind {
        "poll" => format!("Changes read from {vendor}"),
        "manual" => format!("Sync now from {vendor}"),
        "rescan" => format!("Late changes read from {vendor}"),
        "archive_sweep" => format!("Deletions read from {vendor}"),
        "quiet_sweep" => format!("Associations read from {vendor}"),
        "backfill" => format!("History read from {vendor}"),
        "apply" => "Mapping applied".to_owned(),
        "undo" => "Another run put back".to_owned(),
        other => ui::spaced(other),
    }
}

/// What becomes of a value, in words.
fn action(name: &str) -> &'static str {
    match name {
        "put_back" => "comes back",
        "archive" => "is archived: the run created it",
        "reopen" => "is active again: the run archived it",
        "changed_since" => "stays: changed since",
        "archived" => "stays: the record is archived",
        "required" => "stays: the field may not be blank",
        "created_there" => "stays: nothing is deleted there",
        _ => "stays",
    }
}

fn base(vendor: &str, connection: &str) -> String {
    format!("/settings/integrations/{vendor}/{connection}")
}

impl RunsPage {
    fn new(
        shell: Shell,
        people: &People,
        vendor: &str,
        base: String,
        runs: Vec<Run>,
        next_page: &str,
    ) -> Self {
        let next = if next_page.is_empty() { String::new() } else { format!("{base}/runs?page={next_page}") };
        let runs = runs
            .into_iter()
            .map(|run| {
                let who = people.name(&run.actor);
                (run, who)
            })
            .collect();
        Self { shell, vendor: ui::vendor(vendor), base, runs, next }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let people = People::new(&sample::user(model::Role::Owner), &[]);
        let base = base("hubspot", &sample::id("conn", 1));
        Self::new(shell, &people, "hubspot", base, sample::runs(), "")
    }
}

impl UndoPage {
    pub(crate) fn sample(shell: Shell) -> Self {
        let run = sample::runs().remove(0);
        let base = base("hubspot", &run.connection_id);
        let who = "The connected system".to_owned();
        Self { shell, vendor: "HubSpot".to_owned(), base, run, who, preview: sample::undo_preview() }
    }
}

/// Which page of the list.
#[derive(serde::Deserialize)]
pub(crate) struct Page {
    #[serde(default)]
    page: String,
}

/// `GET /settings/integrations/{vendor}/{connection}/runs`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path((vendor, id)): Path<(String, String)>,
    Query(query): Query<Page>,
) -> Result<RunsPage, Failure> {
    connection::find(&app, &visitor, &vendor, &id).await?;
    let request = ListRunsRequest { connection_id: id.clone(), limit: 50, page: query.page };
    let list = app.rooms().sync().list_runs(visitor.ask(request)?).await?.into_inner();
    let people = People::load(&app, &visitor).await?;
    let shell = visitor.shell(format!("{} runs", ui::vendor(&vendor)), Nav::Integrations);
    Ok(RunsPage::new(shell, &people, &vendor, base(&vendor, &id), list.runs, &list.next_page))
}

type Where = Path<(String, String, String)>;

async fn find(
    app: &App,
    visitor: &Visitor,
    (vendor, connection): (&str, &str),
    run_id: String,
) -> Result<Run, Failure> {
    connection::find(app, visitor, vendor, connection).await?;
    let run = app.rooms().sync().get_run(visitor.ask(RunRequest { run_id })?).await?.into_inner();
    if run.connection_id == connection { Ok(run) } else { Err(Failure::not_found()) }
}

/// `GET /settings/integrations/{vendor}/{connection}/runs/{run}/undo`.
pub(crate) async fn preview(
    State(app): State<App>,
    visitor: Visitor,
    Path((vendor, id, run)): Where,
) -> Result<UndoPage, Failure> {
    let run = find(&app, &visitor, (&vendor, &id), run).await?;
    let request = visitor.ask(RunRequest { run_id: run.id.clone() })?;
    let preview = app.rooms().sync().preview_undo(request).await?.into_inner();
    let who = People::load(&app, &visitor).await?.name(&run.actor);
    let shell = visitor.shell("Put a run back", Nav::Integrations);
    Ok(UndoPage { shell, vendor: ui::vendor(&vendor), base: base(&vendor, &id), run, who, preview })
}

/// `POST /settings/integrations/{vendor}/{connection}/runs/{run}/undo`.
pub(crate) async fn undo(
    State(app): State<App>,
    Path((vendor, id, run)): Where,
    Form(visitor, _): Form<Nothing>,
) -> Result<Response, Failure> {
    let run = find(&app, &visitor, (&vendor, &id), run).await?;
    let request = visitor.ask(RunRequest { run_id: run.id })?;
    app.rooms().sync().undo_run(request).await?;
    let text = "Putting it back now. This is a run of its own, which can be put back in turn.";
    Ok(respond::redirect(&format!("{}/runs", base(&vendor, &id)), &Flash::good(text)))
}
