//! What is told in a vendor's channels, and what people do with it there. Private: none of it is a public event.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ConnectionId, PostId};

/// A message that a vendor is asked to post, or to put in the place of one that it posted. Subject
/// `post.{vendor}.{partition}.{org}`; repeating it with the same id posts nothing more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostMessage {
    /// The connection to post through.
    pub connection: ConnectionId,
    /// Its id; the answer carries it back.
    pub post: PostId,
    /// The vendor's id of the channel.
    pub channel: String,
    /// The vendor's id of the message that it replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// What it says.
    pub content: PostContent,
}

/// What a message says, in plain words: the connector escapes and renders them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostContent {
    /// Its headline.
    pub title: String,
    /// Labels and their values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<(String, String)>,
    /// A sentence below them; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// What can be clicked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<PostButton>,
    /// Where more of it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// Something in a message that can be clicked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostButton {
    /// What is asked for: `registration:approve`. Where it ends in `:ask`, the connector asks the person for a `reason`
    /// first, under the button's label.
    pub action: String,
    /// What stands on it.
    pub label: String,
    /// What it is asked for: the id of a deal registration.
    pub value: String,
    /// `primary`, `danger` or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub style: String,
}

/// The answer to a [`PostMessage`]. Subject `posted.{org}.{vendor}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessagePosted {
    /// The connection it went through.
    pub connection: ConnectionId,
    /// The message that it answers.
    pub post: PostId,
    /// The vendor's id of the channel.
    pub channel: String,
    /// The vendor's id of the message; none where it could not be posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Why it could not be posted: a stable code, `channel_not_found`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Somebody did something with a message at a vendor, who proved that it was sent there, lately and not before. Subject
/// `interaction.{org}.{vendor}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InteractionReceived {
    /// The connection it came by.
    pub connection: ConnectionId,
    /// Its own id: no two have the same.
    pub id: String,
    /// `button` or `dialog`.
    pub kind: String,
    /// Who did it.
    pub user: VendorUser,
    /// The button's action, see [`PostButton`].
    pub action: String,
    /// The button's value.
    pub value: String,
    /// The vendor's id of the channel.
    pub channel: String,
    /// The vendor's id of the message.
    pub message: String,
    /// An opaque handle by which the person can be answered; no secret in clear.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reply: String,
    /// What the person entered: `reason`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// When.
    pub at: Timestamp,
}

/// A person as a vendor knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VendorUser {
    /// The vendor's id.
    pub id: String,
    /// What the person is called there; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The person's e-mail address, where the vendor tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// A vendor said who somebody is who did something with a message. Subject `interaction.{org}.{vendor}`, behind what the
/// person did: that never waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VendorUserTold {
    /// The connection it came by.
    pub connection: ConnectionId,
    /// Who it is.
    pub user: VendorUser,
    /// When.
    pub at: Timestamp,
}

/// A vendor is asked to tell one person something that nobody else sees. Subject `answer.{vendor}.{partition}.{org}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerPrivately {
    /// The connection to tell it through.
    pub connection: ConnectionId,
    /// The interaction that it answers; each is answered once at most.
    pub interaction: String,
    /// The vendor's id of the channel.
    pub channel: String,
    /// The vendor's id of the person.
    pub user: String,
    /// What is told, in plain words.
    pub text: String,
    /// The handle of the interaction.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reply: String,
}
