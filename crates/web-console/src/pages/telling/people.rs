use std::str::FromStr;

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use model::{Role, Scope};
use proto::{
    connections::Connection,
    crm::{ConfirmVendorUserRequest, ListVendorUsersRequest, VendorUser, VendorUserRequest},
    identity::{ListUsersRequest, User},
};

use super::path;
use crate::{
    app::App,
    failure::Failure,
    flash::Flash,
    form::{Form, Pairs, one},
    people::People,
    respond, sample,
    session::Visitor,
    shell::{Nav, Shell},
    ui,
};

const ONLY_MANAGERS: &str = "Only an Owner or Admin says who the people at a vendor are.";

/// Who the people are who answer in the channels of a connection.
#[derive(Template)]
#[template(path = "telling/people.html")]
pub(crate) struct VendorPeoplePage {
    shell: Shell,
    connection: Connection,
    vendor: String,
    here: String,
    /// Whom nobody confirmed yet, first.
    people: Vec<Person>,
    users: Vec<User>,
}
respond::page_response!(VendorPeoplePage);

/// A person at the vendor.
struct Person {
    it: VendorUser,
    confirmed_by: String,
    /// The role here of whoever it is confirmed to be.
    role: Option<String>,
}

impl Person {
    fn is_confirmed(&self) -> bool {
        !self.it.user_id.is_empty()
    }

    fn called(&self) -> &str {
        called(&self.it)
    }

    /// Whether it is called something else than its id.
    fn has_name(&self) -> bool {
        self.called() != self.it.vendor_user_id
    }

    /// Who it is, or seems to be.
    fn is_probably(&self, user: &User) -> bool {
        let confirmed = Some(&self.it.user_id).filter(|id| !id.is_empty());
        *confirmed.unwrap_or(&self.it.suggested_user_id) == user.id
    }

    /// Whether what the person clicks is done.
    fn may_decide(&self) -> bool {
        let role = self.role.as_deref().and_then(|role| Role::from_str(role).ok());
        role.is_some_and(|role| role.scopes().contains(&Scope::PartnersWrite))
    }
}

/// What somebody is called at the vendor.
fn called(person: &VendorUser) -> &str {
    match (person.name.is_empty(), person.email.is_empty()) {
        (false, _) => &person.name,
        (true, false) => &person.email,
        (true, true) => &person.vendor_user_id,
    }
}

impl VendorPeoplePage {
    fn new(
        shell: Shell,
        me: &User,
        connection: Connection,
        people: Vec<VendorUser>,
        users: Vec<User>,
    ) -> Self {
        let names = People::new(me, &users);
        let person = |it: VendorUser| Person {
            confirmed_by: names.by(&it.confirmed_by),
            role: users.iter().find(|user| user.id == it.user_id).map(|user| user.role.clone()),
            it,
        };
        let mut people: Vec<Person> = people.into_iter().map(person).collect();
        people.sort_by_key(Person::is_confirmed);
        let (vendor, here) = (ui::vendor(&connection.vendor), path(&connection, "people"));
        Self { shell, connection, vendor, here, people, users }
    }

    pub(crate) fn sample(shell: Shell) -> Self {
        Self::sample_with(shell, sample::vendor_users())
    }

    pub(crate) fn sample_none(shell: Shell) -> Self {
        Self::sample_with(shell, Vec::new())
    }

    fn sample_with(shell: Shell, people: Vec<VendorUser>) -> Self {
        let users = Role::ALL.map(sample::user).to_vec();
        Self::new(shell, &sample::user(Role::Owner), sample::slack_connection("active"), people, users)
    }
}

/// The people of a connection.
pub(crate) async fn list(app: &App, visitor: &Visitor, connection: &str) -> Result<Vec<VendorUser>, Failure> {
    let request = visitor.ask(ListVendorUsersRequest {})?;
    let mut people = app.rooms().crm().list_vendor_users(request).await?.into_inner().users;
    people.retain(|person| person.connection_id == connection);
    Ok(people)
}

/// `GET /settings/integrations/{vendor}/{connection}/people`.
pub(crate) async fn show(
    State(app): State<App>,
    visitor: Visitor,
    Path((vendor, id)): Path<(String, String)>,
) -> Result<VendorPeoplePage, Failure> {
    visitor.must(Scope::UsersManage, ONLY_MANAGERS)?;
    let connection = super::find(&app, &visitor, &vendor, &id).await?;
    let people = list(&app, &visitor, &connection.id).await?;
    let users = app.rooms().identity().list_users(visitor.ask(ListUsersRequest {})?).await?;
    let shell = visitor.shell(format!("People in {}", ui::vendor(&vendor)), Nav::Integrations);
    Ok(VendorPeoplePage::new(shell, visitor.user(), connection, people, users.into_inner().users))
}

/// `POST …/people`: says who somebody is, or forgets it.
pub(crate) async fn save(
    State(app): State<App>,
    Path((vendor, id)): Path<(String, String)>,
    Form(visitor, form): Form<Pairs>,
) -> Result<Response, Failure> {
    visitor.must(Scope::UsersManage, ONLY_MANAGERS)?;
    let connection = super::find(&app, &visitor, &vendor, &id).await?;
    let here = path(&connection, "people");
    let (vendor_user_id, user_id) = (one(&form, "person"), one(&form, "user"));
    if vendor_user_id.is_empty() {
        return Err(Failure::invalid("person_required", "Enter who it is in the workspace."));
    }
    let text = match one(&form, "action").as_str() {
        "confirm" if user_id.is_empty() => {
            return Err(Failure::invalid("user_required", "Choose who it is here."));
        }
        "confirm" => {
            let connection_id = connection.id;
            let request = ConfirmVendorUserRequest { connection_id, vendor_user_id, user_id };
            let known = app.rooms().crm().confirm_vendor_user(visitor.ask(request)?).await?.into_inner();
            format!(
                "{} is {}. What they click is done in that name from now on.",
                called(&known),
                known.user_name
            )
        }
        "remove" => {
            let request = VendorUserRequest { connection_id: connection.id, vendor_user_id };
            app.rooms().crm().remove_vendor_user(visitor.ask(request)?).await?;
            "Forgotten. What they click is refused until somebody says again who they are.".to_owned()
        }
        _ => return Err(Failure::not_found()),
    };
    Ok(respond::redirect(&here, &Flash::good(text)))
}
