use bus::Message;
use model::{ConnectionChanged, ConnectionState, Role, SchemaPart, SchemaRefreshed, kind};
use proto::connections::{
    BeginAuthorizationRequest, CompleteAuthorizationRequest, ListConnectionsRequest, ListVendorsRequest,
    StartAuthorizationRequest,
};
use testkit::eventually;
use tonic::Code;
use url::Url;

use crate::{
    acme::{FAST, Fault},
    world::{SOON, World, about, by},
};

fn code(status: &tonic::Status) -> &str {
    chassis::guard::stable_code(status).unwrap_or_default()
}

/// The query parameters of an address.
fn parameter(url: &str, name: &str) -> String {
    let url = Url::parse(url).unwrap();
    url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned()
}

#[tokio::test]
async fn a_schema_that_fits_no_message_comes_in_parts_and_a_field_that_fits_none_is_named() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    let all: Vec<String> = (0..1_500).map(|at| format!("{at}_{}", "x".repeat(500))).collect();
    world.acme.lock().fields.clone_from(&all);
    let shown = replica.api.refresh_schema(about("owner", id)).await.unwrap().into_inner();
    assert_eq!(shown.objects[0].fields.len(), all.len());
    let parts = eventually(SOON, "all parts of the schema", || async {
        let events: Vec<SchemaRefreshed> = world.all(kind::SCHEMA_REFRESHED);
        let parts: Vec<SchemaRefreshed> = events.into_iter().filter(|event| event.part.is_some()).collect();
        let of = parts.first()?.part?.of;
        (parts.len() == of as usize).then_some(parts)
    })
    .await;
    assert!(parts.len() > 1);
    let whole = SchemaPart::join(parts.into_iter().map(|part| part.objects));
    assert_eq!(whole.len(), 2);
    for object in whole {
        assert!(object.fields.iter().map(|field| &field.name).eq(&all), "{}", object.name);
    }

    world.acme.lock().fields.push("y".repeat(1_100_000));
    let refused = replica.api.refresh_schema(about("owner", id)).await.unwrap_err();
    assert_eq!((refused.code(), code(&refused)), (Code::FailedPrecondition, "schema_too_large"));
    assert!(refused.message().contains("companies"), "{}", refused.message());
    assert!(refused.message().len() < 500);
    let told = replica.wait_for_state(id, "error").await;
    assert_eq!(told.reason, "schema_too_large");
    world.acme.lock().fields.truncate(3);
    replica.api.refresh_schema(about("owner", id)).await.unwrap();
    replica.wait_for_state(id, "active").await;
    replica.stop().await;
}

#[tokio::test]
async fn a_vendor_whose_texts_hold_what_no_database_takes_is_connected_and_described() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    {
        let mut acme = world.acme.lock();
        acme.said = " \u{0}of ours".to_owned();
        acme.fields.push("na\u{0}me".to_owned());
        acme.scopes.push("admin\u{0}".to_owned());
    }
    let id = replica.connect(&world.acme).await;
    assert_eq!(replica.get(id).await.account_name, "Acme Inc of ours");
    let shown = replica.api.refresh_schema(about("owner", id)).await.unwrap().into_inner();
    let fields = &shown.objects[0].fields;
    assert_eq!(fields.len(), 3, "nothing can be asked for by such a name");
    assert_eq!((fields[0].label.as_str(), fields[0].description.as_str()), ("NAME of ours", " of ours"));
    replica.stop().await;
}

#[tokio::test]
async fn an_authorized_account_is_an_active_connection_with_its_schema_and_no_plain_token() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let token = replica.consent(&world.acme, "").await.unwrap();
    let none = replica.api.list_connections(by("owner", ListConnectionsRequest {})).await.unwrap();
    assert!(none.into_inner().connections.is_empty(), "nobody has confirmed yet");
    let waiting: String = world.query("SELECT encode(code, 'escape') FROM authorizations").await;
    assert!(!waiting.contains("acme-code"), "{waiting}");
    let connection = replica.confirm("owner", &token).await.unwrap();
    assert_eq!((connection.state.as_str(), connection.account_id.as_str()), ("active", "acme-1"));
    let id = connection.id.parse().unwrap();

    let authorized = |fact: &ConnectionChanged| fact.connection == Some(id);
    let fact = world.wait_for("the event", kind::CONNECTION_AUTHORIZED, authorized).await;
    assert_eq!(fact.state, Some(ConnectionState::Active));
    let schema: SchemaRefreshed = world
        .wait_for("the schema", kind::SCHEMA_REFRESHED, |fact: &SchemaRefreshed| fact.connection == id)
        .await;
    assert_eq!(schema.objects.len(), 2);
    let shown = replica.api.get_schema(about("viewer", id)).await.unwrap().into_inner();
    assert_eq!(shown.objects[0].fields.len(), 3);

    // R7, R8: what the vendor gave is nowhere in the clear.
    let dump: String = world
        .query(
            "SELECT string_agg(t::text, ' ') FROM (
                 SELECT row_to_json(c)::text AS t FROM connections c UNION ALL
                 SELECT encode(access_token, 'escape') || encode(refresh_token, 'escape') FROM tokens UNION ALL
                 SELECT row_to_json(a)::text FROM authorizations a UNION ALL
                 SELECT convert_from(body, 'UTF8') FROM outbox) AS all_rows (t)",
        )
        .await;
    let kept: i64 = world
        .query("SELECT count(*) FROM authorizations WHERE code IS NOT NULL OR verifier IS NOT NULL")
        .await;
    assert_eq!(kept, 0, "what was exchanged is of no use any more");
    assert!(!dump.contains("acme-access") && !dump.contains("acme-refresh"), "{dump}");
    let told = world.seen.lock().unwrap().clone();
    assert!(told.iter().all(|message| !String::from_utf8_lossy(&message.body).contains("acme-access")));
    replica.stop().await;
}

