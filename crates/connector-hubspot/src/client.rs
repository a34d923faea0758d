//! One method per endpoint of HubSpot. It knows paths, rate classes and wire types, and no domain word.

use bytes::Bytes;
use connector::{Body, Error, ErrorKind, Host, Request, Session};
use http::Method;
use serde::{Deserialize, Serialize};

use crate::{
    config::{ApiVersion, Paths},
    wire,
};

/// The rate class of searches, which have a limit of their own.
pub(crate) const SEARCH: &str = "search";
/// The rate class of everything else of the CRM.
pub(crate) const CORE: &str = "core";
/// HubSpot refuses a search whose body is longer, counted in characters.
pub(crate) const LONGEST_SEARCH: usize = 3_000;

/// A body that is still to be read, and which call it answers.
#[derive(Debug)]
pub(crate) struct Answer {
    operation: &'static str,
    body: Bytes,
}

impl Answer {
    /// Reads the body; what it holds may borrow from it.
    pub(crate) fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        serde_json::from_slice(&self.body)
            .map_err(|source| Error::unreadable("HubSpot", self.operation, &source))
    }
}

/// The calls of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a> {
    session: &'a Session,
    paths: Paths,
}

impl<'a> Client<'a> {
    pub(crate) const fn new(session: &'a Session, version: ApiVersion) -> Self {
        Self { session, paths: Paths(version) }
    }

    pub(crate) const fn session(&self) -> &'a Session {
        self.session
    }

    pub(crate) async fn search(&self, object: &str, search: &wire::Search<'_>) -> Result<Answer, Error> {
        const OPERATION: &str = "search HubSpot records";
        let path = format!("{}/search", self.paths.objects(object));
        self.send(OPERATION, post(SEARCH, path, json(OPERATION, search)?)).await
    }

    pub(crate) async fn list(&self, object: &str, query: &str) -> Result<Answer, Error> {
        let path = format!("{}?{query}", self.paths.objects(object));
        self.send("list HubSpot records", get(path)).await
    }

    pub(crate) async fn batch_read(
        &self,
        object: &str,
        batch: &wire::BatchRead<'_>,
    ) -> Result<Answer, Error> {
        const OPERATION: &str = "read HubSpot records";
        let path = format!("{}/batch/read", self.paths.objects(object));
        self.send(OPERATION, post(CORE, path, json(OPERATION, batch)?)).await
    }

    pub(crate) async fn batch_read_archived(
        &self,
        object: &str,
        batch: &wire::BatchRead<'_>,
    ) -> Result<Answer, Error> {
        const OPERATION: &str = "read archived HubSpot records";
        let path = format!("{}/batch/read?archived=true", self.paths.objects(object));
        self.send(OPERATION, post(CORE, path, json(OPERATION, batch)?)).await
    }

    pub(crate) async fn batch_archive(
        &self,
        object: &str,
        batch: &wire::BatchIds<'_>,
    ) -> Result<Answer, Error> {
        const OPERATION: &str = "archive HubSpot records";
        let path = format!("{}/batch/archive", self.paths.objects(object));
        self.send(OPERATION, post(CORE, path, json(OPERATION, batch)?)).await
    }

    pub(crate) async fn batch_update(
        &self,
        object: &str,
        batch: &wire::BatchWrite<'_>,
    ) -> Result<Answer, Error> {
        const OPERATION: &str = "update HubSpot records";
        let path = format!("{}/batch/update", self.paths.objects(object));
        self.send(OPERATION, post(CORE, path, json(OPERATION, batch)?)).await
    }

    pub(crate) async fn batch_upsert(
        &self,
        object: &str,
        batch: &wire::BatchWrite<'_>,
    ) -> Result<Answer, Error> {
        const OPERATION: &str = "create HubSpot records";
        let path = format!("{}/batch/upsert", self.paths.objects(object));
        self.send(OPERATION, post(CORE, path, json(OPERATION, batch)?)).await
    }

    pub(crate) async fn properties(&self, object: &str) -> Result<Answer, Error> {
        self.send("list HubSpot properties", get(self.paths.properties(object))).await
    }

    pub(crate) async fn property(&self, object: &str, name: &str) -> Result<Answer, Error> {
        self.send("read a HubSpot property", get(format!("{}/{name}", self.paths.properties(object)))).await
    }

    pub(crate) async fn create_property(
        &self,
        object: &str,
        property: &wire::NewProperty<'_>,
    ) -> Result<Answer, Error> {
        const OPERATION: &str = "create a HubSpot property";
        let path = self.paths.properties(object);
        self.send(OPERATION, post(CORE, path, json(OPERATION, property)?)).await
    }

    pub(crate) async fn pipelines(&self, object: &str) -> Result<Answer, Error> {
        self.send("list HubSpot pipelines", get(self.paths.pipelines(object))).await
    }

    pub(crate) async fn custom_objects(&self) -> Result<Answer, Error> {
        self.send("list HubSpot's custom objects", get(self.paths.custom_objects().to_owned())).await
    }

    pub(crate) async fn read_associations(
        &self,
        object: &str,
        with: &str,
        read: &wire::AssociationsRead<'_>,
    ) -> Result<Answer, Error> {
        const OPERATION: &str = "read HubSpot associations";
        let path = format!("{}/batch/read", self.paths.associations(object, with));
        self.send(OPERATION, post(CORE, path, json(OPERATION, read)?)).await
    }

    /// Makes associations or ends them; ending is answered without a body.
    pub(crate) async fn write_companies(
        &self,
        object: &str,
        make: bool,
        write: &wire::AssociationsWrite<'_>,
    ) -> Result<Option<Answer>, Error> {
        const OPERATION: &str = "associate HubSpot records";
        let deed = if make { "create" } else { "archive" };
        let path = format!("{}/batch/{deed}", self.paths.associations(object, "companies"));
        let answer = self.send(OPERATION, post(CORE, path, json(OPERATION, write)?)).await?;
        Ok(Some(answer).filter(|_| make))
    }

    pub(crate) async fn account_details(&self) -> Result<Answer, Error> {
        self.send("read the HubSpot portal", get(self.paths.account_details().to_owned())).await
    }

    pub(crate) async fn token_info(&self, introspect: Request) -> Result<Answer, Error> {
        self.send("read the HubSpot token's rights", introspect).await
    }

    async fn send(&self, operation: &'static str, request: Request) -> Result<Answer, Error> {
        match self.session.send(request).await {
            Ok(response) => Ok(Answer { operation, body: response.body }),
            Err(error) => Err(Error { operation, ..error }),
        }
    }
}

fn json(operation: &'static str, body: &impl Serialize) -> Result<Bytes, Error> {
    let text = serde_json::to_vec(body).map_err(|source| {
        Error::new(ErrorKind::Protocol, operation, "the request cannot be written as JSON")
            .with_source(source)
    })?;
    Ok(text.into())
}

fn get(path: String) -> Request {
    request(CORE, Method::GET, path, Body::Empty)
}

/// All our posts read, set values, or create by a unique property: making them twice does the same as once.
fn post(class: &'static str, path: String, body: Bytes) -> Request {
    request(class, Method::POST, path, Body::Json(body))
}

fn request(class: &'static str, method: Method, path: String, body: Body) -> Request {
    Request { host: Host::Api, class, method, path, headers: Vec::new(), body, idempotent: true }
}
