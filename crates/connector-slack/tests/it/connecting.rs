//! Connecting a workspace, and what ends it.

use connector::{Connector, ErrorKind};
use sandbox::slack::Settings;
use secrecy::ExposeSecret;
use serde_json::json;
use testkit::eventually;

use crate::{
    slack::{call, connector, install, message, simulator},
    world::{SOON, World, about},
};

#[tokio::test]
async fn a_workspace_is_connected_lists_its_channels_and_is_given_back() {
    let world = World::new(Settings::default()).await;
    let id = world.connect().await;
    let connection = world.wait_for_state(id, "active").await;
    assert_eq!(
        (connection.account_id.as_str(), connection.account_name.as_str()),
        ("T0NWIND001", "Northwind")
    );
    let mut api = world.api.clone();
    let channels = api.list_channels(about(id)).await.unwrap().into_inner().channels;
    assert!(channels.iter().any(|channel| channel.name == "deal-registrations" && !channel.is_member));
    let ended = api.disconnect(about(id)).await.unwrap().into_inner();
    assert_eq!((ended.state.as_str(), ended.message.as_str()), ("disconnected", "Somebody disconnected it."));
    let uninstalled = world.slack.uninstall().await.unwrap();
    assert_eq!(uninstalled["ended_tokens"], 0, "the token was revoked before");
}

#[tokio::test]
async fn a_removed_app_ends_the_connection_and_an_old_notice_of_it_does_not_end_the_next_one() {
    let world = World::new(Settings::default()).await;
    let id = world.connect().await;
    world.slack.uninstall().await.unwrap();
    let connection = world.wait_for_state(id, "reauth_required").await;
    assert_eq!(connection.reason, "access_revoked");
    assert!(connection.next_step.contains("Connect Slack again"), "{}", connection.next_step);
    // Slack repeats what it thinks was not heard. Its clock has whole seconds.
    world.pass_ms(1_100).await;
    assert_eq!(world.connect().await, id);
    let events = eventually(SOON, "all notices to be sent", || async {
        let sent = world.slack.control("GET", "/_sandbox/deliveries?kind=event_callback", json!(null)).await;
        let events = sent.unwrap()["deliveries"].as_array().unwrap().clone();
        let are_sent =
            events.iter().all(|event| event["attempts"].as_array().is_some_and(|all| !all.is_empty()));
        (events.len() >= 2 && are_sent).then_some(events)
    })
    .await;
    for event in &events {
        assert_eq!(world.redeliver(event, json!({"age_s": 0})).await, 200);
    }
    // The same as a new event, so that only its time tells.
    let body = events[0]["body"].as_str().unwrap().replace("\"event_id\":\"Ev", "\"event_id\":\"EvX");
    assert_eq!(world.redeliver(&events[0], json!({"age_s": 0, "body": body})).await, 200);
    let still = world.api.clone().get_connection(about(id)).await.unwrap().into_inner();
    assert_eq!(still.state, "active");
}

#[tokio::test]
async fn a_revoked_token_is_noticed_by_the_next_message_too() {
    let world = World::new(Settings::default()).await;
    let id = world.connect().await;
    world.slack.change_settings(json!({"events_url": ""})).await.unwrap();
    world.slack.control("POST", "/_sandbox/revoke", json!({})).await.unwrap();
    world.post(&message(id, "C0ANY", "Late")).await;
    world.wait_for_state(id, "reauth_required").await;
}

#[tokio::test]
async fn a_rotating_token_is_refreshed_once_for_all_and_a_standing_one_is_exchanged_when_the_app_begins_to_rotate()
 {
    let slack = simulator(Settings { token_rotation: true, ..Settings::default() }).await;
    let connector = connector(&slack);
    let grant = install(&slack, &connector).await;
    assert_eq!(grant.expires_in.map(|lives| lives.as_secs()), Some(43_200));
    let settings = Settings::default();
    let own =
        [("client_id", settings.client_id.as_str()), ("client_secret", settings.client_secret.as_str())];
    let refresh = grant.refresh_token.unwrap();
    let fields =
        [own[0], own[1], ("grant_type", "refresh_token"), ("refresh_token", refresh.expose_secret())];
    let next = call(&slack, &connector, "/api/oauth.v2.access", &fields).await.unwrap();
    assert_ne!(next.refresh_token.unwrap().expose_secret(), refresh.expose_secret());
    let spent = call(&slack, &connector, "/api/oauth.v2.access", &fields).await.unwrap_err();
    assert_eq!(spent.kind, ErrorKind::AccessRevoked);

    slack.change_settings(json!({"token_rotation": false})).await.unwrap();
    slack.uninstall().await.unwrap();
    let standing = install(&slack, &connector).await;
    assert_eq!(standing.expires_in, None);
    slack.change_settings(json!({"token_rotation": true})).await.unwrap();
    let kept = standing.refresh_token.unwrap();
    assert_eq!(connector.refresh_request(&kept).path, "/api/oauth.v2.exchange");
    let fields = [own[0], own[1], ("token", kept.expose_secret())];
    let rotating = call(&slack, &connector, "/api/oauth.v2.exchange", &fields).await.unwrap();
    assert!(rotating.expires_in.is_some());
}
