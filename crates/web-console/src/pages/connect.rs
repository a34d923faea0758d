use askama::Template;
use axum::{
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
};
use model::Scope;
use proto::connections::{
    BeginAuthorizationRequest, ConfirmAuthorizationRequest, Connection, ConnectionRequest,
    ListVendorsRequest, Vendor,
};
use serde::Deserialize;

use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Nothing},
    pages::connection,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const INTEGRATIONS: &str = "/settings/integrations";
const ONLY_MANAGERS: &str = "Only an Owner or Admin can connect and disconnect integrations.";

/// What connecting means, before anything happens.
#[derive(Template)]
#[template(path = "connect.html")]
pub(crate) struct ConnectPage {
    shell: Shell,
    vendor: Vendor,
    /// The connection that is authorized again; empty for a new one.
    connection: String,
}
respond::page_response!(ConnectPage);

impl ConnectPage {
    pub(crate) fn sample(shell: Shell) -> Self {
        Self { shell, vendor: sample::hubspot(), connection: String::new() }
    }
}

/// The way out to the vendor. It is a page and not a redirect, because browsers hold a form's redirects to the
/// form's own origin.
#[derive(Template)]
#[template(path = "leaving.html")]
pub(crate) struct LeavingPage {
    shell: Shell,
    vendor: String,
    url: String,
}
respond::page_response!(LeavingPage);

impl LeavingPage {
    pub(crate) fn sample(shell: Shell) -> Self {
        let url = "https://api.accord.example/oauth/start?ticket=sample".to_owned();
        Self { shell, vendor: "HubSpot".to_owned(), url }
    }
}

/// What disconnecting means, before anything happens.
#[derive(Template)]
#[template(path = "disconnect.html")]
pub(crate) struct DisconnectPage {
    shell: Shell,
    connection: Connection,
}
respond::page_response!(DisconnectPage);

impl DisconnectPage {
    pub(crate) fn sample(shell: Shell) -> Self {
        Self { shell, connection: sample::connection("active") }
    }
}

#[derive(Deserialize)]
pub(crate) struct Again {
    #[serde(default)]
    connection: String,
}

/// `GET /settings/integrations/{vendor}/connect`.
pub(crate) async fn confirm(
    State(app): State<App>,
    visitor: Visitor,
    Path(vendor): Path<String>,
    Query(again): Query<Again>,
) -> Result<ConnectPage, Failure> {
    visitor.must(Scope::ConnectionsManage, ONLY_MANAGERS)?;
    let vendors = app.rooms().connections().list_vendors(visitor.ask(ListVendorsRequest {})?).await?;
    let vendor = vendors.into_inner().vendors.into_iter().find(|served| served.name == vendor);
    let vendor = vendor.ok_or_else(Failure::not_found)?;
    let shell = visitor.shell(format!("Connect {}", vendor.label), Nav::Integrations);
    Ok(ConnectPage { shell, vendor, connection: again.connection })
}

/// What to connect: an existing connection again or a new one, and where to sign in.
#[derive(Deserialize)]
pub(crate) struct Wish {
    #[serde(default)]
    connection: String,
    #[serde(default)]
    site: String,
    /// The customer's own place, in place of the chosen one.
    #[serde(default)]
    own_site: String,
}

/// `POST /settings/integrations/{vendor}/connect`.
pub(crate) async fn begin(
    State(app): State<App>,
    Path(vendor): Path<String>,
    Form(visitor, wish): Form<Wish>,
) -> Result<LeavingPage, Failure> {
    let request = visitor.ask(BeginAuthorizationRequest {
        vendor: vendor.clone(),
        return_path: INTEGRATIONS.to_owned(),
        connection_id: wish.connection,
        site: if wish.own_site.trim().is_empty() { wish.site } else { wish.own_site },
    })?;
    let url = app.rooms().connections().begin_authorization(request).await?.into_inner().start_url;
    let vendor = ui::vendor(&vendor);
    Ok(LeavingPage { shell: visitor.shell(format!("To {vendor}"), Nav::Integrations), vendor, url })
}

#[derive(Deserialize)]
pub(crate) struct Consent {
    #[serde(default)]
    confirm: String,
}

/// `GET /settings/integrations/return`: the vendor's consent page sent the visitor back. Their being signed in confirms
/// that they began it; a consent that somebody else began is refused by the connector runtime, whoever opens this.
pub(crate) async fn come_back(
    State(app): State<App>,
    visitor: Visitor,
    Query(Consent { confirm: token }): Query<Consent>,
) -> Result<Response, Failure> {
    let request = visitor.ask(ConfirmAuthorizationRequest { token })?;
    let confirmed = match app.rooms().connections().confirm_authorization(request).await {
        Ok(confirmed) => confirmed.into_inner(),
        Err(status) => {
            let failure = Failure::from(status);
            if failure.is_signed_out() {
                return Err(failure);
            }
            return Ok(respond::redirect(INTEGRATIONS, &Flash::bad(failure.message, failure.code)));
        }
    };
    let vendor = ui::vendor(&confirmed.connection.unwrap_or_default().vendor);
    let path = respond::local_path(&confirmed.return_path).unwrap_or(INTEGRATIONS);
    let text = format!("{vendor} is connected. Next: open its card and map the fields.");
    Ok(respond::redirect(path, &Flash::good(text)))
}

/// `GET /settings/integrations/{vendor}/{connection}/disconnect`.
pub(crate) async fn confirm_end(
    State(app): State<App>,
    visitor: Visitor,
    Path((vendor, connection)): Path<(String, String)>,
) -> Result<DisconnectPage, Failure> {
    visitor.must(Scope::ConnectionsManage, ONLY_MANAGERS)?;
    let connection = connection::find(&app, &visitor, &vendor, &connection).await?;
    let shell = visitor.shell(format!("Disconnect {}", ui::vendor(&vendor)), Nav::Integrations);
    Ok(DisconnectPage { shell, connection })
}

/// `POST /settings/integrations/{vendor}/{connection}/disconnect`.
pub(crate) async fn end(
    State(app): State<App>,
    Path((vendor, connection)): Path<(String, String)>,
    Form(visitor, Nothing {}): Form<Nothing>,
) -> Result<Response, Failure> {
    let connection_id = connection::find(&app, &visitor, &vendor, &connection).await?.id;
    let request = visitor.ask(ConnectionRequest { connection_id })?;
    app.rooms().connections().disconnect(request).await?;
    let text = format!("{} is disconnected. Records and mappings stay as they are.", ui::vendor(&vendor));
    Ok(respond::redirect("/settings/integrations", &Flash::good(text)).into_response())
}
