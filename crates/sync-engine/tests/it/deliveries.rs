use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bus::{Message, dead, subject};
use model::{ChangeEvent, ChangeKind, kind};
use testkit::eventually;
use tokio::net::TcpListener;
use tracing_subscriber::fmt::MakeWriter;

use crate::world::{SOON, World, text, texts};

/// Counts how often the consumer says that it tries its batch again.
#[derive(Clone, Default)]
struct Tries(Arc<AtomicUsize>);

impl Write for Tries {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let again = String::from_utf8_lossy(line).contains("consumer: it is tried again");
        self.0.fetch_add(usize::from(again), Ordering::Relaxed);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Tries {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn deleted(world: &World, id: &str) -> ChangeEvent {
    ChangeEvent { kind: ChangeKind::Deleted, ..world.edited(id, &[]) }
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_out_of_order_and_doubled_end_in_the_newest_state() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    let history: Vec<ChangeEvent> =
        (0..6).map(|n| world.edited("1", &[("name", &format!("Name {n}")), ("phone", "1")])).collect();
    for order in [[4, 1, 5, 0], [2, 5, 3, 1]] {
        for which in order {
            world.deliver(std::slice::from_ref(&history[which])).await;
        }
    }
    world.settled().await;
    let record = world.find("company", "1").await.unwrap();
    assert_eq!(text(&record, "name"), "Name 5");
    assert_eq!(record.version, 2, "created by the fourth, changed by the fifth, and by nothing else");
    assert_eq!(world.conflicts().await, []);
    assert_eq!(world.writes(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_cannot_be_decoded_is_a_dead_letter_and_its_neighbours_go_on() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    let organization = world.organization();
    let subject = subject::change(&organization, "hubspot", "companies");
    let garbage = serde_json::json!({ "connection": 5 });
    let now = model::Clock::now(&world.clock);
    let message = |kind: &str, body: &serde_json::Value| {
        Message::json(subject.clone(), kind, "connector/hubspot", organization, now, body).unwrap()
    };
    world.deliver(&[world.edited("1", &[("name", "Before")])]).await;
    world.bus.publish(&message(kind::CHANGE, &garbage)).await.unwrap();
    world.bus.publish(&message("change.of_tomorrow", &garbage)).await.unwrap();
    world.deliver(&[world.edited("2", &[("name", "After")])]).await;
    world.company_with("1", "name", "Before").await;
    world.company_with("2", "name", "After").await;
    let letter = eventually(SOON, "a dead letter", || async {
        dead::list(&world.bus, &dead::Filter::default(), 10).await.unwrap().pop()
    })
    .await;
    assert_eq!((letter.reason.as_str(), letter.consumer.as_str()), ("change_undecodable", "sync-engine"));
    assert_eq!(letter.organization, Some(organization));
    world.settled().await;
    let letters = dead::list(&world.bus, &dead::Filter::default(), 10).await.unwrap();
    assert_eq!(letters.len(), 1, "a fact for somebody else is none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_detaches_and_a_restoration_links_again() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "1")])]).await;
    let record = world.company_with("1", "name", "One").await;
    let gone = deleted(&world, "1");
    world.deliver(std::slice::from_ref(&gone)).await;
    world.settled().await;
    let detached = world.get(&record.id).await;
    assert_eq!((detached.links[0].state.as_str(), text(&detached, "name").as_str()), ("detached", "One"));
    world.edit(&record.id, &[("name", "Uno")]).await;
    world.settled().await;
    assert_eq!(world.writes(), [], "nothing is written to a deleted record");
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "2")])]).await;
    let relinked = world.company_with("1", "phone", "2").await;
    assert_eq!(relinked.id, record.id);
    assert_eq!(text(&relinked, "name"), "Uno", "the edit made meanwhile stands");
    let write = world.write(0).await;
    assert_eq!(write.fields, crate::world::texts(&[("name", "Uno")]), "and is written now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_overtakes_its_record_keeps_it_away() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    let made = world.edited("1", &[("name", "Gone")]);
    world.deliver(&[deleted(&world, "1")]).await;
    world.deliver(&[made]).await;
    world.deliver(&[world.edited("2", &[("name", "There")])]).await;
    world.company_with("2", "name", "There").await;
    assert_eq!(world.find("company", "1").await, None);
    world.deliver(&[world.edited("1", &[("name", "Restored")])]).await;
    world.company_with("1", "name", "Restored").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_the_vendor_merged_are_detached_from_the_lost_ids() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    world.deliver(&[world.edited("1", &[("name", "One")]), world.edited("2", &[("name", "Two")])]).await;
    let two = world.company_with("2", "name", "Two").await;
    let merged = ChangeEvent { merged_ids: vec!["2".to_owned()], ..world.edited("1", &[("name", "Both")]) };
    world.deliver(&[merged]).await;
    world.company_with("1", "name", "Both").await;
    assert_eq!(world.get(&two.id).await.links[0].state, "detached");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_bus_loses_nothing() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    world.deliver(&[world.edited("1", &[("name", "One"), ("phone", "1")])]).await;
    let record = world.company_with("1", "name", "One").await;
    world.nats.kill().await;
    world.edit(&record.id, &[("phone", "2")]).await;
    world.nats.start().await;
    let write = world.write(0).await;
    assert_eq!(write.fields, crate::world::texts(&[("phone", "2")]));
    world.applied(&write, "1").await;
    world.deliver(&[world.edited("1", &[("name", "Uno"), ("phone", "2")])]).await;
    world.company_with("1", "name", "Uno").await;
    assert_eq!(world.writes().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_database_loses_nothing_and_makes_no_dead_letters() {
    let tries = Tries::default();
    let logs = tracing_subscriber::fmt().with_ansi(false).with_writer(tries.clone());
    logs.init();
    let cluster = testkit::postgres_cluster().await;
    let world = World::on(cluster.url().to_owned(), None).await;
    world.connect(world.connection, &crate::world::hubspot()).await;
    world.active("bidirectional", "newest_wins").await;
    let before: Vec<ChangeEvent> =
        (0..200).map(|n| world.edited(&n.to_string(), &[("name", &format!("Before {n}"))])).collect();
    world.deliver(&before).await;
    cluster.kill().await;
    let after: Vec<ChangeEvent> =
        (100..300).map(|n| world.edited(&n.to_string(), &[("name", &format!("After {n}"))])).collect();
    world.deliver(&after).await;
    // Whoever connects is hung up on, so that a try ends at once.
    let address = cluster.url().split(['@', '/']).nth(3).unwrap().to_owned();
    let listener = TcpListener::bind(&address).await.unwrap();
    let hanging_up = tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            drop(connection);
        }
    });
    let often = || async { (tries.0.load(Ordering::Relaxed) > 10).then_some(()) };
    eventually(SOON, "the batch to be tried more than ten times", often).await;
    hanging_up.abort();
    assert!(hanging_up.await.unwrap_err().is_cancelled());
    cluster.start().await;
    world.company_with("299", "name", "After 299").await;
    world.settled().await;
    assert_eq!(text(&world.find("company", "0").await.unwrap(), "name"), "Before 0");
    assert_eq!(text(&world.find("company", "100").await.unwrap(), "name"), "After 100");
    assert_eq!(world.query::<i64>("SELECT count(*) FROM records").await, 300);
    assert_eq!(dead::list(&world.bus, &dead::Filter::default(), 10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_moves_no_version_is_taken_and_so_is_its_way_back() {
    let world = World::new().await;
    world.active("bidirectional", "newest_wins").await;
    let one = world.edited("1", &[("name", "One"), ("phone", "1")]);
    world.deliver(std::slice::from_ref(&one)).await;
    world.company_with("1", "phone", "1").await;
    for phone in ["2", "1"] {
        world.later();
        let moved = ChangeEvent { fields: texts(&[("name", "One"), ("phone", phone)]), ..one.clone() };
        world.deliver(&[moved]).await;
        world.company_with("1", "phone", phone).await;
    }
    world.settled().await;
    assert_eq!(world.writes(), []);
    assert_eq!(world.conflicts().await.len(), 0);
}
