//! What change events tell of what happened to records.

use reqwest::Method;
use sandbox::salesforce::wire::ReplayPreset;
use sandbox::salesforce::{Settings, StreamSettings};
use serde_json::{Value, json};
use tonic::Code;

use super::avro::Change;
use super::subscriber::{ACCOUNTS, ALL, Org, Subscription, org, org_of, org_with, refused, replay, told};

/// The next events, by their object, kind and ids.
async fn kinds(stream: &mut Subscription, count: usize) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    for _ in 0..count {
        let change = stream.next().await;
        seen.push((
            change.header["entityName"].as_str().unwrap_or_default().to_owned(),
            change.kind().to_owned(),
        ));
    }
    seen.sort();
    seen
}

/// Changes two accounts and a contact in one transaction, and reads what is told of it.
async fn together(org: &Org, stream: &mut Subscription, bodies: [Value; 3]) -> Vec<Change> {
    let records: Vec<Value> = bodies.into_iter().collect();
    let path = "/composite/sobjects";
    let done = org.rest(Method::PATCH, path, json!({"allOrNone": true, "records": records})).await;
    assert!(done.as_array().is_some_and(|items| items.iter().all(|item| item["success"] == true)), "{done}");
    let mut seen = vec![stream.next().await];
    while seen.iter().map(|change| change.ids().len()).sum::<usize>() < 3 {
        seen.push(stream.next().await);
    }
    seen
}

#[tokio::test]
async fn a_creation_tells_every_value() {
    let org = org().await;
    let mut stream = org.latest(ACCOUNTS).await;
    let id = org.create("Account", json!({"Name": "Harbour Tools", "Phone": "+44 20 7946 0000",
        "BillingStreet": "1 Quay", "BillingCity": "Leith", "AnnualRevenue": 1_250_000, "NumberOfEmployees": 40,
        "Description": "Tools\nfor harbours"})).await;
    let change = stream.next().await;
    assert_eq!((change.kind(), change.ids()), ("CREATE", vec![id.as_str()]));
    assert!(change.changed.is_empty() && change.nulled.is_empty() && change.diff.is_empty());
    let record = org.read("Account", &id).await;
    for (field, rest) in [
        ("Name", "Name"),
        ("Phone", "Phone"),
        ("Description", "Description"),
        ("BillingAddress.Street", "BillingStreet"),
        ("BillingAddress.City", "BillingCity"),
        ("OwnerId", "OwnerId"),
        ("CreatedById", "CreatedById"),
        ("LastModifiedById", "LastModifiedById"),
    ] {
        assert_eq!(change.values[field], record[rest], "{field}");
    }
    assert_eq!(change.values["AnnualRevenue"], json!(1_250_000.0));
    assert_eq!(change.values["NumberOfEmployees"], json!(40));
    let at_ms = change.values["CreatedDate"].as_i64().expect("milliseconds");
    let created: jiff::Timestamp = record["CreatedDate"].as_str().expect("a date").parse().expect("a date");
    assert_eq!(at_ms, created.as_millisecond());
    let header = &change.header;
    assert_eq!(header["changeOrigin"], "com/salesforce/api/rest/62.0;client=Stories");
    assert_eq!(header["commitUser"], record["CreatedById"]);
    assert_eq!((&header["entityName"], &header["sequenceNumber"]), (&json!("Account"), &json!(1)));
    assert_eq!(header["commitTimestamp"].as_i64().map(|ms| ms % 1000), Some(0));
    for hidden in ["Id", "SystemModstamp", "IsDeleted"] {
        assert!(!change.values.contains_key(hidden), "{hidden}");
    }
}

