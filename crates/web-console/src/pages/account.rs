use askama::Template;
use axum::{extract::State, response::Response};
use proto::identity::{EndOtherSessionsRequest, SetPasswordRequest, User};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Nothing},
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
};

/// The visitor's own account.
#[derive(Template)]
#[template(path = "account.html")]
pub(crate) struct AccountPage {
    shell: Shell,
    user: User,
}
respond::page_response!(AccountPage);

impl AccountPage {
    pub(crate) fn sample(shell: Shell) -> Self {
        Self { shell, user: sample::user(model::Role::Owner) }
    }
}

/// `GET /settings/account`.
pub(crate) async fn show(visitor: Visitor) -> AccountPage {
    AccountPage { shell: visitor.shell("Your account", Nav::Account), user: visitor.user().clone() }
}

/// `POST /settings/account/end-other-sessions`.
pub(crate) async fn end_other_sessions(
    State(app): State<App>,
    Form(visitor, Nothing {}): Form<Nothing>,
) -> Result<Response, Failure> {
    let request = visitor.ask(EndOtherSessionsRequest {})?;
    let text = match app.rooms().identity().end_other_sessions(request).await?.into_inner().ended {
        0 => "You are signed in nowhere else.".to_owned(),
        1 => "1 other session has ended.".to_owned(),
        ended => format!("{ended} other sessions have ended."),
    };
    Ok(respond::redirect("/settings/account", &Flash::good(text)))
}

#[derive(Deserialize)]
pub(crate) struct Passwords {
    current: SecretString,
    new: SecretString,
}

/// `POST /settings/account/password`.
pub(crate) async fn set_password(
    State(app): State<App>,
    Form(visitor, form): Form<Passwords>,
) -> Result<Response, Failure> {
    let request = SetPasswordRequest {
        current_password: form.current.expose_secret().to_owned(),
        new_password: form.new.expose_secret().to_owned(),
    };
    app.rooms().identity().set_password(visitor.ask(request)?).await?;
    Ok(respond::redirect("/settings/account", &Flash::good("Your password is changed.")))
}
