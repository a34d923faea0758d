use askama::Template;
use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use model::Scope;
use proto::crm::{
    Campaign, CampaignRequest, EnrolRecipientsRequest, ListRecipientsRequest, NewRecipient,
    PreviewCampaignRequest, PreviewCampaignResponse, Recipient, RecipientRequest, StartCampaignRequest,
};
use serde::{Deserialize, Serialize};

use super::{ONLY_WRITERS, PATH, count, minute, standing, starts, state};
use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::Form,
    pages::attribution::address,
    people::People,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const PAGE: u32 = 50;
/// How many refusals of an enrolment are named.
const MOST_NAMED: usize = 5;

/// One campaign: its mails, its recipients, and whether it runs.
#[derive(Template)]
#[template(path = "campaigns/detail.html")]
pub(crate) struct CampaignPage {
    shell: Shell,
    it: Campaign,
    preview: PreviewCampaignResponse,
    recipients: Vec<Recipient>,
    filter: Filter,
    people: People,
    /// The address of the next page of recipients; empty on the last one.
    next: String,
}
respond::page_response!(CampaignPage);

/// Which recipients.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(crate) struct Filter {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    state: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    page: String,
}

/// Whether more mails are to come.
fn is_open(recipient: &Recipient) -> bool {
    matches!(recipient.state.as_str(), "scheduled" | "sending" | "sent")
}

impl CampaignPage {
    fn here(&self) -> String {
        format!("{PATH}/{}", self.it.id)
    }

    /// The address of the recipients in a state.
    fn of(&self, state: &str) -> String {
        address(&self.here(), &Filter { state: state.to_owned(), page: String::new() })
    }

    fn is_draft(&self) -> bool {
        self.it.state == "draft"
    }

    /// When its first mails go out, where that is still to come.
    fn starts(&self) -> Option<ui::Markup> {
        starts(&self.it, &self.shell.now)
    }

    /// Whether its time to start was over before it was started.
    fn is_late(&self) -> bool {
        self.is_draft() && self.it.starts_at.is_some() && self.starts().is_none()
    }

    /// Whether no mail of it was asked for, so that it can be taken back.
    fn is_untouched(&self) -> bool {
        let before = ["scheduled", "stopped", "suppressed", "failed"];
        !self.is_draft()
            && self.it.mails_sent == 0
            && self.it.recipients.iter().all(|counted| before.contains(&counted.state.as_str()))
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let people = People::new(&sample::user(model::Role::Owner), &[]);
        Self {
            shell,
            it: sample::campaigns().remove(1),
            preview: sample::campaign_preview(),
            recipients: sample::recipients(),
            filter: Filter::default(),
            people,
            next: "next".to_owned(),
        }
    }

    pub(crate) fn sample_draft(shell: Shell) -> Self {
        Self { it: sample::campaigns().remove(0), next: String::new(), ..Self::sample(shell) }
    }

    pub(crate) fn sample_empty(shell: Shell) -> Self {
        let preview = PreviewCampaignResponse::default();
        Self { preview, recipients: Vec::new(), ..Self::sample_draft(shell) }
    }

    pub(crate) fn sample_scheduled(shell: Shell) -> Self {
        let preview = PreviewCampaignResponse { missing: Vec::new(), ..sample::campaign_preview() };
        Self { it: sample::campaigns().remove(4), preview, next: String::new(), ..Self::sample(shell) }
    }

    pub(crate) fn sample_paused(shell: Shell) -> Self {
        Self { it: sample::campaigns().remove(2), ..Self::sample(shell) }
    }
}

/// `GET /campaigns/{campaign}`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
    Query(filter): Query<Filter>,
) -> Result<CampaignPage, Failure> {
    let mut room = app.rooms().crm();
    let it = room.get_campaign(visitor.ask(CampaignRequest { id: id.clone() })?).await?.into_inner();
    let request = PreviewCampaignRequest { campaign_id: id.clone(), ..Default::default() };
    let preview = room.preview_campaign(visitor.ask(request)?).await?.into_inner();
    let (state, page) = (filter.state.clone(), filter.page.clone());
    let request = ListRecipientsRequest { campaign_id: id.clone(), state, limit: PAGE, page };
    let list = room.list_recipients(visitor.ask(request)?).await?.into_inner();
    let people = People::load(&app, &visitor).await?;
    let shell = visitor.shell(it.name.clone(), Nav::Campaigns);
    let next = match list.next_page {
        page if page.is_empty() => page,
        page => address(&format!("{PATH}/{id}"), &Filter { page, ..filter.clone() }),
    };
    Ok(CampaignPage { shell, it, preview, recipients: list.recipients, filter, people, next })
}

/// What is done with it.
#[derive(Deserialize)]
pub(crate) struct Action {
    action: String,
    #[serde(default)]
    recipient: String,
    #[serde(default)]
    recipients: String,
    /// The version that the page showed.
    #[serde(default)]
    version: Option<i64>,
}