#[tokio::test]
async fn an_update_tells_what_changed_and_what_was_emptied() {
    let org = org().await;
    let id = org
        .create(
            "Contact",
            json!({"LastName": "Oduya", "FirstName": "Ama", "Email": "ama@example.com",
        "MailingCity": "Accra", "MailingStreet": "4 Ring Road", "Birthdate": "1990-05-17"}),
        )
        .await;
    let mut stream = org.latest("/data/ContactChangeEvent").await;
    org.update(
        "Contact",
        &id,
        json!({"LastName": "Oduya-Hall", "Email": null, "MailingCity": "Tema",
        "MailingStreet": null, "Birthdate": "1990-05-18", "Title": "Buyer"}),
    )
    .await;
    let change = stream.next().await;
    assert_eq!((change.kind(), change.ids()), ("UPDATE", vec![id.as_str()]));
    let without_stamp: Vec<_> =
        change.changed.iter().filter(|name| !name.starts_with("LastModified")).collect();
    assert_eq!(
        without_stamp,
        ["Email", "Title", "Birthdate", "Name.LastName", "MailingAddress.Street", "MailingAddress.City"]
    );
    assert_eq!(change.nulled, ["Email", "MailingAddress.Street"]);
    assert_eq!(
        told(&change),
        json!({"Name.LastName": "Oduya-Hall", "MailingAddress.City": "Tema", "Title": "Buyer",
        "Birthdate": 642_988_800_000_i64})
    );
}

#[tokio::test]
async fn a_deletion_is_empty_and_a_return_is_whole() {
    let org = org().await;
    let id =
        org.create("Lead", json!({"LastName": "Brandt", "Company": "Brandt & Sons", "City": "Kiel"})).await;
    let mut stream = org.latest("/data/LeadChangeEvent").await;
    org.rest(Method::DELETE, &format!("/sobjects/Lead/{id}"), Value::Null).await;
    let gone = stream.next().await;
    assert_eq!((gone.kind(), gone.ids(), gone.values.len()), ("DELETE", vec![id.as_str()], 0));
    assert!(gone.changed.is_empty());
    org.control("undelete", json!({"object": "Lead", "id": id}));
    let back = stream.next().await;
    assert_eq!((back.kind(), back.ids()), ("UNDELETE", vec![id.as_str()]));
    for (field, value) in
        [("Name.LastName", "Brandt"), ("Company", "Brandt & Sons"), ("Address.City", "Kiel")]
    {
        assert_eq!(back.values[field], value);
    }
}

#[tokio::test]
async fn records_of_one_transaction_share_its_key_and_alike_changes_share_an_event() {
    let org = org().await;
    let first = org.create("Account", json!({"Name": "One"})).await;
    let second = org.create("Account", json!({"Name": "Two"})).await;
    let third = org.create("Account", json!({"Name": "Three"})).await;
    // The modification date of each is to change too: the changes are alike to the second.
    org.control("clock", json!({"advance_ms": 5_000}));
    let mut stream = org.latest(ACCOUNTS).await;
    let change = |id: &str, phone: &str| json!({"attributes": {"type": "Account"}, "id": id, "Phone": phone});
    let seen =
        together(&org, &mut stream, [change(&first, "1"), change(&second, "2"), change(&third, "1")]).await;
    assert_eq!(
        seen.iter().map(Change::ids).collect::<Vec<_>>(),
        [vec![first.as_str(), &third], vec![&second]]
    );
    for (change, sequence) in seen.iter().zip(1..) {
        assert_eq!(change.header["transactionKey"], seen[0].header["transactionKey"]);
        assert_eq!(change.header["commitNumber"], seen[0].header["commitNumber"]);
        assert_eq!(change.header["sequenceNumber"], json!(sequence));
    }
    org.update("Account", &first, json!({"Phone": "3"})).await;
    let next = stream.next().await;
    assert_ne!(next.header["transactionKey"], seen[0].header["transactionKey"]);
    assert!(next.header["commitNumber"].as_i64() > seen[0].header["commitNumber"].as_i64());
}

#[tokio::test]
async fn channels_carry_their_objects_and_no_others() {
    let entities = ["Account", "Contact", "Custom__c"].map(str::to_owned).to_vec();
    let channels = [("Sales__chn".to_owned(), vec!["Contact".to_owned(), "Custom__c".to_owned()])].into();
    let org = org_with(StreamSettings { entities, channels, ..StreamSettings::default() }).await;
    let mut all = org.latest(ALL).await;
    let mut accounts = org.latest(ACCOUNTS).await;
    let mut customs = org.latest("/data/Custom__ChangeEvent").await;
    let mut sales = org.latest("/data/Sales__chn").await;
    let mut unselected = org.latest("/data/LeadChangeEvent").await;
    org.create("Lead", json!({"LastName": "Nobody", "Company": "Nowhere"})).await;
    org.create("Account", json!({"Name": "A"})).await;
    org.create("Contact", json!({"LastName": "C"})).await;
    org.create("Custom__c", json!({"Name": "X"})).await;
    let entity = async |stream: &mut Subscription| stream.next().await.header["entityName"].clone();
    for expected in ["Account", "Contact", "Custom__c"] {
        assert_eq!(entity(&mut all).await, expected);
    }
    assert_eq!(entity(&mut accounts).await, "Account");
    assert_eq!(entity(&mut customs).await, "Custom__c");
    assert_eq!((entity(&mut sales).await, entity(&mut sales).await), (json!("Contact"), json!("Custom__c")));
    assert_eq!(refused(&unselected.end().await).1, "topic.not.found");
}

