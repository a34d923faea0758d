//! Timelines are read page by page, by kinds and by words, and quickly.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use model::RecordId;
use proto::crm::{ActivityRequest, GetTimelineRequest, NewActivity};
use uuid::Uuid;

use crate::world::{World, by, code, mail, noon, world};

fn acme() -> String {
    RecordId::from_uuid(Uuid::from_u128(0x77)).to_string()
}

/// A mail of this many minutes after noon.
fn at_minute(number: i64, subject: &str) -> NewActivity {
    NewActivity {
        at: Some(proto::to_wire_time(noon() + SignedDuration::from_mins(number))),
        record_ids: vec![acme()],
        ..mail(&format!("m{number}"), subject, &["ann@acme.example"])
    }
}

async fn pages(world: &World, request: GetTimelineRequest) -> Vec<Vec<String>> {
    let (mut page, mut found) = (String::new(), Vec::new());
    loop {
        let request = GetTimelineRequest { page, ..request.clone() };
        let answer = world.client().get_timeline(by("viewer", request)).await.unwrap().into_inner();
        found.push(answer.activities.into_iter().map(|it| it.external_id).collect());
        page = answer.next_page;
        if page.is_empty() {
            return found;
        }
    }
}

fn of_acme() -> GetTimelineRequest {
    GetTimelineRequest { record_id: acme(), limit: 3, ..GetTimelineRequest::default() }
}

#[tokio::test]
async fn pages_are_newest_first_and_lead_through_all_once_even_within_one_moment() {
    let world = world().await;
    let mut news: Vec<NewActivity> = (0..5).map(|number| at_minute(number, "Hello")).collect();
    // Four of the same moment.
    for number in 5..9 {
        news.push(NewActivity { at: at_minute(2, "").at, ..at_minute(number, "Hello") });
    }
    world.record("ann", news).await.unwrap();
    let found = pages(&world, of_acme()).await;
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 3]);
    let all: Vec<String> = found.concat();
    assert_eq!(
        (&all[..2], &all[7..]),
        (&["m4", "m3"].map(String::from)[..], &["m1", "m0"].map(String::from)[..])
    );
    let mut sorted = all.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), 9);
}

#[tokio::test]
async fn kinds_and_words_choose_and_words_are_found_in_texts_subjects_and_people() {
    let world = world().await;
    let mut call = at_minute(1, "About the Prüfstand");
    call.kind = "call".to_owned();
    let note =
        NewActivity { kind: "note".to_owned(), body: "the blue press".to_owned(), ..at_minute(2, "Note") };
    let elsewhere = NewActivity { record_ids: Vec::new(), ..at_minute(3, "press release") };
    world.record("ann", vec![at_minute(0, "Hello"), call, note, elsewhere]).await.unwrap();
    let of = |kinds: &[&str], query: &str| {
        let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let request = GetTimelineRequest { kinds, query: query.to_owned(), ..of_acme() };
        let world = &world;
        async move { pages(world, request).await.concat() }
    };
    assert_eq!(of(&["call", "note"], "").await, ["m2", "m1"]);
    assert_eq!(of(&[], "prüfstand").await, ["m1"]);
    assert_eq!(of(&[], "PRESS blue").await, ["m2"]);
    assert_eq!(of(&["call"], "press").await, Vec::<String>::new());
    assert_eq!(of(&[], "\"press blue\"").await, Vec::<String>::new());
    assert_eq!(of(&[], "hello -acme").await, Vec::<String>::new());
    assert_eq!(of(&[], "ann@acme.example hello").await, ["m0"]);
    assert_eq!(of(&[], "acme hello").await, ["m0"]);
    // Whatever it is, it is no error.
    for odd in ["'", "a:* & | !", "\\", "\"", "()", "-", "<->", "'; DROP TABLE activities; --"] {
        of(&[], odd).await;
    }
}

