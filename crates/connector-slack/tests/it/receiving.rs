//! What people do in Slack, and what Slack says of itself.

use std::time::{Duration, Instant};

use sandbox::slack::{Fault, FaultKind, FaultMatch, Settings};
use serde_json::{Value, json};
use testkit::eventually;

use crate::{
    slack::{channel, fault, message, messages, user},
    world::{SOON, World},
};

async fn posted(world: &World) -> model::MessagePosted {
    let id = world.connect().await;
    let channel = channel(&world.slack, "stories", false).await;
    let wanted = message(id, &channel, "Fabrikam registered a deal");
    world.post(&wanted).await;
    world.posted(&wanted).await
}

#[tokio::test]
async fn a_click_is_acknowledged_and_on_the_bus_and_a_replay_does_nothing() {
    let world = World::new(Settings::default()).await;
    let posted = posted(&world).await;
    let delivery = world.click(&posted, "mia", "registration:approve").await;
    assert_eq!(
        (&delivery["state"], &delivery["attempts"][0]["status"]),
        (&json!("acknowledged"), &json!(200))
    );
    let click = world.interaction("button").await;
    assert_eq!(
        (click.connection, &click.channel, Some(&click.message)),
        (posted.connection, &posted.channel, posted.message.as_ref())
    );
    assert_eq!((click.action.as_str(), click.value.as_str()), ("registration:approve", "dreg_1"));
    let mia = user(&world.slack, "mia").await;
    // Who she is comes behind what she did.
    assert_eq!((click.user.id.as_str(), click.user.email), (mia.as_str(), None));
    let told = world.told(&mia).await;
    assert_eq!(told.connection, posted.connection);
    assert_eq!(told.user.name, "Mia Member");
    assert_eq!(told.user.email.as_deref(), Some("mia@northwind.example"));
    // To the letter, and signed anew.
    assert_eq!(world.redeliver(&delivery, json!({})).await, 200);
    assert_eq!(world.redeliver(&delivery, json!({"age_s": 1})).await, 200);
    // A second click is another one, and comes behind them.
    world.click(&posted, "olivia", "registration:approve").await;
    eventually(SOON, "the second click", || async { (world.interactions().len() == 2).then_some(()) }).await;
    world.told(&user(&world.slack, "olivia").await).await;
    // Of whoever is known, the next click says so at once, and nobody asks again.
    world.click(&posted, "mia", "registration:approve").await;
    eventually(SOON, "the third click", || async {
        let clicks = world.interactions();
        clicks.iter().any(|click| click.user.name == "Mia Member").then_some(())
    })
    .await;
    assert_eq!(world.interactions().len(), 3);
}

#[tokio::test]
async fn a_click_is_acknowledged_at_once_and_heard_once_however_long_it_takes_to_learn_who_it_was() {
    let world = World::new(Settings::default()).await;
    let posted = posted(&world).await;
    let lookups = "/api/users.info";
    for (name, kind, delay_ms) in [("mia", FaultKind::Slow, 1_500), ("adam", FaultKind::Internal, 0)] {
        let on = FaultMatch { path_prefix: Some(lookups.to_owned()), method: None };
        let (probability, retry_after_s, error) = (None, None, None);
        let (delay_ms, times) = (Some(delay_ms), Some(10));
        world.slack.add_fault(Fault { on, kind, times, probability, delay_ms, retry_after_s, error });
        let begun = Instant::now();
        let delivery = world.click(&posted, name, "registration:approve").await;
        let took = begun.elapsed();
        assert_eq!(delivery["state"], "acknowledged", "{delivery}");
        assert!(took < Duration::from_millis(900), "{name}: acknowledged after {took:?}");
        let who = user(&world.slack, name).await;
        let clicks = || world.interactions().into_iter().filter(|click| click.user.id == who).count();
        eventually(SOON, "the click", || async { (clicks() > 0).then_some(()) }).await;
        assert_eq!(world.redeliver(&delivery, json!({})).await, 200);
        if name == "mia" {
            assert_eq!(world.told(&who).await.user.name, "Mia Member");
        }
        assert_eq!(clicks(), 1, "{name}");
        world.slack.clear_faults();
    }
}

#[tokio::test]
async fn forged_stale_and_altered_requests_are_refused_before_they_are_read() {
    let world = World::new(Settings::default()).await;
    let posted = posted(&world).await;
    let delivery = world.click(&posted, "mia", "registration:approve").await;
    world.interaction("button").await;
    for (order, code) in [
        (json!({"forged": true}), "signature_invalid"),
        (json!({"age_s": 400}), "signature_stale"),
        (json!({"age_s": -400}), "signature_stale"),
        (json!({"body": "payload=%7B%7D"}), "signature_invalid"),
    ] {
        assert_eq!(world.redeliver(&delivery, order.clone()).await, 401, "{order}");
        let sent = world.slack.control("GET", "/_sandbox/deliveries?last=1", Value::Null).await.unwrap();
        assert_eq!(sent["deliveries"][0]["attempts"][0]["answer"], code, "{order}");
    }
    assert_eq!(world.interactions().len(), 1);
}

