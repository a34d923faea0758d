use askama::Template;
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use model::Scope;
use proto::crm::{Campaign, CampaignRequest, UpdateCampaignRequest};

use super::{
    ONLY_WRITERS, PATH, Wrong, count,
    draft::{Draft, Mail},
    mailboxes::Named,
};
use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Pairs, one},
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

/// A campaign that somebody drafts, or changes while it is a draft.
#[derive(Template)]
#[template(path = "campaigns/form.html")]
pub(crate) struct CampaignFormPage {
    shell: Shell,
    /// The mailboxes that send now, and the one of the draft.
    mailboxes: Vec<Named>,
    draft: Draft,
    wrong: Wrong,
    /// The campaign as it is, where it is there already.
    stored: Option<Campaign>,
    /// What somebody else saved while this was typed.
    theirs: Option<Draft>,
}
respond::page_response!(CampaignFormPage);

const SEE_BELOW: &str = "Nothing was saved yet: see what is marked below.";
const OVERTAKEN: &str = "Somebody else changed this campaign while you did, so nothing was saved yet. \
                         What is theirs stands beside yours below. Saving now puts yours in its place.";
const STARTED: &str = "The campaign was started, so its mails stay as they are and nothing was saved. \
                       As long as no mail went out it can be taken back, and changed after that.";

impl CampaignFormPage {
    async fn load(
        app: &App,
        visitor: &Visitor,
        draft: Draft,
        stored: Option<Campaign>,
    ) -> Result<Self, Failure> {
        let mut mailboxes = Named::list(app, visitor).await?;
        mailboxes.retain(|it| it.it.state == "active" || it.it.connection_id == draft.mailbox);
        let title = if stored.is_some() { "Change the campaign" } else { "New campaign" };
        let shell = visitor.shell(title, Nav::Campaigns);
        Ok(Self { shell, mailboxes, draft, wrong: Wrong::default(), stored, theirs: None })
    }

    /// Where the form leads.
    fn action(&self) -> String {
        self.stored.as_ref().map_or_else(|| PATH.to_owned(), |it| format!("{PATH}/{}/edit", it.id))
    }

    /// Where whoever cancels goes.
    fn back(&self) -> String {
        self.stored.as_ref().map_or_else(|| PATH.to_owned(), |it| format!("{PATH}/{}", it.id))
    }

    /// The name that somebody else saved, where it is not what stands in the form.
    fn news_of_name(&self) -> Option<&str> {
        let theirs = self.theirs.as_ref()?;
        (theirs.name != self.draft.name).then_some(&theirs.name)
    }

    /// The same of a mail.
    fn news_of(&self, place: &usize) -> Option<Mail> {
        let theirs = self.theirs.as_ref()?.mails.get(*place).cloned().unwrap_or_default();
        (Some(&theirs) != self.draft.mails.get(*place)).then_some(theirs)
    }

    /// What somebody else saved about when it goes out, in words.
    fn news_of_times(&self) -> Option<String> {
        let said = |it: &Draft| {
            let start =
                if it.is_planned { format!("on {} at {}", it.day, it.time) } else { "at once".to_owned() };
            let hours =
                if it.has_hours { format!("{} to {}", it.from, it.until) } else { "any hour".to_owned() };
            let days = if it.has_hours && it.weekdays { ", Monday to Friday" } else { "" };
            format!("{start}; {hours}{days}; {}", it.zone)
        };
        let theirs = said(self.theirs.as_ref()?);
        (theirs != said(&self.draft)).then_some(theirs)
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let mut draft = Draft { name: "Presses in spring".to_owned(), ..Draft::default() };
        draft.mails[0] = Mail {
            days: "0".to_owned(),
            subject: "Presses for {{company}}".to_owned(),
            text: "Dear {{first_name}},\n\nwe have <ten> presses.".to_owned(),
        };
        Self {
            shell,
            mailboxes: Named::samples(),
            draft,
            wrong: Wrong::default(),
            stored: None,
            theirs: None,
        }
    }

    pub(crate) fn sample_edit(shell: Shell) -> Self {
        let stored = sample::campaigns().remove(0);
        Self { draft: Draft::of(&stored), stored: Some(stored), ..Self::sample(shell) }
    }

    pub(crate) fn sample_refused(shell: Shell) -> Self {
        let mut page = Self::sample_edit(shell);
        "Berlin".clone_into(&mut page.draft.zone);
        page.wrong.put("zone", "Write a time zone such as Europe/Berlin, or UTC.");
        page.wrong.put("text-2", "This is needed.");
        page.shell.flash = Some(Flash::bad(SEE_BELOW, "time_zone_invalid"));
        page
    }

    pub(crate) fn sample_overtaken(shell: Shell) -> Self {
        let mut page = Self::sample_edit(shell);
        let mut theirs = page.draft.clone();
        "Presses in <May>".clone_into(&mut theirs.name);
        theirs.mails[1].text = "Did you see our mail?\n\nWe have nine left.".to_owned();
        theirs.is_planned = false;
        page.theirs = Some(theirs);
        page.shell.flash = Some(Flash::bad(OVERTAKEN, "version_changed"));
        page
    }

    pub(crate) fn sample_nowhere(shell: Shell) -> Self {
        Self { mailboxes: Vec::new(), draft: Draft::default(), ..Self::sample(shell) }
    }
}

/// `GET /campaigns/new`.
pub(crate) async fn show(State(app): State<App>, visitor: Visitor) -> Result<CampaignFormPage, Failure> {
    visitor.must(Scope::RecordsWrite, ONLY_WRITERS)?;
    CampaignFormPage::load(&app, &visitor, Draft::default(), None).await
}

