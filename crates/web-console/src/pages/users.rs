use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use model::{Role, Scope};
use proto::identity::{InviteUserRequest, ListUsersRequest, SetRoleRequest, User};
use serde::Deserialize;

use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::Form,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell, role_label},
    ui,
};

const ONLY_MANAGERS: &str = "Only an Owner or Admin can see and invite people.";

/// The people of the organization and their roles.
#[derive(Template)]
#[template(path = "users.html")]
pub(crate) struct UsersPage {
    shell: Shell,
    users: Vec<User>,
    me: String,
    /// Who was just invited, and the link to send them.
    invited: Option<(String, String)>,
}
respond::page_response!(UsersPage);

impl UsersPage {
    fn roles(&self) -> [&'static str; 4] {
        Role::ALL.map(Role::name)
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        let users = Role::ALL.map(sample::user).to_vec();
        let invited =
            ("noor@northwind.example".to_owned(), "https://accord.example/sign-in/link/al_sample".to_owned());
        Self { me: users[0].id.clone(), shell, users, invited: Some(invited) }
    }
}

/// `GET /settings/users`.
pub(crate) async fn show(State(app): State<App>, visitor: Visitor) -> Result<UsersPage, Failure> {
    load(&app, &visitor, None).await
}

async fn load(app: &App, visitor: &Visitor, invited: Option<(String, String)>) -> Result<UsersPage, Failure> {
    visitor.must(Scope::UsersManage, ONLY_MANAGERS)?;
    let users =
        app.rooms().identity().list_users(visitor.ask(ListUsersRequest {})?).await?.into_inner().users;
    let shell = visitor.shell("People", Nav::Users);
    Ok(UsersPage { shell, users, me: visitor.user().id.clone(), invited })
}

#[derive(Deserialize)]
pub(crate) struct Invitation {
    email: String,
    #[serde(default)]
    name: String,
    role: String,
}

/// `POST /settings/users`. The answer is the page with the link, which is shown once.
pub(crate) async fn invite(
    State(app): State<App>,
    Form(visitor, form): Form<Invitation>,
) -> Result<UsersPage, Failure> {
    let request = InviteUserRequest {
        email: form.email.trim().to_owned(),
        name: form.name.trim().to_owned(),
        role: form.role,
    };
    let invited = app.rooms().identity().invite_user(visitor.ask(request)?).await?.into_inner();
    let link =
        format!("{}/sign-in/link/{}", app.public_url().as_str().trim_end_matches('/'), invited.link_token);
    load(&app, &visitor, Some((invited.user.unwrap_or_default().email, link))).await
}

#[derive(Deserialize)]
pub(crate) struct NewRole {
    role: String,
}

/// `POST /settings/users/{user}/role`.
pub(crate) async fn set_role(
    State(app): State<App>,
    Path(user_id): Path<String>,
    Form(visitor, form): Form<NewRole>,
) -> Result<Response, Failure> {
    let request = visitor.ask(SetRoleRequest { user_id, role: form.role })?;
    let user = app.rooms().identity().set_role(request).await?.into_inner();
    let text = format!(
        "{} is now {}.",
        if user.name.is_empty() { user.email } else { user.name },
        role_label(&user.role)
    );
    Ok(respond::redirect("/settings/users", &Flash::good(text)))
}
