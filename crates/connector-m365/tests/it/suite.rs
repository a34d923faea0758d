//! The suite that every connector passes, here against the simulator of Microsoft.

use std::sync::Arc;

use async_trait::async_trait;
use connector::{
    Connector,
    conformance::{self, Driver, Fault},
};
use sandbox::microsoft::FaultKind;
use secrecy::SecretString;
use serde_json::json;

use crate::mailbox::{Mailbox, NORA, connected, consent};

#[async_trait]
impl Driver for Mailbox {
    fn connector(&self) -> Arc<dyn Connector> {
        self.m365.clone()
    }

    async fn grant(&self) -> (SecretString, SecretString) {
        let grant = consent(&self.sandbox, &self.m365, NORA).await;
        (grant.access_token, grant.refresh_token.unwrap())
    }

    async fn act(&self, feed: &str, count: usize) -> Vec<String> {
        let made = |number: usize| {
            let (from, to, folder) = match feed {
                "sent" => (NORA, "ann@lee.example", "sentitems"),
                _ => ("ann@lee.example", NORA, "inbox"),
            };
            let mail = json!({"from": from, "to": [to], "folder": folder});
            format!("{feed}:{}", self.arrives(&format!("mail {number}"), mail))
        };
        (0..count).map(made).collect()
    }

    async fn take_away(&self, feed: &str, id: &str) {
        let id = id.strip_prefix(&format!("{feed}:")).unwrap();
        self.control("delete", json!({"id": id, "for_good": true}));
    }

    async fn lose_positions(&self, _feed: &str) {
        self.control("user", json!({"sync_reset": true}));
    }

    async fn fault(&self, fault: Fault) {
        let kind = match fault {
            Fault::TooManyCalls => FaultKind::TooMany,
            Fault::OutOfOrder => FaultKind::Unavailable,
            Fault::CutAnswer | Fault::LostAnswer => FaultKind::CutMidBody,
        };
        Self::fault(self, "/delta", kind, 1);
    }

    fn recipient(&self) -> String {
        "ann@lee.example".to_owned()
    }

    async fn fault_in_mail(&self, fault: Fault) {
        assert_eq!(fault, Fault::LostAnswer, "the checks lose answers alone");
        self.post_fault("/me/messages", FaultKind::TimeoutAfterApply, 1, 0);
    }

    async fn revoke(&self) {
        self.sandbox.revoke();
    }
}

#[tokio::test]
async fn microsoft_365_passes_every_check() {
    conformance::run(connected).await;
}
