//! How events are asked for, delivered, resumed and refused.

use std::time::Duration;

use sandbox::salesforce::wire::{
    FetchRequest, ManagedFetchRequest, PublishRequest, ReplayPreset, TopicRequest,
};
use sandbox::salesforce::{Edition, Rpc, Settings, StreamFault, StreamFaultKind, StreamSettings};
use serde_json::json;
use tonic::{Code, Request};

use super::subscriber::{ACCOUNTS, ALL, Subscription, org, org_of, org_with, refused, replay};

fn fault(rpc: Rpc, kind: StreamFaultKind, after_events: u64) -> StreamFault {
    StreamFault { rpc: Some(rpc), kind, after_events, times: Some(1), probability: None }
}

/// How many events come until nothing is owed any more.
async fn until_paid(stream: &mut Subscription) -> usize {
    let mut delivered = 0;
    loop {
        let response = stream.response().await.expect("no error").expect("a response");
        if let Some(last) = response.events.last() {
            assert_eq!(response.latest_replay_id, last.replay_id);
        }
        assert!(!response.rpc_id.is_empty());
        delivered += response.events.len();
        if response.pending_num_requested == 0 {
            return delivered;
        }
    }
}

#[tokio::test]
async fn a_subscription_delivers_what_is_owed_and_no_more() {
    let org = org_with(StreamSettings { keepalive_ms: 50, ..StreamSettings::default() }).await;
    org.gaps(130);
    let first = FetchRequest { num_requested: 1_000, ..replay(ReplayPreset::Earliest, &[]) };
    let mut stream = org.client().await.subscribe(ACCOUNTS, first).await;
    assert_eq!(until_paid(&mut stream).await, 100, "whoever asks for more is owed a hundred");
    stream.more(7).await;
    assert_eq!(until_paid(&mut stream).await, 7);

    let first = FetchRequest { num_requested: 3, ..replay(ReplayPreset::Latest, &[]) };
    let mut stream = org.client().await.subscribe(ACCOUNTS, first).await;
    stream.more(4).await;
    while stream.response().await.expect("no error").expect("a response").pending_num_requested < 7 {}
    org.gaps(10);
    assert_eq!(until_paid(&mut stream).await, 7, "requests add up");
}

#[tokio::test]
async fn a_request_that_makes_no_sense_ends_the_subscription() {
    let org = org().await;
    let client = org.client().await;
    let cases = [
        ("/data/NothingChangeEvent", 10, "topic.not.found", Code::NotFound),
        ("/event/Something__e", 10, "topic.not.found", Code::NotFound),
        ("", 10, "topic.validation.empty", Code::InvalidArgument),
        (ACCOUNTS, 0, "subscription.fetch.requested.events.invalid", Code::InvalidArgument),
        (ACCOUNTS, -5, "subscription.fetch.requested.events.invalid", Code::InvalidArgument),
    ];
    for (topic, num_requested, error, code) in cases {
        let request = FetchRequest { num_requested, ..replay(ReplayPreset::Latest, &[]) };
        let mut stream = client.subscribe(topic, request).await;
        assert_eq!(refused(&stream.end().await), (code, error.to_owned()), "{topic} {num_requested}");
    }
    let mut stream = org.latest(ACCOUNTS).await;
    stream
        .ask(FetchRequest { topic_name: ALL.to_owned(), num_requested: 1, ..FetchRequest::default() })
        .await;
    assert_eq!(refused(&stream.end().await).1, "subscription.fetch.topic.mismatch");
    let mut stream = org.latest(ACCOUNTS).await;
    stream.ask(FetchRequest { num_requested: 1, auth_refresh: "x".into(), ..FetchRequest::default() }).await;
    assert_eq!(refused(&stream.end().await).1, "service.auth.refresh.invalid");
}

