use connector::{ChangeStream, Connector, ErrorKind, Session};
use model::{ChangeKind, Value};
use sandbox::salesforce::{Edition, Rpc, Settings, StreamFault, StreamFaultKind, StreamSettings};
use serde_json::json;

use crate::org::{Org, connected, connected_as, connected_with, fields, next, told};

const BULK_FROM: u64 = connector_salesforce::BULK_FROM;

/// A stream of accounts, and where it stands.
async fn followed(org: &Org, names: &[&str]) -> (Box<dyn ChangeStream>, model::ObjectSchema) {
    let schema = org.schema("Account").await;
    let stream = org.subscribe(&schema, &fields(names), None).await.unwrap();
    (stream, schema)
}

#[tokio::test]
async fn a_change_is_pushed_with_what_changed_and_nothing_else() {
    let org = connected().await;
    let (mut stream, schema) = followed(&org, &["Name", "Phone", "BillingLatitude", "BillingCity"]).await;
    let id = org.make("Account", json!({"Name": "Acme", "Phone": "1", "BillingCity": "Berlin"}));
    let created = told(&mut stream).await.changes.remove(0);
    assert_eq!(
        (created.id.as_str(), created.kind, created.is_partial),
        (id.as_str(), ChangeKind::Upserted, false)
    );
    assert_eq!(created.fields["BillingCity"], Value::text("Berlin"));
    assert_eq!(created.fields["BillingLatitude"], Value::Null);
    assert_eq!(created.fields.len(), 4);

    org.sandbox
        .edit("Account", &id, json!({"Phone": null, "BillingLatitude": 50.7374, "BillingCity": "Bonn"}))
        .unwrap();
    let batch = told(&mut stream).await;
    let edited = &batch.changes[0];
    assert!(edited.is_partial && edited.version > created.version);
    assert_eq!(edited.fields["Phone"], Value::Null);
    assert_eq!(edited.fields["BillingLatitude"], Value::Number("50.7374".parse().unwrap()));
    assert_eq!(edited.fields["BillingCity"], Value::text("Bonn"));
    assert!(!edited.fields.contains_key("Name"));
    assert!(batch.position.is_some() && batch.until.is_some());

    // A reading of the finished second includes the event; one before it does not.
    let names = fields(&["Phone", "BillingCity"]);
    let unfinished =
        org.salesforce.fetch_records(&org.session, &schema, &names, std::slice::from_ref(&id)).await;
    assert!(unfinished.unwrap()[0].version < edited.version);
    org.settle();
    let finished = org.salesforce.fetch_records(&org.session, &schema, &names, &[id]).await.unwrap();
    assert!(finished[0].version > edited.version);
    assert_eq!(finished[0].fields["BillingCity"], Value::text("Bonn"));
}

#[tokio::test]
async fn after_a_refresh_every_call_names_the_token_and_the_address_that_came_with_it() {
    let org = connected().await;
    let session =
        Session::of_grant_for_tests(org.salesforce.clone(), org.sandbox.organization_id(), &org.grant);
    let org = Org { session: session.unwrap(), ..org };
    let (mut stream, schema) = followed(&org, &["Name"]).await;
    for place in ["moved", "moved/again"] {
        let url = format!("{}/{place}", org.sandbox.url());
        org.sandbox.change_settings(json!({ "instance_url": url })).unwrap();
        // Somebody else had the token renewed while the stream is open, and an event needs another call.
        let refused = org.session.access_token().await.unwrap();
        org.session.renewed_access_token(&refused).await.unwrap();
        let field = json!({"object": "Account", "name": format!("New{}__c", place.len()), "type": "Text", "label": "New", "length": 9});
        org.sandbox.control("POST", "/_sandbox/field", field).unwrap();
        org.make("Account", json!({"Name": place}));
        assert_eq!(told(&mut stream).await.changes[0].fields["Name"], Value::text(place));
        // The token expires while the address is another one again: the refusal tells of both.
        org.sandbox.change_settings(json!({ "instance_url": format!("{url}/twice") })).unwrap();
        org.sandbox.expire_tokens();
        stream = org.subscribe(&schema, &fields(&["Name"]), None).await.unwrap();
        let settings = org.sandbox.control("GET", "/_sandbox/stream", serde_json::Value::Null).unwrap();
        assert_eq!(settings["misaddressed"], 0, "calls to where the organization was");
    }
}

