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
    pages::{connection, purpose::Purpose},
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const INTEGRATIONS: &str = "/settings/integrations";
/// The choice of a customer's own place to sign in.
const OWN_SITE: &str = "_own";
/// The connector runtime's refusal of a place to sign in.
const SITE_INVALID: &str = "site_invalid";
const ONLY_MANAGERS: &str = "Only an Owner or Admin can connect and disconnect integrations.";

/// What connecting means, before anything happens.
#[derive(Template)]
#[template(path = "connect.html")]
pub(crate) struct ConnectPage {
    shell: Shell,
    purpose: Purpose,
    vendor: Vendor,
    /// The connection that is authorized again; none for a new one.
    again: Option<Connection>,
    /// What was chosen before.
    site: String,
    own_site: String,
    /// Why there is nowhere to sign in at what was chosen.
    refused: Option<Failure>,
}
respond::page_response!(ConnectPage);

impl ConnectPage {
    pub(crate) fn sample(shell: Shell) -> Self {
        Self::new(shell, sample::hubspot(), None)
    }

    pub(crate) fn sample_logins(shell: Shell) -> Self {
        Self::new(shell, sample::salesforce(), None)
    }

    pub(crate) fn sample_slack(shell: Shell) -> Self {
        Self::new(shell, sample::slack(), None)
    }

    pub(crate) fn sample_slack_again(shell: Shell) -> Self {
        Self::new(shell, sample::slack(), Some(sample::slack_connection("reauth_required")))
    }

    pub(crate) fn sample_mail(shell: Shell) -> Self {
        Self::new(shell, sample::m365(), None)
    }

    pub(crate) fn sample_again(shell: Shell) -> Self {
        let lost = Connection { state: "reauth_required".to_owned(), ..sample::salesforce_connection() };
        Self::new(shell, sample::salesforce(), Some(lost))
    }

    pub(crate) fn sample_refused(shell: Shell) -> Self {
        let message = "This is no Salesforce login: give your My Domain as it is in your browser.";
        let refused = Some(Failure::invalid(SITE_INVALID, message));
        let (site, own_site) = (OWN_SITE.to_owned(), "https://crm.acme.example".to_owned());
        Self { site, own_site, refused, ..Self::sample_logins(shell) }
    }

    fn new(shell: Shell, vendor: Vendor, again: Option<Connection>) -> Self {
        Self {
            shell,
            purpose: Purpose::of(&vendor),
            vendor,
            again,
            site: String::new(),
            own_site: String::new(),
            refused: None,
        }
    }

    fn is_own_site(&self) -> bool {
        self.site == OWN_SITE
    }

    /// What is wrong with the customer's own place, to be said at its field.
    fn refused_own(&self) -> Option<&Failure> {
        self.refused.as_ref().filter(|_| self.is_own_site() && self.has_own_site())
    }

    /// What is wrong with another choice.
    fn refused_else(&self) -> Option<&Failure> {
        self.refused.as_ref().filter(|_| self.refused_own().is_none())
    }

    fn has_own_site(&self) -> bool {
        self.again.is_none() && !self.vendor.logins.is_empty() && !self.vendor.own_login.is_empty()
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
    page(&app, &visitor, &vendor, &again.connection).await
}

async fn page(app: &App, visitor: &Visitor, vendor: &str, connection: &str) -> Result<ConnectPage, Failure> {
    let again = match connection {
        "" => None,
        connection => Some(connection::find(app, visitor, vendor, connection).await?),
    };
    let vendors = app.rooms().connections().list_vendors(visitor.ask(ListVendorsRequest {})?).await?;
    let vendor = vendors.into_inner().vendors.into_iter().find(|served| served.name == vendor);
    let vendor = vendor.ok_or_else(Failure::not_found)?;
    let shell = visitor.shell(format!("Connect {}", vendor.label), Nav::Integrations);
    Ok(ConnectPage::new(shell, vendor, again))
}

/// What to connect: an existing connection again or a new one, and where to sign in.
#[derive(Deserialize)]
pub(crate) struct Wish {
    #[serde(default)]
    connection: String,
    /// One of the vendor's places, or [`OWN_SITE`].
    #[serde(default)]
    site: String,
    #[serde(default)]
    own_site: String,
}

/// `POST /settings/integrations/{vendor}/connect`.
pub(crate) async fn begin(
    State(app): State<App>,
    Path(vendor): Path<String>,
    Form(visitor, wish): Form<Wish>,
) -> Result<Response, Failure> {
    let is_own = wish.site == OWN_SITE;
    if is_own && wish.own_site.trim().is_empty() {
        let refused = Failure::invalid(SITE_INVALID, "Enter where you sign in, or choose another place.");
        return ask_again(&app, &visitor, &vendor, wish, refused).await;
    }
    let request = visitor.ask(BeginAuthorizationRequest {
        vendor: vendor.clone(),
        return_path: INTEGRATIONS.to_owned(),
        connection_id: wish.connection.clone(),
        site: if is_own { wish.own_site.clone() } else { wish.site.clone() },
    })?;
    let url = match app.rooms().connections().begin_authorization(request).await {
        Ok(begun) => begun.into_inner().start_url,
        Err(status) => {
            let failure = Failure::from(status);
            if failure.code == SITE_INVALID {
                return ask_again(&app, &visitor, &vendor, wish, failure).await;
            }
            return Err(failure);
        }
    };
    let vendor = ui::vendor(&vendor);
    let shell = visitor.shell(format!("To {vendor}"), Nav::Integrations);
    Ok(LeavingPage { shell, vendor, url }.into_response())
}

/// The form with what was chosen and typed, and why that cannot be.
async fn ask_again(
    app: &App,
    visitor: &Visitor,
    vendor: &str,
    wish: Wish,
    refused: Failure,
) -> Result<Response, Failure> {
    let Wish { connection, site, own_site } = wish;
    let (status, page) = (refused.status, page(app, visitor, vendor, &connection).await?);
    Ok(respond::page_with(status, &ConnectPage { site, own_site, refused: Some(refused), ..page }))
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
    Ok(respond::redirect(path, &Flash::good(format!("{vendor} is connected."))))
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
