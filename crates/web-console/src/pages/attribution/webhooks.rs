use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use model::{Scope, kind};
use proto::attribution::{
    CreateWebhookRequest, DeleteWebhookRequest, GetWebhookRequest, ListDeliveriesRequest,
    ListWebhooksRequest, RetryDeliveryRequest, TestWebhookRequest, UpdateWebhookRequest, WebhookDelivery,
    WebhookEndpoint,
};
use serde::Deserialize;

use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Nothing, Pairs, all, one},
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const PATH: &str = "/settings/webhooks";
const ONLY_MANAGERS: &str = "Only an Owner or Admin sees and changes webhooks.";
/// What can be subscribed to.
const EVENTS: &[&str] = &[
    kind::ATTRIBUTION_CREATED,
    kind::ATTRIBUTION_REPLACED,
    kind::COMMISSION_ACCRUED,
    kind::COMMISSION_APPROVED,
    kind::COMMISSION_PAID,
    kind::COMMISSION_REVERSED,
    kind::COMMISSION_ADJUSTED,
    kind::PARTNER_CREATED,
    kind::PARTNER_ACTIVATED,
    kind::PARTNER_REVOKED,
    kind::PAYOUT_CREATED,
];

/// The addresses that are told what happened.
#[derive(Template)]
#[template(path = "attribution/webhooks.html")]
pub(crate) struct WebhooksPage {
    shell: Shell,
    endpoints: Vec<WebhookEndpoint>,
    /// The secret that was just made, and the address it belongs to.
    secret: Option<(String, String)>,
    /// What was typed and is not good yet.
    draft: CreateWebhookRequest,
}
respond::page_response!(WebhooksPage);

/// One of them, with what was sent there.
#[derive(Template)]
#[template(path = "attribution/webhook.html")]
pub(crate) struct WebhookPage {
    shell: Shell,
    endpoint: WebhookEndpoint,
    deliveries: Vec<WebhookDelivery>,
}
respond::page_response!(WebhookPage);

/// What deleting one means, before anything happens.
#[derive(Template)]
#[template(path = "attribution/delete_webhook.html")]
pub(crate) struct DeleteWebhookPage {
    shell: Shell,
    endpoint: WebhookEndpoint,
}
respond::page_response!(DeleteWebhookPage);

impl DeleteWebhookPage {
    pub(crate) fn sample(shell: Shell) -> Self {
        Self { shell, endpoint: sample::webhooks().remove(0) }
    }
}

impl WebhooksPage {
    fn is_chosen(&self, event: &str) -> bool {
        self.draft.events.iter().any(|chosen| chosen == event)
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self { shell, endpoints: sample::webhooks(), secret: None, draft: CreateWebhookRequest::default() }
    }

    pub(crate) fn sample_made(shell: Shell) -> Self {
        let secret = Some(("whsec_sample".repeat(3), "https://hooks.northwind.example/accord".to_owned()));
        Self { secret, ..Self::sample(shell) }
    }
}

impl WebhookPage {
    fn is_subscribed(&self, event: &str) -> bool {
        self.endpoint.events.iter().any(|known| known == event)
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self { shell, endpoint: sample::webhooks().remove(0), deliveries: sample::deliveries() }
    }
}

/// JSON as people read it.
fn pretty(json: &str) -> String {
    serde_json::from_str::<serde_json::Value>(json)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| json.to_owned())
}

/// `GET /settings/webhooks`.
pub(crate) async fn show(State(app): State<App>, visitor: Visitor) -> Result<WebhooksPage, Failure> {
    load(&app, &visitor).await
}

async fn load(app: &App, visitor: &Visitor) -> Result<WebhooksPage, Failure> {
    visitor.must(Scope::ProgramsWrite, ONLY_MANAGERS)?;
    let request = visitor.ask(ListWebhooksRequest {})?;
    let endpoints = app.rooms().attribution().list_webhooks(request).await?.into_inner().endpoints;
    let (shell, draft) = (visitor.shell("Webhooks", Nav::Webhooks), CreateWebhookRequest::default());
    Ok(WebhooksPage { shell, endpoints, secret: None, draft })
}

/// `POST /settings/webhooks`: the answer is the page with the secret, which is nowhere else ever again.
pub(crate) async fn create(
    State(app): State<App>,
    Form(visitor, form): Form<Pairs>,
) -> Result<Response, Failure> {
    let draft = CreateWebhookRequest {
        url: one(&form, "url"),
        events: all(&form, "event"),
        label: one(&form, "label"),
    };
    let made = async {
        must_choose(&draft.events)?;
        let made = app.rooms().attribution().create_webhook(visitor.ask(draft.clone())?).await?;
        Ok::<_, Failure>(made.into_inner())
    };
    let made = made.await;
    let page = load(&app, &visitor).await?;
    match made {
        Ok(made) => {
            let secret = Some((made.secret, made.endpoint.unwrap_or_default().url));
            Ok(WebhooksPage { secret, ..page }.into_response())
        }
        Err(failure) if failure.is_fixable() => {
            let (status, mut page) = (failure.status, WebhooksPage { draft, ..page });
            page.shell.flash = Some(Flash::bad(failure.message, failure.code));
            Ok((status, page).into_response())
        }
        Err(failure) => Err(failure),
    }
}

