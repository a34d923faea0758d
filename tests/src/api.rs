use serde_json::Value;

/// An answer of the API.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body; null when there is none.
    pub body: Value,
}

impl Answer {
    /// The stable code of an error.
    #[must_use]
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Result<Self, reqwest::Error> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let body = response.bytes().await?;
        Ok(Self { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
    }
}

/// The HTTP API of a house that may be killed at any moment.
#[derive(Clone, Debug)]
pub struct Api {
    pub(crate) http: reqwest::Client,
    pub(crate) url: String,
    pub(crate) key: String,
}

impl Api {
    /// The API at an address, with this key or session.
    #[must_use]
    pub fn new(http: reqwest::Client, url: &str, key: &str) -> Self {
        Self { http, url: url.to_owned(), key: key.to_owned() }
    }

    /// A call that must succeed.
    pub async fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let answer = self.try_call(method, path, body).await.expect("the API answers");
        assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, answer.body);
        answer.body
    }

    /// A call with the API key.
    ///
    /// # Errors
    /// There was no answer: what was asked for happened or did not.
    pub async fn try_call(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, reqwest::Error> {
        let method = method.parse().expect("a test names a method");
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request).await
    }
}