#[tokio::test]
async fn a_callback_that_this_browser_did_not_start_is_refused_and_told() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let ticket = parameter(&replica.begin("").await.unwrap(), "ticket");
    let started = StartAuthorizationRequest { ticket: ticket.clone() };
    let started = replica.api.start_authorization(started).await.unwrap().into_inner();
    let (code_of_vendor, state) = world.acme.approve(&started.authorize_url);
    let callback = |state: &str, nonce: &str| CompleteAuthorizationRequest {
        vendor: "acme".into(),
        state: state.into(),
        code: code_of_vendor.clone(),
        browser_nonce: nonce.into(),
        ..CompleteAuthorizationRequest::default()
    };

    let left: f64 = world
        .query("SELECT extract(epoch FROM min(expires_at) - now())::float8 FROM authorizations WHERE state_hash IS NOT NULL")
        .await;
    assert!((540.0..=600.0).contains(&left), "{left}");

    let twice = replica.api.start_authorization(StartAuthorizationRequest { ticket }).await.unwrap_err();
    assert_eq!((twice.code(), code(&twice)), (Code::PermissionDenied, "oauth_ticket_unknown"));

    let wrong = callback("forged", &started.browser_nonce);
    let wrong = replica.api.complete_authorization(wrong).await.unwrap_err();
    assert_eq!((wrong.code(), code(&wrong)), (Code::PermissionDenied, "oauth_state_unknown"));
    let told = |reason: &'static str| move |fact: &ConnectionChanged| fact.reason.as_deref() == Some(reason);
    world.wait_for("the wrong state", kind::CONNECTION_REFUSED, told("oauth_state_unknown")).await;

    let other_browser = callback(&state, "other");
    let other_browser = replica.api.complete_authorization(other_browser).await.unwrap_err();
    assert_eq!(code(&other_browser), "oauth_nonce_mismatch");
    world.wait_for("the wrong browser", kind::CONNECTION_REFUSED, told("oauth_nonce_mismatch")).await;

    // The state is spent, also for the right browser.
    let again = callback(&state, &started.browser_nonce);
    let again = replica.api.complete_authorization(again).await.unwrap_err();
    assert_eq!(code(&again), "oauth_state_unknown");
    let none = replica.api.list_connections(by("owner", ListConnectionsRequest {})).await.unwrap();
    assert!(none.into_inner().connections.is_empty());
    replica.stop().await;
}

#[tokio::test]
async fn a_consent_is_confirmed_by_whoever_began_and_by_nobody_else() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let actor = |organization, role| testkit::Identity::person(organization, role).actor;
    let owner = actor(world.organization(), Role::Owner);
    let admin = actor(world.organization(), Role::Admin);
    let stranger = actor(world.other, Role::Owner);
    for (other, told) in [("admin", vec![admin]), ("stranger", vec![stranger, owner])] {
        let token = replica.consent(&world.acme, "").await.unwrap();
        let viewer = replica.confirm("viewer", &token).await.unwrap_err();
        assert_eq!((viewer.code(), code(&viewer)), (Code::PermissionDenied, "scope_missing"));
        let refused = replica.confirm(other, &token).await.unwrap_err();
        assert_eq!((refused.code(), code(&refused)), (Code::PermissionDenied, "oauth_confirm_not_yours"));
        for actor in told {
            eventually(SOON, "the refusal to be told", || async {
                let seen = world.seen.lock().unwrap();
                let is_told = |message: &Message| {
                    let envelope = &message.envelope;
                    envelope.kind == kind::CONNECTION_REFUSED && envelope.actor.as_deref() == Some(&*actor)
                };
                seen.iter().any(is_told).then_some(())
            })
            .await;
        }
        let late = replica.confirm("owner", &token).await.unwrap_err();
        assert_eq!((late.code(), code(&late)), (Code::PermissionDenied, "oauth_confirm_unknown"));
    }
    assert_eq!(world.acme.lock().refresh, None, "nothing was exchanged");
    for credential in ["owner", "stranger"] {
        let none = replica.api.list_connections(by(credential, ListConnectionsRequest {})).await.unwrap();
        assert!(none.into_inner().connections.is_empty());
    }
    let token = replica.consent(&world.acme, "").await.unwrap();
    replica.confirm("owner", &token).await.unwrap();
    let twice = replica.confirm("owner", &token).await.unwrap_err();
    assert_eq!(code(&twice), "oauth_confirm_unknown");
    replica.stop().await;
}