#[tokio::test]
async fn a_subscription_resumes_after_any_event_it_saw() {
    let org = org().await;
    org.gaps(5);
    let seen = org.earliest(ACCOUNTS).await.events(5).await;
    let ids: Vec<_> = seen.iter().map(|event| event.replay_id.clone()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]) && ids.iter().all(|id| id.len() == 10));
    for (at, id) in ids.iter().enumerate().take(4) {
        let next = org.after(ACCOUNTS, id).await.event().await;
        assert_eq!(next, seen[at + 1]);
    }
    // Some clients leave the two last bytes away.
    assert_eq!(org.after(ACCOUNTS, &ids[3][..8]).await.event().await, seen[4]);
    let mut latest = org.latest(ACCOUNTS).await;
    org.after(ACCOUNTS, &ids[4]).await;
    org.gaps(1);
    assert!(latest.event().await.replay_id > ids[4]);
}

#[tokio::test]
async fn a_position_that_was_never_given_is_refused() {
    let org = org().await;
    org.gaps(2);
    let known = org.earliest(ACCOUNTS).await.event().await.replay_id;
    let mut changed = known.to_vec();
    changed[7] ^= 0x40;
    for unknown in [changed.as_slice(), &known[..4], b"corrupted!", &[0; 10]] {
        let status = org.after(ACCOUNTS, unknown).await.end().await;
        let expected = (Code::InvalidArgument, "subscription.fetch.replayid.corrupted".to_owned());
        assert_eq!(refused(&status), expected, "{unknown:?}");
    }
    let status = org.after(ACCOUNTS, &[]).await.end().await;
    assert_eq!(refused(&status).1, "subscription.fetch.replayid.validation.failed");
}

#[tokio::test]
async fn a_migration_makes_every_position_unknown() {
    let org = org().await;
    org.gaps(3);
    let mut running = org.earliest(ACCOUNTS).await;
    let known = running.events(3).await[1].replay_id.clone();
    org.handle.migrate();
    assert_eq!(refused(&running.end().await), (Code::Unavailable, "service.unavailable".to_owned()));
    let status = org.after(ACCOUNTS, &known).await.end().await;
    assert_eq!(refused(&status).1, "subscription.fetch.replayid.corrupted");
    org.gaps(1);
    let event = org.earliest(ACCOUNTS).await.event().await;
    assert!(event.replay_id > known, "positions are never given twice");
}

#[tokio::test]
async fn a_quiet_subscription_says_that_it_is_alive_and_where_it_is() {
    let org = org_with(StreamSettings { keepalive_ms: 100, ..StreamSettings::default() }).await;
    org.gaps(1);
    let mut stream = org.latest(ACCOUNTS).await;
    let response = stream.response().await.expect("no error").expect("a response");
    assert!(response.events.is_empty() && response.pending_num_requested == 100, "{response:?}");
    let alive = response.latest_replay_id;
    org.gaps(1);
    let missed = stream.event().await;
    assert!(missed.replay_id > alive);
    assert_eq!(org.after(ACCOUNTS, &alive).await.event().await, missed);
}

#[tokio::test]
async fn a_client_that_asks_for_nothing_more_is_left() {
    let org = org_with(StreamSettings { idle_limit_ms: 200, ..StreamSettings::default() }).await;
    org.gaps(1);
    let first = FetchRequest { num_requested: 1, ..replay(ReplayPreset::Earliest, &[]) };
    let mut stream = org.client().await.subscribe(ACCOUNTS, first).await;
    assert_eq!(stream.response().await.expect("no error").map(|response| response.events.len()), Some(1));
    assert_eq!(stream.response().await.expect("no error"), None);
}

