use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use model::CanonicalObject;
use proto::{
    sync::{
        ArchiveRecordRequest, Conflict, ExplainSyncRequest, GetHistoryRequest, GetLineageRequest,
        GetRecordRequest, Lineage, ListConflictsRequest, Record, RestoreConflictRequest, Revision,
        SyncReason,
    },
    v1::{Field, ObjectSchema, Value},
};

use super::{
    records,
    story::Story,
    timeline::{self, Item},
};
use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Nothing},
    people::People,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

/// One record: its values, its links, its conflicts, and everything that happened to it.
#[derive(Template)]
#[template(path = "record.html")]
pub(crate) struct RecordPage {
    shell: Shell,
    label: &'static str,
    record: Record,
    fields: Vec<Field>,
    filled: Vec<Filled>,
    blank: Vec<String>,
    history: Vec<Line>,
    conflicts: Vec<Conflict>,
    /// Why one of the fields has its value, when somebody asks.
    story: Option<Story>,
    /// Why it is or is not synced, by mapping; the people who may see mappings see it.
    reasons: Vec<SyncReason>,
    /// The newest of its timeline; none where that cannot be read.
    recent: Option<Vec<Item>>,
}
respond::page_response!(RecordPage);

/// A field that has a value.
struct Filled {
    name: String,
    label: String,
    value: ui::Markup,
}

/// One step of the history.
struct Line {
    revision: Revision,
    who: String,
    /// Label of the field, what changed, why.
    changes: Vec<Change>,
}

struct Change {
    label: String,
    before: ui::Markup,
    after: ui::Markup,
    why: &'static str,
}

/// Why a field got its value.
pub(super) fn why(reason: &str) -> &'static str {
    match reason {
        "vendor_moved" => "changed in the CRM",
        "edited" => "edited here",
        "conflict_crm_won" => "conflict: the CRM won",
        "first_sync" => "first sync",
        "restored" => "restored",
        "undone" => "put back",
        _ => "",
    }
}

impl RecordPage {
    #[expect(clippy::too_many_arguments, reason = "each is one answer of a room")]
    fn new(
        shell: Shell,
        object: CanonicalObject,
        schema: &ObjectSchema,
        people: &People,
        record: Record,
        history: Vec<Revision>,
        conflicts: Vec<Conflict>,
        story: Option<Lineage>,
    ) -> Self {
        let labels: HashMap<&str, &str> =
            schema.fields.iter().map(|field| (field.name.as_str(), field.label.as_str())).collect();
        let label = |name: &str| labels.get(name).map_or_else(|| ui::spaced(name), |&label| label.to_owned());
        let shown = |name: &str, value: &_| records::show_value(&schema.fields, name, value);
        let (mut filled, mut blank) = (Vec::new(), Vec::new());
        for field in &schema.fields {
            match record.fields.get(&field.name) {
                Some(value) if !ui::plain(Some(value)).is_empty() => filled.push(Filled {
                    name: field.name.clone(),
                    label: field.label.clone(),
                    value: shown(&field.name, &Some(value.clone())),
                }),
                _ => blank.push(field.label.clone()),
            }
        }
        let history = history
            .into_iter()
            .map(|revision| Line {
                who: if revision.vendor.is_empty() {
                    people.name(&revision.actor)
                } else {
                    ui::vendor(&revision.vendor)
                },
                changes: revision
                    .changes
                    .iter()
                    .map(|change| Change {
                        label: label(&change.field),
                        before: shown(&change.field, &change.before),
                        after: shown(&change.field, &change.after),
                        why: why(&change.reason),
                    })
                    .collect(),
                revision,
            })
            .collect();
        let (story, reasons) = (story.map(|story| Story::new(story, people)), Vec::new());
        let fields = schema.fields.clone();
        Self {
            shell,
            label: object.label(),
            record,
            fields,
            filled,
            blank,
            history,
            conflicts,
            story,
            reasons,
            recent: None,
        }
    }

    /// Whether something keeps it from being synced somewhere.
    fn is_held(&self) -> bool {
        self.reasons.iter().any(|reason| !reason.syncing)
    }

