//! The suite that every connector passes, here against the simulator of Salesforce.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use connector::{
    Connector,
    conformance::{self, Driver, Fault, Sample},
};
use connector_salesforce::BULK_FROM;
use sandbox::salesforce::{FaultKind, Settings};
use secrecy::SecretString;
use serde_json::json;

use crate::org::{Org, connected_with, consent};

const ACCOUNT: Sample =
    Sample { object: "Account", text_field: "Site", required: &[("Name", "Acme")], refused: ("Name", "") };
const CONTACT: Sample = Sample {
    object: "Contact",
    text_field: "Title",
    required: &[("LastName", "Doe")],
    refused: ("Email", "no address"),
};
const OPPORTUNITY: Sample = Sample {
    object: "Opportunity",
    text_field: "NextStep",
    required: &[("Name", "Deal"), ("StageName", "Prospecting"), ("CloseDate", "2031-01-31")],
    refused: ("Name", ""),
};
const LEAD: Sample = Sample {
    object: "Lead",
    text_field: "Title",
    required: &[("LastName", "Doe"), ("Company", "Acme")],
    refused: ("Email", "no address"),
};

/// An organization with the object that the checks are about.
struct Subject {
    org: Org,
    sample: Sample,
    /// An organization decides for itself whether refresh tokens rotate.
    rotates: bool,
}

#[async_trait]
impl Driver for Subject {
    fn connector(&self) -> Arc<dyn Connector> {
        self.org.salesforce.clone()
    }

    fn sample(&self) -> Sample {
        self.sample
    }

    fn account(&self) -> String {
        self.org.sandbox.organization_id().to_owned()
    }

    async fn grant(&self) -> (SecretString, SecretString) {
        let grant = consent(&self.org.sandbox, &self.org.salesforce).await;
        (grant.access_token, grant.refresh_token.expect("the scope refresh_token was granted"))
    }

    async fn seed(&self, count: usize, per_moment: usize) {
        let mut left = count;
        while left > 0 {
            let now = left.min(per_moment);
            self.org.sandbox.seed(self.sample.object, now).unwrap();
            // The next ones belong to another second, however fast this is.
            self.org.sandbox.advance_clock(1_000);
            left -= now;
        }
        self.org.settle();
    }

    async fn edit(&self, id: &str, value: &str) {
        self.org.sandbox.edit(self.sample.object, id, json!({self.sample.text_field: value})).unwrap();
        self.org.settle();
    }

    async fn delete(&self, id: &str) {
        self.org.sandbox.delete(self.sample.object, id).unwrap();
    }

    async fn restore(&self, id: &str) {
        self.org.sandbox.undelete(self.sample.object, id).unwrap();
        self.org.settle();
    }

    async fn fault(&self, fault: Fault) {
        let upsert = format!("/services/data/v65.0/composite/sobjects/{}", self.sample.object);
        let (path, kind) = match fault {
            Fault::TooManyCalls => ("/services/data", FaultKind::ConcurrentLimit),
            Fault::OutOfOrder => ("/services/data", FaultKind::Gateway),
            Fault::CutAnswer => ("/services/data", FaultKind::CutMidBody),
            // Only a lost answer to the write itself is a danger.
            Fault::LostAnswer => (upsert.as_str(), FaultKind::TimeoutAfterApply),
        };
        self.org.fault(path, kind, 1);
    }

    async fn lose_place(&self) {
        self.org.sandbox.migrate();
    }

    fn rotates(&self) -> bool {
        self.rotates
    }

    async fn revoke(&self) {
        self.org.sandbox.revoke();
    }

    async fn records(&self) -> BTreeMap<String, String> {
        // What was written a moment ago is read by a listing when its second is over.
        self.org.settle();
        let state = self.org.sandbox.state(self.sample.object).unwrap();
        let live = state["results"].as_array().unwrap().iter().filter(|record| record["IsDeleted"] == false);
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        live.map(|record| (text(&record["Id"]), text(&record[self.sample.text_field]))).collect()
    }
}

async fn subject(sample: Sample, rotates: bool) -> Subject {
    let settings = Settings { rotate_refresh_token: rotates, ..Settings::default() };
    Subject { org: connected_with(settings, BULK_FROM).await, sample, rotates }
}

async fn passes(sample: Sample) {
    conformance::run(|| subject(sample, true)).await;
}

// R117
#[tokio::test]
async fn without_rotation_a_refresh_token_stays() {
    let subject = subject(ACCOUNT, false).await;
    conformance::a_refresh_brings_a_working_token(&subject).await;
    conformance::a_dead_grant_is_told_from_a_passing_failure(&subject).await;
}

#[tokio::test]
async fn accounts_pass_every_check() {
    passes(ACCOUNT).await;
}

#[tokio::test]
async fn contacts_pass_every_check() {
    passes(CONTACT).await;
}

#[tokio::test]
async fn opportunities_pass_every_check() {
    passes(OPPORTUNITY).await;
}

#[tokio::test]
async fn leads_pass_every_check() {
    passes(LEAD).await;
}
