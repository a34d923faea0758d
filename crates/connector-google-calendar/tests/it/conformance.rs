//! The suite that every connector passes, here against the simulator of Google. Nothing of a transcript is edited or deleted, and
//! its positions are the connector's own: its stories are in `transcripts`.

use std::sync::Arc;

use async_trait::async_trait;
use connector::{
    Connector,
    conformance::{self, Driver, Fault},
};
use connector_google_calendar::GoogleCalendar;
use sandbox::google::FaultKind;
use secrecy::SecretString;

use crate::house::{House, at, connected, consent, meeting};

struct Calendar {
    house: House,
    google: Arc<GoogleCalendar>,
}

#[async_trait]
impl Driver for Calendar {
    fn connector(&self) -> Arc<dyn Connector> {
        self.google.clone()
    }

    async fn grant(&self) -> (SecretString, SecretString) {
        let grant = consent(&self.google, self.house.sandbox.email(), None).await;
        (grant.access_token, grant.refresh_token.expect("prompt=consent brings a refresh token each time"))
    }

    async fn act(&self, _feed: &str, count: usize) -> Vec<String> {
        let minutes = (0..count).filter_map(|number| i64::try_from(number).ok());
        minutes.map(|minute| self.house.meet(meeting("Review", at(minute - 600)))).collect()
    }

    async fn take_away(&self, _feed: &str, id: &str) {
        self.house.sandbox.cancel(id).unwrap();
    }

    async fn lose_positions(&self, _feed: &str) {
        self.house.sandbox.expire_sync_tokens();
    }

    async fn fault(&self, fault: Fault) {
        let kind = match fault {
            Fault::TooManyCalls => FaultKind::RateLimit,
            Fault::OutOfOrder => FaultKind::Unavailable,
            Fault::CutAnswer | Fault::LostAnswer => FaultKind::CutMidBody,
        };
        self.house.fault("/calendar", kind, 1);
    }

    async fn revoke(&self) {
        self.house.sandbox.revoke();
    }
}

#[tokio::test]
async fn the_calendar_passes_every_check() {
    conformance::run(|| async {
        let house = connected().await;
        let google = Arc::new(GoogleCalendar::clone(&house.google).without_transcripts());
        Calendar { house, google }
    })
    .await;
}