    fn shown(&self, field: &str, value: &Option<Value>) -> ui::Markup {
        records::show_value(&self.fields, field, value)
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let schema = (&CanonicalObject::Deal.schema()).into();
        let people = People::new(&sample::user(model::Role::Owner), &[]);
        let (record, conflicts) = (sample::record(0), vec![sample::conflict()]);
        let history = sample::history();
        let page =
            Self::new(shell, CanonicalObject::Deal, &schema, &people, record, history, conflicts, None);
        let activities = sample::activities().into_iter().take(3);
        let recent = activities.map(|activity| Item::new(activity, "/records/deal/rec_0/timeline")).collect();
        Self { reasons: sample::reasons(), recent: Some(recent), ..page }
    }

    pub(crate) fn sample_why(shell: Shell) -> Self {
        let mut page = Self::sample(shell);
        let people = People::new(&sample::user(model::Role::Owner), &[]);
        page.story = Some(Story::new(sample::lineage(), &people));
        page
    }
}

pub(super) type Where = Path<(String, String)>;

/// The record of this kind; one of another kind is not there.
pub(super) async fn find(
    app: &App,
    visitor: &Visitor,
    object: CanonicalObject,
    id: String,
) -> Result<Record, Failure> {
    let record = app.rooms().sync().get_record(visitor.ask(GetRecordRequest { id })?).await?.into_inner();
    if record.object == object.name() { Ok(record) } else { Err(Failure::not_found()) }
}

/// Whose story is asked for: a field, and the version that brought the value.
#[derive(serde::Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    why: Option<String>,
    #[serde(default)]
    version: Option<i64>,
}

/// `GET /records/{object}/{record}`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path((name, id)): Where,
    Query(asked): Query<Asked>,
) -> Result<RecordPage, Failure> {
    let object = records::object(&name)?;
    let record = find(&app, &visitor, object, id.clone()).await?;
    let (mut history, mut conflicts) = (app.rooms().sync(), app.rooms().sync());
    let (history, conflicts) = tokio::try_join!(
        history.get_history(visitor.ask(GetHistoryRequest {
            id: id.clone(),
            limit: 50,
            before_version: 0
        })?),
        conflicts.list_conflicts(visitor.ask(ListConflictsRequest {
            record_id: id.clone(),
            limit: 20,
            ..ListConflictsRequest::default()
        })?),
    )?;
    let story = match asked.why {
        None => None,
        Some(field) => {
            let request =
                GetLineageRequest { record_id: id, field, version: asked.version.unwrap_or_default() };
            Some(app.rooms().sync().get_lineage(visitor.ask(request)?).await?.into_inner())
        }
    };
    let schema = records::schema(&app, &visitor, object).await?;
    let reasons = explain(&app, &visitor, &record.id).await?;
    let recent =
        timeline::recent(&app, &visitor, &format!("/records/{object}/{}", record.id), &record.id).await?;
    let people = People::load(&app, &visitor).await?;
    let title = if record.title.is_empty() { "Untitled".to_owned() } else { record.title.clone() };
    let shell = visitor.shell(title, Nav::Records(object.name().to_owned()));
    let (history, conflicts) = (history.into_inner().revisions, conflicts.into_inner().conflicts);
    let page = RecordPage::new(shell, object, &schema, &people, record, history, conflicts, story);
    Ok(RecordPage { reasons, recent, ..page })
}

async fn explain(app: &App, visitor: &Visitor, id: &str) -> Result<Vec<SyncReason>, Failure> {
    let request =
        visitor.ask(ExplainSyncRequest { record_id: id.to_owned(), ..ExplainSyncRequest::default() })?;
    Ok(app.rooms().sync().explain_sync(request).await?.into_inner().reasons)
}

/// `POST /records/{object}/{record}/archive`.
pub(crate) async fn archive(
    State(app): State<App>,
    Path((name, id)): Where,
    Form(visitor, _): Form<Nothing>,
) -> Result<Response, Failure> {
    let object = records::object(&name)?;
    app.rooms().sync().archive_record(visitor.ask(ArchiveRecordRequest { id })?).await?;
    Ok(respond::redirect(&format!("/records/{object}"), &Flash::good("Archived. Its history stays.")))
}

/// `POST /records/conflicts/{conflict}/restore`.
pub(crate) async fn restore(
    State(app): State<App>,
    Path(conflict_id): Path<String>,
    Form(visitor, _): Form<Nothing>,
) -> Result<Response, Failure> {
    let request = visitor.ask(RestoreConflictRequest { conflict_id })?;
    let record = app.rooms().sync().restore_conflict(request).await?.into_inner();
    let path = format!("/records/{}/{}", record.object, record.id);
    Ok(respond::redirect(&path, &Flash::good("The other value is back, as your edit.")))
}
