use http::{Method, StatusCode};
use proto::identity::{
    Key, ListKeysRequest, ListKeysResponse, MintApiKeyRequest, MintedKey, RevokeKeyRequest,
};
use serde_json::json;

use super::{CHECK, house};

const MINT: &str = "accord.identity.v1.Identity/MintApiKey";
const LIST: &str = "accord.identity.v1.Identity/ListApiKeys";
const REVOKE: &str = "accord.identity.v1.Identity/RevokeApiKey";

// R129-R131, R142, R143
#[tokio::test]
async fn a_key_is_minted_for_some_scopes_or_for_all_and_is_shown_once() {
    let door = house().await;
    door.rooms.on(MINT, |request: MintApiKeyRequest| {
        let key =
            Key { id: "apikey_1".into(), label: request.label, scopes: request.scopes, ..Key::default() };
        Ok(MintedKey { secret: "ak_new".into(), key: Some(key) })
    });
    let answer =
        door.post("/api-keys/scoped", &json!({ "scopes": ["events:write"], "label": "HubSpot" })).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    assert_eq!(answer.text, r#"{"id":"apikey_1","plaintext":"ak_new","scopes":["events:write"]}"#);
    assert_eq!(door.rooms.last().message::<MintApiKeyRequest>().label, "HubSpot");

    let answer = door.call(Method::POST, "/api-keys", None).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text.as_str()),
        (201, r#"{"id":"apikey_1","plaintext":"ak_new"}"#)
    );
    let asked = door.rooms.last().message::<MintApiKeyRequest>();
    assert_eq!((asked.label.as_str(), asked.scopes.len()), ("API key", model::Scope::ALL.len()));

    let answer = door.post("/api-keys/scoped", &json!({ "scopes": [] })).await;
    assert_eq!(
        answer.json()["detail"]["fieldErrors"],
        json!({ "scopes": ["Array must contain at least 1 element(s)"] })
    );
}

#[tokio::test]
async fn keys_for_some_scopes_are_listed_and_revoked() {
    const ID: &str = "apikey_01900000000070008000000000000007";
    let door = house().await;
    door.rooms.on(LIST, |_: ListKeysRequest| {
        let key = |id: &str, scopes: Vec<String>| Key {
            id: id.into(),
            prefix: "ak_12".into(),
            scopes,
            ..Key::default()
        };
        let everything = model::Scope::ALL.map(|scope| scope.name().to_owned()).to_vec();
        let keys = vec![
            key("admin", everything),
            key("events", vec!["events:write".into()]),
            key("clicks", vec!["clicks:write".into()]),
        ];
        Ok(ListKeysResponse { keys })
    });
    let ids = |body: serde_json::Value| -> Vec<String> {
        body["apiKeys"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(door.get("/api-keys").await.json()), ["events", "clicks"]);
    let body = door.get("/api-keys?scope=events:write").await.json();
    assert_eq!(
        body["apiKeys"][0],
        json!({
            "id": "events", "prefix": "ak_12", "label": "", "scopes": ["events:write"], "createdAt": null,
            "lastUsedAt": null, "revokedAt": null,
        })
    );
    assert_eq!(ids(body), ["events"]);

    door.rooms.on(REVOKE, |request: RevokeKeyRequest| match request.key_id.as_str() {
        ID => Ok(Key::default()),
        _ => Err(chassis::guard::status(tonic::Code::NotFound, "key_not_found", "There is none.")),
    });
    for (id, status, text) in [
        (ID, 200, r#"{"ok":true}"#),
        ("apikey_01900000000070008000000000000008", 404, r#"{"error":"not_found"}"#),
        ("nonsense", 404, r#"{"error":"not_found"}"#),
    ] {
        let answer = door.call(Method::DELETE, &format!("/api/api-keys/{id}"), None).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (status, text));
    }
}

#[tokio::test]
async fn a_key_says_what_it_may_do() {
    let door = house().await;
    let answer = door.get("/auth/introspect").await;
    assert_eq!(answer.text, r#"{"role":"admin","unrestricted":true}"#);
    let request =
        http::Request::builder().uri("/auth/introspect").header("authorization", "Bearer ak_events");
    let answer = door.send(request.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(answer.text, r#"{"role":"scoped","scopes":["events:write"]}"#);
    assert!(door.rooms.calls().iter().all(|call| call.method == CHECK));
}
