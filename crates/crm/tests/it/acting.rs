//! Activities are matched to whom they concern, whenever those become known.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use model::{CanonicalObject, RecordChanged, RecordId, Value, kind};
use proto::crm::{Activity, GetTimelineRequest, NewActivity, Participant, RecordedActivity, Settings};
use testkit::eventually;
use uuid::Uuid;

use crate::world::{SOON, World, by, code, mail, noon, world};

pub(crate) fn record(number: u128) -> RecordId {
    RecordId::from_uuid(Uuid::from_u128(0x1000 + number))
}

impl World {
    /// A record is created, or changed at a greater version; all its fields were `old` before.
    pub(crate) async fn tell(
        &self,
        object: CanonicalObject,
        id: RecordId,
        version: i64,
        fields: &[(&str, &str)],
    ) {
        let was = |(name, _): &(&str, &str)| ((*name).to_owned(), Value::text("old"));
        let is = |(name, text): &(&str, &str)| ((*name).to_owned(), Value::text(*text));
        let changed = RecordChanged {
            record: id,
            object,
            version,
            fields: fields.iter().map(is).collect(),
            before: if version == 1 { BTreeMap::new() } else { fields.iter().map(was).collect() },
            truncated: false,
            pii: Vec::new(),
            actor: "user:somebody".to_owned(),
            at: noon(),
            connection: None,
        };
        let kind = if version == 1 { kind::RECORD_CREATED } else { kind::RECORD_CHANGED };
        self.publish("record", object.name(), kind, &changed).await;
    }

    /// Until the room knows so many fields.
    pub(crate) async fn knows(&self, count: i64) {
        eventually(SOON, "the room to know the records", || async {
            let known: i64 =
                sqlx::query_scalar("SELECT count(*) FROM directory").fetch_one(&self.pool).await.unwrap();
            (known == count).then_some(())
        })
        .await;
    }

    async fn record_one(&self, new: NewActivity) -> RecordedActivity {
        self.record("ann", vec![new]).await.unwrap().remove(0)
    }

    /// The subjects on a record's timeline, once there are so many.
    pub(crate) async fn subjects(&self, id: RecordId, count: usize) -> Vec<String> {
        let subjects = || async {
            let found: Vec<Activity> = self.timeline("viewer", &id.to_string(), "").await;
            (found.len() == count).then(|| found.into_iter().map(|it| it.subject).collect())
        };
        eventually(SOON, "the timeline to be whole", subjects).await
    }
}

#[tokio::test]
async fn a_mail_is_on_the_timelines_of_its_people_their_company_and_partner() {
    let world = world().await;
    let (ann, acme, seller) = (record(1), record(2), record(3));
    world.tell(CanonicalObject::Company, acme, 1, &[("domain", "https://www.acme.example")]).await;
    let fields = [("email", "Ann@ACME.example"), ("partner_id", &seller.to_string())];
    world.tell(CanonicalObject::Contact, ann, 1, &fields).await;
    world.knows(3).await;
    let told = world.record_one(mail("m1", "Offer", &["ann@acme.example", "buyer@elsewhere.example"])).await;
    assert_eq!(told.outcome, "new");
    let mut expected = [ann, acme, seller].map(|id| id.to_string());
    expected.sort();
    assert_eq!(told.record_ids, expected);
    for id in [ann, acme, seller] {
        assert_eq!(world.subjects(id, 1).await, ["Offer"]);
    }
    let seen = world.timeline("viewer", &ann.to_string(), "").await.remove(0);
    assert_eq!(
        (seen.kind.as_str(), seen.direction.as_str(), seen.participant_count),
        ("email", "inbound", 2)
    );
    assert_eq!(seen.participants[1].email, "buyer@elsewhere.example");
    assert_eq!(seen.preview, "Dear all, here is the text.");
    assert!(world.timeline("other", &ann.to_string(), "").await.is_empty());
}

