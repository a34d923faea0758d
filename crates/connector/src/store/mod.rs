//! The tables of the schema `connector`, one file each; the only place that says sqlx.

mod authorizations;
mod budgets;
mod captures;
mod checkpoints;
mod connections;
mod delivered;
mod feeds;
mod leases;
mod mails;
mod posts;
mod quiet;
mod readings;
mod schemas;
mod streams;
mod tokens;
mod usage;
mod verifies;
mod wanted;
mod watches;

pub(crate) use authorizations::{Authorization, NewAuthorization};
pub(crate) use budgets::{SaidLimit, StoredBudget};
pub(crate) use captures::Capture;
pub(crate) use checkpoints::{Checkpoint, Stored};
pub(crate) use connections::{Connection, NewConnection, Transition};
pub(crate) use delivered::Delivered;
pub(crate) use feeds::FeedPosition;
pub(crate) use mails::{BegunMail, HandOver};
pub(crate) use posts::BegunPost;
pub(crate) use quiet::Quiet;
pub(crate) use streams::{Following, StreamState};
pub(crate) use tokens::{IntentAnswer, TokenRow};
pub(crate) use usage::UsagePoint;
pub(crate) use watches::{Arrival, NewWatch, ShownArrival, StoredWatch};

use chassis::Migration;
use jiff_sqlx::ToSqlx;
use sqlx::PgPool;
use uuid::Uuid;

/// The schema's name.
pub(crate) const SCHEMA: &str = "connector";

/// Its history.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "outbox and inbox", sql: bus::outbox::MIGRATION },
    Migration { version: 2, name: "connector", sql: include_str!("../../migrations/0002_connector.sql") },
    Migration { version: 3, name: "alive since", sql: include_str!("../../migrations/0003_alive_since.sql") },
    Migration {
        version: 4,
        name: "confirmation",
        sql: include_str!("../../migrations/0004_confirmation.sql"),
    },
    Migration { version: 5, name: "budgets", sql: include_str!("../../migrations/0005_budget.sql") },
    Migration { version: 20, name: "content", sql: include_str!("../../migrations/0020_content.sql") },
    Migration { version: 21, name: "verifies", sql: include_str!("../../migrations/0021_verifies.sql") },
    Migration { version: 25, name: "pauses", sql: include_str!("../../migrations/0025_pauses.sql") },
    Migration { version: 30, name: "untold", sql: include_str!("../../migrations/0030_untold.sql") },
    Migration { version: 31, name: "dated", sql: include_str!("../../migrations/0031_dated.sql") },
    Migration { version: 32, name: "quiet", sql: include_str!("../../migrations/0032_quiet.sql") },
    Migration { version: 33, name: "sites", sql: include_str!("../../migrations/0033_sites.sql") },
    Migration { version: 34, name: "streams", sql: include_str!("../../migrations/0034_streams.sql") },
    Migration { version: 35, name: "watched", sql: include_str!("../../migrations/0035_watched.sql") },
    Migration { version: 36, name: "allocations", sql: include_str!("../../migrations/0036_allocation.sql") },
    Migration { version: 40, name: "feeds", sql: include_str!("../../migrations/0040_feeds.sql") },
    Migration { version: 41, name: "posts", sql: include_str!("../../migrations/0041_posts.sql") },
    Migration { version: 44, name: "mails", sql: include_str!("../../migrations/0044_mails.sql") },
    Migration { version: 45, name: "watches", sql: include_str!("../../migrations/0045_watches.sql") },
    Migration { version: 48, name: "withdrawn", sql: include_str!("../../migrations/0048_withdrawn.sql") },
    Migration { version: 52, name: "reading", sql: include_str!("../../migrations/0052_reading.sql") },
];

/// The right to work on a partition; a store under an older fence than the newest changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) vendor: &'static str,
    pub(crate) partition: u32,
    pub(crate) holder: Uuid,
    pub(crate) fence: i64,
}

/// All tables.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) pool: PgPool,
}

impl Store {
    pub(crate) const fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}

fn at(moment: jiff::Timestamp) -> jiff_sqlx::Timestamp {
    moment.to_sqlx()
}

fn partition_column(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}
