use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use model::{CanonicalObject, Scope};
use proto::{
    sync::{
        ArchiveRecordRequest, Conflict, GetHistoryRequest, GetRecordRequest, ListConflictsRequest, Record,
        RestoreConflictRequest, Revision, UpdateRecordRequest,
    },
    v1::{Field, ObjectSchema, Options, Value, value::Kind},
};

use super::{keys::Pairs, records};
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
    filled: Vec<(String, Value)>,
    blank: Vec<String>,
    history: Vec<Line>,
    conflicts: Vec<Conflict>,
}
respond::page_response!(RecordPage);

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

/// The form to edit a record by.
#[derive(Template)]
#[template(path = "record_edit.html")]
pub(crate) struct EditPage {
    shell: Shell,
    label: &'static str,
    record: Record,
    inputs: Vec<Input>,
}
respond::page_response!(EditPage);

struct Input {
    field: Field,
    value: String,
    kind: &'static str,
    mode: &'static str,
}

impl Input {
    /// Whether it is drawn as a choice.
    fn is_choice(&self) -> bool {
        self.field.r#type == "boolean" || (self.field.r#type == "picklist" && !self.field.options.is_empty())
    }

    /// The options: value and label. A value that is no option stays choosable.
    fn options(&self) -> Vec<(String, String)> {
        let mut options: Vec<(String, String)> = if self.field.r#type == "boolean" {
            vec![("true".to_owned(), "Yes".to_owned()), ("false".to_owned(), "No".to_owned())]
        } else {
            self.field
                .options
                .iter()
                .map(|option| (option.value.clone(), ui::spaced(&option.label)))
                .collect()
        };
        if !self.value.is_empty() && !options.iter().any(|(value, _)| *value == self.value) {
            options.push((self.value.clone(), self.value.clone()));
        }
        options
    }
}

/// Why a field got its value.
fn why(reason: &str) -> &'static str {
    match reason {
        "vendor_moved" => "changed in the CRM",
        "edited" => "edited here",
        "conflict_crm_won" => "conflict: the CRM won",
        "conflict_platform_won" => "conflict: Accord won",
        "first_sync" => "first sync",
        "restored" => "restored",
        _ => "",
    }
}

impl RecordPage {
    fn new(
        shell: Shell,
        object: CanonicalObject,
        schema: &ObjectSchema,
        people: &People,
        record: Record,
        history: Vec<Revision>,
        conflicts: Vec<Conflict>,
    ) -> Self {
        let labels: HashMap<&str, &str> =
            schema.fields.iter().map(|field| (field.name.as_str(), field.label.as_str())).collect();
        let label = |name: &str| labels.get(name).map_or_else(|| ui::spaced(name), |&label| label.to_owned());
        let (mut filled, mut blank) = (Vec::new(), Vec::new());
        for field in &schema.fields {
            match record.fields.get(&field.name) {
                Some(value) if !ui::plain(Some(value)).is_empty() => {
                    filled.push((field.label.clone(), value.clone()))
                }
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
                        before: ui::show(&change.before),
                        after: ui::show(&change.after),
                        why: why(&change.reason),
                    })
                    .collect(),
                revision,
            })
            .collect();
        Self { shell, label: object.label(), record, filled, blank, history, conflicts }
    }

    fn value(&self, value: &Value) -> ui::Markup {
        ui::show(&Some(value.clone()))
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let schema = (&CanonicalObject::Deal.schema()).into();
        let people = People::new(&sample::user(model::Role::Owner), &[]);
        let (record, conflicts) = (sample::record(0), vec![sample::conflict()]);
        Self::new(shell, CanonicalObject::Deal, &schema, &people, record, sample::history(), conflicts)
    }
}

