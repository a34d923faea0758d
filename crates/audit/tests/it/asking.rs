use std::collections::BTreeSet;

use proto::audit::{Entry, ListEntriesRequest, VerifyRequest};
use serde_json::json;
use tonic::{Code, Request};

use crate::world::{SOON, World, organization, world};

fn with<T>(key: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    request
}

/// One of each kind, of two organizations.
async fn filled() -> World {
    let world = world().await;
    for message in [
        world.change(1),
        world.change(2),
        world.mapping("activated"),
        world.mapping("paused"),
        world.record(5, &[]),
        world.access("signed_in"),
        world.access("sign_in_refused"),
        world.change_of(organization(2), 1),
    ] {
        world.bus.publish(&message).await.unwrap();
    }
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_found_by_each_filter_and_page_by_page() {
    let world = filled().await;
    let replica = world.replica().await;
    world.entries(7).await;
    let client = world.client(&replica).await;
    let list = |request: ListEntriesRequest| {
        let mut client = client.clone();
        async move { client.list_entries(with("ak_auditor", request)).await.map(tonic::Response::into_inner) }
    };
    let any = ListEntriesRequest::default;
    let user = "user:user_00000000000000000000000000000009";
    let at = |text: &str| Some(proto::to_wire_time(text.parse().unwrap()));
    for (request, count) in [
        (any(), 7),
        (ListEntriesRequest { action: "mapping.*".into(), ..any() }, 2),
        (ListEntriesRequest { action: "mapping.paused".into(), ..any() }, 1),
        (ListEntriesRequest { action: "change.captured".into(), ..any() }, 2),
        (ListEntriesRequest { action: "c*".into(), ..any() }, 2),
        (ListEntriesRequest { actor: user.into(), ..any() }, 3),
        (ListEntriesRequest { target: "hubspot:companies:2".into(), ..any() }, 1),
        (ListEntriesRequest { connection_id: world.connection.to_string(), ..any() }, 4),
        (ListEntriesRequest { outcome: "refused".into(), ..any() }, 1),
        (ListEntriesRequest { from: at("2026-11-20T12:00:00Z"), ..any() }, 7),
        (ListEntriesRequest { to: at("2026-11-20T12:00:00Z"), ..any() }, 0),
        (ListEntriesRequest { target: "hubspot:companies:2".into(), action: "x.*".into(), ..any() }, 0),
    ] {
        let found = list(request.clone()).await.unwrap();
        assert_eq!(found.entries.len(), count, "{request:?}");
        assert_eq!(found.next_before, 0);
        for entry in found.entries {
            assert!(
                !entry.summary.contains("hubspot"),
                "a vendor's name as people write it: {}",
                entry.summary
            );
        }
    }
    let mut seen = BTreeSet::new();
    let mut before = 0;
    loop {
        let page = list(ListEntriesRequest { limit: 3, before, ..any() }).await.unwrap();
        seen.extend(page.entries.iter().map(|entry| entry.sequence));
        before = page.next_before;
        if before == 0 {
            break;
        }
        assert_eq!(page.entries.len(), 3);
    }
    assert_eq!(seen, (1..=7).collect());
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_change_names_its_user_and_what_was_set() {
    let world = filled().await;
    let replica = world.replica().await;
    world.entries(7).await;
    let request = ListEntriesRequest { action: "mapping.activated".into(), ..Default::default() };
    let mut client = world.client(&replica).await;
    let entries = client.list_entries(with("ak_auditor", request)).await.unwrap().into_inner().entries;
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!(entry.actor, "user:user_00000000000000000000000000000009");
    assert!(entry.details_json.contains("platform_wins"), "{}", entry.details_json);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_filter_and_a_wrong_key_are_refused() {
    let world = world().await;
    let replica = world.replica().await;
    let mut client = world.client(&replica).await;
    let any = ListEntriesRequest::default;
    let bad_time = prost_types::Timestamp { seconds: i64::MAX, nanos: 0 };
    for (request, code) in [
        (ListEntriesRequest { action: "Mapping'*".into(), ..any() }, "action_invalid"),
        (ListEntriesRequest { outcome: "perhaps".into(), ..any() }, "outcome_invalid"),
        (ListEntriesRequest { connection_id: "conn_1".into(), ..any() }, "connection_id_invalid"),
        (ListEntriesRequest { target: "a\0b".into(), ..any() }, "filter_invalid"),
        (ListEntriesRequest { before: -1, ..any() }, "before_invalid"),
        (ListEntriesRequest { from: Some(bad_time), ..any() }, "time_invalid"),
    ] {
        let refused = client.list_entries(with("ak_auditor", request)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(chassis::guard::stable_code(&refused), Some(code));
    }
    let refused = client.list_entries(with("ak_other", any())).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let refused = client.export(with("ak_nobody", any())).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let refused = client.verify(Request::new(VerifyRequest {})).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    replica.stop().await;
}

fn line(entry: &Entry) -> String {
    let moment = |at: &Option<prost_types::Timestamp>| {
        proto::from_wire_time(at.as_ref().unwrap()).unwrap().to_string()
    };
    json!({
        "sequence": entry.sequence, "event_id": entry.event_id, "action": entry.action, "actor": entry.actor,
        "target": entry.target, "connection_id": entry.connection_id, "outcome": entry.outcome,
        "occurred_at": moment(&entry.occurred_at), "recorded_at": moment(&entry.recorded_at),
        "cause": entry.cause, "summary": entry.summary, "details_json": entry.details_json,
        "hash": entry.hash, "previous_hash": entry.previous_hash,
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_verified_without_the_database_and_shows_tampering() {
    let world = filled().await;
    let replica = world.replica().await;
    world.entries(7).await;
    let mut client = world.client(&replica).await;
    let request = with("ak_auditor", ListEntriesRequest::default());
    let mut stream = client.export(request).await.unwrap().into_inner();
    let mut lines = Vec::new();
    while let Some(entry) = stream.message().await.unwrap() {
        lines.push(line(&entry));
    }
    let check = |lines: &[String]| {
        audit::verify_export(lines.join("\n").as_bytes(), Some(world.organization)).unwrap()
    };
    let whole = check(&lines);
    assert!(whole.is_whole() && whole.entries == 7, "{whole:?}");
    let verified = client.verify(with("ak_auditor", VerifyRequest {})).await.unwrap().into_inner();
    assert!(verified.whole && verified.entries == 7);
    assert_eq!(whole.head.unwrap().1, verified.head_hash);

    let mut edited = lines.clone();
    edited[2] = edited[2].replace("test", "tent").replace("user:", "user:x");
    assert_eq!(check(&edited).broken_line, Some(3));
    let mut cut = lines.clone();
    cut.remove(3);
    assert!(!check(&cut).is_whole() && check(&cut).gaps == 1);
    let mut moved = lines.clone();
    moved.swap(1, 2);
    assert!(check(&moved).broken.is_some());
    let other = audit::verify_export(lines.join("\n").as_bytes(), Some(organization(2))).unwrap();
    assert_eq!(other.broken_line, Some(1));
    let garbage = audit::verify_export(&b"{\"sequence\":1}\n"[..], None).unwrap();
    assert_eq!(garbage.broken_line, Some(1));
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_verify_at_once_wait_for_one_walk_and_recording_goes_on() {
    let world = filled().await;
    let replica = world.replica().await;
    world.entries(7).await;
    let client = world.client(&replica).await;
    // A walk reads the heads first: with them locked it stands still.
    let mut standstill = world.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE heads IN ACCESS EXCLUSIVE MODE").execute(&mut *standstill).await.unwrap();
    let asking = || {
        let mut client = client.clone();
        tokio::spawn(async move { client.verify(with("ak_auditor", VerifyRequest {})).await })
    };
    let walks: Vec<_> = (0..30).map(|_| asking()).collect();
    let listed = client.clone().list_entries(with("ak_auditor", ListEntriesRequest::default())).await;
    assert_eq!(listed.unwrap().into_inner().entries.len(), 7);
    let waiting = || async {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%heads%'",
        )
        .fetch_one(&world.pool)
        .await
        .unwrap();
        (waiting > 0).then_some(waiting)
    };
    assert_eq!(testkit::eventually(SOON, "a walk waits", waiting).await, 1);
    standstill.rollback().await.unwrap();
    for walk in walks {
        let found = walk.await.unwrap().unwrap().into_inner();
        assert!(found.whole && found.entries == 7, "{found:?}");
    }
    replica.stop().await;
}