#[tokio::test]
async fn deletions_and_restorations_are_pushed() {
    let org = connected().await;
    let id = org.make("Account", json!({"Name": "Acme", "Phone": "1"}));
    let (mut stream, _) = followed(&org, &["Name", "Phone"]).await;
    org.sandbox.delete("Account", &id).unwrap();
    let gone = told(&mut stream).await.changes.remove(0);
    assert_eq!((gone.id.as_str(), gone.kind), (id.as_str(), ChangeKind::Deleted));
    org.sandbox.undelete("Account", &id).unwrap();
    let back = told(&mut stream).await.changes.remove(0);
    assert_eq!((back.kind, back.is_partial), (ChangeKind::Upserted, false));
    assert_eq!(back.fields["Phone"], Value::text("1"));
    assert!(back.version > gone.version);
}

#[tokio::test]
async fn what_the_vendor_calls_ours_is_a_hint_that_may_be_wrong() {
    let org = connected().await;
    let id = org.make("Account", json!({"Name": "Acme"}));
    let (mut stream, schema) = followed(&org, &["Name"]).await;
    let write = crate::writing::update(&id, &[("Name", Value::text("Ours"))]);
    org.salesforce.write(&org.session, &schema, &[write]).await.remove(0).unwrap();
    let ours = told(&mut stream).await.changes.remove(0);
    assert!(ours.says_ours);
    // Automation in our transaction carries our name; another app that is called nearly like us does not.
    let theirs = |name: &str, origin: &str| {
        let edit = json!({"object": "Account", "id": id, "fields": {"Name": name}, "origin": origin});
        org.sandbox.control("POST", "/_sandbox/edit", edit).unwrap();
    };
    for (name, origin, says_ours) in [
        ("Flow", "com/salesforce/api/rest/65.0;client=Accord", true),
        ("Somebody", "com/salesforce/api/soap/66.0;client=SfdcInternalAPI/", false),
        ("Nearly", "com/salesforce/api/rest/65.0;client=AccordSync", false),
        ("Nobody", "", false),
    ] {
        theirs(name, origin);
        let change = told(&mut stream).await.changes.remove(0);
        assert_eq!(
            (change.fields["Name"].clone(), change.says_ours),
            (Value::text(name), says_ours),
            "{origin}"
        );
    }
}

#[tokio::test]
async fn a_merge_tells_the_winner_before_the_loser_is_gone() {
    let org = connected().await;
    let winner = org.make("Account", json!({"Name": "Acme"}));
    let loser = org.make("Account", json!({"Name": "Acme Inc"}));
    let (mut stream, _) = followed(&org, &["Name"]).await;
    org.sandbox.merge("Account", &winner, &loser).unwrap();
    let mut told_merge = false;
    loop {
        for change in told(&mut stream).await.changes {
            told_merge |= change.id == winner && change.merged_ids == [loser.clone()];
            if change.kind == ChangeKind::Deleted {
                assert_eq!(change.id, loser);
                assert!(told_merge, "the loser is gone before its winner is known");
                return;
            }
        }
    }
}