#[tokio::test]
async fn a_new_field_gives_new_events_a_new_schema_and_old_ones_keep_theirs() {
    let org = org().await;
    let id = org.create("Account", json!({"Name": "Before"})).await;
    org.control("field", json!({"object": "Account", "name": "Tier__c", "type": "Text", "length": 20}));
    org.update("Account", &id, json!({"Tier__c": "Gold"})).await;
    let mut stream = org.earliest(ACCOUNTS).await;
    let events = stream.events(2).await;
    let schemas: Vec<String> =
        events.iter().map(|event| event.event.as_ref().expect("an event").schema_id.clone()).collect();
    assert_ne!(schemas[0], schemas[1]);
    let read = async |stream: &mut Subscription, at: usize| {
        let event = events[at].event.as_ref().expect("an event");
        Change::read(&stream.schema(&event.schema_id).await, &event.payload).expect("a change")
    };
    assert_eq!(read(&mut stream, 0).await.values["Name"], "Before");
    let second = read(&mut stream, 1).await;
    assert_eq!(told(&second), json!({"Tier__c": "Gold"}));
    assert!(second.changed.contains(&"Tier__c".to_owned()));
    let (old, new) = (stream.schema(&schemas[0]).await, stream.schema(&schemas[1]).await);
    let names = |schema: &Value| schema["fields"].as_array().map_or(0, Vec::len);
    assert_eq!(names(&new), names(&old) + 1);
    assert_eq!(org.client().await.topic(ACCOUNTS).await.expect("a topic").schema_id, schemas[1]);
}

#[tokio::test]
async fn a_large_transaction_overflows_and_a_large_event_becomes_a_gap() {
    let settings =
        StreamSettings { overflow_threshold: 3, max_event_bytes: 2_000, ..StreamSettings::default() };
    let org = org_with(settings).await;
    let mut stream = org.latest(ALL).await;
    let record = |at: usize| json!({"attributes": {"type": "Account"}, "Name": format!("Account {at}")});
    let records: Vec<Value> = (0..5).map(record).collect();
    org.rest(Method::POST, "/composite/sobjects", json!({"records": records})).await;
    for at in 0..3 {
        assert_eq!(told(&stream.next().await)["Name"], format!("Account {at}"));
    }
    let overflow = stream.next().await;
    assert_eq!((overflow.kind(), overflow.ids()), ("GAP_OVERFLOW", vec!["000000000000000AAA"]));
    assert_eq!(overflow.header["entityName"], "Account");

    let id = org.create("Account", json!({"Name": "Long", "Description": "x".repeat(3_000)})).await;
    let gap = stream.next().await;
    assert_eq!((gap.kind(), gap.ids(), gap.values.len()), ("GAP_CREATE", vec![id.as_str()], 0));
}

#[tokio::test]
async fn changes_can_be_told_as_gaps_or_twice() {
    let org = org_with(StreamSettings { gap_percent: 100, ..StreamSettings::default() }).await;
    let mut stream = org.latest(ACCOUNTS).await;
    let id = org.create("Account", json!({"Name": "Unseen"})).await;
    org.rest(Method::DELETE, &format!("/sobjects/Account/{id}"), Value::Null).await;
    for kind in ["GAP_CREATE", "GAP_DELETE"] {
        let gap = stream.next().await;
        assert_eq!((gap.kind(), gap.ids(), gap.values.len()), (kind, vec![id.as_str()], 0));
    }
    org.handle.change_stream(json!({"gap_percent": 0, "duplicate_percent": 100})).expect("settings");
    org.create("Account", json!({"Name": "Twice"})).await;
    let (once, twice) = (stream.event().await, stream.event().await);
    assert_eq!(once, twice);
}

