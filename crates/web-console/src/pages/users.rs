use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use model::{Role, Scope};
use proto::identity::{InviteUserRequest, ListUsersRequest, RemoveUserRequest, SetRoleRequest, User};
use serde::Deserialize;

use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Nothing},
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell, role_label},
    ui,
};

const USERS: &str = "/settings/users";
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

/// What removing somebody means, before anything happens.
#[derive(Template)]
#[template(path = "remove_user.html")]
pub(crate) struct RemoveUserPage {
    shell: Shell,
    user: User,
}
respond::page_response!(RemoveUserPage);

impl RemoveUserPage {
    pub(crate) fn sample(shell: Shell) -> Self {
        Self { shell, user: sample::user(Role::Admin) }
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
    let text = format!("{} is now {}.", called(&user), role_label(&user.role));
    Ok(respond::redirect(USERS, &Flash::good(text)))
}

/// `GET /settings/users/{user}/remove`.
pub(crate) async fn confirm_removal(
    State(app): State<App>,
    visitor: Visitor,
    Path(user_id): Path<String>,
) -> Result<RemoveUserPage, Failure> {
    let user = find(&app, &visitor, &user_id).await?;
    Ok(RemoveUserPage { shell: visitor.shell(format!("Remove {}", called(&user)), Nav::Users), user })
}

/// `POST /settings/users/{user}/remove`.
pub(crate) async fn remove(
    State(app): State<App>,
    Path(user_id): Path<String>,
    Form(visitor, Nothing {}): Form<Nothing>,
) -> Result<Response, Failure> {
    let user = find(&app, &visitor, &user_id).await?;
    let request = visitor.ask(RemoveUserRequest { user_id })?;
    let keys = app.rooms().identity().remove_user(request).await?.into_inner().revoked_keys;
    let keys = match keys {
        0 => String::new(),
        1 => " A key that they made is revoked.".to_owned(),
        keys => format!(" {keys} keys that they made are revoked."),
    };
    let text = format!("{} is removed and signed out everywhere.{keys}", called(&user));
    Ok(respond::redirect(USERS, &Flash::good(text)))
}

async fn find(app: &App, visitor: &Visitor, user_id: &str) -> Result<User, Failure> {
    visitor.must(Scope::UsersManage, ONLY_MANAGERS)?;
    let users =
        app.rooms().identity().list_users(visitor.ask(ListUsersRequest {})?).await?.into_inner().users;
    users.into_iter().find(|user| user.id == user_id).ok_or_else(Failure::not_found)
}

fn called(user: &User) -> &str {
    if user.name.is_empty() { &user.email } else { &user.name }
}
