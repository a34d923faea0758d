//! Push channels, and what Google posts to their addresses (R36).

use connector::{Connector, ErrorKind, Heard, Push, Pushed, Refusal, WatchWish};
use http::HeaderMap;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::house::connected;

#[tokio::test]
async fn a_message_says_its_channel_its_token_and_whether_anything_is_new() {
    let house = connected().await;
    let received = |told: &[(&'static str, &str)]| {
        let headers: HeaderMap =
            told.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        house.google.pusher().unwrap().receive(&Push { headers: &headers, query: "", body: b"" })
    };
    for (state, heard) in [("sync", Heard::Begun), ("exists", Heard::Changed), ("not_exists", Heard::Changed)]
    {
        let told = [
            ("x-goog-channel-id", "a"),
            ("x-goog-channel-token", "one"),
            ("x-goog-resource-state", state),
            ("x-goog-message-number", "1"),
        ];
        let Pushed::Told(notices) = received(&told).unwrap() else { panic!("no message") };
        let [notice] = notices.as_slice() else { panic!("{} messages", notices.len()) };
        assert_eq!((notice.watch.as_str(), notice.secret.expose_secret()), ("a", "one"));
        assert_eq!(notice.heard, heard, "{state}");
        assert_eq!(received(&told[1..]).unwrap_err(), Refusal::UNREADABLE);
        assert_eq!(received(&told[..2]).unwrap_err(), Refusal::UNREADABLE);
    }
}

#[tokio::test]
async fn an_address_that_google_does_not_take_is_told_in_words_and_is_no_matter_of_the_token() {
    let house = connected().await;
    house.sandbox.change_settings(json!({"push_https_only": true})).unwrap();
    let (address, secret) = ("http://127.0.0.1:9/push".parse().unwrap(), "secret".into());
    let (id, now) = ("018f0000-0000-7000-8000-000000000000".parse().unwrap(), house.session.vendor_now());
    let wish = WatchWish { feed: "calendar", id, address: &address, secret: &secret, now };
    let refused = house.google.pusher().unwrap().watch(&house.session, &wish).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Validation);
    assert!(refused.message.contains("https") && !refused.to_string().contains("secret"), "{refused}");
}
