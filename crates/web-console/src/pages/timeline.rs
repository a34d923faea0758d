//! What happened with a record: e-mails, calls, meetings and what else people did, as their sources told it.

pub(crate) mod activity;
mod item;
mod transcript;

use askama::Template;
use axum::extract::{Path, Query, State};
use model::CanonicalObject;
use proto::{
    attribution::GetPartnerRequest,
    crm::{Activity, GetTimelineRequest},
};

pub(crate) use item::{Item, called};

use crate::{
    app::App,
    failure::Failure,
    form::{Pairs, all, one},
    pages::{record, records},
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const PAGE: u32 = 50;
/// How many of the newest a record's own page shows.
const RECENT: u32 = 5;
/// Kinds of activities: name, label of many.
const KINDS: [(&str, &str); 7] = [
    ("email", "E-mails"),
    ("call", "Calls"),
    ("meeting", "Meetings"),
    ("note", "Notes"),
    ("stage_change", "Stage changes"),
    ("ticket", "Tickets"),
    ("quote", "Quotes"),
];

/// The activities of one record, newest first.
#[derive(Template)]
#[template(path = "timeline/timeline.html")]
pub(crate) struct TimelinePage {
    shell: Shell,
    whose: Whose,
    filter: Filter,
    items: Vec<Item>,
    /// The address of the next page; empty on the last one.
    next: String,
}
respond::page_response!(TimelinePage);

/// The record, or the partner of a program, that a timeline belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Whose {
    /// `rec_…` or `ptnr_…`.
    id: String,
    /// What the record is; none for a partner of a program.
    object: Option<CanonicalObject>,
    title: String,
}

impl Whose {
    /// The page of the record itself.
    fn path(&self) -> String {
        match self.object {
            Some(object) => format!("/records/{object}/{}", self.id),
            None => format!("/attribution/partners/{}", self.id),
        }
    }

    fn timeline(&self) -> String {
        format!("{}/timeline", self.path())
    }

    /// The list that the record stands in: its path and its name.
    fn list(&self) -> (String, &'static str) {
        match self.object {
            Some(object) => (format!("/records/{object}"), object.label()),
            None => ("/attribution/partners".to_owned(), "Partners"),
        }
    }

    fn nav(&self) -> Nav {
        self.object.map_or(Nav::Partners, |object| Nav::Records(object.name().to_owned()))
    }

    /// What makes activities appear here.
    fn hint(&self) -> &'static str {
        match self.object {
            Some(CanonicalObject::Contact) => {
                "E-mails, calls and meetings are found by the contact's e-mail addresses. See that they are filled in."
            }
            Some(CanonicalObject::Company | CanonicalObject::Partner) => {
                "E-mails, calls and meetings are found by the domain and by the contacts that belong to it. See that the domain is filled in."
            }
            Some(CanonicalObject::Deal) => {
                "The deal's changes of stage appear by themselves, and what connected systems tell about the deal."
            }
            Some(CanonicalObject::Lead) => "What connected systems tell about the lead appears here.",
            None => "What connected systems tell about the partner appears here.",
        }
    }

    /// Who asks, of which record.
    async fn of_record(app: &App, visitor: &Visitor, name: &str, id: String) -> Result<Self, Failure> {
        let object = records::object(name)?;
        let record = record::find(app, visitor, object, id).await?;
        let title = if record.title.is_empty() { "Untitled".to_owned() } else { record.title };
        Ok(Self { id: record.id, object: Some(object), title })
    }

    async fn of_partner(app: &App, visitor: &Visitor, partner_id: String) -> Result<Self, Failure> {
        let request = visitor.ask(GetPartnerRequest { partner_id })?;
        let partner = app.rooms().attribution().get_partner(request).await?.into_inner();
        Ok(Self { id: partner.id, object: None, title: partner.name })
    }

    fn sample() -> Self {
        let record = sample::record(0);
        Self { id: record.id, object: Some(CanonicalObject::Deal), title: record.title }
    }
}

/// What a timeline is narrowed by.
#[derive(Debug, Clone, Default)]
struct Filter {
    /// The kinds that are shown; all where there is none.
    kinds: Vec<String>,
    q: String,
    page: String,
}

impl Filter {
    fn read(pairs: &Pairs) -> Self {
        Self { kinds: all(pairs, "kind"), q: one(pairs, "q"), page: one(pairs, "page") }
    }

    fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.q.is_empty()
    }

    /// The same narrowed by this kind too, or not any more.
    fn toggled(&self, kind: &str) -> Self {
        let mut kinds = self.kinds.clone();
        kinds.retain(|shown| shown != kind);
        if kinds.len() == self.kinds.len() {
            kinds.push(kind.to_owned());
        }
        Self { kinds, q: self.q.clone(), page: String::new() }
    }

    fn address(&self, path: &str) -> String {
        let kinds = self.kinds.iter().map(|kind| ("kind", kind));
        let others = [("q", &self.q), ("page", &self.page)].into_iter().filter(|(_, text)| !text.is_empty());
        match serde_urlencoded::to_string(kinds.chain(others).collect::<Vec<_>>()) {
            Ok(query) if !query.is_empty() => format!("{path}?{query}"),
            _ => path.to_owned(),
        }
    }
}

impl TimelinePage {
    fn new(shell: Shell, whose: Whose, filter: Filter, activities: Vec<Activity>, page: String) -> Self {
        let path = whose.timeline();
        let items = activities.into_iter().map(|activity| Item::new(activity, &path)).collect();
        let next = Filter { page, ..filter.clone() };
        let next = if next.page.is_empty() { String::new() } else { next.address(&path) };
        Self { shell, whose, filter, items, next }
    }

    fn toggle(&self, kind: &str) -> String {
        self.filter.toggled(kind).address(&self.whose.timeline())
    }

    fn is_shown(&self, kind: &str) -> bool {
        self.filter.kinds.iter().any(|shown| shown == kind)
    }

    /// The same without a page, and without kinds or words where they are to be left out.
    fn without(&self, kinds: bool, words: bool) -> String {
        let kinds = if kinds { Vec::new() } else { self.filter.kinds.clone() };
        let q = if words { String::new() } else { self.filter.q.clone() };
        Filter { kinds, q, page: String::new() }.address(&self.whose.timeline())
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self::new(shell, Whose::sample(), Filter::default(), sample::activities(), "next".to_owned())
    }

    pub(crate) fn sample_none(shell: Shell) -> Self {
        Self::new(shell, Whose::sample(), Filter::default(), Vec::new(), String::new())
    }

    pub(crate) fn sample_nothing_fits(shell: Shell) -> Self {
        let filter = Filter { kinds: vec!["call".to_owned()], q: "presses".to_owned(), page: String::new() };
        Self::new(shell, Whose::sample(), filter, Vec::new(), String::new())
    }
}

/// `GET /records/{object}/{record}/timeline`.
pub(crate) async fn of_record(
    State(app): State<App>,
    visitor: Visitor,
    Path((name, id)): Path<(String, String)>,
    Query(asked): Query<Pairs>,
) -> Result<TimelinePage, Failure> {
    let whose = Whose::of_record(&app, &visitor, &name, id).await?;
    show(&app, &visitor, whose, Filter::read(&asked)).await
}

/// `GET /attribution/partners/{partner}/timeline`.
pub(crate) async fn of_partner(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
    Query(asked): Query<Pairs>,
) -> Result<TimelinePage, Failure> {
    let whose = Whose::of_partner(&app, &visitor, id).await?;
    show(&app, &visitor, whose, Filter::read(&asked)).await
}

async fn show(app: &App, visitor: &Visitor, whose: Whose, filter: Filter) -> Result<TimelinePage, Failure> {
    let request = GetTimelineRequest {
        record_id: whose.id.clone(),
        kinds: filter.kinds.clone(),
        query: filter.q.clone(),
        limit: PAGE,
        page: filter.page.clone(),
    };
    let answer = app.rooms().crm().get_timeline(visitor.ask(request)?).await?.into_inner();
    let shell = visitor.shell(format!("Timeline of {}", whose.title), whose.nav());
    Ok(TimelinePage::new(shell, whose, filter, answer.activities, answer.next_page))
}

/// The newest activities of a record for its own page; none where the room that keeps them is away, because the rest of
/// the page does not need it.
pub(crate) async fn recent(
    app: &App,
    visitor: &Visitor,
    path: &str,
    id: &str,
) -> Result<Option<Vec<Item>>, Failure> {
    let request =
        GetTimelineRequest { record_id: id.to_owned(), limit: RECENT, ..GetTimelineRequest::default() };
    match app.rooms().crm().get_timeline(visitor.ask(request)?).await.map_err(Failure::from) {
        Ok(answer) => {
            let path = format!("{path}/timeline");
            Ok(Some(answer.into_inner().activities.into_iter().map(|it| Item::new(it, &path)).collect()))
        }
        Err(failure) if failure.is_passing() => Ok(None),
        Err(failure) => Err(failure),
    }
}
