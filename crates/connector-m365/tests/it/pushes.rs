//! What Microsoft posts to the address of a subscription (R36).

use connector::{Connector, Heard, Push, Pushed, Refusal};
use http::HeaderMap;
use secrecy::ExposeSecret;

use crate::mailbox::sandbox;

fn received(m365: &dyn Connector, query: &str, body: &str) -> Result<Pushed, Refusal> {
    let headers = HeaderMap::new();
    m365.pusher().unwrap().receive(&Push { headers: &headers, query, body: body.as_bytes() })
}

#[tokio::test]
async fn a_validation_token_is_given_back_decoded_and_nothing_else_is() {
    let (_sandbox, m365) = sandbox().await;
    let answer = received(&*m365, "validationToken=Validation%3A%20a%20%26%20b%2Bc+d", "").unwrap();
    let Pushed::Handshake(text) = answer else { panic!("{answer:?}") };
    assert_eq!(text, "Validation: a & b+c d");
    let long = format!("validationToken={}", "a".repeat(5_000));
    for query in ["validationToken=", long.as_str(), "token=a", ""] {
        assert_eq!(received(&*m365, query, "").unwrap_err(), Refusal::UNREADABLE, "{query}");
    }
}

#[tokio::test]
async fn several_notifications_of_one_request_are_told_apart_by_their_secrets_and_events() {
    let (_sandbox, m365) = sandbox().await;
    let body = r#"{"value":[
        {"subscriptionId":"a","clientState":"one","changeType":"created","resource":"Users/x/Messages/y","resourceData":{"id":"y"}},
        {"subscriptionId":"b","lifecycleEvent":"reauthorizationRequired","clientState":null},
        {"subscriptionId":"b","lifecycleEvent":"subscriptionRemoved","clientState":"two"},
        {"subscriptionId":"b","lifecycleEvent":"missed","clientState":"two"},
        {"subscriptionId":"b","lifecycleEvent":"of the future","clientState":"two"}]}"#;
    let answer = received(&*m365, "", body).unwrap();
    assert!(!format!("{answer:?}").contains("two"), "a secret is shown");
    let Pushed::Told(told) = answer else { panic!("no notifications") };
    let told: Vec<_> =
        told.iter().map(|it| (it.watch.as_str(), it.secret.expose_secret(), it.heard)).collect();
    let expected = [
        ("a", "one", Heard::Changed),
        ("b", "", Heard::Ending),
        ("b", "two", Heard::Ended),
        ("b", "two", Heard::Changed),
        ("b", "two", Heard::Changed),
    ];
    assert_eq!(told, expected);
    for body in ["", "{}", "[]", r#"{"value":{}}"#, r#"{"value":[{}]}"#, "\u{0}"] {
        assert_eq!(received(&*m365, "", body).unwrap_err(), Refusal::UNREADABLE, "{body}");
    }
}