#[tokio::test]
async fn a_call_needs_all_headers_and_a_token_of_the_org() {
    let org = org().await;
    let client = org.client().await;
    for missing in 0..3 {
        let mut request = Request::new(TopicRequest { topic_name: ACCOUNTS.to_owned() });
        for (name, value) in
            client.headers.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, one)| one)
        {
            request.metadata_mut().insert(*name, value.parse().expect("a header"));
        }
        let status = client.rpc.clone().get_topic(request).await.expect_err("a header is missing");
        assert_eq!(refused(&status), (Code::Unauthenticated, "service.auth.headers.invalid".to_owned()));
    }
    let wrong = [(0, "00Dxx!nothing"), (1, "https://other.my.salesforce.com"), (2, "00Dx0000000BV7zEAK")];
    for (at, value) in wrong {
        let mut stranger = client.clone();
        stranger.headers[at].1 = value.to_owned();
        let status = stranger.topic(ACCOUNTS).await.expect_err("it is not the org's");
        assert_eq!(refused(&status), (Code::Unauthenticated, "service.auth.error".to_owned()), "{value}");
    }
    assert!(client.topic(ACCOUNTS).await.is_ok());
}

#[tokio::test]
async fn an_edition_without_change_events_says_so() {
    let settings = Settings { edition: Edition::Professional, ..Settings::default() };
    let status = org_of(settings).await.client().await.topic(ACCOUNTS).await.expect_err("no license");
    assert_eq!(refused(&status), (Code::PermissionDenied, "service.tenant.license".to_owned()));
}

#[tokio::test]
async fn topics_and_schemas_are_described() {
    let org = org().await;
    let client = org.client().await;
    let topic = client.topic("/data/OpportunityChangeEvent").await.expect("a topic");
    assert_eq!(
        (topic.tenant_guid.as_str(), topic.can_publish, topic.can_subscribe),
        (org.handle.organization_id(), false, true)
    );
    let schema = client.schema(&topic.schema_id).await.expect("a schema");
    assert_eq!(schema["name"], "OpportunityChangeEvent");
    assert_eq!(schema["fields"][0]["type"]["fields"].as_array().map(Vec::len), Some(12));
    assert_eq!(client.topic(ALL).await.expect("a topic").schema_id, "", "it carries several schemas");
    let status = client.schema("AAAAAAAAAAAAAAAAAAAAAA").await.expect_err("no such schema");
    assert_eq!(refused(&status), (Code::InvalidArgument, "schema.validation.failed".to_owned()));
}

#[tokio::test]
async fn change_events_are_not_published_and_no_subscription_is_managed() {
    let client = org().await.client().await;
    let request = PublishRequest { topic_name: ACCOUNTS.to_owned(), ..PublishRequest::default() };
    let status = client.rpc.clone().publish(client.call(request)).await.expect_err("not for clients");
    assert_eq!(refused(&status).0, Code::PermissionDenied);
    let cases = [
        ("", "", "id.or.developer.name.empty"),
        ("18x", "", "subscription.id.not.found"),
        ("", "Sales", "developer.name.not.found"),
    ];
    for (id, name, error) in cases {
        let request = ManagedFetchRequest {
            subscription_id: id.to_owned(),
            developer_name: name.to_owned(),
            num_requested: 1,
            ..ManagedFetchRequest::default()
        };
        let request = client.call(tokio_stream::once(request));
        let status = client.rpc.clone().managed_subscribe(request).await.expect_err("there is none");
        assert_eq!(refused(&status).1, format!("managed.subscription.{error}"));
    }
}

#[tokio::test]
async fn a_gap_says_only_that_records_changed() {
    let org = org().await;
    let mut stream = org.latest(ALL).await;
    let kinds = [
        ("create", "GAP_CREATE"),
        ("update", "GAP_UPDATE"),
        ("delete", "GAP_DELETE"),
        ("undelete", "GAP_UNDELETE"),
    ];
    for (kind, word) in kinds {
        org.handle.gap("Contact", kind, &["003Hs00000000001AAA"]).expect("a gap");
        let change = stream.next().await;
        assert_eq!((change.kind(), change.ids()), (word, vec!["003Hs00000000001AAA"]));
        assert!(change.values.is_empty() && change.changed.is_empty(), "{change:?}");
        assert_eq!(change.header["entityName"], "Contact");
    }
    org.handle.gap("Account", "update", &["001*"]).expect("a wildcard");
    assert_eq!(stream.next().await.ids(), ["001*"]);
    org.handle.gap("Lead", "overflow", &[]).expect("an overflow");
    let overflow = stream.next().await;
    assert_eq!((overflow.kind(), overflow.ids()), ("GAP_OVERFLOW", vec!["000000000000000AAA"]));
    assert!(org.handle.gap("Nothing", "update", &["001*"]).is_err());
    assert!(org.handle.gap("Account", "update", &[]).is_err());
}

