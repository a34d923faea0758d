//! One method per endpoint of Salesforce. It knows paths, rate classes and wire types, and no domain word.

use bytes::Bytes;
use connector::{Body, Error, ErrorKind, Host, Request, Session};
use http::{HeaderMap, Method, header::DATE};
use serde::{Deserialize, Serialize};

use crate::wire;

/// Winter '26, which every organization has.
const VERSION: &str = "v65.0";
/// The rate class of everything but logins.
pub(crate) const API: &str = "api";
/// Who makes a change, as change events say it again in their `changeOrigin`.
pub(crate) const ORIGIN: (&str, &str) = ("Sforce-Call-Options", "client=Accord");
/// Rows per answer of a query, the most that Salesforce gives.
const BATCH: (&str, &str) = ("Sforce-Query-Options", "batchSize=2000");

/// A body that is still to be read, and which call it answers.
#[derive(Debug)]
pub(crate) struct Answer {
    operation: &'static str,
    headers: HeaderMap,
    body: Bytes,
    /// A moment of Salesforce's clock before which the call was not carried out, in seconds since 1970.
    pub(crate) not_before_s: i64,
}

impl Answer {
    /// Reads the body; what it holds may borrow from it.
    pub(crate) fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_json::from_slice(&self.body)
            .map_err(|source| Error::unreadable("Salesforce", self.operation, &source))
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The calls of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a>(pub(crate) &'a Session);

impl<'a> Client<'a> {
    pub(crate) const fn session(&self) -> &'a Session {
        self.0
    }

    /// Rows of live records, or of deleted ones too.
    pub(crate) async fn query(&self, soql: &str, with_deleted: bool) -> Result<Answer, Error> {
        let what = if with_deleted { "queryAll" } else { "query" };
        let path = data(&format!("/{what}?{}", encoded("q", soql)));
        let mut request = get(path);
        request.headers.push((BATCH.0, BATCH.1.to_owned()));
        self.send("query Salesforce records", request).await
    }

    /// Records by their ids, at most two hundred; null for one that is not there.
    pub(crate) async fn retrieve(
        &self,
        object: &str,
        retrieve: &wire::Retrieve<'_>,
    ) -> Result<Answer, Error> {
        const OPERATION: &str = "read Salesforce records";
        let path = data(&format!("/composite/sobjects/{object}"));
        self.send(OPERATION, body(Method::POST, path, json(OPERATION, retrieve)?)).await
    }

    pub(crate) async fn update(&self, records: &wire::Collection<'_>) -> Result<Answer, Error> {
        const OPERATION: &str = "update Salesforce records";
        self.send(OPERATION, body(Method::PATCH, data("/composite/sobjects"), json(OPERATION, records)?))
            .await
    }

    pub(crate) async fn upsert(
        &self,
        object: &str,
        external_id: &str,
        records: &wire::Collection<'_>,
    ) -> Result<Answer, Error> {
        const OPERATION: &str = "create Salesforce records";
        let path = data(&format!("/composite/sobjects/{object}/{external_id}"));
        self.send(OPERATION, body(Method::PATCH, path, json(OPERATION, records)?)).await
    }

    pub(crate) async fn delete(&self, ids: &[&str]) -> Result<Answer, Error> {
        let path = data(&format!("/composite/sobjects?ids={}&allOrNone=false", ids.join(",")));
        self.send("delete Salesforce records", request(Method::DELETE, path, Body::Empty)).await
    }

    pub(crate) async fn composite(&self, parts: &wire::Composite<'_>) -> Result<Answer, Error> {
        const OPERATION: &str = "update Salesforce records";
        self.send(OPERATION, body(Method::POST, data("/composite"), json(OPERATION, parts)?)).await
    }

    pub(crate) async fn global(&self) -> Result<Answer, Error> {
        self.send("list Salesforce objects", get(data("/sobjects"))).await
    }

    pub(crate) async fn describe(&self, object: &str) -> Result<Answer, Error> {
        self.send("describe a Salesforce object", get(data(&format!("/sobjects/{object}/describe")))).await
    }

    pub(crate) async fn create_field(&self, field: &wire::NewField<'_>) -> Result<Answer, Error> {
        const OPERATION: &str = "add a field in Salesforce";
        let path = data("/tooling/sobjects/CustomField");
        let request = body(Method::POST, path, json(OPERATION, field)?);
        self.send(OPERATION, Request { idempotent: false, ..request }).await
    }

    pub(crate) async fn permit_field(&self, permission: &wire::FieldPermission<'_>) -> Result<Answer, Error> {
        const OPERATION: &str = "open a field in Salesforce";
        let path = data("/sobjects/FieldPermissions");
        let request = body(Method::POST, path, json(OPERATION, permission)?);
        self.send(OPERATION, Request { idempotent: false, ..request }).await
    }

    pub(crate) async fn user_info(&self) -> Result<Answer, Error> {
        self.send("read the Salesforce user", get("/services/oauth2/userinfo".to_owned())).await
    }

    pub(crate) async fn token_info(&self, introspect: Request) -> Result<Answer, Error> {
        self.send("read the Salesforce token's rights", introspect).await
    }

    pub(crate) async fn create_job(&self, soql: &str) -> Result<Answer, Error> {
        const OPERATION: &str = "begin a Salesforce bulk query";
        let job = wire::NewJob { operation: "query", query: soql };
        self.send(OPERATION, body(Method::POST, data("/jobs/query"), json(OPERATION, &job)?)).await
    }

    pub(crate) async fn job(&self, id: &str) -> Result<Answer, Error> {
        self.send("read a Salesforce bulk query", get(data(&format!("/jobs/query/{id}")))).await
    }

    /// A page of a job's rows as CSV.
    pub(crate) async fn job_results(
        &self,
        id: &str,
        rows: usize,
        locator: Option<&str>,
    ) -> Result<Answer, Error> {
        let locator = locator.map(|locator| format!("&{}", encoded("locator", locator))).unwrap_or_default();
        let path = data(&format!("/jobs/query/{id}/results?maxRecords={rows}{locator}"));
        let mut request = get(path);
        request.headers.push(("Accept", "text/csv".to_owned()));
        self.send("read a Salesforce bulk query", request).await
    }

    async fn send(&self, operation: &'static str, request: Request) -> Result<Answer, Error> {
        let asked = self.0.now();
        match self.0.send(request).await {
            Ok(response) => {
                let took = self.0.now().duration_since(asked).as_secs().saturating_add(1);
                let not_before_s = date_s(&response.headers)
                    .unwrap_or_else(|| self.0.vendor_now().as_second())
                    .saturating_sub(took);
                Ok(Answer { operation, headers: response.headers, body: response.body, not_before_s })
            }
            Err(error) => Err(Error { operation, ..error }),
        }
    }
}

/// When Salesforce answered, by its own clock.
fn date_s(headers: &HeaderMap) -> Option<i64> {
    let date = jiff::fmt::rfc2822::parse(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some(date.timestamp().as_second())
}

/// A path of the data API.
pub(crate) fn data(path: &str) -> String {
    format!("/services/data/{VERSION}{path}")
}

fn encoded(name: &str, value: &str) -> String {
    serde_urlencoded::to_string([(name, value)]).unwrap_or_default()
}

fn json(operation: &'static str, body: &impl Serialize) -> Result<Bytes, Error> {
    let text = serde_json::to_vec(body).map_err(|source| {
        Error::new(ErrorKind::Protocol, operation, "the request cannot be written as JSON")
            .with_source(source)
    })?;
    Ok(text.into())
}

fn get(path: String) -> Request {
    request(Method::GET, path, Body::Empty)
}

fn body(method: Method, path: String, json: Bytes) -> Request {
    request(method, path, Body::Json(json))
}

/// Nearly all our calls read, set values, delete, or create by an external id: making them twice does the same as once.
fn request(method: Method, path: String, body: Body) -> Request {
    let headers = vec![(ORIGIN.0, ORIGIN.1.to_owned())];
    Request { host: Host::Api, class: API, method, path, headers, body, idempotent: true }
}
