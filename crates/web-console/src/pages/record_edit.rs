use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use model::{CanonicalObject, Scope};
use proto::{
    sync::{Record, UpdateRecordRequest},
    v1::{Field, ObjectSchema, Options, Value, value::Kind},
};

use super::{
    record::{Where, find},
    records,
};
use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Pairs},
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

/// The fields that are written in paragraphs.
const PROSE: &[&str] = &["description", "notes"];
/// The longest text that is shown on one line, in characters.
const LINE: usize = 80;

/// The form to edit a record by. Beside each value it carries the one that it was opened with, so that only what the
/// person changed is sent.
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
    /// What the record holds.
    stored: String,
    /// What the form shows: the stored value, or what was typed and could not be saved.
    value: String,
    /// The stored value, where it is not the one that the person saw when typing.
    news: Option<String>,
    kind: &'static str,
    mode: &'static str,
    /// Whether it may hold several lines: an `<input>` would take the line breaks out.
    long: bool,
}

impl Input {
    /// Whether it is drawn as a choice.
    fn is_choice(&self) -> bool {
        self.field.r#type == "boolean" || (self.field.r#type == "picklist" && !self.field.options.is_empty())
    }

    /// The lines to make room for.
    fn rows(&self) -> usize {
        let lines = self.value.split('\n').map(|line| 1 + line.chars().count() / 60);
        lines.sum::<usize>().clamp(2, 14)
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

impl EditPage {
    /// The form for the record as it is, with what was typed before.
    fn new(
        shell: Shell,
        object: CanonicalObject,
        schema: ObjectSchema,
        record: Record,
        typed: &[Typed],
    ) -> Self {
        let input = |field: Field| {
            let (kind, mode) = ui::input_type(&field.r#type);
            let stored = lines(&ui::plain(record.fields.get(&field.name)));
            let typed = typed.iter().find(|typed| typed.field.name == field.name);
            Input {
                value: typed.map_or_else(|| stored.clone(), |typed| typed.text.clone()),
                news: typed.filter(|typed| !typed.is_over(&stored)).map(|_| stored.clone()),
                long: field.r#type == "text" && is_prose(&field.name, &stored),
                stored,
                kind,
                mode,
                field,
            }
        };
        Self { inputs: schema.fields.into_iter().map(input).collect(), shell, label: object.label(), record }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let schema = (&CanonicalObject::Deal.schema()).into();
        Self::new(shell, CanonicalObject::Deal, schema, sample::record(0), &[])
    }
}

/// Whether a text is, or is meant to be, more than one line.
fn is_prose(name: &str, stored: &str) -> bool {
    PROSE.contains(&name) || stored.contains('\n') || stored.chars().count() > LINE
}

/// A field that the person changed.
struct Typed {
    field: Field,
    /// What the form was opened with.
    original: String,
    text: String,
}

impl Typed {
    /// The changed fields of a form that was opened on this record or an earlier version of it.
    fn read(schema: &ObjectSchema, record: &Record, form: &[(String, String)]) -> Vec<Self> {
        let sent = |prefix: &str, name: &str| {
            let found = form.iter().find(|(key, _)| key.strip_prefix(prefix) == Some(name));
            found.map(|(_, text)| lines(text))
        };
        let writable = schema.fields.iter().filter(|field| !field.read_only);
        let typed = writable.filter_map(|field| {
            let stored = || lines(&ui::plain(record.fields.get(&field.name)));
            let original = sent("o.", &field.name).unwrap_or_else(stored);
            Some(Self { text: sent("f.", &field.name)?, original, field: field.clone() })
        });
        typed.filter(|typed| !typed.is_over(&typed.text)).collect()
    }

    /// Whether this text is the one that the form was opened with. Of an address or a number a browser cuts off
    /// spaces and line breaks.
    fn is_over(&self, text: &str) -> bool {
        let bare = |text: &str| text.replace('\n', "").trim().to_owned();
        text == self.original || (self.field.r#type != "text" && bare(text) == bare(&self.original))
    }

    /// What the person typed; the room reads it by the field's type.
    fn value(&self) -> Value {
        let text = if self.field.r#type == "text" { &*self.text } else { self.text.trim() };
        let kind = if text.trim().is_empty() {
            Kind::Null(true)
        } else if self.field.r#type == "multi_picklist" {
            let values =
                text.split(';').map(|option| option.trim().to_owned()).filter(|option| !option.is_empty());
            Kind::Options(Options { values: values.collect() })
        } else {
            Kind::Text(text.to_owned())
        };
        Value { kind: Some(kind) }
    }
}

/// The text with the line breaks that records hold; forms send `\r\n`.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
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
    Ok(EditPage::new(shell(&visitor, object, &record), object, schema, record, &[]))
}

fn shell(visitor: &Visitor, object: CanonicalObject, record: &Record) -> Shell {
    visitor.shell(format!("Edit {}", record.title), Nav::Records(object.name().to_owned()))
}

/// `POST /records/{object}/{record}`: changes the fields that differ from what the form was opened with.
pub(crate) async fn save(
    State(app): State<App>,
    Path((name, id)): Where,
    Form(visitor, form): Form<Pairs>,
) -> Result<Response, Failure> {
    let object = records::object(&name)?;
    let record = find(&app, &visitor, object, id.clone()).await?;
    let schema = records::schema(&app, &visitor, object).await?;
    let if_version =
        form.iter().find(|(name, _)| name == "_version").and_then(|(_, version)| version.parse().ok());
    let typed = Typed::read(&schema, &record, &form);
    let path = format!("/records/{object}/{id}");
    if typed.is_empty() {
        return Ok(respond::redirect(&path, &Flash::good("Nothing was changed.")));
    }
    let fields: HashMap<String, Value> =
        typed.iter().map(|typed| (typed.field.name.clone(), typed.value())).collect();
    let request = visitor.ask(UpdateRecordRequest { id: id.clone(), fields, if_version })?;
    let Err(status) = app.rooms().sync().update_record(request).await else {
        let changed = ui::count(&(typed.len() as u64), "field", "fields");
        let text = format!("{changed} saved. Linked systems are written at once.");
        return Ok(respond::redirect(&path, &Flash::good(text)));
    };
    let failure = Failure::from(status);
    if !failure.is_fixable() {
        return Err(failure);
    }
    // The form comes back on the record as it is now, with what was typed.
    let record = find(&app, &visitor, object, id).await?;
    let mut shell = shell(&visitor, object, &record);
    shell.flash = Some(Flash::bad(failure.message, failure.code));
    let page = EditPage::new(shell, object, schema, record, &typed);
    Ok(respond::page_with(failure.status, &page))
}