#[tokio::test]
async fn what_came_before_its_contact_or_company_was_known_is_matched_late() {
    let world = world().await;
    let (ann, acme, group) = (record(1), record(2), record(3));
    world.record_one(mail("m1", "Offer", &["ann@acme.example"])).await;
    assert!(world.timeline("viewer", &ann.to_string(), "").await.is_empty());
    world.tell(CanonicalObject::Contact, ann, 1, &[("email", "ann@acme.example")]).await;
    assert_eq!(world.subjects(ann, 1).await, ["Offer"]);
    world.tell(CanonicalObject::Company, acme, 1, &[("domain", "acme.example")]).await;
    assert_eq!(world.subjects(acme, 1).await, ["Offer"]);
    // And found there by its words.
    assert_eq!(world.timeline("viewer", &acme.to_string(), "offer").await.len(), 1);
    // Then it is learnt for whom she works.
    world.tell(CanonicalObject::Contact, ann, 2, &[("company_id", &group.to_string())]).await;
    assert_eq!(world.subjects(group, 1).await, ["Offer"]);
}

#[tokio::test]
async fn what_is_told_out_of_order_leaves_what_the_newest_version_said() {
    let world = world().await;
    let ann = record(1);
    world.tell(CanonicalObject::Contact, ann, 3, &[("email", "ann@new.example")]).await;
    world.tell(CanonicalObject::Contact, ann, 1, &[("email", "ann@old.example")]).await;
    world.tell(CanonicalObject::Contact, record(2), 1, &[("email", "last@told.example")]).await;
    world.knows(2).await;
    world.record_one(mail("m1", "To the old one", &["ann@old.example"])).await;
    world.record_one(mail("m2", "To the new one", &["ann@new.example"])).await;
    assert_eq!(world.subjects(ann, 1).await, ["To the new one"]);
}

#[tokio::test]
async fn free_mail_matches_people_but_no_company() {
    let world = world().await;
    let (ann, odd, odder) = (record(1), record(2), record(3));
    let settings =
        Settings { protected_days: 90, review_days: 90, free_domains: vec!["post.example".to_owned()] };
    world.client().set_settings(by("ann", settings)).await.unwrap();
    // Sent before anybody is known: what becomes known late is no different.
    world.record_one(mail("m0", "Early", &["ann@gmail.com", "bob@post.example"])).await;
    world.tell(CanonicalObject::Company, odd, 1, &[("domain", "gmail.com")]).await;
    world.tell(CanonicalObject::Company, odder, 1, &[("domain", "post.example")]).await;
    world.tell(CanonicalObject::Contact, ann, 1, &[("email", "ann@gmail.com")]).await;
    assert_eq!(world.subjects(ann, 1).await, ["Early"]);
    world.knows(3).await;
    let told = world.record_one(mail("m1", "Late", &["ann@gmail.com", "bob@post.example"])).await;
    assert_eq!(told.record_ids, [ann.to_string()]);
    for company in [odd, odder] {
        assert!(world.timeline("viewer", &company.to_string(), "").await.is_empty());
    }
}

#[tokio::test]
async fn an_activity_told_again_is_known_and_a_greater_version_replaces_it() {
    let world = world().await;
    let (ann, bob) = (record(1), record(2));
    world.tell(CanonicalObject::Contact, ann, 1, &[("email", "ann@acme.example")]).await;
    world.tell(CanonicalObject::Contact, bob, 1, &[("email", "bob@acme.example")]).await;
    world.knows(2).await;
    let first = world.record_one(mail("m1", "Call on Monday", &["ann@acme.example"])).await;
    let again = world.record_one(mail("m1", "Call on Friday", &["bob@acme.example"])).await;
    assert_eq!((again.outcome.as_str(), &again.id), ("known", &first.id));
    assert_eq!(again.record_ids, first.record_ids);
    let moved = NewActivity {
        version: 1,
        at: Some(proto::to_wire_time(noon() + SignedDuration::from_hours(1))),
        ..mail("m1", "Call on Tuesday", &["bob@acme.example"])
    };
    let moved = world.record_one(moved).await;
    assert_eq!((moved.outcome.as_str(), &moved.id), ("replaced", &first.id));
    assert_eq!(world.subjects(bob, 1).await, ["Call on Tuesday"]);
    assert!(world.timeline("viewer", &ann.to_string(), "").await.is_empty());
    assert!(world.timeline("viewer", &bob.to_string(), "monday").await.is_empty());
}

