use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use model::Scope;
use proto::crm::{CampaignDraft, CampaignStep, ListMailboxesRequest, Mailbox, SendingWindow};

use super::{ONLY_WRITERS, PATH};
use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Pairs, all, one},
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

/// How many mails the form has room for.
const MAILS: usize = 3;

/// A campaign that somebody drafts.
#[derive(Template)]
#[template(path = "campaigns/form.html")]
pub(crate) struct CampaignFormPage {
    shell: Shell,
    /// The mailboxes that send now.
    mailboxes: Vec<Mailbox>,
    draft: Draft,
}
respond::page_response!(CampaignFormPage);

/// What was typed.
#[derive(Default)]
struct Draft {
    name: String,
    mailbox: String,
    mails: Vec<Mail>,
    zone: String,
    from: String,
    until: String,
    weekdays: bool,
}

#[derive(Clone, Default)]
struct Mail {
    days: String,
    subject: String,
    text: String,
}

impl Draft {
    fn read(form: &Pairs) -> Self {
        let (days, subjects, texts) = (all(form, "days"), all(form, "subject"), all(form, "text"));
        let mails = (0..MAILS).map(|place| Mail {
            days: days.get(place).cloned().unwrap_or_default(),
            subject: subjects.get(place).cloned().unwrap_or_default(),
            text: texts.get(place).cloned().unwrap_or_default().replace("\r\n", "\n"),
        });
        Self {
            name: one(form, "name"),
            mailbox: one(form, "mailbox"),
            mails: mails.collect(),
            zone: one(form, "zone"),
            from: one(form, "from"),
            until: one(form, "until"),
            weekdays: !one(form, "weekdays").is_empty(),
        }
    }

    /// Mails without a text are none.
    fn to_wire(&self) -> Result<CampaignDraft, Failure> {
        let written = self.mails.iter().filter(|mail| !mail.text.trim().is_empty());
        let step = |mail: &Mail| {
            let days = mail.days.trim();
            let malformed =
                || Failure::invalid("days_malformed", "Write the days as a whole number, such as 3.");
            let after_days = if days.is_empty() { Ok(0) } else { days.parse().map_err(|_| malformed()) };
            Ok(CampaignStep {
                after_days: after_days?,
                subject: mail.subject.clone(),
                text: mail.text.clone(),
            })
        };
        let steps = written.map(step).collect::<Result<_, Failure>>()?;
        let window = (!self.zone.is_empty()).then(|| {
            let time_zone = self.zone.clone();
            let weekdays_only = self.weekdays;
            Ok::<_, Failure>(SendingWindow {
                time_zone,
                from_minute: minute(&self.from)?,
                until_minute: minute(&self.until)?,
                weekdays_only,
            })
        });
        Ok(CampaignDraft {
            name: self.name.clone(),
            connection_id: self.mailbox.clone(),
            steps,
            starts_at: None,
            window: window.transpose()?,
        })
    }
}

/// The minute of the day of 09:30.
fn minute(text: &str) -> Result<u32, Failure> {
    let found = text.split_once(':').and_then(|(hour, minute)| {
        let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
        (hour <= 24 && minute < 60).then_some(hour * 60 + minute)
    });
    found.ok_or_else(|| Failure::invalid("time_malformed", "Write the hours as 09:00 and 17:00."))
}

impl CampaignFormPage {
    async fn load(app: &App, visitor: &Visitor, mut draft: Draft) -> Result<Self, Failure> {
        let request = visitor.ask(ListMailboxesRequest {})?;
        let mut mailboxes = app.rooms().crm().list_mailboxes(request).await?.into_inner().mailboxes;
        mailboxes.retain(|it| it.state == "active");
        draft.mails.resize(MAILS, Mail::default());
        let shell = visitor.shell("New campaign", Nav::Campaigns);
        Ok(Self { shell, mailboxes, draft })
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let first = Mail {
            days: "0".to_owned(),
            subject: "Presses for {{company}}".to_owned(),
            text: "Dear {{first_name}},\n\nwe have <ten> presses.".to_owned(),
        };
        let mails = vec![first, Mail::default(), Mail::default()];
        let draft = Draft { name: "Presses in spring".to_owned(), mails, ..Draft::default() };
        Self { shell, mailboxes: sample::mailboxes(), draft }
    }

    pub(crate) fn sample_nowhere(shell: Shell) -> Self {
        Self { shell, mailboxes: Vec::new(), draft: Draft::default() }
    }
}

/// `GET /campaigns/new`.
pub(crate) async fn show(State(app): State<App>, visitor: Visitor) -> Result<CampaignFormPage, Failure> {
    visitor.must(Scope::RecordsWrite, ONLY_WRITERS)?;
    CampaignFormPage::load(&app, &visitor, Draft::default()).await
}

/// `POST /campaigns`. What is refused comes back as it was typed.
pub(crate) async fn create(
    State(app): State<App>,
    Form(visitor, form): Form<Pairs>,
) -> Result<Response, Failure> {
    visitor.must(Scope::RecordsWrite, ONLY_WRITERS)?;
    let draft = Draft::read(&form);
    let made = match draft.to_wire() {
        Ok(wire) => app.rooms().crm().create_campaign(visitor.ask(wire)?).await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    match made {
        Ok(made) => {
            let text = "Drafted. Add its recipients, look at their mails, and start it.";
            Ok(respond::redirect(&format!("{PATH}/{}", made.into_inner().id), &Flash::good(text)))
        }
        Err(failure) if failure.is_fixable() => {
            let mut page = CampaignFormPage::load(&app, &visitor, draft).await?;
            let status = failure.status;
            page.shell.flash = Some(Flash::bad(failure.message, failure.code));
            Ok((status, page).into_response())
        }
        Err(failure) => Err(failure),
    }
}
