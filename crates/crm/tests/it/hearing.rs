//! What connectors tell of what people did comes to the timelines (R246-R251).

use bus::{Message, dead, subject};
use jiff::SignedDuration;
use model::{
    ActivityParticipant, ActivityTold, CanonicalObject, ConnectionId, OrganizationId, RecordId, kind,
};
use serde_json::json;
use testkit::eventually;
use uuid::Uuid;

use crate::{
    acting::record,
    world::{SOON, World, mail, noon, world},
};

/// A mail from the first of these to the others.
fn told(id: &str, version: i64, subject: &str, people: &[&str]) -> ActivityTold {
    let person = |(place, email): (usize, &&str)| ActivityParticipant {
        role: if place == 0 { "from" } else { "to" }.to_owned(),
        name: String::new(),
        email: (*email).to_owned(),
    };
    ActivityTold {
        connection: ConnectionId::from_uuid(Uuid::from_u128(0x77)),
        source: "test".to_owned(),
        external_id: id.to_owned(),
        version,
        is_gone: false,
        kind: "email".to_owned(),
        direction: "inbound".to_owned(),
        at: noon() + SignedDuration::from_secs(version),
        subject: subject.to_owned(),
        body: "Dear all, here is the text.".to_owned(),
        is_preview: false,
        thread: "t1".to_owned(),
        url: "https://mail.example/m".to_owned(),
        participants: people.iter().enumerate().map(person).collect(),
        automatic: String::new(),
    }
}

/// It was deleted there.
fn gone(id: &str, version: i64) -> ActivityTold {
    let empty = told(id, version, "", &[]);
    ActivityTold { is_gone: true, kind: String::new(), body: String::new(), url: String::new(), ..empty }
}

fn message<T: serde::Serialize>(organization: OrganizationId, body: &T) -> Message {
    let subject = subject::activity(&organization, "test");
    Message::json(subject, kind::ACTIVITY_TOLD, "connector/test", organization, noon(), body).unwrap()
}

impl World {
    async fn hear(&self, told: &[ActivityTold]) {
        let messages: Vec<Message> = told.iter().map(|told| message(self.organization, told)).collect();
        self.bus.publish_batch(&messages).await.unwrap();
    }

    /// Until nothing of what was told is left to be recorded.
    async fn has_heard_all(&self) {
        eventually(SOON, "all to be heard", || async {
            let pending = self.bus.pending(subject::CHANGES, "crm-activities").await.ok()?;
            (pending.waiting + pending.unanswered == 0).then_some(())
        })
        .await;
    }

    async fn knows_ann(&self) -> RecordId {
        let ann = record(1);
        self.tell(CanonicalObject::Contact, ann, 1, &[("email", "ann@acme.example")]).await;
        self.knows(1).await;
        ann
    }

    async fn rows(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }
}

#[tokio::test]
async fn a_mail_that_a_connector_tells_is_on_the_timeline_of_its_people() {
    let world = world().await;
    let ann = world.knows_ann().await;
    let mail = told("m1", 1, "Offer", &["ann@acme.example", "us@own.example"]);
    world.hear(std::slice::from_ref(&mail)).await;
    assert_eq!(world.subjects(ann, 1).await, ["Offer"]);
    let seen = world.timeline("viewer", &ann.to_string(), "offer").await.remove(0);
    assert_eq!(seen.recorded_by, format!("connection:{}", mail.connection));
    assert_eq!((seen.source.as_str(), seen.external_id.as_str()), ("test", "m1"));
    assert_eq!((seen.thread.as_str(), seen.url.as_str()), ("t1", "https://mail.example/m"));
    assert_eq!(seen.preview, "Dear all, here is the text.");
    assert_eq!((seen.participants[0].role.as_str(), seen.participants[1].role.as_str()), ("from", "to"));
    assert!(world.timeline("other", &ann.to_string(), "").await.is_empty());
}