#[tokio::test]
async fn the_same_mail_told_by_eight_at_once_is_there_once() {
    let world = world().await;
    let ann = record(1);
    world.tell(CanonicalObject::Contact, ann, 1, &[("email", "ann@acme.example")]).await;
    world.knows(1).await;
    let batch = || (0..20).map(|number| mail(&format!("m{number}"), "Hello", &["ann@acme.example"]));
    let told = (0..8).map(|round| {
        let mut batch: Vec<NewActivity> = batch().collect();
        if round % 2 == 0 {
            batch.reverse();
        }
        world.record("ann", batch)
    });
    let answers = futures::future::join_all(told).await;
    let all = answers.into_iter().flat_map(Result::unwrap);
    assert_eq!(all.filter(|it| it.outcome == "new").count(), 20);
    assert_eq!(world.subjects(ann, 20).await.len(), 20);
}

#[tokio::test]
async fn a_contact_that_becomes_known_while_mails_come_misses_none() {
    let world = world().await;
    let told =
        (0..40).map(|number| world.record_one(mail(&format!("m{number}"), "Hello", &["ann@acme.example"])));
    let (_, ()) = tokio::join!(
        futures::future::join_all(told),
        world.tell(CanonicalObject::Contact, record(1), 1, &[("email", "ann@acme.example")])
    );
    world.subjects(record(1), 40).await;
}

#[tokio::test]
async fn a_deal_that_comes_to_another_stage_says_so_on_its_companys_timeline() {
    let world = world().await;
    let (deal, acme) = (record(1), record(2));
    world
        .tell(CanonicalObject::Deal, deal, 1, &[("company_id", &acme.to_string()), ("stage", "Offer")])
        .await;
    world.tell(CanonicalObject::Deal, deal, 2, &[("stage", "Won")]).await;
    for id in [deal, acme] {
        assert_eq!(world.subjects(id, 1).await, ["old → Won"]);
    }
    let told = Participant { email: "nobody".to_owned(), ..Participant::default() };
    let note = NewActivity {
        kind: "note".to_owned(),
        record_ids: vec![deal.to_string()],
        participants: vec![told],
        ..mail("n1", "Signed", &[])
    };
    let note = world.record_one(note).await;
    assert_eq!(note.record_ids.len(), 2, "{note:?}");
}

/// A mail of this many days after noon, with these.
fn after_days(days: i64, id: &str, people: &[&str]) -> NewActivity {
    let at = Some(proto::to_wire_time(noon() + SignedDuration::from_hours(24 * days)));
    NewActivity { at, ..mail(id, id, people) }
}

