use jiff::Timestamp;
use proto::identity as wire;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{moment, text};

/// A person who signs in.
#[derive(Serialize, ToSchema)]
pub(crate) struct User {
    /// `user_…`
    id: String,
    email: String,
    name: String,
    /// `owner`, `admin`, `member` or `viewer`.
    role: String,
    last_signed_in_at: Option<Timestamp>,
}

/// The people of the organization.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserList {
    data: Vec<User>,
}

/// Whom to invite.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Invitation {
    pub(crate) email: String,
    pub(crate) name: String,
    /// `owner`, `admin`, `member` or `viewer`.
    pub(crate) role: String,
}

/// Somebody was invited.
#[derive(Serialize, ToSchema)]
pub(crate) struct Invited {
    pub(crate) user: Option<User>,
    /// Where they sign in, once.
    pub(crate) sign_in_url: String,
    pub(crate) expires_at: Option<Timestamp>,
}

/// A change of a person's role.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleEdit {
    /// `owner`, `admin`, `member` or `viewer`.
    pub(crate) role: String,
}

/// Somebody is no longer in the organization.
#[derive(Serialize, ToSchema)]
pub(crate) struct RemovedUser {
    /// How many keys of theirs were revoked.
    pub(crate) revoked_keys: u32,
}

/// Sessions ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionsEnded {
    /// How many.
    pub(crate) ended: u32,
}

/// Whom the credential stands for.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    /// The person; null for a key.
    user: Option<User>,
    organization: Organization,
    /// What the credential may do.
    scopes: Vec<String>,
}

/// The tenant.
#[derive(Serialize, ToSchema)]
pub(crate) struct Organization {
    /// `org_…`
    id: String,
    name: String,
}

/// A key, without its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct Key {
    id: String,
    label: String,
    /// The first characters, to tell keys apart.
    prefix: String,
    scopes: Vec<String>,
    /// The sibling product of an integration key.
    product: Option<String>,
    created_by: Option<String>,
    created_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

/// The keys.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyList {
    data: Vec<Key>,
}

/// A new key. Its secret is shown here and never again.
#[derive(Serialize, ToSchema)]
pub(crate) struct MintedKey {
    secret: String,
    key: Option<Key>,
}

/// A wish for an API key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewApiKey {
    pub(crate) label: String,
    /// `records:read` …; at most those of the credential that mints it.
    pub(crate) scopes: Vec<String>,
    #[serde(default)]
    pub(crate) expires_at: Option<Timestamp>,
}

/// A wish for an integration key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewIntegrationKey {
    /// The sibling product: `psa`, `books`, `hub`, `voice`, `portal` …
    pub(crate) product: String,
    pub(crate) label: String,
    /// `records:read` …; at most those of the credential that mints it.
    pub(crate) scopes: Vec<String>,
    #[serde(default)]
    pub(crate) expires_at: Option<Timestamp>,
}

/// How to replace an integration key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    /// The old key stays valid for so long.
    #[serde(default)]
    pub(crate) overlap_seconds: u32,
}

impl From<wire::User> for User {
    fn from(user: wire::User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            name: user.name,
            role: user.role,
            last_signed_in_at: moment(user.last_signed_in_at),
        }
    }
}

impl From<wire::ListUsersResponse> for UserList {
    fn from(list: wire::ListUsersResponse) -> Self {
        Self { data: list.users.into_iter().map(Into::into).collect() }
    }
}

impl From<wire::WhoAmIResponse> for Me {
    fn from(me: wire::WhoAmIResponse) -> Self {
        Self {
            user: me.user.filter(|user| !user.id.is_empty()).map(Into::into),
            organization: Organization { id: me.organization_id, name: me.organization_name },
            scopes: me.scopes,
        }
    }
}

impl From<wire::Key> for Key {
    fn from(key: wire::Key) -> Self {
        Self {
            id: key.id,
            label: key.label,
            prefix: key.prefix,
            scopes: key.scopes,
            product: text(key.product),
            created_by: text(key.created_by),
            created_at: moment(key.created_at),
            expires_at: moment(key.expires_at),
            last_used_at: moment(key.last_used_at),
            revoked_at: moment(key.revoked_at),
        }
    }
}

impl From<wire::ListKeysResponse> for KeyList {
    fn from(list: wire::ListKeysResponse) -> Self {
        Self { data: list.keys.into_iter().map(Into::into).collect() }
    }
}

impl From<wire::MintedKey> for MintedKey {
    fn from(minted: wire::MintedKey) -> Self {
        Self { secret: minted.secret, key: minted.key.map(Into::into) }
    }
}
