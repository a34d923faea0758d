use std::{collections::BTreeMap, time::Duration};

use testkit::eventually;

use crate::world::{World, by, text};
use proto::sync as wire;

const RECORDS: usize = 200;
const ROUNDS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_share_the_work_and_no_change_is_lost_or_doubled() {
    let world = World::new().await;
    world.active("bidirectional", "crm_wins").await;
    let _other = world.start_replica().await;
    let mut newest = BTreeMap::new();
    let mut batch = Vec::new();
    for round in 0..ROUNDS {
        for record in 0..RECORDS {
            let id = format!("{}", (record * 7 + round * 31) % RECORDS);
            let phone = format!("{round}");
            let domain = format!("company-{id}.test");
            batch.push(
                world.edited(
                    &id,
                    &[("name", &format!("Company {id}")), ("domain", &domain), ("phone", &phone)],
                ),
            );
            newest.insert(id, phone);
        }
    }
    // Small batches in an order of their own, so that both replicas hold the same records at the same time.
    let half = batch.len() / 2;
    for (one, two) in batch[..half].chunks(40).zip(batch[half..].chunks(40)) {
        world.deliver(two).await;
        world.deliver(one).await;
    }
    let edits = async {
        for id in ["3", "77", "150"] {
            let found =
                eventually(Duration::from_secs(60), "a record to edit", || world.find("company", id)).await;
            world.edit(&found.id, &[("address_city", "Here")]).await;
        }
    };
    edits.await;
    world.settled().await;
    assert_eq!(world.query::<i64>("SELECT count(*) FROM records").await, RECORDS as i64, "no doubles");
    assert_eq!(
        world.query::<i64>("SELECT count(*) FROM links WHERE record_id IS NOT NULL").await,
        RECORDS as i64
    );
    let mismatched = "SELECT count(*) FROM records r WHERE version <> (SELECT count(*) FROM revisions v WHERE v.record_id = r.id)";
    assert_eq!(world.query::<i64>(mismatched).await, 0, "every version has its revision");
    assert_eq!(world.query::<i64>("SELECT count(*) FROM inbox WHERE consumer = 'sync-engine'").await, 2_001);
    for (id, phone) in &newest {
        let record = world.find("company", id).await.unwrap();
        assert_eq!(&text(&record, "phone"), phone, "record {id}");
    }
    let letters = bus::dead::list(&world.bus, &bus::dead::Filter::default(), 10).await.unwrap();
    assert_eq!(letters, []);
    let ask = wire::ListConflictsRequest::default();
    assert_eq!(world.api.clone().list_conflicts(by("viewer", ask)).await.unwrap().into_inner().conflicts, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_worked_off_by_several_batches_at_once_and_the_newest_stands() {
    const EACH: usize = 16;
    let world = World::new().await;
    world.active("bidirectional", "crm_wins").await;
    let change = |n: usize| {
        let id = (n % 150).to_string();
        let fields = [("domain", &*format!("company-{id}.test")), ("phone", &*n.to_string())];
        world.edited(&id, &fields)
    };
    let backlog: Vec<_> = (0..EACH * 150).map(change).collect();
    world.deliver(&backlog).await;
    world.settled().await;
    assert_eq!(world.query::<i64>("SELECT count(*) FROM records").await, 150, "no doubles");
    let mismatched = "SELECT count(*) FROM records r WHERE version <> (SELECT count(*) FROM revisions v WHERE v.record_id = r.id)";
    assert_eq!(world.query::<i64>(mismatched).await, 0, "every version has its revision");
    for id in 0..150 {
        let record = world.find("company", &id.to_string()).await.unwrap();
        assert_eq!(text(&record, "phone"), (150 * (EACH - 1) + id).to_string(), "record {id}");
    }
    let letters = bus::dead::list(&world.bus, &bus::dead::Filter::default(), 10).await.unwrap();
    assert_eq!(letters, []);
    assert_eq!(world.conflicts().await, []);
}
