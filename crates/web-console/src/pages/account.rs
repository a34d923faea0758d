use askama::Template;
use axum::{extract::State, response::Response};
use proto::identity::{SetPasswordRequest, User};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::Form,
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
