//! The conformance suite against the scripted vendor: each check holds for a sound connector.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use connector::{
    Capabilities, Connector,
    conformance::{self, Driver, Fault, Sample},
};
use secrecy::SecretString;

use crate::acme::{self, Acme, AcmeConnector, FAST, STREAMING, TELLING};

struct AcmeDriver(Acme, Capabilities);

#[async_trait]
impl Driver for AcmeDriver {
    fn connector(&self) -> Arc<dyn Connector> {
        let (url, capabilities) = (self.0.url().clone(), self.1.clone());
        Arc::new(AcmeConnector { url, prolongs: true, capabilities, mailbox: None })
    }

    fn sample(&self) -> Sample {
        Sample { object: "companies", text_field: "name", required: &[], refused: ("name", "bad") }
    }

    async fn grant(&self) -> (SecretString, SecretString) {
        let (access, refresh) = self.0.lock().grant_directly();
        (access.into(), refresh.into())
    }

    async fn seed(&self, count: usize, per_moment: usize) {
        self.0.seed("companies", count, per_moment);
    }

    async fn edit(&self, id: &str, value: &str) {
        self.0.edit("companies", id, "name", value);
    }

    async fn delete(&self, id: &str) {
        // Later than anything else that happens here.
        self.0.set_archived("companies", id, Some(4_000_000_000_000));
    }

    async fn restore(&self, id: &str) {
        self.0.set_archived("companies", id, None);
    }

    async fn fault(&self, fault: Fault) {
        let fault = match fault {
            Fault::TooManyCalls => acme::Fault::Status(429),
            Fault::OutOfOrder => acme::Fault::Status(503),
            Fault::CutAnswer => acme::Fault::Cut,
            Fault::LostAnswer => acme::Fault::ApplyThenCut,
        };
        self.0.fault("/", fault);
    }

    async fn act(&self, feed: &str, count: usize) -> Vec<String> {
        self.0.mails(feed, count)
    }

    async fn take_away(&self, feed: &str, id: &str) {
        self.0.delete_mail(feed, id);
    }

    async fn lose_positions(&self, _feed: &str) {
        self.0.lose_positions();
    }

    async fn lose_place(&self) {
        self.0.forget_positions();
    }

    async fn revoke(&self) {
        self.0.revoke_everything();
    }

    async fn records(&self) -> BTreeMap<String, String> {
        let inner = self.0.lock();
        let records = inner.records.get("companies").into_iter().flatten();
        records
            .filter(|(_, record)| record.archived.is_none())
            .map(|(id, record)| (id.clone(), record.fields.get("name").cloned().unwrap_or_default()))
            .collect()
    }
}

#[tokio::test]
async fn a_sound_connector_passes_every_check() {
    conformance::run(|| async { AcmeDriver(Acme::start().await, FAST) }).await;
}

#[tokio::test]
async fn a_sound_connector_with_a_stream_passes_every_check() {
    conformance::run(|| async { AcmeDriver(Acme::start().await, STREAMING) }).await;
}

#[tokio::test]
async fn a_sound_connector_without_records_passes_every_check() {
    conformance::run(|| async { AcmeDriver(Acme::start().await, TELLING) }).await;
}
