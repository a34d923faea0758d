use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use model::Scope;
use proto::{
    connections::{Connection, ListConnectionsRequest},
    crm::{ListMailboxesRequest, Mailbox, SetMailboxRequest},
};

use super::{ONLY_WRITERS, PATH, Wrong, number};
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

const HERE: &str = "/campaigns/mailboxes";

/// A mailbox, by the name that people know it by.
pub(crate) struct Named {
    pub(crate) it: Mailbox,
    pub(crate) name: String,
}

impl Named {
    fn new(it: Mailbox, connections: &[Connection]) -> Self {
        let found = connections.iter().find(|connection| connection.id == it.connection_id);
        let name = found.map(|connection| connection.account_name.clone()).filter(|name| !name.is_empty());
        let unnamed = || format!("{} …{}", ui::vendor(&it.vendor), ui::short(&it.connection_id));
        Self { name: name.unwrap_or_else(unnamed), it }
    }

    /// All mailboxes that campaigns may go out through.
    pub(crate) async fn list(app: &App, visitor: &Visitor) -> Result<Vec<Self>, Failure> {
        let (mut crm, mut connections) = (app.rooms().crm(), app.rooms().connections());
        let (mailboxes, connections) = tokio::try_join!(
            crm.list_mailboxes(visitor.ask(ListMailboxesRequest {})?),
            connections.list_connections(visitor.ask(ListConnectionsRequest {})?),
        )?;
        let connections = connections.into_inner().connections;
        let named = mailboxes.into_inner().mailboxes.into_iter();
        Ok(named.map(|it| Self::new(it, &connections)).collect())
    }

    pub(crate) fn samples() -> Vec<Self> {
        let connections = [sample::m365_connection()];
        sample::mailboxes().into_iter().map(|it| Self::new(it, &connections)).collect()
    }
}

/// How many mails each mailbox sends at most.
#[derive(Template)]
#[template(path = "campaigns/mailboxes.html")]
pub(crate) struct MailboxesPage {
    shell: Shell,
    rows: Vec<Row>,
}
respond::page_response!(MailboxesPage);

/// A mailbox with what stands in its form.
struct Row {
    mailbox: Named,
    per_minute: String,
    per_day: String,
    wrong: Wrong,
}

impl Row {
    fn new(mailbox: Named) -> Self {
        let (per_minute, per_day) = (mailbox.it.per_minute.to_string(), mailbox.it.per_day.to_string());
        Self { mailbox, per_minute, per_day, wrong: Wrong::default() }
    }

    fn is_used_up(&self) -> bool {
        self.mailbox.it.asked_today >= self.mailbox.it.per_day
    }
}

impl MailboxesPage {
    async fn load(app: &App, visitor: &Visitor) -> Result<Self, Failure> {
        let rows = Named::list(app, visitor).await?.into_iter().map(Row::new).collect();
        Ok(Self { shell: visitor.shell("Sending limits", Nav::Campaigns), rows })
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self { shell, rows: Named::samples().into_iter().map(Row::new).collect() }
    }

    pub(crate) fn sample_refused(shell: Shell) -> Self {
        let mut page = Self::sample(shell);
        if let Some(row) = page.rows.first_mut() {
            "5000".clone_into(&mut row.per_minute);
            row.mailbox.it.asked_today = row.mailbox.it.per_day;
            row.wrong.put("per_minute", PER_MINUTE);
        }
        page.shell.flash = Some(Flash::bad(SEE_BELOW, "limit_invalid"));
        page
    }

    pub(crate) fn sample_none(shell: Shell) -> Self {
        Self { shell, rows: Vec::new() }
    }
}

const SEE_BELOW: &str = "Nothing was saved: see what is marked below.";
const PER_MINUTE: &str = "Write a whole number from 1 to 1,000.";
const PER_DAY: &str = "Write a whole number from 1 to 100,000.";

/// `GET /campaigns/mailboxes`.
pub(crate) async fn show(State(app): State<App>, visitor: Visitor) -> Result<MailboxesPage, Failure> {
    MailboxesPage::load(&app, &visitor).await
}

/// A whole number, of which people may have grouped the digits.
fn whole(text: &str) -> Option<u32> {
    let mut groups = text.trim().split([',', '.', ' ', '\'']);
    let first = groups.next()?;
    let rest: Vec<&str> = groups.collect();
    let is_grouped = rest.is_empty() || (1..=3).contains(&first.len());
    let is_whole = is_grouped && rest.iter().all(|group| group.len() == 3);
    [first, &rest.concat()].concat().parse().ok().filter(|_| is_whole)
}

/// What was typed, or what is wrong with it.
fn read(form: &Pairs) -> Result<SetMailboxRequest, Wrong> {
    let mut wrong = Wrong::default();
    let mut limit = |name: &str, said: &str| {
        whole(&one(form, name)).unwrap_or_else(|| {
            wrong.put(name, said);
            0
        })
    };
    let (per_minute, per_day) = (limit("per_minute", PER_MINUTE), limit("per_day", PER_DAY));
    let connection_id = one(form, "mailbox");
    if wrong.is_empty() { Ok(SetMailboxRequest { connection_id, per_minute, per_day }) } else { Err(wrong) }
}

/// `POST /campaigns/mailboxes`: sets the limits of one mailbox. What is refused comes back as it was typed.
pub(crate) async fn save(
    State(app): State<App>,
    Form(visitor, form): Form<Pairs>,
) -> Result<Response, Failure> {
    visitor.must(Scope::RecordsWrite, ONLY_WRITERS)?;
    let (wrong, failure) = match read(&form) {
        Err(wrong) => (wrong, Failure::invalid("limit_invalid", SEE_BELOW)),
        Ok(request) => match app.rooms().crm().set_mailbox(visitor.ask(request)?).await {
            Ok(set) => {
                let set = set.into_inner();
                let (minute, day) = (number(&set.per_minute), number(&set.per_day));
                let text =
                    format!("Saved. It sends at most {minute} mails a minute and {day} a day, from now on.");
                return Ok(respond::redirect(HERE, &Flash::good(text)));
            }
            Err(status) => refused(status)?,
        },
    };
    let mut page = MailboxesPage::load(&app, &visitor).await?;
    let asked = one(&form, "mailbox");
    let row = page.rows.iter_mut().find(|row| row.mailbox.it.connection_id == asked);
    let row = row.ok_or_else(Failure::not_found)?;
    (row.per_minute, row.per_day) = (one(&form, "per_minute"), one(&form, "per_day"));
    let is_marked = !wrong.is_empty();
    row.wrong = wrong;
    let text = if is_marked { SEE_BELOW.to_owned() } else { failure.message };
    page.shell.flash = Some(Flash::bad(text, failure.code));
    Ok((failure.status, page).into_response())
}

/// What the room does not take, in the words of the form.
fn refused(status: tonic::Status) -> Result<(Wrong, Failure), Failure> {
    let field = super::field(&status);
    let failure = Failure::from(status);
    if !failure.is_fixable() {
        return Err(failure);
    }
    let mut wrong = Wrong::default();
    match field.as_str() {
        "per_minute" => wrong.put("per_minute", PER_MINUTE),
        "per_day" => wrong.put("per_day", PER_DAY),
        _ => {}
    }
    Ok((wrong, failure))
}