/// `POST /campaigns/{campaign}`: starts, pauses or resumes it, takes it back, enrols recipients, or takes one out.
pub(crate) async fn act(
    State(app): State<App>,
    Path(id): Path<String>,
    Form(visitor, form): Form<Action>,
) -> Result<Response, Failure> {
    visitor.must(Scope::RecordsWrite, ONLY_WRITERS)?;
    let here = format!("{PATH}/{id}");
    let flash = match done(&app, &visitor, id, form).await {
        Ok(flash) => flash,
        Err(failure) if failure.is_fixable() => Flash::bad(failure.message, failure.code),
        Err(failure) => return Err(failure),
    };
    Ok(respond::redirect(&here, &flash))
}

async fn done(app: &App, visitor: &Visitor, id: String, form: Action) -> Result<Flash, Failure> {
    let mut room = app.rooms().crm();
    let request = CampaignRequest { id: id.clone() };
    match form.action.as_str() {
        "start" => {
            let request = StartCampaignRequest { id, if_version: form.version };
            let it = room.start_campaign(visitor.ask(request)?).await.map_err(unstarted)?.into_inner();
            let people = count(&it.recipient_count, "recipient", "recipients");
            let done = if starts(&it, &app.now()).is_some() { "Scheduled" } else { "Started" };
            Ok(Flash::good(format!("{done} for {people}.")))
        }
        "withdraw" => {
            room.withdraw_campaign(visitor.ask(request)?).await?;
            Ok(Flash::good("Taken back. It is a draft again: change it, then start it anew."))
        }
        "pause" => {
            room.pause_campaign(visitor.ask(request)?).await?;
            Ok(Flash::good("Paused. What the mailbox was asked for before still goes out."))
        }
        "resume" => {
            room.resume_campaign(visitor.ask(request)?).await?;
            Ok(Flash::good("It goes on."))
        }
        "stop" => {
            let request = RecipientRequest { campaign_id: id, recipient_id: form.recipient };
            room.stop_recipient(visitor.ask(request)?).await?;
            Ok(Flash::good("The recipient gets no more mails of this campaign."))
        }
        "enrol" => {
            let recipients = read(&form.recipients)?;
            let request = EnrolRecipientsRequest { campaign_id: id, recipients };
            let told = room.enrol_recipients(visitor.ask(request)?).await?.into_inner();
            let named = told.refused.iter().take(MOST_NAMED).map(|it| {
                let field = if it.field.is_empty() { String::new() } else { format!(" {}", it.field) };
                format!("recipient {}: {}{field}", it.index + 1, ui::spaced(&it.code).to_lowercase())
            });
            let named = named.collect::<Vec<_>>().join(", ");
            let mut text = format!("{} added, {} known.", told.enrolled, told.known);
            if told.refused.is_empty() {
                return Ok(Flash::good(text));
            }
            text.push_str(&format!(" {} not added: {named}.", told.refused.len()));
            Ok(Flash::bad(text, "recipients_refused"))
        }
        _ => Err(Failure::not_found()),
    }
}

/// Why a campaign was not started, in the words of the page.
fn unstarted(status: tonic::Status) -> Failure {
    let mut failure = Failure::from(status);
    if failure.code == "version_changed" {
        let text = "Somebody changed the campaign after you opened this page, so it was not started. \
                    Look at its mails below, then start it.";
        text.clone_into(&mut failure.message);
    }
    failure
}

/// Recipients as they are typed: an address on each line, or below a line that names the columns, with commas between.
fn read(text: &str) -> Result<Vec<NewRecipient>, Failure> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    let columns: Vec<String> = match lines.peek() {
        Some(first) if !first.contains('@') => {
            first.split(',').map(|name| name.trim().to_lowercase().replace(' ', "_")).collect()
        }
        _ => vec!["email".to_owned()],
    };
    if lines.peek().is_some_and(|first| !first.contains('@')) {
        lines.next();
    }
    if !columns.iter().any(|name| name == "email") {
        return Err(Failure::invalid("columns_invalid", "One of the columns is called email."));
    }
    let recipient = |line: &str| {
        let mut recipient = NewRecipient::default();
        for (name, value) in columns.iter().zip(line.split(',').map(str::trim)) {
            match name.as_str() {
                "email" => value.clone_into(&mut recipient.email),
                "name" => value.clone_into(&mut recipient.name),
                other => drop(recipient.fields.insert(other.to_owned(), value.to_owned())),
            }
        }
        recipient
    };
    Ok(lines.map(recipient).collect())
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn recipients_are_read_with_and_without_columns() {
        let plain = read(" ann@x.example \r\n\nbob@x.example").unwrap();
        assert_eq!(
            plain.iter().map(|it| it.email.as_str()).collect::<Vec<_>>(),
            ["ann@x.example", "bob@x.example"]
        );
        let named = read("First Name, email, name\nAnn, ann@x.example, Ann Field\nBob").unwrap();
        assert_eq!((named[0].fields["first_name"].as_str(), named[0].name.as_str()), ("Ann", "Ann Field"));
        assert_eq!((named[1].email.as_str(), named.len()), ("", 2));
        assert!(read("name\nAnn").is_err());
    }
}
