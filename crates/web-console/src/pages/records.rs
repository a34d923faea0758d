use askama::Template;
use axum::{
    extract::{Path, Query, State},
    response::{Redirect, Response},
};
use model::CanonicalObject;
use proto::{
    sync::{CreateRecordRequest, ListObjectsRequest, ListRecordsRequest, Record},
    v1::{Field, ObjectSchema, Value, value::Kind},
};
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::Form,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const PAGE: u32 = 50;

/// The records of one object: search and page through them.
#[derive(Template)]
#[template(path = "records.html")]
pub(crate) struct RecordsPage {
    shell: Shell,
    object: String,
    label: String,
    /// Internal name and label of the fields shown as columns.
    columns: Vec<(String, String)>,
    fields: Vec<Field>,
    records: Vec<Record>,
    total: u64,
    query: String,
    /// Whether this is not the first page.
    is_further: bool,
    next: String,
    title_label: String,
}
respond::page_response!(RecordsPage);

/// The object that the path names, in the singular or the plural.
pub(crate) fn object(name: &str) -> Result<CanonicalObject, Failure> {
    name.parse().map_err(|_| Failure::not_found())
}

/// The columns that tell most about a record of the object.
fn columns(object: CanonicalObject) -> &'static [&'static str] {
    match object {
        CanonicalObject::Partner => &["domain", "type", "tier", "status", "country"],
        CanonicalObject::Company => &["domain", "industry", "city", "country"],
        CanonicalObject::Deal => &["amount", "currency", "stage", "expected_close_date"],
        CanonicalObject::Contact => &["first_name", "last_name", "job_title", "company_name"],
        CanonicalObject::Lead => &["first_name", "last_name", "company_name", "status"],
    }
}

impl RecordsPage {
    fn new(
        shell: Shell,
        object: CanonicalObject,
        schema: &ObjectSchema,
        records: Vec<Record>,
        total: u64,
        search: &Search,
        next_page: String,
    ) -> Self {
        let label = |name: &str| {
            let field = schema.fields.iter().find(|field| field.name == name);
            field.map_or_else(|| ui::spaced(name), |field| field.label.clone())
        };
        let next = if next_page.is_empty() {
            String::new()
        } else {
            let search = Search { q: search.q.clone(), page: next_page };
            format!("/records/{object}?{}", serde_urlencoded::to_string(search).unwrap_or_default())
        };
        Self {
            shell,
            object: object.name().to_owned(),
            label: object.label().to_owned(),
            fields: schema.fields.clone(),
            columns: columns(object).iter().map(|&name| (name.to_owned(), label(name))).collect(),
            records,
            total,
            query: search.q.clone(),
            is_further: !search.page.is_empty(),
            next,
            title_label: label(object.title_field()),
        }
    }

    fn is_number(&self, column: &str) -> bool {
        matches!(column, "amount")
    }

    fn cell(&self, record: &Record, column: &str) -> ui::Markup {
        show_value(&self.fields, column, &record.fields.get(column).cloned())
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let schema = (&CanonicalObject::Deal.schema()).into();
        let records = (0..4).map(sample::record).collect();
        Self::new(shell, CanonicalObject::Deal, &schema, records, 804, &Search::default(), "next".to_owned())
    }

    pub(crate) fn sample_none(shell: Shell) -> Self {
        let schema = (&CanonicalObject::Partner.schema()).into();
        Self::new(shell, CanonicalObject::Partner, &schema, Vec::new(), 0, &Search::default(), String::new())
    }
}

/// The value of a field of these, its options by their labels.
pub(super) fn show_value(fields: &[Field], name: &str, value: &Option<Value>) -> ui::Markup {
    let options = fields.iter().find(|field| field.name == name).map_or(&[][..], |field| &field.options);
    ui::show_labelled(value, options)
}

/// What the list is narrowed by.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct Search {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    q: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    page: String,
}

/// `GET /records`.
pub(crate) async fn home() -> Redirect {
    Redirect::to("/records/company")
}

/// The schema of an object of this organization, its own fields included.
pub(crate) async fn schema(
    app: &App,
    visitor: &Visitor,
    object: CanonicalObject,
) -> Result<ObjectSchema, Failure> {
    let objects =
        app.rooms().sync().list_objects(visitor.ask(ListObjectsRequest {})?).await?.into_inner().objects;
    objects.into_iter().find(|schema| schema.name == object.name()).ok_or_else(Failure::not_found)
}

/// `GET /records/{object}`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(search): Query<Search>,
) -> Result<RecordsPage, Failure> {
    let object = object(&name)?;
    let request = visitor.ask(ListRecordsRequest {
        object: object.name().to_owned(),
        query: search.q.trim().to_owned(),
        limit: PAGE,
        page: search.page.clone(),
        ..ListRecordsRequest::default()
    })?;
    let answer = app.rooms().sync().list_records(request).await?.into_inner();
    let schema = schema(&app, &visitor, object).await?;
    let shell = visitor.shell(object.label(), Nav::Records(object.name().to_owned()));
    Ok(RecordsPage::new(shell, object, &schema, answer.records, answer.total, &search, answer.next_page))
}

#[derive(Deserialize)]
pub(crate) struct NewRecord {
    title: String,
}

/// `POST /records/{object}`: a new record with its title; the rest is filled in on its own page.
pub(crate) async fn create(
    State(app): State<App>,
    Path(name): Path<String>,
    Form(visitor, form): Form<NewRecord>,
) -> Result<Response, Failure> {
    let object = object(&name)?;
    let title = Value { kind: Some(Kind::Text(form.title.trim().to_owned())) };
    let request = visitor.ask(CreateRecordRequest {
        object: object.name().to_owned(),
        fields: [(object.title_field().to_owned(), title)].into(),
        idempotency_key: String::new(),
    })?;
    let record = app.rooms().sync().create_record(request).await?.into_inner();
    let path = format!("/records/{object}/{}/edit", record.id);
    Ok(respond::redirect(&path, &Flash::good("Created. Fill in what you know.")))
}
