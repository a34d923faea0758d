use jiff::Timestamp;
use proto::{connections as wire, sync};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{moment, text, value::ObjectSchema};

/// A kind of outside system that can be connected.
#[derive(Serialize, ToSchema)]
pub(crate) struct Vendor {
    /// `hubspot`
    name: String,
    /// `HubSpot`
    label: String,
    summary: String,
    objects: Vec<String>,
    /// Where its people sign in, where there are several places.
    logins: Vec<Login>,
    /// What a customer's own place to sign in at is called, where there are such: `My Domain`.
    own_login: Option<String>,
    /// Whether it posts messages in channels, such as `GET /connections/{id}/channels` lists.
    posts: bool,
}

/// The channels of a connection, by name.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChannelList {
    data: Vec<MessageChannel>,
}

/// Where messages can be posted.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageChannel {
    /// The vendor's id of it.
    id: String,
    name: String,
    /// Whether only its members see it.
    is_private: bool,
    /// Whether Accord is in it. Before it is, nothing can be posted there.
    is_member: bool,
}

impl From<wire::ListChannelsResponse> for ChannelList {
    fn from(list: wire::ListChannelsResponse) -> Self {
        let channel = |channel: wire::Channel| MessageChannel {
            id: channel.id,
            name: channel.name,
            is_private: channel.is_private,
            is_member: channel.is_member,
        };
        Self { data: list.channels.into_iter().map(channel).collect() }
    }
}

/// A place where a vendor's people sign in.
#[derive(Serialize, ToSchema)]
pub(crate) struct Login {
    /// The `site` to begin an authorization with.
    site: String,
    /// `Sandbox`
    label: String,
}

/// The vendors.
#[derive(Serialize, ToSchema)]
pub(crate) struct VendorList {
    data: Vec<Vendor>,
}

/// An authorized link to a vendor.
#[derive(Serialize, ToSchema)]
pub(crate) struct Connection {
    /// `conn_…`
    id: String,
    vendor: String,
    /// `active`, `paused`, `error`, `reauth_required` or `disconnected`.
    state: String,
    /// Why, as a stable code.
    reason: Option<String>,
    /// Why, in words.
    message: Option<String>,
    /// What to do next.
    next_step: Option<String>,
    /// The account at the vendor: HubSpot's portal id.
    account_id: Option<String>,
    account_name: Option<String>,
    tier: Option<String>,
    scopes: Vec<String>,
    connected_by: Option<String>,
    connected_at: Option<Timestamp>,
    last_sync_at: Option<Timestamp>,
    schema_refreshed_at: Option<Timestamp>,
    poll_interval_seconds: u32,
    /// Limits that people should know.
    notices: Vec<String>,
}

/// The connections.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConnectionList {
    data: Vec<Connection>,
}

/// A wish to connect.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Authorize {
    /// `hubspot`
    pub(crate) vendor: String,
    /// The path of the console where the browser ends.
    #[serde(default = "settings")]
    pub(crate) return_path: String,
    /// Set when an existing connection is authorized again.
    #[serde(default)]
    pub(crate) connection_id: Option<String>,
    /// Where to sign in, for vendors with several places: the `site` of one of the vendor's `logins`, or the name of the
    /// customer's own. Without it, the usual place or the one that the connection has.
    #[serde(default)]
    pub(crate) site: Option<String>,
}

fn settings() -> String {
    "/settings/integrations".to_owned()
}

/// How to go on with connecting.
#[derive(Serialize, ToSchema)]
pub(crate) struct Authorization {
    /// The address to open in a browser; it leads to the vendor's consent page and can be used once. The console
    /// confirms by itself what its own visitor began; what a key began is confirmed with `POST /connections/confirm`.
    pub(crate) start_url: String,
}

/// A consent, to be confirmed by whoever began.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirm {
    /// The parameter `confirm` of the address where the browser ended. It works once, for five minutes.
    pub(crate) token: String,
}

/// The vendor objects that are read at once.
#[derive(Serialize, ToSchema)]
pub(crate) struct SyncStarted {
    pub(crate) objects: Vec<String>,
}