#[tokio::test]
async fn faults_end_calls_in_the_vendors_words() {
    let org = org().await;
    let client = org.client().await;
    let cases = [
        (StreamFaultKind::Unavailable, Code::Unavailable, "service.unavailable"),
        (StreamFaultKind::ResourceExhausted, Code::ResourceExhausted, "service.protection.triggered"),
        (StreamFaultKind::Unauthenticated, Code::Unauthenticated, "service.auth.error"),
        (StreamFaultKind::Internal, Code::Internal, "subscription.internal.error"),
    ];
    for (kind, code, error) in cases {
        org.handle.add_stream_fault(fault(Rpc::Subscribe, kind, 0));
        let request = FetchRequest { topic_name: ACCOUNTS.to_owned(), ..replay(ReplayPreset::Latest, &[]) };
        let status = client.open(request).await.err().expect("the fault hits");
        assert_eq!(refused(&status), (code, error.to_owned()));
    }
    let schema = client.topic(ACCOUNTS).await.expect("a topic").schema_id;
    org.handle.add_stream_fault(fault(Rpc::GetSchema, StreamFaultKind::ResetStream, 0));
    assert_eq!(client.schema(&schema).await.expect_err("the fault hits").code(), Code::Unavailable);
    org.handle.add_stream_fault(fault(Rpc::GetSchema, StreamFaultKind::Unavailable, 0));
    let status = client.schema(&schema).await.expect_err("the fault hits");
    assert_eq!(refused(&status), (Code::Unavailable, "schema.api.unavailable".to_owned()));
    assert!(client.schema(&schema).await.is_ok(), "the fault is used up");
}

#[tokio::test]
async fn a_stream_is_cut_after_so_many_events_and_resumes() {
    let org = org().await;
    org.gaps(20);
    for kind in [StreamFaultKind::Unavailable, StreamFaultKind::ResetStream, StreamFaultKind::CutConnection] {
        org.handle.add_stream_fault(fault(Rpc::Subscribe, kind, 7));
        let mut stream = org.earliest(ACCOUNTS).await;
        let seen = stream.events(7).await;
        let status = stream.end().await;
        assert_ne!(status.code(), Code::Ok, "{kind:?}");
        if kind == StreamFaultKind::Unavailable {
            assert_eq!(refused(&status).1, "service.unavailable");
        } else {
            assert!(status.metadata().get("error-code").is_none(), "no trailers: {status:?}");
        }
        let rest = org.after(ACCOUNTS, &seen[6].replay_id).await.events(13).await;
        assert!(rest[0].replay_id > seen[6].replay_id);
    }
}

#[tokio::test]
async fn running_streams_are_cut_or_fall_silent_at_once() {
    let org = org_with(StreamSettings { keepalive_ms: 100, ..StreamSettings::default() }).await;
    let mut stream = org.latest(ACCOUNTS).await;
    org.handle.cut_streams(StreamFaultKind::ResourceExhausted);
    assert_eq!(refused(&stream.end().await).0, Code::ResourceExhausted);

    let mut stream = org.latest(ACCOUNTS).await;
    stream.response().await.expect("no error").expect("a sign of life");
    org.handle.cut_streams(StreamFaultKind::Silence);
    org.gaps(1);
    let end = tokio::time::Instant::now() + Duration::from_secs(10);
    // What was on its way still comes; then a second without any sign of life.
    while let Ok(response) = tokio::time::timeout(Duration::from_secs(1), stream.response()).await {
        let response = response.expect("no error").expect("the stream stays open");
        assert!(response.events.is_empty() && tokio::time::Instant::now() < end, "{response:?}");
    }
}

