use askama::Template;
use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use proto::identity::{SignInWithLinkRequest, SignInWithPasswordRequest, SignOutRequest};
use serde::Deserialize;

use crate::{
    app::App,
    failure::Failure,
    flash::{self, Flash},
    form::{Form, Nothing, OpenForm},
    respond, session,
    shell::Shell,
    ui,
};

/// Where a signed-in person begins.
const HOME: &str = "/settings/integrations";

/// The form to sign in by.
#[derive(Template)]
#[template(path = "sign_in.html")]
pub(crate) struct SignInPage {
    shell: Shell,
    email: String,
    /// The path to go to then.
    next: String,
    failure: Option<Failure>,
}

impl SignInPage {
    pub(crate) fn sample(shell: Shell) -> Self {
        Self { shell, email: String::new(), next: HOME.to_owned(), failure: None }
    }

    pub(crate) fn sample_refused(shell: Shell) -> Self {
        let failure = tonic::Status::unauthenticated("The email or the password is wrong").into();
        let email = "mara@northwind.example".to_owned();
        Self { shell, email, next: HOME.to_owned(), failure: Some(failure) }
    }
}

/// What a one-time link shows before it is spent: looking at a link, as mail scanners and previews do, changes nothing.
#[derive(Template)]
#[template(path = "sign_in_link.html")]
pub(crate) struct LinkPage {
    shell: Shell,
    token: String,
    /// Whether the script presses the button.
    goes_on: bool,
}
respond::page_response!(LinkPage);

impl LinkPage {
    pub(crate) fn sample(shell: Shell) -> Self {
        Self { shell, token: "al_sample".to_owned(), goes_on: false }
    }
}

#[derive(Deserialize)]
pub(crate) struct Next {
    next: Option<String>,
}

/// `GET /sign-in`.
pub(crate) async fn show(State(app): State<App>, headers: HeaderMap, Query(query): Query<Next>) -> Response {
    let mut shell = Shell::bare("Sign in", app.now());
    shell.flash = flash::read(&headers);
    let next = query.next.as_deref().and_then(respond::local_path).unwrap_or(HOME).to_owned();
    let shown = shell.flash.is_some();
    let mut response = respond::page(&SignInPage { shell, email: String::new(), next, failure: None });
    if shown {
        respond::set_cookie(&mut response, &flash::remove());
    }
    response
}

#[derive(Deserialize)]
pub(crate) struct Credentials {
    email: String,
    password: secrecy::SecretString,
    #[serde(default)]
    next: String,
}

/// `POST /sign-in`.
pub(crate) async fn with_password(
    State(app): State<App>,
    headers: HeaderMap,
    OpenForm(form): OpenForm<Credentials>,
) -> Response {
    use secrecy::ExposeSecret;
    let next = respond::local_path(&form.next).unwrap_or(HOME).to_owned();
    let request = SignInWithPasswordRequest {
        email: form.email.trim().to_owned(),
        password: form.password.expose_secret().to_owned(),
        client: app.client(&headers).map(|client| client.to_string()).unwrap_or_default(),
    };
    match app.rooms().identity().sign_in_with_password(request).await {
        Ok(answer) => {
            let mut response = Redirect::to(&next).into_response();
            respond::set_cookie(&mut response, &session::cookie(&app, answer.into_inner().token));
            response
        }
        Err(status) => {
            let failure = Failure::from(status);
            let shell = Shell::bare("Sign in", app.now());
            let status = failure.status;
            respond::page_with(status, &SignInPage { shell, email: form.email, next, failure: Some(failure) })
        }
    }
}

/// `GET /sign-in/link/{token}`: a button. On this machine, where no scanner of mail comes by, a link that was opened from
/// a terminal or typed goes on by itself; one on another site's page never does, because whoever put it there would
/// choose whom the visitor is signed in as.
pub(crate) async fn show_link(
    State(app): State<App>,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> LinkPage {
    let is_typed = headers.get("sec-fetch-site").is_some_and(|site| site == "none");
    let goes_on = app.is_local() && is_typed;
    LinkPage { shell: Shell::bare("Sign in", app.now()), token, goes_on }
}

/// `POST /sign-in/link/{token}`: the link is spent.
pub(crate) async fn with_link(
    State(app): State<App>,
    Path(token): Path<String>,
    OpenForm(Nothing {}): OpenForm<Nothing>,
) -> Response {
    match app.rooms().identity().sign_in_with_link(SignInWithLinkRequest { token }).await {
        Ok(answer) => {
            let mut response = Redirect::to(HOME).into_response();
            respond::set_cookie(&mut response, &session::cookie(&app, answer.into_inner().token));
            response
        }
        Err(status) => {
            let mut failure = Failure::from(status);
            if failure.is_signed_out() {
                "This link was used already, or is too old. Ask for a new one, or sign in by password."
                    .clone_into(&mut failure.message);
            }
            let shell = Shell::bare("Sign in", app.now());
            let next = HOME.to_owned();
            let status = failure.status;
            respond::page_with(
                status,
                &SignInPage { shell, email: String::new(), next, failure: Some(failure) },
            )
        }
    }
}

/// `POST /sign-out`.
pub(crate) async fn out(
    State(app): State<App>,
    Form(visitor, Nothing {}): Form<Nothing>,
) -> Result<Response, Failure> {
    app.rooms().identity().sign_out(visitor.ask(SignOutRequest {})?).await?;
    let mut response = respond::redirect("/sign-in", &Flash::good("You are signed out."));
    respond::set_cookie(&mut response, &session::no_cookie(&app));
    Ok(response)
}

/// Any other path.
pub(crate) async fn nowhere() -> Failure {
    Failure::not_found()
}

/// A path that exists, asked in a way that it does not know.
pub(crate) async fn wrong_method() -> Failure {
    Failure::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This address takes other requests than that.",
    )
}

/// `GET /`.
pub(crate) async fn home() -> Redirect {
    Redirect::to(HOME)
}
