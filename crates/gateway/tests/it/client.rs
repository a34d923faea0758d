use axum::{Router, body::Body, response::Response};
use gateway::{Budget, Config};
use http::{HeaderMap, Method, Request, StatusCode, header};
use serde_json::Value;
use tower::ServiceExt;

use crate::rooms::Rooms;

/// The gateway in front of made-up rooms.
pub(crate) struct Door {
    pub(crate) rooms: Rooms,
    app: Router,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// The stable code of a refusal.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_else(|| panic!("no code: {self:?}")).to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) fn config(rooms: &str) -> Config {
    Config {
        identity_url: rooms.to_owned(),
        sync_url: rooms.to_owned(),
        audit_url: rooms.to_owned(),
        attribution_url: rooms.to_owned(),
        crm_url: rooms.to_owned(),
        connections_url: rooms.to_owned(),
        public_api_url: "https://api.accord.example".parse().unwrap(),
        public_console_url: "https://console.accord.example/".parse().unwrap(),
        cookie_domain: Some("accord.example".to_owned()),
        key_budget: Budget { requests: 100_000, ..Budget::OF_A_KEY },
        identify_budget: Budget { requests: 100_000, ..Budget::OF_AN_ADDRESS },
        trusted_proxy: true,
        visitor_secret: "a secret".into(),
    }
}

pub(crate) async fn door() -> Door {
    door_with(|_| ()).await
}

/// The same with other settings.
pub(crate) async fn door_with(change: impl FnOnce(&mut Config)) -> Door {
    let rooms = Rooms::default();
    let mut config = config(&rooms.serve().await);
    change(&mut config);
    Door { rooms, app: gateway::app(config).unwrap() }
}

impl Door {
    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        send(self.app.clone(), request).await
    }

    /// A request with an API key, and a JSON body where there is one.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request =
            Request::builder().method(method).uri(path).header(header::AUTHORIZATION, "Bearer ak_test");
        let request = match body {
            Some(body) => {
                request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string()))
            }
            None => request.body(Body::empty()),
        };
        self.send(request.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }
}

pub(crate) async fn send(app: Router, request: Request<Body>) -> Answer {
    let response: Response = app.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}
