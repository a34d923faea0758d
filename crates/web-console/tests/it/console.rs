//! A console over played rooms, and a browser that keeps cookies.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use model::Role;
use tower::ServiceExt;
use web_console::{Config, sample};

use crate::rooms::Rooms;

/// A clock that stands where the samples are.
struct Standing;

impl model::Clock for Standing {
    fn now(&self) -> jiff::Timestamp {
        sample::now()
    }
}

pub(crate) const ORIGIN: &str = "https://console.accord.test";

/// The path of the sample's connection.
pub(crate) fn connection() -> String {
    format!("/settings/integrations/hubspot/{}", sample::id("conn", 1))
}

/// The path of the sample's mapping.
pub(crate) fn mapping() -> String {
    format!("{}/mappings/{}", connection(), sample::id("map", 2))
}

#[derive(Clone)]
pub(crate) struct Browser {
    router: Router,
    pub rooms: Rooms,
    cookies: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(crate) struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Page {
    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn location(&self) -> &str {
        self.header(header::LOCATION)
    }

    /// The value of the first form token of the page.
    pub(crate) fn token(&self) -> String {
        let (_, rest) = self.body.split_once("name=\"_token\" value=\"").expect("a form with a token");
        rest.split_once('"').unwrap().0.to_owned()
    }
}

fn config(url: String) -> Config {
    Config {
        public_url: ORIGIN.parse().unwrap(),
        gateway_url: "https://api.accord.test".parse().unwrap(),
        identity_url: url.clone(),
        connections_url: url.clone(),
        sync_url: url.clone(),
        audit_url: url.clone(),
        attribution_url: url.clone(),
        crm_url: url,
        trusted_proxy: true,
        csrf_secret: "a secret of the tests, long enough".into(),
        answered_within: Config::ANSWERED_WITHIN,
    }
}

impl Browser {
    /// Nobody is signed in.
    pub(crate) async fn new() -> Self {
        Self::at(ORIGIN).await
    }

    /// Nobody is signed in, and the console's public address is this.
    pub(crate) async fn at(public_url: &str) -> Self {
        let public_url = public_url.parse().unwrap();
        Self::to(|config| Config { public_url, ..config }).await
    }

    /// Nobody is signed in to a console with another configuration.
    async fn to(change: impl FnOnce(Config) -> Config) -> Self {
        let rooms = Rooms::new();
        let address = rooms.serve().await;
        let config = change(config(format!("http://{address}")));
        let router = web_console::router(&config, Arc::new(Standing)).unwrap();
        Self { router, rooms, cookies: BTreeMap::new() }
    }

    /// Somebody with this role is signed in.
    pub(crate) async fn of(role: Role) -> Self {
        Self::new().await.signed_in(role)
    }

    /// The same of a console that waits for a room only so long.
    pub(crate) async fn impatient(role: Role, answered_within: Duration) -> Self {
        Self::to(|config| Config { answered_within, ..config }).await.signed_in(role)
    }

    fn signed_in(mut self, role: Role) -> Self {
        self.cookies.insert("accord_session".to_owned(), format!("as_{role}"));
        self
    }

    /// A console whose rooms are all away.
    pub(crate) fn without_rooms() -> Self {
        let port = testkit::free_port().unwrap();
        let router =
            web_console::router(&config(format!("http://127.0.0.1:{port}")), Arc::new(Standing)).unwrap();
        let cookies = [("accord_session".to_owned(), "as_owner".to_owned())].into();
        Self { router, rooms: Rooms::new(), cookies }
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    pub(crate) fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    pub(crate) async fn get(&mut self, path: &str) -> Page {
        self.send(Method::GET, path, &[], String::new()).await
    }

    pub(crate) async fn get_with(&mut self, path: &str, headers: &[(&str, &str)]) -> Page {
        self.send(Method::GET, path, headers, String::new()).await
    }

    /// Sends a form of ours, with the session's token.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.post_with(path, &[], fields).await
    }

    pub(crate) async fn post_with(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        fields: &[(&str, &str)],
    ) -> Page {
        let token = self.get("/settings/account").await.token();
        let mut fields = fields.to_vec();
        fields.push(("_token", &token));
        let mut headers = headers.to_vec();
        headers.push(("origin", ORIGIN));
        let body = serde_urlencoded::to_string(fields).unwrap();
        self.send(Method::POST, path, &headers, body).await
    }

    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Page {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "console.accord.test")
            .header(header::COOKIE, cookies.join("; "))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        for cookie in parts.headers.get_all(header::SET_COOKIE) {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if rest.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let body = axum::body::to_bytes(body, 10_000_000).await.unwrap();
        Page {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }
}