/// The vendor's objects and fields.
#[derive(Serialize, ToSchema)]
pub(crate) struct Schema {
    objects: Vec<ObjectSchema>,
    refreshed_at: Option<Timestamp>,
}

/// How far reading is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Progress {
    objects: Vec<ObjectProgress>,
    /// What people do there: mail folders, calendars.
    feeds: Vec<FeedProgress>,
}

/// How far reading what people do is.
#[derive(Serialize, ToSchema)]
pub(crate) struct FeedProgress {
    /// `inbox`
    feed: String,
    /// `Inbox`
    label: String,
    /// `backfill`, `live` or `waiting`.
    phase: String,
    /// Activities that were told since reading began at the beginning.
    read: u64,
    last_poll_at: Option<Timestamp>,
    last_error: Option<String>,
    /// It is read as often in any case.
    interval_seconds: u32,
    /// How its news arrive beside that, where the vendor can tell them by itself.
    arrival: Option<FeedArrival>,
}

/// How the news of a feed arrive.
#[derive(Serialize, ToSchema)]
pub(crate) struct FeedArrival {
    /// `pushed`, or `polled` where the vendor does not tell anything by itself.
    state: String,
    /// Why it is polled, in words.
    message: Option<String>,
    since: Option<Timestamp>,
    /// When the vendor last told something.
    pushed_at: Option<Timestamp>,
}

/// How far reading one vendor object is.
#[derive(Serialize, ToSchema)]
pub(crate) struct ObjectProgress {
    vendor_object: String,
    /// `backfill`, `live` or `waiting`.
    phase: String,
    read: u64,
    total: u64,
    /// Everything up to here was read.
    watermark: Option<Timestamp>,
    last_poll_at: Option<Timestamp>,
    last_error: Option<String>,
    /// How it is followed, where the vendor pushes its changes.
    stream: Option<ObjectStream>,
}

/// How an object is followed where the vendor pushes its changes.
#[derive(Serialize, ToSchema)]
pub(crate) struct ObjectStream {
    /// `following`, `catching_up` while what was changed before is read, `interrupted`, `lost` while what was changed since
    /// the position that the vendor forgot is read again, or `polled` where the account has no stream.
    state: String,
    /// Why, in words.
    message: Option<String>,
    since: Option<Timestamp>,
    /// What the vendor calls the stream.
    channel: Option<String>,
    /// The vendor's name of the position up to which everything was published.
    position: Option<String>,
    /// When that was last so.
    position_at: Option<Timestamp>,
    /// When the last change that came was made there.
    changed_at: Option<Timestamp>,
    /// How long after that it was published, in milliseconds.
    lag_ms: Option<u64>,
}

/// How a connection reads what people did.
#[derive(Serialize, ToSchema)]
pub(crate) struct Reading {
    /// It is read every so many minutes; none for as often as is usual.
    interval_minutes: Option<u32>,
    usual_minutes: u32,
    /// What `interval_minutes` may be.
    least_minutes: u32,
    most_minutes: u32,
    /// Whether the whole texts of mails are kept. Else the first 255 letters are.
    bodies: bool,
    /// Whether that can be chosen: where mails are read.
    has_bodies: bool,
    /// Who changed it last; none when nobody did.
    changed_by: Option<String>,
    changed_at: Option<Timestamp>,
}

/// How a connection is to read what people did.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetReading {
    /// Every so many minutes, from 1 to 1,440; none for as often as is usual.
    pub(crate) interval_minutes: Option<u32>,
    /// Whether the whole texts of mails are kept, of those that are read from now on.
    #[serde(default)]
    pub(crate) bodies: bool,
}

impl From<wire::Reading> for Reading {
    fn from(reading: wire::Reading) -> Self {
        Self {
            interval_minutes: (reading.interval_minutes > 0).then_some(reading.interval_minutes),
            usual_minutes: reading.usual_minutes,
            least_minutes: reading.least_minutes,
            most_minutes: reading.most_minutes,
            bodies: reading.bodies,
            has_bodies: reading.has_bodies,
            changed_by: text(reading.changed_by),
            changed_at: moment(reading.changed_at),
        }
    }
}

/// The objects that can be mapped to each other.
#[derive(Serialize, ToSchema)]
pub(crate) struct PairList {
    data: Vec<Pair>,
}