#[tokio::test]
async fn a_stream_goes_on_behind_its_position() {
    let org = connected().await;
    let (mut stream, schema) = followed(&org, &["Name"]).await;
    org.make("Account", json!({"Name": "First"}));
    let position = told(&mut stream).await.position;
    drop(stream);
    for number in 0..250 {
        org.sandbox.create("Account", json!({"Name": format!("Account {number}")})).unwrap();
    }
    let mut again = org.subscribe(&schema, &fields(&["Name"]), position.as_deref()).await.unwrap();
    let mut names = Vec::new();
    while names.len() < 250 {
        names.extend(told(&mut again).await.changes.iter().map(|change| change.fields["Name"].to_string()));
    }
    let expected: Vec<String> = (0..250).map(|number| format!("Account {number}")).collect();
    assert_eq!(names, expected);
}

#[tokio::test]
async fn waiting_may_be_dropped_and_nothing_is_lost() {
    let org = connected().await;
    let (mut stream, _) = followed(&org, &["Name"]).await;
    let mut names = Vec::new();
    for number in 0..40 {
        org.sandbox.create("Account", json!({"Name": format!("Account {number}")})).unwrap();
    }
    while names.len() < 40 {
        // It is dropped at any of its steps.
        if let Ok(batch) = tokio::time::timeout(std::time::Duration::from_micros(300), stream.next()).await {
            names.extend(batch.unwrap().changes.iter().map(|change| change.fields["Name"].to_string()));
        }
    }
    assert_eq!(names.len(), 40);
    assert_eq!(names[39], "Account 39");
}

#[tokio::test]
async fn what_events_do_not_tell_is_named_to_be_read() {
    let org = connected().await;
    let id = org.make("Account", json!({"Name": "Acme"}));
    let (mut stream, _) = followed(&org, &["Name"]).await;
    org.sandbox.gap("Account", "update", &[id.as_str()]).unwrap();
    let batch = told(&mut stream).await;
    assert_eq!(batch.untold.len(), 1);
    assert_eq!(batch.untold[0].id, id);
    org.sandbox.gap("Account", "update", &["001*"]).unwrap();
    let wildcard = told(&mut stream).await.left_out_since.unwrap();
    org.sandbox.gap("Account", "overflow", &[]).unwrap();
    let overflow = told(&mut stream).await.left_out_since.unwrap();
    assert!(overflow >= wildcard && overflow < org.session.now());
}

#[tokio::test]
async fn a_field_that_events_never_carry_has_the_record_read() {
    let org = connected().await;
    let id = org
        .make("Opportunity", json!({"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2031-01-31"}));
    let schema = org.schema("Opportunity").await;
    let mut stream = org.subscribe(&schema, &fields(&["Name", "SystemModstamp"]), None).await.unwrap();
    org.sandbox.edit("Opportunity", &id, json!({"Name": "Deal!"})).unwrap();
    assert_eq!(told(&mut stream).await.untold[0].id, id);
    // One that no edit of the record moves has nothing read.
    let mut stream = org.subscribe(&schema, &fields(&["Name", "LastActivityDate"]), None).await.unwrap();
    org.sandbox.edit("Opportunity", &id, json!({"Name": "Deal?"})).unwrap();
    let batch = told(&mut stream).await;
    assert_eq!((batch.untold.len(), batch.changes[0].is_partial), (0, true));
}

#[tokio::test]
async fn a_schema_that_changes_in_the_stream_is_followed() {
    let org = connected().await;
    let id = org.make("Account", json!({"Name": "Acme"}));
    let (mut stream, _) = followed(&org, &["Name", "Phone"]).await;
    org.sandbox.edit("Account", &id, json!({"Phone": "1"})).unwrap();
    let field = json!({"object": "Account", "name": "Added__c", "type": "Text", "length": 20});
    org.sandbox.control("POST", "/_sandbox/field", field).unwrap();
    org.sandbox.edit("Account", &id, json!({"Phone": "2", "Added__c": "x"})).unwrap();
    let mut phones = Vec::new();
    while phones.len() < 2 {
        phones
            .extend(told(&mut stream).await.changes.iter().map(|change| change.fields["Phone"].to_string()));
    }
    assert_eq!(phones, ["1", "2"]);
}

