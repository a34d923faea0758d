use std::time::Duration;

use connector::{Connector, ErrorKind, Retry, Session};
use connector_hubspot::ApiVersion;
use model::FieldType;
use sandbox::hubspot::{FaultKind, Settings, Tier};
use serde_json::json;

use crate::portal::{connected, connected_with, consent, fields, settings};

#[tokio::test]
async fn consent_brings_tokens_and_the_portals_id() {
    let portal = connected().await;
    let account = portal.hubspot.account(&portal.session).await.unwrap();
    assert_eq!(account.id, portal.sandbox.portal_id().to_string());
    assert!(!account.name.is_empty());
    assert!(account.missing.is_empty(), "{:?}", account.missing);
    assert_eq!(portal.grant.expires_in, Some(Duration::from_secs(1_800)));
    assert!(portal.grant.refresh_token.is_some());
}

#[tokio::test]
async fn a_scope_that_was_not_granted_is_reported_in_words() {
    let portal = connected().await;
    let granted = ["oauth", "crm.objects.companies.read", "crm.schemas.companies.read"];
    portal.sandbox.change_settings(json!({"scopes_granted": granted})).unwrap();
    let grant = consent(&portal.sandbox, &portal.hubspot).await;
    let session = Session::for_tests(portal.hubspot.clone(), "", grant.access_token).unwrap();
    let account = portal.hubspot.account(&session).await.unwrap();
    let missing: Vec<&str> = account.missing.iter().map(|missing| missing.scope.as_str()).collect();
    assert!(missing.contains(&"crm.objects.deals.read") && missing.contains(&"crm.objects.companies.write"));
    let write =
        account.missing.iter().find(|missing| missing.scope == "crm.objects.companies.write").unwrap();
    assert!(write.consequence.contains("CRM write permission"), "{}", write.consequence);
}

#[tokio::test]
async fn the_subscription_is_told_by_what_it_grants() {
    for (tier, name, notices) in
        [(Tier::Free, "Free to Professional", 1), (Tier::Enterprise, "Enterprise", 0)]
    {
        let portal = connected_with(Settings { tier, ..settings() }, ApiVersion::Classic).await;
        let account = portal.hubspot.account(&portal.session).await.unwrap();
        assert_eq!(account.tier.as_deref(), Some(name));
        assert_eq!(account.notices.len(), notices);
    }
}

#[tokio::test]
async fn a_refresh_brings_a_new_refresh_token_and_the_old_one_is_dead() {
    let portal = connected().await;
    let old = portal.grant.refresh_token.clone().unwrap();
    let answer = portal.session.send(portal.hubspot.refresh_request(&old)).await.unwrap();
    let grant = portal.hubspot.read_grant(&answer).unwrap();
    let session = Session::for_tests(portal.hubspot.clone(), "", grant.access_token).unwrap();
    portal.hubspot.account(&session).await.unwrap();

    let error = portal.session.send(portal.hubspot.refresh_request(&old)).await.unwrap_err();
    assert_eq!((error.kind, error.retry), (ErrorKind::AccessRevoked, Retry::Never));
}

#[tokio::test]
async fn access_that_was_taken_away_in_hubspot_is_recognized() {
    let portal = connected().await;
    portal.sandbox.revoke();
    let error = portal.hubspot.describe(&portal.session).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TokenExpired);
    let refresh = portal.hubspot.refresh_request(portal.grant.refresh_token.as_ref().unwrap());
    let error = portal.session.send(refresh).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AccessRevoked);
    assert!(error.message.contains("the app was removed"), "{error}");
}

#[tokio::test]
async fn disconnecting_takes_the_refresh_token_back() {
    let portal = connected().await;
    let token = portal.grant.refresh_token.as_ref().unwrap();
    portal.session.send(portal.hubspot.revoke_request(token).unwrap()).await.unwrap();
    let error = portal.session.send(portal.hubspot.refresh_request(token)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AccessRevoked);
}

#[tokio::test]
async fn the_schema_has_types_rules_and_the_stages_of_pipelines() {
    let portal = connected().await;
    let deals = portal.schema("deals").await;
    let field = |name: &str| deals.field(name).unwrap();
    assert_eq!(field("amount").field_type, FieldType::Currency);
    assert_eq!(field("closedate").field_type, FieldType::DateTime);
    assert_eq!(field("hubspot_owner_id").field_type, FieldType::User);
    assert!(field("hs_is_closed").read_only && field("hs_lastmodifieddate").read_only);
    let stages: Vec<&str> = field("dealstage").options.iter().map(|option| option.value.as_str()).collect();
    assert!(stages.contains(&"closedwon"), "{stages:?}");
    assert_eq!(field("pipeline").options[0].value, "default");
    let companies = portal.schema("companies").await;
    assert!(companies.field("industry").unwrap().options.len() > 100);
}

#[tokio::test]
async fn everything_works_on_the_date_based_paths_too() {
    let portal = connected_with(settings(), ApiVersion::March2026).await;
    portal.hubspot.account(&portal.session).await.unwrap();
    portal.hubspot.prepare_external_id(&portal.session, "companies").await.unwrap();
    portal.seed("companies", 30, json!({}));
    let schema = portal.schema("companies").await;
    let (changes, _) = portal.read_all(&schema, &fields(&["name"])).await;
    assert_eq!(changes.len(), 30);
    portal.hubspot.fetch_deleted(&portal.session, "companies", None).await.unwrap();
    assert_eq!(portal.calls_of("/v3/objects"), 0);
    assert!(portal.calls_of("/2026-03/") > 0);
}

#[tokio::test]
async fn limits_and_outages_say_when_to_come_back() {
    let portal = connected().await;
    portal.fault("/crm", FaultKind::TooManyToday, 1);
    let error = portal.hubspot.describe(&portal.session).await.unwrap_err();
    assert_eq!((error.kind, error.retry), (ErrorKind::RateLimit, Retry::After(Duration::from_secs(3_600))));
}

#[tokio::test]
async fn a_gateways_page_and_an_answer_cut_off_are_tried_again() {
    let portal = connected().await;
    for kind in [FaultKind::Gateway, FaultKind::Unavailable, FaultKind::CutMidBody, FaultKind::DropConnection]
    {
        portal.fault("/crm", kind, 1);
        portal.hubspot.describe(&portal.session).await.unwrap();
    }
}

#[tokio::test]
async fn answers_teach_the_limit_of_ordinary_calls_and_searches_have_their_own() {
    let portal = connected_with(Settings::default(), ApiVersion::Classic).await;
    let page = |path: &str| connector::Request {
        host: connector::Host::Api,
        class: "core",
        method: http::Method::GET,
        path: path.into(),
        headers: Vec::new(),
        body: connector::Body::Empty,
        idempotent: true,
    };
    let answer = portal.session.send(page("/crm/v3/objects/companies?limit=1")).await.unwrap();
    let hint = portal.hubspot.limit_hint("core", &answer.headers).unwrap();
    assert_eq!((hint.limit, hint.window), (110, Duration::from_secs(10)));
    assert!(hint.remaining < 110);
    assert!(portal.hubspot.limit_hint("search", &answer.headers).is_none());
}