/// An object of ours and one of the vendor's.
#[derive(Serialize, ToSchema)]
pub(crate) struct Pair {
    object: String,
    object_label: String,
    vendor_object: String,
    vendor_object_label: String,
    /// Set when the pair has a mapping.
    mapping_id: Option<String>,
    recommended: bool,
}

impl From<wire::ListVendorsResponse> for VendorList {
    fn from(list: wire::ListVendorsResponse) -> Self {
        let vendor = |vendor: wire::Vendor| Vendor {
            name: vendor.name,
            label: vendor.label,
            summary: vendor.summary,
            objects: vendor.objects,
            logins: vendor
                .logins
                .into_iter()
                .map(|login| Login { site: login.site, label: login.label })
                .collect(),
            own_login: text(vendor.own_login),
            posts: vendor.posts,
        };
        Self { data: list.vendors.into_iter().map(vendor).collect() }
    }
}

impl From<wire::Connection> for Connection {
    fn from(connection: wire::Connection) -> Self {
        Self {
            id: connection.id,
            vendor: connection.vendor,
            state: connection.state,
            reason: text(connection.reason),
            message: text(connection.message),
            next_step: text(connection.next_step),
            account_id: text(connection.account_id),
            account_name: text(connection.account_name),
            tier: text(connection.tier),
            scopes: connection.scopes,
            connected_by: text(connection.connected_by),
            connected_at: moment(connection.connected_at),
            last_sync_at: moment(connection.last_sync_at),
            schema_refreshed_at: moment(connection.schema_refreshed_at),
            poll_interval_seconds: connection.poll_interval_seconds,
            notices: connection.notices,
        }
    }
}

impl From<wire::ListConnectionsResponse> for ConnectionList {
    fn from(list: wire::ListConnectionsResponse) -> Self {
        Self { data: list.connections.into_iter().map(Into::into).collect() }
    }
}

impl From<wire::GetSchemaResponse> for Schema {
    fn from(schema: wire::GetSchemaResponse) -> Self {
        Self {
            objects: schema.objects.into_iter().map(Into::into).collect(),
            refreshed_at: moment(schema.refreshed_at),
        }
    }
}

impl From<wire::GetProgressResponse> for Progress {
    fn from(progress: wire::GetProgressResponse) -> Self {
        let object = |object: wire::ObjectProgress| ObjectProgress {
            vendor_object: object.vendor_object,
            phase: object.phase,
            read: object.read,
            total: object.total,
            watermark: moment(object.watermark),
            last_poll_at: moment(object.last_poll_at),
            last_error: text(object.last_error),
            stream: object.stream.map(|stream| ObjectStream {
                state: stream.state,
                message: text(stream.message),
                since: moment(stream.since),
                channel: text(stream.channel),
                position: text(stream.position),
                position_at: moment(stream.position_at),
                changed_at: moment(stream.changed_at),
                lag_ms: stream.lag_ms,
            }),
        };
        Self {
            objects: progress.objects.into_iter().map(object).collect(),
            feeds: progress.feeds.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<wire::FeedProgress> for FeedProgress {
    fn from(feed: wire::FeedProgress) -> Self {
        let arrival = |arrival: wire::FeedArrival| FeedArrival {
            state: arrival.state,
            message: text(arrival.message),
            since: moment(arrival.since),
            pushed_at: moment(arrival.pushed_at),
        };
        Self {
            feed: feed.feed,
            label: feed.label,
            phase: feed.phase,
            read: feed.read,
            last_poll_at: moment(feed.last_poll_at),
            last_error: text(feed.last_error),
            interval_seconds: feed.interval_seconds,
            arrival: feed.arrival.map(arrival),
        }
    }
}

impl From<sync::ListPairsResponse> for PairList {
    fn from(list: sync::ListPairsResponse) -> Self {
        let pair = |pair: sync::Pair| Pair {
            object: pair.object,
            object_label: pair.object_label,
            vendor_object: pair.vendor_object,
            vendor_object_label: pair.vendor_object_label,
            mapping_id: text(pair.mapping_id),
            recommended: pair.recommended,
        };
        Self { data: list.pairs.into_iter().map(pair).collect() }
    }
}