#[tokio::test]
async fn a_page_of_a_company_with_fifty_thousand_activities_comes_from_its_index() {
    let world = world().await;
    sqlx::raw_sql(
        "WITH made AS (
             INSERT INTO activities SELECT gen_random_uuid(), '00000000-0000-0000-0000-000000000001', 'bulk', n::text, 0,
                 CASE WHEN n % 5000 = 0 THEN 'call' ELSE 'email' END, 'inbound',
                 timestamptz '2026-01-01' + n * interval '1 minute', 'Subject ' || n, repeat('some text ', 40), '', '',
                 0, 'test', now(),
                 to_tsvector('simple', 'subject common rare' || n % 1000)
                     || array_to_tsvector(ARRAY[(CASE WHEN n <= 50000 THEN '00000000-0000-0000-0000-000000000077'
                                                 ELSE '00000000-0000-0000-0000-000000000078' END)])
             FROM generate_series(1, 60000) AS n RETURNING id, organization, kind, at, external_id)
         INSERT INTO concerns
         SELECT id, CASE WHEN external_id::int <= 50000 THEN '00000000-0000-0000-0000-000000000077'::uuid
                    ELSE '00000000-0000-0000-0000-000000000078'::uuid END, organization, false, kind, at FROM made;
         ANALYZE activities; ANALYZE concerns;",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let timed = |request: GetTimelineRequest| {
        let world = &world;
        async move {
            let mut best = Duration::MAX;
            let mut count = 0;
            for _ in 0..7 {
                let begun = Instant::now();
                let answer = world.client().get_timeline(by("viewer", request.clone())).await.unwrap();
                best = best.min(begun.elapsed());
                count = answer.into_inner().activities.len();
            }
            (best, count)
        }
    };
    let page = GetTimelineRequest { record_id: acme(), limit: 50, ..GetTimelineRequest::default() };
    let calls = GetTimelineRequest { kinds: vec!["call".to_owned()], ..page.clone() };
    let rare = GetTimelineRequest { query: "rare7".to_owned(), ..page.clone() };
    let common = GetTimelineRequest { query: "common".to_owned(), ..page.clone() };
    for (what, request, expected) in
        [("page", &page, 50), ("calls", &calls, 10), ("rare", &rare, 50), ("common", &common, 50)]
    {
        let (best, count) = timed(request.clone()).await;
        assert_eq!(count, expected, "{what}");
        // A common word gathers all that have it before it sorts them. Unoptimized, on a busy machine.
        let most = if what == "common" { 1_000 } else { 150 };
        assert!(best < Duration::from_millis(most), "{what}: {best:?}");
        println!("{what}: {best:?}");
    }
    let plan: Vec<String> = sqlx::query_scalar(
        "EXPLAIN SELECT activity, at FROM concerns
         WHERE organization = '00000000-0000-0000-0000-000000000001'
           AND record = '00000000-0000-0000-0000-000000000077' AND (at, activity) < (now(), gen_random_uuid())
           AND kind = ANY(ARRAY['email', 'call'])
         ORDER BY at DESC, activity DESC LIMIT 51",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("concerns_timeline") && !plan.contains("Sort"), "{plan}");
}

#[tokio::test]
async fn the_whole_of_a_long_text_is_told_to_whoever_asks_for_the_one_activity() {
    let world = world().await;
    let body = "It was a long talk. ".repeat(1_000);
    let long = NewActivity { body: body.clone(), ..at_minute(1, "A talk") };
    let id = world.record("ann", vec![long]).await.unwrap().remove(0).id;
    let listed = world.timeline("viewer", &acme(), "").await.remove(0);
    assert!(listed.has_more_text && listed.preview.len() < body.len());
    let ask = |id: &str| ActivityRequest { id: id.to_owned() };
    let told = world.client().get_activity(by("viewer", ask(&id))).await.unwrap().into_inner();
    assert_eq!((told.body.as_str(), told.activity), (body.trim(), Some(listed)));
    // Another organization has no such activity, and no other id names one.
    for (who, id) in [("other", id.as_str()), ("viewer", "act_1"), ("viewer", &acme())] {
        assert_eq!(code(world.client().get_activity(by(who, ask(id))).await), "activity_not_found");
    }
}
