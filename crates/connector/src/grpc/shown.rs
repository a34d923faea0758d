//! How what is stored is shown.

use proto::{connections as wire, to_wire_time};

use crate::store::{Following, ShownArrival};

impl ShownArrival {
    pub(super) fn to_wire(&self) -> wire::FeedArrival {
        wire::FeedArrival {
            state: self.state.clone(),
            message: self.message.clone().unwrap_or_default(),
            since: Some(to_wire_time(self.since.to_jiff())),
            pushed_at: self.pushed_at.map(|at| to_wire_time(at.to_jiff())),
        }
    }
}

impl Following {
    pub(super) fn to_wire(&self, channel: String) -> wire::ObjectStream {
        let time = |at: jiff_sqlx::Timestamp| to_wire_time(at.to_jiff());
        wire::ObjectStream {
            state: self.state.clone(),
            message: self.message.clone().unwrap_or_default(),
            since: Some(time(self.since)),
            channel,
            position: self.position.clone().unwrap_or_default(),
            position_at: self.stored_at.map(time),
            changed_at: self.changed_at.map(time),
            lag_ms: self.lag_ms.map(|lag| u64::try_from(lag).unwrap_or_default()),
        }
    }
}
