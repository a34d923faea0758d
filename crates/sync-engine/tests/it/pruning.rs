use crate::world::{SOON, World, text};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_for_its_time_is_forgotten_and_what_waits_is_not() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    let bad = |n: &str| world.edited(n, &[("name", "Bad"), ("numberofemployees", "many")]);
    world.deliver(&[bad("1"), bad("2")]).await;
    world.company_with("2", "name", "Bad").await;
    world.deliver(&[world.edited("2", &[("name", "Good"), ("numberofemployees", "2")])]).await;
    let record = world.company_with("2", "employee_count", "2").await;
    world.settled().await;
    assert_eq!(world.query::<i64>("SELECT count(*) FROM issues").await, 2);
    world.clock.advance(std::time::Duration::from_secs(91 * 86_400));
    let _replica = world.start_replica().await;
    testkit::eventually(SOON, "the old to be forgotten", || async {
        let activity: i64 = world.query("SELECT count(*) FROM activity").await;
        let issues: i64 = world.query("SELECT count(*) FROM issues").await;
        (activity == 0 && issues == 1).then_some(())
    })
    .await;
    assert_eq!(world.issues().await.len(), 1, "what waits for somebody stays");
    assert!(world.query::<i64>("SELECT count(*) FROM revisions").await >= 3, "and so does history");
    assert_eq!(text(&world.get(&record.id).await, "name"), "Good");
}
