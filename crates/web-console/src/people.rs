//! Who did it, in words: actors of events and audit entries are ids.

use std::collections::HashMap;

use model::Scope;
use proto::identity::{ListUsersRequest, User};

use crate::{app::App, failure::Failure, session::Visitor, ui};

/// The names of the people that this visitor may know.
#[derive(Debug, Clone, Default)]
pub(crate) struct People {
    names: HashMap<String, String>,
    me: String,
}

impl People {
    pub(crate) fn new(me: &User, users: &[User]) -> Self {
        let names = users.iter().chain([me]).map(|user| {
            let name = if user.name.is_empty() { &user.email } else { &user.name };
            (user.id.clone(), name.clone())
        });
        Self { names: names.collect(), me: me.id.clone() }
    }

    /// All people, where the visitor manages them; else the visitor alone.
    pub(crate) async fn load(app: &App, visitor: &Visitor) -> Result<Self, Failure> {
        let users = if visitor.may(Scope::UsersManage) {
            app.rooms().identity().list_users(visitor.ask(ListUsersRequest {})?).await?.into_inner().users
        } else {
            Vec::new()
        };
        Ok(Self::new(visitor.user(), &users))
    }

    /// The actor (`user:user_…`, `connection:conn_…`, `service:…`) or the bare id of a user, in words.
    pub(crate) fn name(&self, actor: &str) -> String {
        let (kind, id) = actor.split_once(':').unwrap_or(("user", actor));
        match kind {
            "user" if id == self.me && !id.is_empty() => "You".to_owned(),
            "user" => {
                self.names.get(id).cloned().unwrap_or_else(|| format!("A colleague (…{})", ui::short(id)))
            }
            "api_key" => format!("API key …{}", ui::short(id)),
            "integration_key" => format!("Integration key …{}", ui::short(id)),
            "connection" => "The connected system".to_owned(),
            "service" => "Accord".to_owned(),
            _ => actor.to_owned(),
        }
    }

    /// The same within a sentence: "by you".
    pub(crate) fn by(&self, actor: &str) -> String {
        let name = self.name(actor);
        if name == "You" { "you".to_owned() } else { name }
    }
}