impl EditPage {
    fn new(shell: Shell, object: CanonicalObject, schema: ObjectSchema, record: Record) -> Self {
        let input = |field: Field| {
            let (kind, mode) = ui::input_type(&field.r#type);
            Input { value: ui::plain(record.fields.get(&field.name)), kind, mode, field }
        };
        Self { inputs: schema.fields.into_iter().map(input).collect(), shell, label: object.label(), record }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self::new(shell, CanonicalObject::Deal, (&CanonicalObject::Deal.schema()).into(), sample::record(0))
    }
}

type Where = Path<(String, String)>;

async fn find(app: &App, visitor: &Visitor, object: CanonicalObject, id: String) -> Result<Record, Failure> {
    let record = app.rooms().sync().get_record(visitor.ask(GetRecordRequest { id })?).await?.into_inner();
    if record.object == object.name() { Ok(record) } else { Err(Failure::not_found()) }
}

/// `GET /records/{object}/{record}`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path((name, id)): Where,
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
            record_id: id,
            limit: 20,
            ..ListConflictsRequest::default()
        })?),
    )?;
    let schema = records::schema(&app, &visitor, object).await?;
    let people = People::load(&app, &visitor).await?;
    let title = if record.title.is_empty() { "Untitled".to_owned() } else { record.title.clone() };
    let shell = visitor.shell(title, Nav::Records(object.name().to_owned()));
    let (history, conflicts) = (history.into_inner().revisions, conflicts.into_inner().conflicts);
    Ok(RecordPage::new(shell, object, &schema, &people, record, history, conflicts))
}

/// `GET /records/{object}/{record}/edit`.
pub(crate) async fn edit(
    State(app): State<App>,
    visitor: Visitor,
    Path((name, id)): Where,
) -> Result<EditPage, Failure> {
    visitor.must(Scope::RecordsWrite, "Viewers look at records; editing takes a Member, Admin or Owner.")?;
    let object = records::object(&name)?;
    let record = find(&app, &visitor, object, id).await?;
    let schema = records::schema(&app, &visitor, object).await?;
    let shell = visitor.shell(format!("Edit {}", record.title), Nav::Records(object.name().to_owned()));
    Ok(EditPage::new(shell, object, schema, record))
}

/// `POST /records/{object}/{record}`: changes the fields that differ from what the form showed.
pub(crate) async fn save(
    State(app): State<App>,
    Path((name, id)): Where,
    Form(visitor, form): Form<Pairs>,
) -> Result<Response, Failure> {
    let object = records::object(&name)?;
    let record = find(&app, &visitor, object, id.clone()).await?;
    let schema = records::schema(&app, &visitor, object).await?;
    let version =
        form.iter().find(|(name, _)| name == "_version").and_then(|(_, version)| version.parse().ok());
    let fields: HashMap<String, Value> = schema
        .fields
        .iter()
        .filter(|field| !field.read_only)
        .filter_map(|field| {
            let (_, sent) = form.iter().find(|(name, _)| name.strip_prefix("f.") == Some(&field.name))?;
            let sent = sent.trim();
            (sent != ui::plain(record.fields.get(&field.name)))
                .then(|| (field.name.clone(), value(field, sent)))
        })
        .collect();
    let path = format!("/records/{object}/{id}");
    if fields.is_empty() {
        return Ok(respond::redirect(&path, &Flash::good("Nothing was changed.")));
    }
    let changed = fields.len() as u64;
    let request = visitor.ask(UpdateRecordRequest { id, fields, if_version: version })?;
    app.rooms().sync().update_record(request).await?;
    let text =
        format!("{} saved. Linked systems are written at once.", ui::count(&changed, "field", "fields"));
    Ok(respond::redirect(&path, &Flash::good(text)))
}

/// What the person typed; the room reads it by the field's type.
fn value(field: &Field, text: &str) -> Value {
    let kind = if text.is_empty() {
        Kind::Null(true)
    } else if field.r#type == "multi_picklist" {
        let values =
            text.split(';').map(|option| option.trim().to_owned()).filter(|option| !option.is_empty());
        Kind::Options(Options { values: values.collect() })
    } else {
        Kind::Text(text.to_owned())
    };
    Value { kind: Some(kind) }
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