fn must_choose(events: &[String]) -> Result<(), Failure> {
    if events.is_empty() {
        return Err(Failure::invalid("events_missing", "Choose at least one event that it is told of."));
    }
    Ok(())
}

/// `GET /settings/webhooks/{webhook}`.
pub(crate) async fn one_of_them(
    State(app): State<App>,
    visitor: Visitor,
    Path(webhook_id): Path<String>,
) -> Result<WebhookPage, Failure> {
    let endpoint = find(&app, &visitor, &webhook_id).await?;
    let request = ListDeliveriesRequest { webhook_id, status: String::new(), limit: 0 };
    let request = visitor.ask(request)?;
    let deliveries = app.rooms().attribution().list_deliveries(request).await?.into_inner().deliveries;
    Ok(WebhookPage { shell: visitor.shell("Webhook", Nav::Webhooks), endpoint, deliveries })
}

async fn find(app: &App, visitor: &Visitor, id: &str) -> Result<WebhookEndpoint, Failure> {
    visitor.must(Scope::ProgramsWrite, ONLY_MANAGERS)?;
    let request = visitor.ask(GetWebhookRequest { webhook_id: id.to_owned() })?;
    Ok(app.rooms().attribution().get_webhook(request).await?.into_inner())
}

/// `POST /settings/webhooks/{webhook}`: other events, another label, paused or not.
pub(crate) async fn update(
    State(app): State<App>,
    Path(webhook_id): Path<String>,
    Form(visitor, form): Form<Pairs>,
) -> Result<Response, Failure> {
    let path = format!("{PATH}/{webhook_id}");
    let active = match &*one(&form, "action") {
        "pause" => Some(false),
        "resume" => Some(true),
        _ => None,
    };
    let (events, label) = match active {
        Some(_) => (Vec::new(), None),
        None => (all(&form, "event"), Some(one(&form, "label"))),
    };
    if active.is_none() {
        must_choose(&events)?;
    }
    let request = UpdateWebhookRequest { webhook_id, url: None, events, label, active };
    let endpoint = app.rooms().attribution().update_webhook(visitor.ask(request)?).await?.into_inner();
    let text = match active {
        Some(false) => "Nothing is sent there any more.",
        Some(true) => "What happens from now on is sent there again.",
        None if endpoint.active => "Saved.",
        None => "Saved. It is paused all the same.",
    };
    Ok(respond::redirect(&path, &Flash::good(text)))
}

/// `GET /settings/webhooks/{webhook}/delete`.
pub(crate) async fn confirm_deletion(
    State(app): State<App>,
    visitor: Visitor,
    Path(webhook_id): Path<String>,
) -> Result<DeleteWebhookPage, Failure> {
    let endpoint = find(&app, &visitor, &webhook_id).await?;
    Ok(DeleteWebhookPage { shell: visitor.shell("Delete a webhook", Nav::Webhooks), endpoint })
}

/// `POST /settings/webhooks/{webhook}/delete`.
pub(crate) async fn delete(
    State(app): State<App>,
    Path(webhook_id): Path<String>,
    Form(visitor, _): Form<Nothing>,
) -> Result<Response, Failure> {
    let request = DeleteWebhookRequest { webhook_id, hard: true };
    app.rooms().attribution().delete_webhook(visitor.ask(request)?).await?;
    Ok(respond::redirect(PATH, &Flash::good("The webhook is deleted, and its deliveries with it.")))
}

#[derive(Deserialize)]
pub(crate) struct Sample {
    #[serde(default)]
    event: String,
}

/// `POST /settings/webhooks/{webhook}/test`: sends a sample now.
pub(crate) async fn test(
    State(app): State<App>,
    Path(webhook_id): Path<String>,
    Form(visitor, form): Form<Sample>,
) -> Result<Response, Failure> {
    let request = TestWebhookRequest { webhook_id: webhook_id.clone(), event: form.event };
    let delivery = app.rooms().attribution().test_webhook(visitor.ask(request)?).await?.into_inner();
    Ok(respond::redirect(&format!("{PATH}/{webhook_id}"), &said(&delivery)))
}

/// `POST /settings/webhooks/{webhook}/deliveries/{delivery}/retry`.
pub(crate) async fn retry(
    State(app): State<App>,
    Path((webhook_id, delivery_id)): Path<(String, String)>,
    Form(visitor, _): Form<Nothing>,
) -> Result<Response, Failure> {
    let request = RetryDeliveryRequest { webhook_id: webhook_id.clone(), delivery_id };
    let delivery = app.rooms().attribution().retry_delivery(visitor.ask(request)?).await?.into_inner();
    Ok(respond::redirect(&format!("{PATH}/{webhook_id}"), &said(&delivery)))
}

/// How a delivery went, in words.
fn said(delivery: &WebhookDelivery) -> Flash {
    if delivery.status == "delivered" {
        return Flash::good(format!("Delivered: it answered {}.", delivery.http_status));
    }
    let why = if delivery.error.is_empty() {
        format!("It answered {}.", delivery.http_status)
    } else {
        ui::sentence(&delivery.error)
    };
    Flash::bad(format!("Not delivered. {why}"), "not_delivered")
}
