//! What people said, wrote and met about before the demo began: with those whom its HubSpot knows.

use anyhow::Context;
use serde_json::{Value, json};

use super::Sandboxes;

/// Where deals of partners are talked of.
pub(crate) const CHANNEL: &str = "deal-registrations";
const TALK: [(&str, &str); 3] = [
    ("adam", "Partners register their deals in Accord, and we say yes or no here."),
    ("mia", "Does a no need a reason? Bluefin will ask."),
    ("adam", "Yes, one sentence, and the partner reads it."),
];
const MAILS: usize = 60;
const MEETINGS: usize = 30;
/// With how many people and companies of HubSpot.
const ACQUAINTANCES: usize = 20;

impl Sandboxes {
    /// Plants messages, mails and meetings where there are none yet.
    pub(crate) async fn seed_conversations(&self) -> anyhow::Result<Vec<String>> {
        let mut planted = Vec::new();
        let said = self.slack.messages(CHANNEL).await.context("look into the Slack sandbox")?;
        if is_empty(&said["messages"]) {
            for (user, text) in TALK {
                let words = json!({"channel": CHANNEL, "user": user, "text": text});
                self.slack
                    .control("POST", "/_sandbox/post", words)
                    .await
                    .context("fill the Slack sandbox")?;
            }
            planted.push(format!("Slack with a few words in #{CHANNEL}"));
        }
        let met = self.google.control("GET", "/_sandbox/state", Value::Null);
        if is_empty(&met.context("look into the Google sandbox")?["results"]) {
            let order = json!({"count": MEETINGS, "domains": self.known("companies", "domain")?});
            self.google.control("POST", "/_sandbox/seed", order).context("fill the Google sandbox")?;
            planted.push(format!("Google with {MEETINGS} meetings of {}", self.google.email()));
        }
        let mailbox = self.microsoft.users().into_iter().next().unwrap_or_default();
        let written = self.microsoft.state(&mailbox).context("look into the Microsoft 365 sandbox")?;
        if is_empty(&written["messages"]) {
            let order = json!({"count": MAILS, "correspondents": self.known("contacts", "email")?});
            let written = self.microsoft.control("POST", "/_sandbox/seed", order);
            written.context("fill the Microsoft 365 sandbox")?;
            planted.push(format!("Microsoft 365 with {MAILS} mails of {mailbox}"));
        }
        Ok(planted)
    }

    /// What some records of HubSpot have in a field.
    fn known(&self, object: &str, field: &str) -> anyhow::Result<Vec<String>> {
        let path = format!("/_sandbox/state/{object}?fields={field}");
        let state =
            self.hubspot.control("GET", &path, Value::Null).context("look into the HubSpot sandbox")?;
        let records = state["results"].as_array().into_iter().flatten();
        let values = records.filter_map(|record| record["properties"][field].as_str());
        Ok(values.filter(|value| !value.is_empty()).take(ACQUAINTANCES).map(str::to_owned).collect())
    }
}

fn is_empty(list: &Value) -> bool {
    list.as_array().is_none_or(Vec::is_empty)
}
