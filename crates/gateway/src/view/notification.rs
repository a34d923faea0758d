use jiff::Timestamp;
use proto::crm as wire;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{moment, text};

/// What is told in which channel.
#[derive(Serialize, ToSchema)]
pub(crate) struct NotificationRules {
    data: Vec<NotificationRule>,
}

/// What is told in a channel, and how that goes.
#[derive(Serialize, ToSchema)]
pub(crate) struct NotificationRule {
    /// `nrule_…`
    id: String,
    connection_id: String,
    /// `slack`
    vendor: String,
    /// The vendor's id of the channel.
    channel_id: String,
    channel_name: Option<String>,
    /// `partner_created`, `partner_tier_changed`, `deal_won`, `deal_lost`, `commission_accrued`, `payout_created`,
    /// `sync_trouble`, `registration_submitted`.
    events: Vec<String>,
    /// Why the last message could not be posted, as the vendor's code; null where it could.
    error: Option<String>,
    /// The same in words.
    error_message: Option<String>,
    error_at: Option<Timestamp>,
    /// When a message was last posted.
    posted_at: Option<Timestamp>,
}

impl From<wire::ListNotificationRulesResponse> for NotificationRules {
    fn from(list: wire::ListNotificationRulesResponse) -> Self {
        let rule = |it: wire::NotificationRule| NotificationRule {
            id: it.id,
            connection_id: it.connection_id,
            vendor: it.vendor,
            channel_id: it.channel_id,
            channel_name: text(it.channel_name),
            events: it.events,
            error: text(it.error),
            error_message: text(it.error_message),
            error_at: moment(it.error_at),
            posted_at: moment(it.posted_at),
        };
        Self { data: list.rules.into_iter().map(rule).collect() }
    }
}

/// All rules of a connection.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewNotificationRules {
    /// `conn_…`
    connection_id: String,
    /// At most 100, each of another channel.
    rules: Vec<NewNotificationRule>,
}

/// What is to be told in a channel.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewNotificationRule {
    /// The vendor's id of the channel.
    channel_id: String,
    #[serde(default)]
    channel_name: String,
    /// At least one.
    events: Vec<String>,
}

impl From<NewNotificationRules> for wire::SetNotificationRulesRequest {
    fn from(NewNotificationRules { connection_id, rules }: NewNotificationRules) -> Self {
        let rule = |NewNotificationRule { channel_id, channel_name, events }| wire::NewNotificationRule {
            channel_id,
            channel_name,
            events,
        };
        Self { connection_id, rules: rules.into_iter().map(rule).collect() }
    }
}

/// The people at vendors.
#[derive(Serialize, ToSchema)]
pub(crate) struct VendorUsers {
    data: Vec<VendorUser>,
}

/// A person at a vendor, and who it is here.
#[derive(Serialize, ToSchema)]
pub(crate) struct VendorUser {
    connection_id: String,
    /// `slack`
    vendor: String,
    /// The vendor's id of the person.
    vendor_user_id: String,
    name: Option<String>,
    email: Option<String>,
    /// `user_…`: who it is here, once that is confirmed.
    user_id: Option<String>,
    user_name: Option<String>,
    /// `user_…`: who has the same e-mail address here, while nothing is confirmed.
    suggested_user_id: Option<String>,
    suggested_user_name: Option<String>,
    confirmed_by: Option<String>,
    confirmed_at: Option<Timestamp>,
    /// When the person last clicked something.
    seen_at: Option<Timestamp>,
}

impl From<wire::VendorUser> for VendorUser {
    fn from(it: wire::VendorUser) -> Self {
        Self {
            connection_id: it.connection_id,
            vendor: it.vendor,
            vendor_user_id: it.vendor_user_id,
            name: text(it.name),
            email: text(it.email),
            user_id: text(it.user_id),
            user_name: text(it.user_name),
            suggested_user_id: text(it.suggested_user_id),
            suggested_user_name: text(it.suggested_user_name),
            confirmed_by: text(it.confirmed_by),
            confirmed_at: moment(it.confirmed_at),
            seen_at: moment(it.seen_at),
        }
    }
}

impl From<wire::ListVendorUsersResponse> for VendorUsers {
    fn from(list: wire::ListVendorUsersResponse) -> Self {
        Self { data: list.users.into_iter().map(Into::into).collect() }
    }
}

/// Who a person at a vendor is here.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VendorUserConfirmed {
    /// `user_…`
    pub(crate) user_id: String,
}

/// A person at a vendor was forgotten.
#[derive(Serialize, ToSchema)]
pub(crate) struct VendorUserRemoved {
    /// The vendor's id of the person.
    pub(crate) vendor_user_id: String,
}