// R36
#[tokio::test]
async fn a_deals_timeline_shows_what_was_said_with_its_contact_or_company_until_it_is_closed() {
    let world = world().await;
    let (deal, of_ann, acme, ann) = (record(1), record(2), record(3), record(4));
    world.tell(CanonicalObject::Company, acme, 1, &[("domain", "acme.example")]).await;
    let fields = [("email", "ann@acme.example"), ("company_id", &acme.to_string())];
    world.tell(CanonicalObject::Contact, ann, 1, &fields).await;
    world
        .tell(CanonicalObject::Deal, deal, 1, &[("company_id", &acme.to_string()), ("status", "open")])
        .await;
    let fields = [("company_id", &*acme.to_string()), ("primary_contact_id", &ann.to_string())];
    world.tell(CanonicalObject::Deal, of_ann, 1, &fields).await;
    world.knows(7).await;
    let note = |id: &str, to| NewActivity {
        kind: "note".to_owned(),
        record_ids: vec![RecordId::to_string(&to)],
        ..after_days(3, id, &[])
    };
    let meeting = NewActivity { kind: "meeting".to_owned(), ..after_days(2, "met", &["bob@acme.example"]) };
    let news = vec![
        after_days(0, "early press", &["ann@acme.example"]),
        meeting,
        note("of the company", acme),
        note("of the deal", deal),
        after_days(9, "late", &["ann@acme.example", "bob@acme.example"]),
        after_days(9, "elsewhere", &["eve@other.example"]),
    ];
    world.record("ann", news).await.unwrap();
    // A note of the company is of no deal that it does not name.
    assert_eq!(world.subjects(deal, 4).await, ["late", "of the deal", "met", "early press"]);
    // With a contact of its own, what was said with that one is.
    assert_eq!(world.subjects(of_ann, 2).await, ["late", "early press"]);
    assert_eq!(world.timeline("viewer", &deal.to_string(), "press").await.len(), 1);
    assert!(world.timeline("other", &deal.to_string(), "").await.is_empty());
    // In pages, each once.
    let (mut page, mut found) = (String::new(), Vec::new());
    loop {
        let request =
            GetTimelineRequest { record_id: deal.to_string(), limit: 1, page, ..Default::default() };
        let answer = world.client().get_timeline(by("viewer", request)).await.unwrap().into_inner();
        found.extend(answer.activities.into_iter().map(|it| it.subject));
        page = answer.next_page;
        if page.is_empty() {
            break;
        }
    }
    assert_eq!(found, ["late", "of the deal", "met", "early press"]);
    // Closed on a day, it shows what was said up to that day; opened again, all.
    let day = (noon() + SignedDuration::from_hours(24 * 4)).to_string();
    let closed = [("status", "won"), ("actual_close_date", &day[..10])];
    world.tell(CanonicalObject::Deal, deal, 2, &closed).await;
    assert_eq!(world.subjects(deal, 3).await, ["of the deal", "met", "early press"]);
    assert!(world.timeline("viewer", &deal.to_string(), "late").await.is_empty());
    world.tell(CanonicalObject::Deal, deal, 3, &[("status", "open")]).await;
    world.subjects(deal, 4).await;
}

// R36: sibling products log what they know, of any kind.
#[tokio::test]
async fn every_kind_that_a_product_logs_is_on_the_timeline_and_any_other_is_refused() {
    let world = world().await;
    let deal = record(1);
    let kinds = ["email", "call", "meeting", "note", "stage_change", "ticket", "quote"];
    let logged = |kind: &str| NewActivity {
        kind: kind.to_owned(),
        source: "help-desk".to_owned(),
        record_ids: vec![deal.to_string()],
        url: format!("https://desk.example/{kind}/1"),
        ..mail(kind, kind, &["ann@acme.example"])
    };
    let told = world.record("ann", kinds.map(logged).into()).await.unwrap();
    assert!(told.iter().all(|it| it.outcome == "new" && it.record_ids == [deal.to_string()]), "{told:?}");
    let seen = world.timeline("viewer", &deal.to_string(), "").await;
    let mut of_kinds: Vec<&str> = seen.iter().map(|it| it.kind.as_str()).collect();
    of_kinds.sort_unstable();
    let mut expected = kinds;
    expected.sort_unstable();
    assert_eq!(of_kinds, expected);
    for kind in kinds {
        let request = GetTimelineRequest {
            record_id: deal.to_string(),
            kinds: vec![kind.to_owned()],
            ..Default::default()
        };
        let found = world.client().get_timeline(by("viewer", request)).await.unwrap().into_inner().activities;
        assert_eq!(found.len(), 1, "{kind}");
        assert_eq!((&*found[0].kind, &*found[0].url), (kind, &*format!("https://desk.example/{kind}/1")));
    }
    let refused =
        world.record("ann", vec![NewActivity { external_id: "x".to_owned(), ..logged("fax") }]).await;
    assert_eq!(code(refused), "kind_invalid");
    assert_eq!(code(world.record("viewer", vec![logged("ticket")]).await), "scope_missing");
}