#[tokio::test]
async fn an_unknown_position_is_a_lost_one() {
    let org = connected().await;
    let (mut stream, schema) = followed(&org, &["Name"]).await;
    org.make("Account", json!({"Name": "First"}));
    let position = told(&mut stream).await.position.unwrap();
    drop(stream);
    org.sandbox.migrate();
    for position in [position.as_str(), "bm8=", "no base64!"] {
        let lost = match org.subscribe(&schema, &fields(&["Name"]), Some(position)).await {
            Err(error) => error,
            Ok(mut stream) => next(&mut stream).await.unwrap_err(),
        };
        assert_eq!(lost.kind, ErrorKind::PositionLost, "{position}: {lost}");
    }
}

#[tokio::test]
async fn a_position_is_lost_when_its_events_are_not_kept_any_more() {
    let org = connected().await;
    let (mut stream, schema) = followed(&org, &["Name"]).await;
    org.make("Account", json!({"Name": "First"}));
    let position = told(&mut stream).await.position;
    drop(stream);
    org.sandbox.advance_clock(80 * 3_600 * 1_000);
    // A session is over after such a time.
    let grant = crate::org::consent(&org.sandbox, &org.salesforce).await;
    let org = Org { session: crate::org::session(&org.sandbox, &org.salesforce, &grant), grant, ..org };
    org.make("Account", json!({"Name": "Second"}));
    let lost = match org.subscribe(&schema, &fields(&["Name"]), position.as_deref()).await {
        Err(error) => error,
        Ok(mut stream) => next(&mut stream).await.unwrap_err(),
    };
    assert_eq!(lost.kind, ErrorKind::PositionLost);
}

#[tokio::test]
async fn an_organization_without_events_says_why_in_words() {
    let settings = Settings { edition: Edition::Professional, ..Settings::default() };
    let org = connected_with(settings, BULK_FROM).await;
    let schema = org.schema("Account").await;
    let refused = org.subscribe(&schema, &fields(&["Name"]), None).await.err().unwrap();
    assert_eq!(refused.kind, ErrorKind::NoStream, "{refused}");
    let account = org.salesforce.account(&org.session).await.unwrap();
    assert!(account.notices.iter().any(|notice| notice.contains("polled")), "{:?}", account.notices);

    let stream = StreamSettings { entities: vec!["Contact".into()], ..StreamSettings::default() };
    let org = connected_with(Settings { stream, ..Settings::default() }, BULK_FROM).await;
    let schema = org.schema("Account").await;
    let refused = org.subscribe(&schema, &fields(&["Name"]), None).await.err().unwrap();
    assert_eq!(refused.kind, ErrorKind::NoStream);
    assert!(refused.message.contains("administrator selects it"), "{refused}");
}

