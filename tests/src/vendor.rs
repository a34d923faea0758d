use serde_json::{Value, json};

/// The HubSpot portal of the sandbox, through HubSpot's own API and the sandbox's control API.
#[derive(Clone, Debug)]
pub struct HubSpotPortal {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl HubSpotPortal {
    pub(crate) const fn new(http: reqwest::Client, url: String, token: String) -> Self {
        Self { http, url, token }
    }

    /// A call of HubSpot's API with the portal's own token.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let method = method.parse().expect("a test names a method");
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("the sandbox answers");
        let status = response.status().as_u16();
        let body = response.bytes().await.expect("the answer has an end");
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// Edits a record as somebody in the portal would.
    pub async fn edit(&self, object: &str, id: &str, property: &str, value: &str) {
        let body = json!({ "properties": { property: value } });
        let (status, answer) =
            self.call("PATCH", &format!("/crm/v3/objects/{object}/{id}"), Some(body)).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// A property of a record; none when it is blank.
    pub async fn property(&self, object: &str, id: &str, property: &str) -> Option<String> {
        let path = format!("/crm/v3/objects/{object}/{id}?properties={property}");
        let (status, answer) = self.call("GET", &path, None).await;
        assert_eq!(status, 200, "{answer}");
        answer["properties"][property].as_str().map(str::to_owned)
    }

    /// The ids of some records.
    pub async fn ids(&self, object: &str, count: usize) -> Vec<String> {
        let (_, answer) = self.call("GET", &format!("/crm/v3/objects/{object}?limit={count}"), None).await;
        let results = answer["results"].as_array().cloned().unwrap_or_default();
        results.iter().filter_map(|record| record["id"].as_str().map(str::to_owned)).collect()
    }

    /// A call of the sandbox's control API, which must succeed.
    pub async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, &format!("/_sandbox/{path}"), Some(body)).await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }
}
