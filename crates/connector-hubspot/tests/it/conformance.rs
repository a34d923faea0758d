//! The suite that every connector passes, here against the simulator of HubSpot.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use connector::{
    Connector,
    conformance::{self, Driver, Fault, Sample},
};
use sandbox::hubspot::FaultKind;
use secrecy::SecretString;
use serde_json::json;

use crate::portal::{Portal, connected, consent};

const OBJECT: &str = "companies";
const FIELD: &str = "name";

#[async_trait]
impl Driver for Portal {
    fn connector(&self) -> Arc<dyn Connector> {
        self.hubspot.clone()
    }

    fn sample(&self) -> Sample {
        Sample { object: OBJECT, text_field: FIELD, refused: ("industry", "No such industry") }
    }

    async fn grant(&self) -> (SecretString, SecretString) {
        let grant = consent(&self.sandbox, &self.hubspot).await;
        (grant.access_token, grant.refresh_token.expect("HubSpot gives a refresh token with every grant"))
    }

    async fn seed(&self, count: usize, per_moment: usize) {
        let mut left = count;
        while left > 0 {
            let now = left.min(per_moment);
            Portal::seed(self, OBJECT, now, json!({"same_moment": true}));
            // The next ones belong to another moment, however fast this is.
            self.sandbox.advance_clock(1);
            left -= now;
        }
    }

    async fn edit(&self, id: &str, value: &str) {
        self.sandbox.edit(OBJECT, id, json!({FIELD: value})).unwrap();
    }

    async fn delete(&self, id: &str) {
        self.sandbox.archive(OBJECT, id).unwrap();
    }

    async fn restore(&self, id: &str) {
        self.sandbox.restore(OBJECT, id).unwrap();
    }

    async fn fault(&self, fault: Fault) {
        let (path, kind) = match fault {
            Fault::TooManyCalls => ("/crm", FaultKind::TooMany),
            Fault::OutOfOrder => ("/crm", FaultKind::Unavailable),
            Fault::CutAnswer => ("/crm", FaultKind::CutMidBody),
            // Only a lost answer to the write itself is a danger.
            Fault::LostAnswer => ("/crm/v3/objects/companies/batch/upsert", FaultKind::TimeoutAfterApply),
        };
        Portal::fault(self, path, kind, 1);
    }

    async fn revoke(&self) {
        self.sandbox.revoke();
    }

    async fn records(&self) -> BTreeMap<String, String> {
        let state = self.sandbox.state(OBJECT).unwrap();
        let live = state["results"].as_array().unwrap().iter().filter(|record| record["archived"] == false);
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        live.map(|record| (text(&record["id"]), text(&record["properties"][FIELD]))).collect()
    }
}

#[tokio::test]
async fn hubspot_passes_every_check() {
    conformance::run(connected).await;
}