#[tokio::test]
async fn what_is_told_again_or_late_changes_nothing_and_what_is_newer_replaces_it() {
    let world = world().await;
    let ann = world.knows_ann().await;
    let people = &["ann@acme.example"];
    // Two of the same in one batch, the newer one first.
    let [first, second] = [told("m1", 1, "On Monday", people), told("m1", 2, "On Tuesday", people)];
    world.hear(&[second.clone(), first.clone(), told("m2", 1, "Other", people)]).await;
    world.has_heard_all().await;
    world.hear(&[first, second, told("m2", 1, "Other once more", people)]).await;
    world.has_heard_all().await;
    assert_eq!(world.subjects(ann, 2).await, ["On Tuesday", "Other"]);
    assert_eq!(world.rows("SELECT count(*) FROM activities").await, 2);
    assert_eq!(world.rows("SELECT count(*) FROM participants").await, 2);
}

#[tokio::test]
async fn what_was_deleted_there_leaves_all_timelines_and_no_late_repeat_brings_it_back() {
    let world = world().await;
    let ann = world.knows_ann().await;
    let people = &["ann@acme.example"];
    world.hear(&[told("m1", 1, "Secret", people), told("m2", 1, "Stays", people)]).await;
    world.subjects(ann, 2).await;
    // In the same version, in a later one, and before it was ever told.
    world.hear(&[gone("m1", 1), gone("m3", 5)]).await;
    assert_eq!(world.subjects(ann, 1).await, ["Stays"]);
    world.hear(&[told("m1", 1, "Secret", people), told("m3", 4, "Never seen", people)]).await;
    world.has_heard_all().await;
    assert_eq!(world.subjects(ann, 1).await, ["Stays"]);
    assert!(world.timeline("viewer", &ann.to_string(), "secret").await.is_empty());
    let left = "SELECT count(*) FROM activities WHERE gone AND subject = '' AND body = '' AND words = ''";
    assert_eq!(world.rows(left).await, 2);
    assert_eq!(world.rows("SELECT count(*) FROM participants").await, 1);
    // Somebody who becomes known does not find it either.
    world.tell(CanonicalObject::Company, record(2), 1, &[("domain", "acme.example")]).await;
    assert_eq!(world.subjects(record(2), 1).await, ["Stays"]);
    // Moved back into what is read, it is newer.
    world.hear(&[told("m1", 2, "Found again", people)]).await;
    assert_eq!(world.subjects(ann, 2).await, ["Found again", "Stays"]);
    assert_eq!(world.rows("SELECT count(*) FROM activities WHERE gone").await, 1);
}

#[tokio::test]
async fn what_makes_no_sense_is_kept_with_its_reason_and_holds_nobody_up() {
    let world = world().await;
    let ann = world.knows_ann().await;
    let people = &["ann@acme.example"];
    let odd = |spoil: fn(&mut ActivityTold)| {
        let mut odd = told("m9", 1, "Private words", people);
        spoil(&mut odd);
        message(world.organization, &odd)
    };
    let mistakes = [
        ("activity_undecodable", "", message(world.organization, &json!({ "connection": "Private words" }))),
        ("activity_invalid", "kind_invalid", odd(|it| it.kind = "note".to_owned())),
        ("activity_invalid", "kind_invalid", odd(|it| it.kind = "Private words".to_owned())),
        ("activity_invalid", "direction_invalid", odd(|it| it.direction = "Private words".to_owned())),
        ("activity_invalid", "required", odd(|it| it.external_id.clear())),
        ("activity_invalid", "too_long", odd(|it| it.external_id = "x".repeat(3_000))),
        ("activity_invalid", "url_invalid", odd(|it| it.url = "javascript:alert(1)".to_owned())),
        ("activity_invalid", "invalid_text", odd(|it| it.body = "Private\0words".to_owned())),
        ("activity_invalid", "time_invalid", odd(|it| it.at = "0001-01-01T00:00:00Z".parse().unwrap())),
        ("activity_invalid", "too_many", odd(|it| it.participants = vec![it.participants[0].clone(); 2_001])),
    ];
    let mut messages = vec![message(world.organization, &told("m1", 1, "First", people))];
    messages.extend(mistakes.iter().map(|(_, _, message)| message.clone()));
    messages.push(message(world.organization, &told("m2", 2, "Last", people)));
    world.bus.publish_batch(&messages).await.unwrap();
    assert_eq!(world.subjects(ann, 2).await, ["Last", "First"]);
    world.has_heard_all().await;
    let letters = dead::list(&world.bus, &dead::Filter::default(), 100).await.unwrap();
    assert_eq!(letters.len(), mistakes.len());
    for (letter, (reason, code, _)) in letters.iter().rev().zip(&mistakes) {
        assert_eq!((letter.consumer.as_str(), letter.reason.as_str()), ("crm-activities", *reason));
        assert!(letter.detail.contains(code), "{}", letter.detail);
        assert!(!letter.detail.contains("Private"), "{}", letter.detail);
    }
}

