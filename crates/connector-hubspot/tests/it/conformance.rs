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

const COMPANIES: Sample = Sample {
    object: "companies",
    text_field: "name",
    required: &[],
    refused: ("industry", "No such industry"),
};
const DEALS: Sample = Sample {
    object: "deals",
    text_field: "dealname",
    required: &[],
    refused: ("dealstage", "No such stage"),
};
const CONTACTS: Sample = Sample {
    object: "contacts",
    text_field: "lastname",
    required: &[],
    refused: ("lifecyclestage", "No such stage"),
};

/// A portal with the object that the checks are about.
struct Subject {
    portal: Portal,
    sample: Sample,
}

#[async_trait]
impl Driver for Subject {
    fn connector(&self) -> Arc<dyn Connector> {
        self.portal.hubspot.clone()
    }

    fn sample(&self) -> Sample {
        self.sample
    }

    async fn grant(&self) -> (SecretString, SecretString) {
        let grant = consent(&self.portal.sandbox, &self.portal.hubspot).await;
        (grant.access_token, grant.refresh_token.expect("HubSpot gives a refresh token with every grant"))
    }

    async fn seed(&self, count: usize, per_moment: usize) {
        let mut left = count;
        while left > 0 {
            let now = left.min(per_moment);
            self.portal.seed(self.sample.object, now, json!({"same_moment": true}));
            // The next ones belong to another moment, however fast this is.
            self.portal.sandbox.advance_clock(1);
            left -= now;
        }
    }

    async fn edit(&self, id: &str, value: &str) {
        self.portal.sandbox.edit(self.sample.object, id, json!({self.sample.text_field: value})).unwrap();
    }

    async fn delete(&self, id: &str) {
        self.portal.sandbox.archive(self.sample.object, id).unwrap();
    }

    async fn restore(&self, id: &str) {
        self.portal.sandbox.restore(self.sample.object, id).unwrap();
    }

    async fn fault(&self, fault: Fault) {
        let upsert = format!("/crm/v3/objects/{}/batch/upsert", self.sample.object);
        let (path, kind) = match fault {
            Fault::TooManyCalls => ("/crm", FaultKind::TooMany),
            Fault::OutOfOrder => ("/crm", FaultKind::Unavailable),
            Fault::CutAnswer => ("/crm", FaultKind::CutMidBody),
            // Only a lost answer to the write itself is a danger.
            Fault::LostAnswer => (upsert.as_str(), FaultKind::TimeoutAfterApply),
        };
        self.portal.fault(path, kind, 1);
    }

    async fn revoke(&self) {
        self.portal.sandbox.revoke();
    }

    async fn records(&self) -> BTreeMap<String, String> {
        let state = self.portal.sandbox.state(self.sample.object).unwrap();
        let live = state["results"].as_array().unwrap().iter().filter(|record| record["archived"] == false);
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        live.map(|record| (text(&record["id"]), text(&record["properties"][self.sample.text_field])))
            .collect()
    }
}

async fn passes(sample: Sample) {
    conformance::run(|| async { Subject { portal: connected().await, sample } }).await;
}

#[tokio::test]
async fn companies_pass_every_check() {
    passes(COMPANIES).await;
}

#[tokio::test]
async fn deals_pass_every_check() {
    passes(DEALS).await;
}

#[tokio::test]
async fn contacts_pass_every_check() {
    passes(CONTACTS).await;
}
