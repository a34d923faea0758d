use std::time::Duration;

use connector::{Connector, ErrorKind, Retry, Session};
use sandbox::google::{FaultKind, Settings};

use crate::house::{connected, connected_with, consent};

const EVENTS: &str = "https://www.googleapis.com/auth/calendar.events.readonly";

#[tokio::test]
async fn consent_brings_offline_access_and_whose_calendar_it_is() {
    let house = connected().await;
    let account = house.google.account(&house.session).await.unwrap();
    assert_eq!(account.name, house.sandbox.email());
    assert!(!account.id.contains('@'), "an address may change, the id may not");
    assert!(account.missing.is_empty(), "{:?}", account.missing);
    assert_eq!(house.grant.expires_in, Some(Duration::from_secs(3_599)));
    assert!(house.grant.refresh_token.is_some());
}

#[tokio::test]
async fn a_permission_that_was_unticked_is_reported_in_words_and_the_rest_works() {
    let house = connected().await;
    let grant = consent(&house.google, house.sandbox.email(), Some(&[EVENTS])).await;
    let session = Session::for_tests(house.google.clone(), "", grant.access_token).unwrap();
    let account = house.google.account(&session).await.unwrap();
    assert_eq!(account.missing.len(), 1);
    assert!(account.missing[0].consequence.contains("without their transcripts"));
    house.google.fetch_activities(&session, "calendar", None, session.now()).await.unwrap();
    let refused =
        house.google.fetch_activities(&session, "transcripts", None, session.now()).await.unwrap_err();
    assert_eq!((refused.kind, refused.retry), (ErrorKind::Permission, Retry::Never));
    assert!(refused.message.contains("connect again"), "{refused}");
}

#[tokio::test]
async fn a_refresh_token_stays_and_dies_with_the_grant() {
    let house = connected().await;
    let token = house.grant.refresh_token.clone().unwrap();
    for _ in 0..2 {
        let answer = house.session.send(house.google.refresh_request(&token)).await.unwrap();
        assert!(house.google.read_grant(&answer).unwrap().refresh_token.is_none());
    }
    house.session.send(house.google.revoke_request(&token).unwrap()).await.unwrap();
    let error = house.session.send(house.google.refresh_request(&token)).await.unwrap_err();
    assert_eq!((error.kind, error.retry), (ErrorKind::AccessRevoked, Retry::Never));
    assert!(error.message.contains("removed in the Google account"), "{error}");
}

#[tokio::test]
async fn quotas_are_waited_for_whatever_status_they_come_with() {
    for quota_status in [403, 429] {
        let settings = Settings { calls_per_minute: 3, quota_status, ..Settings::default() };
        let house = connected_with(settings).await;
        let mut refused = None;
        for _ in 0..4 {
            refused = house.page("calendar", None).await.err().or(refused);
        }
        let refused = refused.expect("the quota is used up");
        assert_eq!((refused.kind, refused.retry), (ErrorKind::RateLimit, Retry::Backoff), "{quota_status}");
    }
    let house = connected().await;
    house.fault("/calendar", FaultKind::Quota, 1);
    let refused = house.page("calendar", None).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::RateLimit);
    assert!(matches!(refused.retry, Retry::After(pause) if pause > Duration::from_secs(60)), "{refused:?}");
}