#[tokio::test]
async fn what_cannot_be_stored_for_a_while_is_stored_in_the_end() {
    let world = world().await;
    let ann = world.knows_ann().await;
    sqlx::raw_sql("ALTER TABLE concerns RENAME TO away").execute(&world.pool).await.unwrap();
    let mails: Vec<_> = (0..40)
        .map(|number| told(&format!("m{number}"), number, &format!("{number}"), &["ann@acme.example"]))
        .collect();
    world.hear(&mails).await;
    eventually(SOON, "the room to have them at hand", || async {
        let pending = world.bus.pending(subject::CHANGES, "crm-activities").await.ok()?;
        (pending.waiting == 0 && pending.unanswered == 40).then_some(())
    })
    .await;
    sqlx::raw_sql("ALTER TABLE away RENAME TO concerns").execute(&world.pool).await.unwrap();
    let expected: Vec<String> = (0..40).rev().map(|number| number.to_string()).collect();
    assert_eq!(world.subjects(ann, 40).await, expected);
    assert!(dead::list(&world.bus, &dead::Filter::default(), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_callers_and_connectors_tell_of_the_same_is_one_activity() {
    let world = world().await;
    let ann = world.knows_ann().await;
    world.record("ann", vec![mail("m1", "By hand", &["ann@acme.example"])]).await.unwrap();
    world.hear(&[told("m1", 1, "By the connector", &["ann@acme.example"])]).await;
    eventually(SOON, "the newer one", || async {
        let seen = world.timeline("viewer", &ann.to_string(), "").await;
        (seen.len() == 1 && seen[0].subject == "By the connector").then_some(())
    })
    .await;
}

/// A mail whose beginning alone is told: what was kept of it before stays, is shown and is found.
#[tokio::test]
async fn a_beginning_takes_the_place_of_no_whole_text() {
    let world = world().await;
    let ann = world.knows_ann().await;
    let people = ["ann@acme.example", "us@own.example"];
    let whole = told("m1", 1, "Offer", &people);
    let preview = |id: &str, version| ActivityTold {
        body: "Dear all…".to_owned(),
        is_preview: true,
        ..told(id, version, "Offer, changed", &people)
    };
    world.hear(std::slice::from_ref(&whole)).await;
    world.has_heard_all().await;
    world.hear(&[preview("m1", 2), preview("m2", 1)]).await;
    world.has_heard_all().await;
    let timeline = world.timeline("viewer", &ann.to_string(), "").await;
    let body = |at: usize| timeline[at].preview.as_str();
    assert_eq!(timeline.len(), 2);
    assert!([body(0), body(1)].contains(&"Dear all…") && [body(0), body(1)].contains(&whole.body.as_str()));
    assert!(timeline.iter().all(|item| item.subject == "Offer, changed"), "the rest of it is the newest");
    assert_eq!(
        world.rows("SELECT count(*) FROM activities WHERE words @@ to_tsquery('simple', 'text')").await,
        1
    );
    // What is gone takes its text along.
    world.hear(&[gone("m1", 3)]).await;
    world.has_heard_all().await;
    assert_eq!(world.rows("SELECT count(*) FROM activities WHERE body LIKE '%the text%'").await, 0);
}