/// `POST /campaigns`. What is refused comes back as it was typed.
pub(crate) async fn create(
    State(app): State<App>,
    Form(visitor, form): Form<Pairs>,
) -> Result<Response, Failure> {
    visitor.must(Scope::RecordsWrite, ONLY_WRITERS)?;
    let draft = Draft::read(&form);
    let wire = match draft.to_wire(app.now()) {
        Ok(wire) => wire,
        Err(wrong) => return marked(CampaignFormPage::load(&app, &visitor, draft, None).await?, wrong),
    };
    match app.rooms().crm().create_campaign(visitor.ask(wire)?).await {
        Ok(made) => {
            let text = "Drafted. Add its recipients, look at their mails, and start it.";
            Ok(respond::redirect(&format!("{PATH}/{}", made.into_inner().id), &Flash::good(text)))
        }
        Err(status) => {
            let (field, failure) = (super::field(&status), fixable(status)?);
            let page = CampaignFormPage::load(&app, &visitor, draft, None).await?;
            Ok(refused(page, &field, failure))
        }
    }
}

async fn stored(app: &App, visitor: &Visitor, id: String) -> Result<Campaign, Failure> {
    Ok(app.rooms().crm().get_campaign(visitor.ask(CampaignRequest { id })?).await?.into_inner())
}

/// `GET /campaigns/{campaign}/edit`.
pub(crate) async fn edit(
    State(app): State<App>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    visitor.must(Scope::RecordsWrite, ONLY_WRITERS)?;
    let it = stored(&app, &visitor, id).await?;
    if it.state != "draft" {
        let text = "The campaign was started, so its mails stay as they are. \
                    As long as no mail went out it can be taken back, and changed after that.";
        return Ok(respond::redirect(&format!("{PATH}/{}", it.id), &Flash::bad(text, "campaign_started")));
    }
    let page = CampaignFormPage::load(&app, &visitor, Draft::of(&it), Some(it)).await?;
    Ok(page.into_response())
}

/// `POST /campaigns/{campaign}/edit`. What is refused comes back as it was typed, and what somebody else saved meanwhile is
/// shown beside it.
pub(crate) async fn save(
    State(app): State<App>,
    Path(id): Path<String>,
    Form(visitor, form): Form<Pairs>,
) -> Result<Response, Failure> {
    visitor.must(Scope::RecordsWrite, ONLY_WRITERS)?;
    let draft = Draft::read(&form);
    let seen: Option<i64> = one(&form, "_version").parse().ok();
    let it = stored(&app, &visitor, id.clone()).await?;
    let wire = match draft.to_wire(app.now()) {
        Ok(wire) => wire,
        Err(wrong) => {
            // The form stays one of the version that it was opened with.
            let it = Campaign { version: seen.unwrap_or(it.version), ..it };
            return marked(CampaignFormPage::load(&app, &visitor, draft, Some(it)).await?, wrong);
        }
    };
    let request = UpdateCampaignRequest { id: id.clone(), draft: Some(wire), if_version: seen };
    let status = match app.rooms().crm().update_campaign(visitor.ask(request)?).await {
        Ok(saved) => {
            let text = "Saved. Look at its mails as recipients get them below.";
            return Ok(respond::redirect(&format!("{PATH}/{}", saved.into_inner().id), &Flash::good(text)));
        }
        Err(status) => status,
    };
    let (field, mut failure) = (super::field(&status), fixable(status)?);
    let now = stored(&app, &visitor, id).await?;
    if failure.code == "version_changed" {
        let theirs = Draft::of(&now);
        let mut page = CampaignFormPage::load(&app, &visitor, draft, Some(now)).await?;
        let room = page.draft.mails.len().max(theirs.mails.len());
        page.draft.mails.resize(room, Mail::default());
        page.theirs = Some(theirs);
        failure.message = OVERTAKEN.to_owned();
        return Ok(refused(page, &field, failure));
    }
    if failure.code == "campaign_started" {
        failure.message = STARTED.to_owned();
    }
    let it = Campaign { version: seen.unwrap_or(now.version), ..now };
    let page = CampaignFormPage::load(&app, &visitor, draft, Some(it)).await?;
    Ok(refused(page, &field, failure))
}

/// A refusal that leads back to the form. Of a mailbox that is gone there are others.
fn fixable(status: tonic::Status) -> Result<Failure, Failure> {
    let mut failure = Failure::from(status);
    if failure.code == "connection_not_found" {
        failure.status = StatusCode::UNPROCESSABLE_ENTITY;
    }
    if failure.is_fixable() { Ok(failure) } else { Err(failure) }
}

fn marked(mut page: CampaignFormPage, wrong: Wrong) -> Result<Response, Failure> {
    page.wrong = wrong;
    page.shell.flash = Some(Flash::bad(SEE_BELOW, "form_invalid"));
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

fn refused(mut page: CampaignFormPage, field: &str, failure: Failure) -> Response {
    page.wrong = page.draft.refused(field, &failure);
    let text = if page.wrong.is_empty() { failure.message } else { SEE_BELOW.to_owned() };
    page.shell.flash = Some(Flash::bad(text, failure.code));
    (failure.status, page).into_response()
}

/// The lines to make room for.
fn rows(mail: &Mail) -> usize {
    let lines = mail.text.split('\n').map(|line| 1 + line.chars().count() / 90);
    (lines.sum::<usize>() + 1).clamp(if mail.is_blank() { 3 } else { 6 }, 18)
}

/// The name of a field of the mail in this place.
fn numbered(name: &str, place: &usize) -> String {
    format!("{name}-{place}")
}
