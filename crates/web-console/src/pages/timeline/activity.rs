use std::collections::BTreeSet;

use askama::Template;
use axum::extract::{Path, State};
use futures::{StreamExt, TryStreamExt, stream};
use model::CanonicalObject;
use proto::{
    crm::{Activity, ActivityRequest},
    sync::GetRecordRequest,
};
use tonic::Code;

use super::{
    Item, Whose,
    item::{Group, called, groups, is_spoken},
    transcript,
};
use crate::{
    app::App, failure::Failure, pages::attribution::Names, respond, sample, session::Visitor, shell::Shell,
    ui,
};

const AT_ONCE: usize = 8;

/// One activity, with all of its text.
#[derive(Template)]
#[template(path = "timeline/activity.html")]
pub(crate) struct ActivityPage {
    shell: Shell,
    whose: Whose,
    item: Item,
    people: Vec<Group>,
    /// How many took part besides those.
    others: u64,
    body: String,
    /// The text where it is what was spoken.
    lines: Option<Vec<transcript::Line>>,
    concerns: Vec<Concern>,
}
respond::page_response!(ActivityPage);

/// What an activity concerns.
struct Concern {
    icon: &'static str,
    label: String,
    /// Empty where there is nothing to be seen.
    path: String,
}

impl ActivityPage {
    fn new(shell: Shell, whose: Whose, activity: Activity, body: String, concerns: Vec<Concern>) -> Self {
        let people = groups(activity.participants.iter());
        let shown = u64::try_from(activity.participants.len()).unwrap_or(u64::MAX);
        let others = u64::from(activity.participant_count).saturating_sub(shown);
        let lines = is_spoken(&activity.kind).then(|| transcript::read(&body, &activity.participants));
        let item = Item::new(activity, &whose.timeline());
        Self { shell, whose, item, people, others, body, lines: lines.flatten(), concerns }
    }

    /// Whether this line is of the same speaker as the one before it.
    fn goes_on(&self, place: &usize) -> bool {
        let speaker = |place: usize| self.lines.as_ref()?.get(place).map(|line| line.speaker.as_str());
        place.checked_sub(1).is_some_and(|before| speaker(before) == speaker(*place))
    }

    fn sample_of(shell: Shell, n: usize) -> Self {
        let activity = sample::activities().remove(n);
        let body = sample::activity_text(&activity);
        let concern =
            |icon, label: &str, path: &str| Concern { icon, label: label.to_owned(), path: path.to_owned() };
        let concerns = vec![
            concern("company", "Acme <Presses>", "/records/company/rec_1"),
            concern("contact", "Carol Wild", "/records/contact/rec_2"),
            concern("dot", "A record that is gone …000007", ""),
        ];
        Self::new(shell, Whose::sample(), activity, body, concerns)
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self::sample_of(shell, 0)
    }

    pub(crate) fn sample_transcript(shell: Shell) -> Self {
        Self::sample_of(shell, 1)
    }

    pub(crate) fn sample_bare(shell: Shell) -> Self {
        Self::sample_of(shell, 3)
    }
}

/// `GET /records/{object}/{record}/timeline/{activity}`.
pub(crate) async fn of_record(
    State(app): State<App>,
    visitor: Visitor,
    Path((name, id, activity)): Path<(String, String, String)>,
) -> Result<ActivityPage, Failure> {
    let whose = Whose::of_record(&app, &visitor, &name, id).await?;
    show(&app, &visitor, whose, activity).await
}

/// `GET /attribution/partners/{partner}/timeline/{activity}`.
pub(crate) async fn of_partner(
    State(app): State<App>,
    visitor: Visitor,
    Path((id, activity)): Path<(String, String)>,
) -> Result<ActivityPage, Failure> {
    let whose = Whose::of_partner(&app, &visitor, id).await?;
    show(&app, &visitor, whose, activity).await
}

async fn show(app: &App, visitor: &Visitor, whose: Whose, id: String) -> Result<ActivityPage, Failure> {
    let answer = app.rooms().crm().get_activity(visitor.ask(ActivityRequest { id })?).await?.into_inner();
    let activity = answer.activity.unwrap_or_default();
    if !activity.record_ids.contains(&whose.id) {
        return Err(Failure::not_found());
    }
    let concerns = concerns(app, visitor, &activity.record_ids).await?;
    let shell = visitor.shell(&activity.subject, whose.nav());
    let mut page = ActivityPage::new(shell, whose, activity, answer.body, concerns);
    page.shell.title = page.item.title().to_owned();
    Ok(page)
}

/// The records and partners in words, with the way to each.
async fn concerns(app: &App, visitor: &Visitor, ids: &[String]) -> Result<Vec<Concern>, Failure> {
    let (partners, records): (Vec<String>, Vec<String>) =
        ids.iter().cloned().partition(|id| id.starts_with("ptnr_"));
    let names = Names::load(app, visitor, partners.iter().cloned().collect::<BTreeSet<_>>()).await?;
    let all: Vec<_> = records.into_iter().map(|id| record(app, visitor, id)).collect();
    let mut concerns: Vec<Concern> = stream::iter(all).buffered(AT_ONCE).try_collect().await?;
    concerns.extend(partners.iter().map(|id| Concern {
        icon: "partner",
        label: names.name(id),
        path: format!("/attribution/partners/{id}"),
    }));
    Ok(concerns)
}

async fn record(app: &App, visitor: &Visitor, id: String) -> Result<Concern, Failure> {
    let gone = format!("A record that is gone …{}", ui::short(&id));
    match app.rooms().sync().get_record(visitor.ask(GetRecordRequest { id })?).await {
        Ok(record) => {
            let record = record.into_inner();
            let label = if record.title.is_empty() { "Untitled".to_owned() } else { record.title };
            let icon = record.object.parse::<CanonicalObject>().map_or("dot", CanonicalObject::name);
            Ok(Concern { icon, label, path: format!("/records/{}/{}", record.object, record.id) })
        }
        Err(status) if status.code() == Code::NotFound => {
            Ok(Concern { icon: "dot", label: gone, path: String::new() })
        }
        Err(status) => Err(status.into()),
    }
}
