use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use model::Scope;
use proto::{
    connections::{Channel, Connection, ConnectionRequest},
    crm::{ListNotificationRulesRequest, NewNotificationRule, NotificationRule, SetNotificationRulesRequest},
};

use super::{EVENTS, path};
use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Pairs, all, one},
    pages::connection,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const ONLY_MANAGERS: &str = "Only an Owner or Admin chooses what is told in a channel.";

/// Which events are told in which channels of a connection.
#[derive(Template)]
#[template(path = "telling/channels.html")]
pub(crate) struct ChannelsPage {
    shell: Shell,
    connection: Connection,
    vendor: String,
    here: String,
    rules: Vec<NotificationRule>,
    /// The channels to choose from; or why they cannot be listed. None for whoever chooses nothing.
    channels: Option<Result<Vec<Channel>, Failure>>,
}
respond::page_response!(ChannelsPage);

impl ChannelsPage {
    fn new(
        shell: Shell,
        connection: Connection,
        rules: Vec<NotificationRule>,
        channels: Option<Result<Vec<Channel>, Failure>>,
    ) -> Self {
        let (vendor, here) = (ui::vendor(&connection.vendor), path(&connection, "channels"));
        Self { shell, connection, vendor, here, rules, channels }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let channels = shell.may_partner().then(|| Ok(sample::channels()));
        Self::new(shell, sample::slack_connection("active"), sample::notification_rules(), channels)
    }

    pub(crate) fn sample_none(shell: Shell) -> Self {
        Self::new(shell, sample::slack_connection("active"), Vec::new(), Some(Ok(sample::channels())))
    }

    pub(crate) fn sample_unlisted(shell: Shell) -> Self {
        let away = Failure::new(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            "service_unavailable",
            "Slack does not answer.",
        );
        let rules = sample::notification_rules();
        Self::new(shell, sample::slack_connection("active"), rules, Some(Err(away)))
    }

    /// The channels in which nothing is told yet.
    fn free(&self) -> Vec<&Channel> {
        let listed = self.channels.iter().flatten().flatten();
        listed.filter(|channel| self.rules.iter().all(|rule| rule.channel_id != channel.id)).collect()
    }

    /// Why no channel can be chosen.
    fn unlisted(&self) -> Option<&Failure> {
        self.channels.as_ref().and_then(|channels| channels.as_ref().err())
    }
}

/// What a channel is called; by its id where the vendor told no name.
fn called(rule: &NotificationRule) -> &str {
    if rule.channel_name.is_empty() { &rule.channel_id } else { &rule.channel_name }
}

fn is_told(rule: &NotificationRule, event: &str) -> bool {
    rule.events.iter().any(|told| told == event)
}

/// The rules of a connection.
pub(crate) async fn rules(
    app: &App,
    visitor: &Visitor,
    connection: &str,
) -> Result<Vec<NotificationRule>, Failure> {
    let request = visitor.ask(ListNotificationRulesRequest {})?;
    let mut rules = app.rooms().crm().list_notification_rules(request).await?.into_inner().rules;
    rules.retain(|rule| rule.connection_id == connection);
    Ok(rules)
}

async fn list(app: &App, visitor: &Visitor, connection: &str) -> Result<Vec<Channel>, Failure> {
    let request = visitor.ask(ConnectionRequest { connection_id: connection.to_owned() })?;
    Ok(app.rooms().connections().list_channels(request).await?.into_inner().channels)
}

/// `GET /settings/integrations/{vendor}/{connection}/channels`. What is told stays to be seen while the vendor is away.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path((vendor, id)): Path<(String, String)>,
) -> Result<ChannelsPage, Failure> {
    let connection = super::find(&app, &visitor, &vendor, &id).await?;
    let rules = rules(&app, &visitor, &connection.id).await?;
    let channels = match visitor.may(Scope::PartnersWrite) && connection::is_authorized(&connection) {
        true => Some(list(&app, &visitor, &connection.id).await),
        false => None,
    };
    let shell = visitor.shell(format!("What is told in {}", ui::vendor(&vendor)), Nav::Integrations);
    Ok(ChannelsPage::new(shell, connection, rules, channels))
}

/// `POST …/channels`: what is told in one channel. The others stay as they are at that moment.
pub(crate) async fn save(
    State(app): State<App>,
    Path((vendor, id)): Path<(String, String)>,
    Form(visitor, form): Form<Pairs>,
) -> Result<Response, Failure> {
    visitor.must(Scope::PartnersWrite, ONLY_MANAGERS)?;
    let connection = super::find(&app, &visitor, &vendor, &id).await?;
    let here = path(&connection, "channels");
    let wanted = Wanted::read(&form)?;
    let mut rules = rules(&app, &visitor, &connection.id).await?;
    let known = rules.iter().position(|rule| rule.channel_id == wanted.channel).map(|at| rules.remove(at));
    let name = match &known {
        Some(rule) => rule.channel_name.clone(),
        None => {
            let channels = list(&app, &visitor, &connection.id).await?;
            let chosen = channels.into_iter().find(|channel| channel.id == wanted.channel);
            chosen.ok_or_else(|| Failure::invalid("channel_unknown", "Choose one of the channels."))?.name
        }
    };
    let new = |rule: NotificationRule| NewNotificationRule {
        channel_id: rule.channel_id,
        channel_name: rule.channel_name,
        events: rule.events,
    };
    let mut rules: Vec<NewNotificationRule> = rules.into_iter().map(new).collect();
    let told = match wanted.events {
        Some(events) => {
            let text = format!("#{name} is told {} from now on.", in_words(&events));
            rules.push(NewNotificationRule { channel_id: wanted.channel, channel_name: name, events });
            text
        }
        None => format!("Nothing more is told in #{name}."),
    };
    let request = SetNotificationRulesRequest { connection_id: connection.id, rules };
    app.rooms().crm().set_notification_rules(visitor.ask(request)?).await?;
    Ok(respond::redirect(&here, &Flash::good(told)))
}

/// One channel as a form wants it.
struct Wanted {
    channel: String,
    /// None when nothing is to be told there any more.
    events: Option<Vec<String>>,
}

impl Wanted {
    fn read(form: &Pairs) -> Result<Self, Failure> {
        let (channel, events) = (one(form, "channel"), all(form, "event"));
        if channel.is_empty() {
            return Err(Failure::invalid("channel_required", "Choose a channel."));
        }
        match one(form, "action").as_str() {
            "save" if events.is_empty() => {
                let message = "Choose at least one thing to tell, or stop telling things in the channel.";
                Err(Failure::invalid("events_required", message))
            }
            "save" => Ok(Self { channel, events: Some(events) }),
            "remove" => Ok(Self { channel, events: None }),
            _ => Err(Failure::not_found()),
        }
    }
}

fn in_words(events: &[String]) -> String {
    let words: Vec<String> = events.iter().map(|event| format!("“{}”", super::event(event))).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => words.concat(),
    }
}