#[tokio::test]
async fn a_replay_id_that_was_damaged_on_its_way_is_none_to_resume_from() {
    let org = org().await;
    org.gaps(1);
    let whole = org.earliest(ACCOUNTS).await.events(1).await.remove(0).replay_id;
    org.control("stream/settings", json!({"damaged_replay_ids": true}));
    let damaged = org.earliest(ACCOUNTS).await.events(1).await.remove(0).replay_id;
    assert_eq!(damaged[..], whole[..whole.len() / 2]);
    org.control("stream/settings", json!({"damaged_replay_ids": false, "keepalive_ms": 100}));
    let status = org.after(ACCOUNTS, &damaged).await.end().await;
    assert_eq!(refused(&status).1, "subscription.fetch.replayid.corrupted");
    assert!(org.after(ACCOUNTS, &whole).await.response().await.is_ok());
}

#[tokio::test]
async fn faults_and_moves_can_be_ordered_over_http() {
    let org = org().await;
    let order = json!({"rpc": "get_topic", "kind": "resource_exhausted"});
    assert_eq!(org.control("stream/faults", order.clone())["faults"][0]["rpc"], "get_topic");
    let client = org.client().await;
    let status = client.topic(ACCOUNTS).await.expect_err("the fault hits");
    assert_eq!(refused(&status).0, Code::ResourceExhausted);
    org.handle.control("DELETE", "/_sandbox/stream/faults", json!(null)).expect("faults are cleared");
    assert!(client.topic(ACCOUNTS).await.is_ok());
    for wrong in [json!({"kind": "nothing"}), json!({"kind": "internal", "times": 0})] {
        assert!(org.handle.control("POST", "/_sandbox/stream/faults", wrong.clone()).is_err(), "{wrong}");
    }
    let mut stream = org.latest(ACCOUNTS).await;
    org.control("stream/cut", json!({"kind": "internal"}));
    assert_eq!(refused(&stream.end().await).0, Code::Internal);
    let mut stream = org.latest(ACCOUNTS).await;
    org.control("stream/migrate", json!(null));
    assert_eq!(refused(&stream.end().await).0, Code::Unavailable);
}

#[tokio::test]
async fn settings_are_changed_by_name_and_wrong_ones_are_refused() {
    let org = org().await;
    let told = org.handle.change_stream(json!({"keepalive_ms": 5_000})).expect("a setting");
    assert_eq!(
        (&told["settings"]["keepalive_ms"], &told["settings"]["gap_percent"]),
        (&json!(5_000), &json!(0))
    );
    let six = ["Account", "Contact", "Lead", "Opportunity", "User", "Custom__c"];
    for wrong in [
        json!({"keepalive": 1}),
        json!({"entities": six}),
        json!({"gap_percent": 101}),
        json!({"keepalive_ms": 0}),
        json!({"tls": true}),
        json!({"channels": {"Sales__chn": ["User"]}}),
    ] {
        assert!(org.handle.change_stream(wrong.clone()).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn tls_is_served_with_a_certificate_of_its_own() {
    let org = org_with(StreamSettings { tls: true, ..StreamSettings::default() }).await;
    assert!(org.service.url.starts_with("https://") && org.service.certificate.is_some());
    org.gaps(1);
    let mut stream = org.earliest(ACCOUNTS).await;
    assert_eq!(stream.next().await.kind(), "GAP_UPDATE");
    org.handle.cut_streams(StreamFaultKind::CutConnection);
    assert!(stream.end().await.metadata().get("error-code").is_none(), "a cut has no trailers");
}