#[tokio::test]
async fn ends_of_a_stream_are_told_apart() {
    let org = connected().await;
    let rows = [
        (StreamFaultKind::Unavailable, ErrorKind::Unavailable),
        (StreamFaultKind::Internal, ErrorKind::Unavailable),
        (StreamFaultKind::ResetStream, ErrorKind::Unavailable),
        (StreamFaultKind::CutConnection, ErrorKind::Unavailable),
        (StreamFaultKind::ResourceExhausted, ErrorKind::RateLimit),
        (StreamFaultKind::Unauthenticated, ErrorKind::TokenExpired),
    ];
    for (kind, expected) in rows {
        let (mut stream, _) = followed(&org, &["Name"]).await;
        org.sandbox.cut_streams(kind);
        let ended = next(&mut stream).await.unwrap_err();
        assert_eq!(ended.kind, expected, "{kind:?}: {ended}");
        assert!(ended.is_transient(), "the stream can be opened again after {kind:?}");
    }
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_dead_and_so_is_one_that_never_says_anything() {
    let stream = StreamSettings { keepalive_ms: 100, ..StreamSettings::default() };
    let silence = std::time::Duration::from_secs(1);
    let settings = Settings { stream, ..Settings::default() };
    let org = connected_as(settings, |config| config.longest_silence = silence).await;
    let (mut stream, schema) = followed(&org, &["Name"]).await;
    let quiet_until = tokio::time::Instant::now() + 2 * silence;
    while tokio::time::Instant::now() < quiet_until {
        assert!(next(&mut stream).await.unwrap().changes.is_empty(), "signs of life keep it");
    }
    org.sandbox.cut_streams(StreamFaultKind::Silence);
    let ended = loop {
        // What was on its way still comes.
        if let Err(error) = next(&mut stream).await {
            break error;
        }
    };
    assert_eq!((ended.kind, ended.is_transient()), (ErrorKind::Unavailable, true), "{ended}");
    assert!(ended.message.contains("silent"), "{ended}");

    let fault = StreamFault {
        rpc: Some(Rpc::Subscribe),
        kind: StreamFaultKind::Silence,
        after_events: 0,
        times: Some(1),
        probability: None,
    };
    org.sandbox.add_stream_fault(fault);
    let names = fields(&["Name"]);
    let opening = tokio::time::timeout(10 * silence, org.subscribe(&schema, &names, None)).await;
    let mut mute = opening.expect("it waits for good").expect("its first sign of life may be its answer");
    let ended = next(&mut mute).await.expect_err("nobody answered");
    assert!(ended.kind == ErrorKind::Unavailable && ended.message.contains("silent"), "{ended}");
    let (mut stream, _) = followed(&org, &["Name"]).await;
    assert!(next(&mut stream).await.is_ok());
}

// R24: what changes meanwhile is asked for, which the runtime's stories show.
#[tokio::test]
async fn a_stream_that_nobody_answers_is_handed_out_long_before_it_is_dead() {
    let org = connected().await;
    let schema = org.schema("Account").await;
    let fault = StreamFault {
        rpc: Some(Rpc::Subscribe),
        kind: StreamFaultKind::Silence,
        after_events: 0,
        times: Some(1),
        probability: None,
    };
    org.sandbox.add_stream_fault(fault);
    let names = fields(&["Name"]);
    let soon = org.config.longest_silence / 10;
    let opening = tokio::time::timeout(soon, org.subscribe(&schema, &names, None)).await;
    let mut mute = opening.expect("changes wait for it").unwrap();
    // Waiting may be dropped, and it is the same opening that is waited for.
    for _ in 0..2 {
        let waited = tokio::time::timeout(std::time::Duration::from_millis(50), mute.next()).await;
        assert!(waited.is_err(), "nothing came");
    }
}

// R24
#[tokio::test]
async fn records_that_changed_alike_in_one_transaction_are_each_told_from_one_event() {
    let org = connected().await;
    let ids: Vec<String> =
        (0..20).map(|n| org.make("Account", json!({"Name": format!("Company {n}")}))).collect();
    let (mut stream, _) = followed(&org, &["Name", "BillingCity"]).await;
    let events = || org.sandbox.control("GET", "/_sandbox/stream", json!(null)).unwrap()["events"].clone();
    let before = events().as_u64().unwrap();
    let edit =
        |id: &String| json!({"do": "edit", "object": "Account", "id": id, "fields": {"BillingCity": "Bern"}});
    let steps: Vec<serde_json::Value> = ids.iter().map(edit).collect();
    org.sandbox.control("POST", "/_sandbox/transaction", json!({ "steps": steps })).unwrap();
    let batch = told(&mut stream).await;
    assert_eq!(events().as_u64().unwrap(), before + 1, "Salesforce told it by one event");
    let mut changed: Vec<&str> = batch.changes.iter().map(|change| change.id.as_str()).collect();
    changed.sort_unstable();
    assert_eq!(changed, ids);
    for change in &batch.changes {
        assert!(change.is_partial);
        assert_eq!(change.fields["BillingCity"], Value::text("Bern"));
    }
}

#[tokio::test]
async fn a_schema_is_asked_for_once_however_often_its_stream_is_opened() {
    let org = connected().await;
    let (mut stream, schema) = followed(&org, &["Name"]).await;
    org.make("Account", json!({"Name": "First"}));
    let mut position = told(&mut stream).await.position;
    drop(stream);
    // Whoever asks for one from now on meets the fault, and it is gone.
    let fault = StreamFault {
        rpc: Some(Rpc::GetSchema),
        kind: StreamFaultKind::Unavailable,
        after_events: 0,
        times: Some(1),
        probability: None,
    };
    org.sandbox.add_stream_fault(fault);
    let waiting = || {
        let stream = org.sandbox.control("GET", "/_sandbox/stream", json!(null)).unwrap();
        stream["faults"].as_array().unwrap().len()
    };
    for name in ["Second", "Third"] {
        let mut again = org.subscribe(&schema, &fields(&["Name"]), position.as_deref()).await.unwrap();
        for at in ["", "!"] {
            let name = format!("{name}{at}");
            org.make("Account", json!({ "Name": name }));
            let batch = told(&mut again).await;
            assert_eq!(batch.changes[0].fields["Name"], Value::text(name.as_str()));
            position = batch.position;
        }
        assert_eq!(waiting(), 1, "a known schema was asked for");
    }
    // A field that is added makes another one.
    let field = json!({"object": "Account", "name": "Added__c", "type": "Text", "length": 20});
    org.sandbox.control("POST", "/_sandbox/field", field).unwrap();
    let mut again = org.subscribe(&schema, &fields(&["Name"]), position.as_deref()).await.unwrap();
    org.make("Account", json!({"Name": "Fourth"}));
    while let Ok(batch) = next(&mut again).await {
        assert!(batch.changes.is_empty(), "it is read without its schema");
    }
    assert_eq!(waiting(), 0);
}

#[tokio::test]
async fn a_call_that_fails_while_a_schema_is_learned_ends_the_stream_and_is_made_up_for() {
    let org = connected().await;
    let (mut stream, schema) = followed(&org, &["Name"]).await;
    org.make("Account", json!({"Name": "First"}));
    let position = told(&mut stream).await.position;
    drop(stream);
    // Another process knows no schema yet.
    let org = org.restarted();
    org.make("Account", json!({"Name": "Second"}));
    let fault = StreamFault {
        rpc: Some(Rpc::GetSchema),
        kind: StreamFaultKind::Unavailable,
        after_events: 0,
        times: Some(1),
        probability: None,
    };
    org.sandbox.add_stream_fault(fault);
    let mut again = org.subscribe(&schema, &fields(&["Name"]), position.as_deref()).await.unwrap();
    assert_eq!(next(&mut again).await.unwrap_err().kind, ErrorKind::Unavailable);
    let mut again = org.subscribe(&schema, &fields(&["Name"]), position.as_deref()).await.unwrap();
    assert_eq!(told(&mut again).await.changes[0].fields["Name"], Value::text("Second"));
}

#[tokio::test]
async fn events_come_over_tls() {
    let stream = StreamSettings { tls: true, ..StreamSettings::default() };
    let org = connected_with(Settings { stream, ..Settings::default() }, BULK_FROM).await;
    let (mut stream, _) = followed(&org, &["Name"]).await;
    org.make("Account", json!({"Name": "Acme"}));
    assert_eq!(told(&mut stream).await.changes[0].fields["Name"], Value::text("Acme"));
}

#[tokio::test]
async fn a_sign_of_life_moves_the_position() {
    let stream = StreamSettings { keepalive_ms: 50, ..StreamSettings::default() };
    let org = connected_with(Settings { stream, ..Settings::default() }, BULK_FROM).await;
    org.make("Account", json!({"Name": "Before"}));
    let (mut stream, _) = followed(&org, &["Name"]).await;
    let batch = next(&mut stream).await.unwrap();
    assert!(batch.changes.is_empty() && batch.position.is_some());
}