#[tokio::test]
async fn a_consent_that_is_confirmed_too_late_connects_nothing_and_says_what_to_do() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let token = replica.consent(&world.acme, "").await.unwrap();
    let pool = world.database.pool("connector").await;
    let later = sqlx::query("UPDATE authorizations SET expires_at = expires_at - interval '301 seconds'");
    later.execute(&pool).await.unwrap();
    let late = replica.confirm("owner", &token).await.unwrap_err();
    assert_eq!((late.code(), code(&late)), (Code::FailedPrecondition, "oauth_confirm_expired"));
    assert!(late.message().contains("Start again"), "{}", late.message());
    let told = |fact: &ConnectionChanged| fact.reason.as_deref() == Some("oauth_confirm_expired");
    world.wait_for("the refusal", kind::CONNECTION_REFUSED, told).await;
    assert_eq!(world.acme.lock().refresh, None, "nothing was exchanged");
    replica.stop().await;
}

#[tokio::test]
async fn an_address_to_begin_at_is_worth_nothing_after_two_minutes() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let ticket = parameter(&replica.begin("").await.unwrap(), "ticket");
    let pool = world.database.pool("connector").await;
    let later = sqlx::query("UPDATE authorizations SET expires_at = expires_at - interval '121 seconds'");
    later.execute(&pool).await.unwrap();
    let late = replica.api.start_authorization(StartAuthorizationRequest { ticket }).await.unwrap_err();
    assert_eq!(code(&late), "oauth_ticket_unknown");
    replica.stop().await;
}

#[tokio::test]
async fn missing_scopes_refuse_the_connection_in_words_and_give_the_grant_back() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    world.acme.lock().scopes = vec!["read".into()];
    let refused = replica.authorize(&world.acme, "").await.unwrap_err();
    assert_eq!((refused.code(), code(&refused)), (Code::FailedPrecondition, "missing_scopes"));
    assert!(refused.message().contains("Accord cannot write records"), "{}", refused.message());
    assert_eq!(world.acme.lock().revoked, 1);
    let told = |fact: &ConnectionChanged| fact.reason.as_deref() == Some("missing_scopes");
    world.wait_for("the refusal", kind::CONNECTION_REFUSED, told).await;
    replica.stop().await;
}

#[tokio::test]
async fn what_the_vendor_refuses_at_the_consent_page_is_said_in_words() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    for (error, reason, words) in [
        (
            "invalid_scope",
            "missing_scopes",
            "does not let Accord's app ask for all of the scopes that it needs (read write)",
        ),
        (
            "OAUTH_APP_BLOCKED\"<b>",
            "oauth_denied",
            "did not let the user authorize Accord's app (OAUTH_APP_BLOCKEDb)",
        ),
        ("access_denied", "oauth_denied", "was cancelled at the vendor"),
    ] {
        let ticket = parameter(&replica.begin("").await.unwrap(), "ticket");
        let start = StartAuthorizationRequest { ticket };
        let started = replica.api.start_authorization(start).await.unwrap().into_inner();
        let completed = CompleteAuthorizationRequest {
            vendor: "acme".into(),
            state: parameter(&started.authorize_url, "state"),
            browser_nonce: started.browser_nonce,
            error: error.into(),
            ..CompleteAuthorizationRequest::default()
        };
        let refused = replica.api.complete_authorization(completed).await.unwrap_err();
        assert_eq!((refused.code(), code(&refused)), (Code::FailedPrecondition, reason));
        assert!(refused.message().contains(words), "{}", refused.message());
        let told =
            |fact: &ConnectionChanged| fact.message.as_deref().is_some_and(|said| said.contains(words));
        world.wait_for("the refusal", kind::CONNECTION_REFUSED, told).await;
    }
    replica.stop().await;
}