#[tokio::test]
async fn long_texts_are_told_as_what_changed_in_them() {
    let org = org().await;
    let text = |line: &str| {
        (0..200)
            .map(|at| if at == 100 { format!("{line}\n") } else { format!("line {at}\n") })
            .collect::<String>()
    };
    let id = org.create("Account", json!({"Name": "Long", "Description": text("old")})).await;
    let mut stream = org.latest(ACCOUNTS).await;
    org.update("Account", &id, json!({"Description": text("new")})).await;
    let change = stream.next().await;
    assert_eq!(change.diff, ["Description"]);
    let diff = change.values["Description"].as_str().expect("a diff");
    assert!(diff.contains("\n-old\n+new\n") && diff.len() < 200, "{diff}");
    org.update("Account", &id, json!({"Description": "short"})).await;
    let change = stream.next().await;
    assert!(change.diff.is_empty());
    assert_eq!(change.values["Description"], "short");
}

#[tokio::test]
async fn an_address_is_followed_by_its_coordinates() {
    let org = org_with(StreamSettings { geocode: true, ..StreamSettings::default() }).await;
    let mut stream = org.latest(ACCOUNTS).await;
    let id = org.create("Account", json!({"Name": "Placed", "BillingCity": "Porto"})).await;
    let made = stream.next().await;
    let follow_up = stream.next().await;
    assert_eq!((follow_up.kind(), follow_up.ids()), ("UPDATE", vec![id.as_str()]));
    assert_eq!(follow_up.changed, ["BillingAddress.Latitude", "BillingAddress.Longitude"]);
    assert_eq!(follow_up.header["changedFields"], json!(["5-0x0180"]));
    assert_eq!(follow_up.header["changeOrigin"], "");
    assert_ne!(follow_up.header["commitUser"], made.header["commitUser"]);
    let record = org.read("Account", &id).await;
    assert_eq!(follow_up.values["BillingAddress.Latitude"], record["BillingLatitude"]);
    assert_eq!(
        made.values["LastModifiedDate"].as_i64(),
        record["LastModifiedDate"]
            .as_str()
            .and_then(|at| Some(at.parse::<jiff::Timestamp>().ok()?.as_millisecond()))
    );
}

#[tokio::test]
async fn delivery_can_be_late_by_the_clock_of_the_org() {
    let org = org_with(StreamSettings { delivery_delay_ms: 3_600_000, ..StreamSettings::default() }).await;
    let mut stream = org.latest(ACCOUNTS).await;
    org.create("Account", json!({"Name": "Late"})).await;
    org.gaps(1);
    assert_eq!(stream.next().await.kind(), "GAP_UPDATE", "a gap on demand does not wait");
    org.control("clock", json!({"advance_ms": 3_600_000}));
    assert_eq!(told(&stream.next().await)["Name"], "Late");
}

#[tokio::test]
async fn events_and_positions_are_kept_for_72_hours() {
    let org = org_with(StreamSettings { keepalive_ms: 100, ..StreamSettings::default() }).await;
    org.create("Account", json!({"Name": "Old"})).await;
    let old = org.earliest(ACCOUNTS).await.event().await;
    org.control("clock", json!({"advance_ms": 71 * 3_600_000}));
    org.create("Account", json!({"Name": "New"})).await;
    let new = org.after(ACCOUNTS, &old.replay_id).await.event().await;
    org.control("clock", json!({"advance_ms": 2 * 3_600_000}));
    let status = org.after(ACCOUNTS, &old.replay_id).await.end().await;
    assert_eq!(refused(&status).1, "subscription.fetch.replayid.corrupted");
    assert_eq!(org.earliest(ACCOUNTS).await.event().await, new);

    // Whoever keeps the position of a keepalive is not lost when nothing happens for days.
    let mut quiet = org.latest(ACCOUNTS).await;
    let alive = quiet.response().await.expect("no error").expect("a sign of life").latest_replay_id;
    org.control("clock", json!({"advance_ms": 71 * 3_600_000}));
    org.create("Account", json!({"Name": "Newest"})).await;
    let status = org.after(ACCOUNTS, &new.replay_id).await.end().await;
    assert_eq!(refused(&status).1, "subscription.fetch.replayid.corrupted");
    assert!(org.after(ACCOUNTS, &alive).await.event().await.replay_id > alive);
}

