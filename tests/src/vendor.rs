use std::{ops::Deref, time::Duration};

use serde_json::{Value, json};
use testkit::eventually;

use crate::Answer;

/// A vendor's sandbox, through the vendor's own API and the sandbox's control API.
#[derive(Clone, Debug)]
pub struct SandboxApi {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl SandboxApi {
    /// A call of the vendor's API with the sandbox's own token.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.try_call(method, path, body).await.expect("the sandbox answers")
    }

    /// The same of a sandbox that may be killed at any moment.
    ///
    /// # Errors
    /// There was no answer: what was asked for happened or did not.
    pub async fn try_call(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<(u16, Value), reqwest::Error> {
        let method = method.parse().expect("a test names a method");
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = Answer::of(request).await?;
        Ok((answer.status, answer.body))
    }

    /// A call of the sandbox's control API, which must succeed.
    pub async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, &format!("/_sandbox/{path}"), Some(body)).await;
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }

    /// How often a route was called: `POST /crm/v3/objects/{type}/batch/update`.
    pub async fn calls(&self, route: &str) -> u64 {
        let log = self.control("GET", "calls", json!({})).await;
        log["routes"][route]["calls"].as_u64().unwrap_or_default()
    }
}

/// The HubSpot portal of the demo.
#[derive(Clone, Debug)]
pub struct HubSpotPortal(SandboxApi);

impl Deref for HubSpotPortal {
    type Target = SandboxApi;

    fn deref(&self) -> &SandboxApi {
        &self.0
    }
}

impl HubSpotPortal {
    /// The portal at an address, with a token of its own API.
    #[must_use]
    pub const fn new(http: reqwest::Client, url: String, token: String) -> Self {
        Self(SandboxApi { http, url, token })
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

    /// Waits until a property of a record has this value.
    pub async fn wait_for_property(&self, object: &str, id: &str, property: &str, value: &str) {
        let what = format!("HubSpot's {object} {id} to have the {property} {value}");
        // Looking must not use up the portal's rate limit.
        let path = format!("state/{object}?ids={id}&fields={property}");
        eventually(Duration::from_secs(60), &what, || async {
            let state = self.control("GET", &path, json!({})).await;
            (state["results"][0]["properties"][property] == value).then_some(())
        })
        .await;
    }

    /// Waits until every object was asked for changes several times more, so that whatever is still on its way
    /// would have shown.
    pub async fn wait_for_polls(&self) {
        let polls = || self.calls("POST /crm/v3/objects/{type}/search");
        let enough = polls().await + 12;
        let wait = Duration::from_secs(60);
        eventually(wait, "some more polls", || async { (polls().await >= enough).then_some(()) }).await;
    }
}

/// The Salesforce org of the demo.
#[derive(Clone, Debug)]
pub struct SalesforceOrg(SandboxApi);

impl Deref for SalesforceOrg {
    type Target = SandboxApi;

    fn deref(&self) -> &SandboxApi {
        &self.0
    }
}

impl SalesforceOrg {
    /// The org at an address, with a token of its own API.
    #[must_use]
    pub const fn new(http: reqwest::Client, url: String, token: String) -> Self {
        Self(SandboxApi { http, url, token })
    }

    /// Sets fields of a record as one of the org's users would.
    pub async fn edit(&self, object: &str, id: &str, fields: Value) {
        let path = format!("/services/data/v62.0/sobjects/{object}/{id}");
        let (status, answer) = self.call("PATCH", &path, Some(fields)).await;
        assert_eq!(status, 204, "{answer}");
    }

    /// How many calls wrote records.
    pub async fn writes(&self) -> u64 {
        let log = self.control("GET", "calls", json!({})).await;
        let routes = log["routes"].as_object().expect("routes").iter();
        let writes = routes.filter(|(route, _)| {
            let (method, path) = route.split_once(' ').unwrap_or_default();
            path.contains("/composite")
                && (matches!(method, "PATCH" | "DELETE") || path.ends_with("/composite"))
        });
        writes.filter_map(|(_, count)| count["calls"].as_u64()).sum()
    }

    /// Records that a query finds, which has no character that an address must spell otherwise but blanks.
    pub async fn query(&self, soql: &str) -> Vec<Value> {
        let soql = soql.replace(' ', "+");
        let (status, answer) = self.call("GET", &format!("/services/data/v62.0/query?q={soql}"), None).await;
        assert_eq!(status, 200, "{answer}");
        answer["records"].as_array().cloned().expect("records")
    }
}