#[tokio::test]
async fn a_rejection_asks_for_its_reason_first() {
    let world = World::new(Settings::default()).await;
    let posted = posted(&world).await;
    world.click(&posted, "mia", "registration:reject:ask").await;
    let views = eventually(SOON, "the dialog", || async {
        let views = world.slack.control("GET", "/_sandbox/views", Value::Null).await.unwrap();
        views["views"].as_array().filter(|views| !views.is_empty()).cloned()
    })
    .await;
    assert_eq!(views[0]["view"]["title"]["text"], "Reject");
    assert!(world.interactions().is_empty(), "nothing is decided before the reason is told");
    let submission = json!({"user": "mia", "values": {"reason": "Tailspin is a <customer> already"}});
    let delivery = world.slack.submit(submission).await.unwrap()["delivery"].clone();
    assert_eq!(delivery["state"], "acknowledged");
    let told = world.interaction("dialog").await;
    assert_eq!((told.action.as_str(), told.value.as_str()), ("registration:reject:ask", "dreg_1"));
    assert_eq!(told.fields["reason"], "Tailspin is a <customer> already");
    assert_eq!((told.connection, Some(&told.message)), (posted.connection, posted.message.as_ref()));
    let views = world.slack.control("GET", "/_sandbox/views", Value::Null).await.unwrap();
    assert_eq!(views["views"], json!([]), "the dialog is closed");
}

#[tokio::test]
async fn who_got_no_dialog_is_told_to_click_again() {
    let world = World::new(Settings::default()).await;
    let posted = posted(&world).await;
    fault(&world.slack, "/api/views.open", sandbox::slack::FaultKind::Internal, 1);
    world.click(&posted, "mia", "registration:reject:ask").await;
    let mia = user(&world.slack, "mia").await;
    eventually(SOON, "a private word", || async {
        let there = messages(&world.slack, &posted.channel).await;
        there.into_iter().find(|message| message["only_for"] == json!(mia))
    })
    .await;
}

#[tokio::test]
async fn a_button_of_another_workspace_or_of_no_connection_does_nothing() {
    let world = World::new(Settings::default()).await;
    let posted = posted(&world).await;
    let delivery = world.click(&posted, "mia", "registration:approve").await;
    world.interaction("button").await;
    let body = delivery["body"].as_str().unwrap();
    let trigger = world.interactions()[0].id.clone();
    let own = posted.connection.to_string();
    let stranger = model::ConnectionId::generate(model::Clock::now(&model::SystemClock)).to_string();
    for (from, to) in [("T0NWIND001", "T0TRIAL002"), (own.as_str(), stranger.as_str()), (own.as_str(), "b1")]
    {
        // A request of its own, genuinely signed.
        let body = body.replace(&trigger, &format!("{trigger}x")).replace(from, to);
        assert_eq!(world.redeliver(&delivery, json!({"body": body, "age_s": 0})).await, 200);
    }
    world.click(&posted, "olivia", "registration:approve").await;
    eventually(SOON, "the next click", || async { (world.interactions().len() == 2).then_some(()) }).await;
    assert!(world.interactions().iter().all(|click| !click.id.ends_with('x')));
}

#[tokio::test]
async fn slack_finds_our_address_and_odd_requests_of_its_own_do_no_harm() {
    let world = World::new(Settings::default()).await;
    let verified = world.slack.control("POST", "/_sandbox/verify", json!({})).await.unwrap();
    assert_eq!(verified["delivery"]["state"], "acknowledged", "{verified}");
    let delivery = verified["delivery"].clone();
    for (body, status) in [
        ("ssl_check=1&token=x", 200),
        (r#"{"type":"app_rate_limited","team_id":"T0NWIND001"}"#, 200),
        (
            r#"{"type":"event_callback","event_id":"Ev1","team_id":"T0NWIND001","event_time":1,"event":{"type":"message"}}"#,
            200,
        ),
        ("payload=%7B%22type%22%3A%22shortcut%22%7D", 200),
        ("{", 401),
        ("payload=none", 401),
        ("", 401),
    ] {
        assert_eq!(world.redeliver(&delivery, json!({"body": body, "age_s": 0})).await, status, "{body}");
    }
}