#[tokio::test]
async fn a_session_that_ends_ends_its_stream() {
    let org = org_of(Settings { require_pkce: false, ..Settings::default() }).await;
    for control in ["expire_tokens", "revoke"] {
        let mut client = org.client().await;
        client.headers[0].1 = org.token().await;
        let first = replay(ReplayPreset::Latest, &[]);
        let mut stream = client.subscribe(ACCOUNTS, first).await;
        org.gaps(1);
        stream.event().await;
        org.control(control, Value::Null);
        let status = stream.end().await;
        let expected = (Code::Unauthenticated, "service.auth.error".to_owned());
        assert_eq!(refused(&status), expected, "{control}");
    }
}

#[tokio::test]
async fn a_merge_deletes_the_loser_and_updates_the_winner() {
    let org = org().await;
    let winner = org.create("Account", json!({"Name": "Winner"})).await;
    let loser = org.create("Account", json!({"Name": "Loser", "Phone": "7"})).await;
    let mut stream = org.latest(ALL).await;
    org.control("merge", json!({"object": "Account", "winner_id": winner, "id": loser}));
    let mut seen = [stream.next().await, stream.next().await];
    seen.sort_by_key(|change| change.kind().to_owned());
    assert_eq!((seen[0].kind(), seen[0].ids()), ("DELETE", vec![loser.as_str()]));
    assert_eq!((seen[1].kind(), seen[1].ids()), ("UPDATE", vec![winner.as_str()]));
    assert_eq!(told(&seen[1]), json!({"Phone": "7"}));
}

#[tokio::test]
async fn a_conversion_updates_the_lead_and_creates_what_it_becomes() {
    let org = org().await;
    let lead = org.create("Lead", json!({"LastName": "Nowak", "Company": "Nowak Ltd"})).await;
    let mut stream = org.latest(ALL).await;
    org.control("convert", json!({"id": lead, "opportunity": "Nowak deal"}));
    let expected =
        [("Account", "CREATE"), ("Contact", "CREATE"), ("Lead", "UPDATE"), ("Opportunity", "CREATE")];
    let expected = expected.map(|(object, kind)| (object.to_owned(), kind.to_owned()));
    assert_eq!(kinds(&mut stream, 4).await, expected);
}

#[tokio::test]
async fn a_restart_keeps_events_and_positions() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings { state_file: Some(folder.path().join("org")), ..Settings::default() };
    let org = org_of(settings.clone()).await;
    let id = org.create("Account", json!({"Name": "Kept"})).await;
    org.update("Account", &id, json!({"Name": "Kept on"})).await;
    let seen = org.earliest(ACCOUNTS).await.events(2).await;
    org.handle.shutdown().await;
    let org = org_of(settings).await;
    assert_eq!(org.earliest(ACCOUNTS).await.events(2).await, seen);
    assert_eq!(org.after(ACCOUNTS, &seen[0].replay_id).await.event().await, seen[1]);
}

#[tokio::test]
async fn a_write_that_changes_nothing_is_not_told_but_its_stamp_is() {
    let org = org().await;
    let id = org.create("Account", json!({"Name": "Same"})).await;
    org.control("clock", json!({"advance_ms": 5_000}));
    let mut stream = org.latest(ACCOUNTS).await;
    org.control("edit", json!({"object": "Account", "id": id, "fields": {"Name": "Same"}, "system": true}));
    org.update("Account", &id, json!({"Name": "Same"})).await;
    let change = stream.next().await;
    assert_eq!(
        (change.changed.as_slice(), told(&change)),
        (["LastModifiedDate".to_owned()].as_slice(), json!({}))
    );
}

#[tokio::test]
async fn a_user_is_told_nothing_of_what_they_may_not_see() {
    let org = org().await;
    org.control("settings", json!({"hidden_objects": ["Lead"]}));
    let status = org.client().await.topic("/data/LeadChangeEvent").await.expect_err("not for this user");
    assert_eq!(refused(&status), (Code::PermissionDenied, "topic.meta.permission".to_owned()));
    let mut stream = org.latest(ALL).await;
    org.control("create", json!({"object": "Lead", "fields": {"LastName": "Unseen", "Company": "Unseen"}}));
    org.create("Account", json!({"Name": "Seen"})).await;
    assert_eq!(stream.next().await.header["entityName"], "Account");
}
