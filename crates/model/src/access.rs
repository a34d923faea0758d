use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{ApiKeyId, IntegrationKeyId, OrganizationId, UserId};

/// What a person may be in an organization. The role is the ceiling of what they may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads and edits records.
    Member,
    /// Also manages connections, mappings, keys and users.
    Admin,
    /// Like Admin, and the last one cannot be removed.
    Owner,
}

impl Role {
    /// All roles, the highest first.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Admin, Self::Member, Self::Viewer];

    /// Its name in JSON and in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Viewer => "viewer",
        }
    }

    /// What this role may do.
    #[must_use]
    pub fn scopes(self) -> BTreeSet<Scope> {
        use Scope::{
            AuditRead, CommissionsRead, ConnectionsRead, MappingsRead, PartnersRead, RecordsRead,
            RecordsWrite,
        };
        let reads = [RecordsRead, ConnectionsRead, MappingsRead, AuditRead, PartnersRead, CommissionsRead];
        match self {
            Self::Owner | Self::Admin => Scope::ALL.into(),
            Self::Member => reads.into_iter().chain([RecordsWrite]).collect(),
            Self::Viewer => reads.into(),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or(UnknownScope)
    }
}

/// One thing that a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Read records and their history.
    RecordsRead,
    /// Create and edit records.
    RecordsWrite,
    /// See connections and their health.
    ConnectionsRead,
    /// Connect, disconnect, pause, sync now, refresh a schema.
    ConnectionsManage,
    /// See mappings, plans, conflicts and issues.
    MappingsRead,
    /// Change mappings, activate them, settle conflicts and issues.
    MappingsWrite,
    /// Read the audit log.
    AuditRead,
    /// Mint and revoke API keys and integration keys.
    KeysManage,
    /// Invite people and change their roles.
    UsersManage,
    /// Record conversion events and corrections of them. Alone it reaches no partner, program or payout.
    EventsWrite,
    /// Record clicks that somebody else redirected.
    ClicksWrite,
    /// See partners, links and programs.
    PartnersRead,
    /// Create, revoke and reinstate partners and their links.
    PartnersWrite,
    /// Change programs, their terms and their model.
    ProgramsWrite,
    /// See events, attributions, commissions, payouts and the ledger.
    CommissionsRead,
    /// Approve, reverse, hold and release commissions; flag clicks.
    CommissionsWrite,
    /// Run and settle payouts.
    PayoutsWrite,
}

/// A text that names no role or scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read a role or scope: no such name")]
pub struct UnknownScope;

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 17] = [
        Self::RecordsRead,
        Self::RecordsWrite,
        Self::ConnectionsRead,
        Self::ConnectionsManage,
        Self::MappingsRead,
        Self::MappingsWrite,
        Self::AuditRead,
        Self::KeysManage,
        Self::UsersManage,
        Self::EventsWrite,
        Self::ClicksWrite,
        Self::PartnersRead,
        Self::PartnersWrite,
        Self::ProgramsWrite,
        Self::CommissionsRead,
        Self::CommissionsWrite,
        Self::PayoutsWrite,
    ];

    /// Its name, `records:read`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RecordsRead => "records:read",
            Self::RecordsWrite => "records:write",
            Self::ConnectionsRead => "connections:read",
            Self::ConnectionsManage => "connections:manage",
            Self::MappingsRead => "mappings:read",
            Self::MappingsWrite => "mappings:write",
            Self::AuditRead => "audit:read",
            Self::KeysManage => "keys:manage",
            Self::UsersManage => "users:manage",
            Self::EventsWrite => "events:write",
            Self::ClicksWrite => "clicks:write",
            Self::PartnersRead => "partners:read",
            Self::PartnersWrite => "partners:write",
            Self::ProgramsWrite => "programs:write",
            Self::CommissionsRead => "commissions:read",
            Self::CommissionsWrite => "commissions:write",
            Self::PayoutsWrite => "payouts:write",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.name() == text).ok_or(UnknownScope)
    }
}

impl Serialize for Scope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Who did something. Its text form (`user:user_…`) is what events and audit entries carry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A person.
    User(UserId),
    /// A holder of an API key.
    ApiKey(ApiKeyId),
    /// A sibling product.
    IntegrationKey(IntegrationKeyId),
    /// A connection, when the change comes from its vendor.
    Connection(crate::ConnectionId),
    /// Accord itself, by the name of the service.
    Service(&'static str),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::ApiKey(id) => write!(f, "api_key:{id}"),
            Self::IntegrationKey(id) => write!(f, "integration_key:{id}"),
            Self::Connection(id) => write!(f, "connection:{id}"),
            Self::Service(name) => write!(f, "service:{name}"),
        }
    }
}

/// An authenticated caller of a room: who, in which organization, with which scopes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The organization that the caller belongs to; a request never reaches another one's data.
    pub organization: OrganizationId,
    /// Who is calling.
    pub actor: Actor,
    /// The role, when a person is calling.
    pub role: Option<Role>,
    /// What the caller may do.
    pub scopes: BTreeSet<Scope>,
}

impl Caller {
    /// Whether the caller may do this.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}
