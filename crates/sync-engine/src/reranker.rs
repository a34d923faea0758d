//! The language model that an operator may name: it ranks the candidates of fields that the matcher is unsure of.

use std::time::Duration;

use connector::http::Client;
use http::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::{
    Error,
    domain::suggest::{Advice, Unsure, question, read},
};

/// Where the language model is. It is told schemas, never a value of a record.
#[derive(Clone, Debug)]
pub struct RerankerConfig {
    /// The address of an OpenAI-compatible API, up to and with `/v1`.
    pub url: Url,
    /// Its key, where it wants one.
    pub key: Option<SecretString>,
    /// Which of its models.
    pub model: String,
    /// How long an answer may take altogether.
    pub timeout: Duration,
}

/// See the module.
pub(crate) struct Reranker {
    client: Client,
    address: Url,
    config: RerankerConfig,
}

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    content: String,
}

impl Reranker {
    pub(crate) fn try_new(config: RerankerConfig) -> Result<Self, Error> {
        let mut address = config.url.clone();
        let path = format!("{}/chat/completions", address.path().trim_end_matches('/'));
        address.set_path(&path);
        // Whoever waits gives up first, so that it is known that time was the reason.
        let client = Client::try_new(config.timeout + Duration::from_secs(1)).map_err(Error::Reranker)?;
        Ok(Self { client, address, config })
    }

    /// Asks once, for at most the time that is set. Whatever goes wrong is advice, too: that there is none.
    pub(crate) async fn ask(&self, unsure: &[Unsure]) -> Advice {
        let model = self.config.model.clone();
        let choices = tokio::time::timeout(self.config.timeout, self.choices(unsure)).await;
        let late = || format!("did not answer within {:?}", self.config.timeout);
        match choices.unwrap_or_else(|_| Err(late())) {
            Ok(choices) => Advice::Given { model, choices },
            Err(why) => {
                tracing::warn!(model, why, "the reranker gave no usable answer");
                Advice::Failed { model, why }
            }
        }
    }

    async fn choices(&self, unsure: &[Unsure]) -> Result<std::collections::BTreeMap<String, String>, String> {
        let body = json!({
            "model": self.config.model,
            "temperature": 0,
            "response_format": {"type": "json_object"},
            "messages": question(unsure),
        });
        let sent = self.client.send_json(Method::POST, &self.address, self.config.key.as_ref(), &body).await;
        let answer = sent.map_err(|error| format!("could not be asked (failed to {error})"))?;
        if !answer.is_success() {
            return Err(format!("answered with status {}", answer.status));
        }
        let nonsense = || "answered something else than was asked for".to_owned();
        let completion: Completion = answer.json().map_err(|_| nonsense())?;
        let content = completion.choices.first().ok_or_else(nonsense)?.message.content.as_str();
        read(content, unsure).ok_or_else(nonsense)
    }
}