#[tokio::test]
async fn a_grant_without_a_refresh_token_says_which_scope_is_missing_where_one_is() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    world.acme.lock().without_refresh = true;
    let refused = replica.authorize(&world.acme, "").await.unwrap_err();
    assert_eq!(code(&refused), "oauth_no_refresh_token");
    world.acme.lock().scopes = vec!["read".into()];
    let refused = replica.authorize(&world.acme, "").await.unwrap_err();
    assert_eq!(code(&refused), "missing_scopes");
    assert!(refused.message().contains("(write)"), "{}", refused.message());
    replica.stop().await;
}

#[tokio::test]
async fn authorizing_again_keeps_the_connection_and_refuses_another_account() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    let again = replica.authorize(&world.acme, &id.to_string()).await.unwrap();
    assert_eq!(again.id, id.to_string());
    world.acme.lock().account = "acme-2".into();
    let refused = replica.authorize(&world.acme, &id.to_string()).await.unwrap_err();
    assert_eq!(code(&refused), "account_changed");
    assert_eq!(replica.get(id).await.account_id, "acme-1");
    replica.stop().await;
}

#[tokio::test]
async fn a_disconnected_connection_has_no_token_here_and_none_at_the_vendor() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    world.capture(id, "companies", &["name"], true).await;
    let gone = replica.api.disconnect(about("owner", id)).await.unwrap().into_inner();
    assert_eq!(gone.state, "disconnected");
    assert!(!gone.next_step.is_empty());
    assert_eq!(world.acme.lock().revoked, 1);
    assert_eq!(world.query::<i64>("SELECT count(*) FROM tokens").await, 0);
    let told = |fact: &ConnectionChanged| fact.connection == Some(id);
    world.wait_for("the event", kind::CONNECTION_DISCONNECTED, told).await;
    // Connecting the same account again is the same connection.
    assert_eq!(replica.connect(&world.acme).await, id);
    replica.stop().await;
}

#[tokio::test]
async fn a_grant_that_the_vendor_did_not_take_back_is_told() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    world.acme.fault("/token/", Fault::Status(503));
    let gone = replica.api.disconnect(about("owner", id)).await.unwrap().into_inner();
    assert_eq!(gone.state, "disconnected");
    assert!(gone.message.contains("did not confirm"), "{}", gone.message);
    assert_eq!(world.query::<i64>("SELECT count(*) FROM tokens").await, 0);
    let told = |fact: &ConnectionChanged| fact.message.as_deref() == Some(&gone.message);
    world.wait_for("the event", kind::CONNECTION_DISCONNECTED, told).await;
    replica.stop().await;
}

#[tokio::test]
async fn roles_credentials_and_organizations_are_checked_at_the_api() {
    let world = World::new(FAST).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    let api = &mut replica.api;

    assert_eq!(api.get_connection(about("nobody", id)).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(api.get_connection(about("stranger", id)).await.unwrap_err().code(), Code::NotFound);
    assert!(api.get_connection(about("viewer", id)).await.is_ok());
    for refused in [
        api.disconnect(about("viewer", id)).await.unwrap_err(),
        api.pause(about("viewer", id)).await.unwrap_err(),
        api.sync_now(about("viewer", id)).await.unwrap_err(),
        api.refresh_schema(about("viewer", id)).await.unwrap_err(),
    ] {
        assert_eq!((refused.code(), code(&refused)), (Code::PermissionDenied, "scope_missing"));
    }
    let begin = |vendor: &str, path: &str| BeginAuthorizationRequest {
        vendor: vendor.into(),
        return_path: path.into(),
        connection_id: String::new(),
        site: String::new(),
    };
    let refused = api.begin_authorization(by("viewer", begin("acme", "/"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let elsewhere = api.begin_authorization(by("owner", begin("acme", "//evil.test"))).await.unwrap_err();
    assert_eq!((elsewhere.code(), code(&elsewhere)), (Code::InvalidArgument, "return_path_invalid"));
    let unknown = api.begin_authorization(by("owner", begin("nobody", "/"))).await.unwrap_err();
    assert_eq!((unknown.code(), code(&unknown)), (Code::NotFound, "vendor_unknown"));
    let mut garbled = about("owner", id);
    garbled.get_mut().connection_id = "conn_x".into();
    assert_eq!(api.get_connection(garbled).await.unwrap_err().code(), Code::InvalidArgument);
    let vendors = api.list_vendors(by("viewer", ListVendorsRequest {})).await.unwrap().into_inner().vendors;
    assert_eq!(vendors[0].label, "Acme");
    replica.stop().await;
}
