use bus::dead;
use serde_json::json;
use sqlx::Connection as _;

use crate::world::{SOON, message, organization, world};

#[tokio::test(flavor = "multi_thread")]
async fn every_message_of_the_streams_becomes_one_entry_of_a_whole_chain() {
    let world = world().await;
    let messages =
        [world.change(1), world.mapping("activated"), world.record(5, &[]), world.access("signed_in")];
    for message in &messages {
        world.bus.publish(message).await.unwrap();
    }
    let replica = world.replica().await;
    world.entries(4).await;
    let found = audit::verify(&world.pool, world.organization).await.unwrap();
    assert!(found.is_whole(), "{found:?}");
    assert_eq!(found.entries, 4);
    assert_eq!(audit::organizations(&world.pool).await.unwrap(), [world.organization]);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_append_to_the_same_chains_without_gaps_or_doubles() {
    let world = world().await;
    let organizations = [organization(1), organization(2), organization(3)];
    for chunk in 0..10_u64 {
        for organization in organizations {
            let batch: Vec<_> =
                (chunk * 100..chunk * 100 + 100).map(|i| world.change_of(organization, i)).collect();
            world.bus.publish_batch(&batch).await.unwrap();
        }
        world.bus.publish(&world.record(u128::from(chunk), &[])).await.unwrap();
    }
    let (one, two) = (world.replica().await, world.replica().await);
    world.entries(1_010).await;
    world.settled().await;
    for (organization, count) in organizations.into_iter().zip([1_010, 1_000, 1_000]) {
        let found = audit::verify(&world.pool, organization).await.unwrap();
        assert!(found.is_whole(), "{found:?}");
        assert_eq!(found.entries, count);
    }
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_twice_is_recorded_once() {
    let world = world().await;
    let first = world.replica().await;
    world.bus.publish(&world.change(1)).await.unwrap();
    world.entries(1).await;
    first.stop().await;
    // Another consumer buries this message and a second one; replayed, both come to the audit room again.
    world.bus.publish(&world.change(1).with_id("change-other")).await.unwrap();
    let mut other = world
        .bus
        .consumer(bus::ConsumerConfig { max_wait_ms: 300, ..bus::ConsumerConfig::new("CHANGES", "other") })
        .await
        .unwrap();
    let mut buried = 0;
    while buried < 2 {
        for delivery in other.next_batch().await.unwrap() {
            delivery.dead_letter("tried", "in a story").await.unwrap();
            buried += 1;
        }
    }
    let counts = dead::replay(&world.bus, &dead::Filter::default(), &dead::Selection::All).await.unwrap();
    assert_eq!(counts.done, 2);
    let second = world.replica().await;
    world.settled().await;
    let captured: i64 = sqlx::query_scalar("SELECT count(*) FROM entries WHERE action = 'change.captured'")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(captured, 2);
    assert!(audit::verify(&world.pool, world.organization).await.unwrap().is_whole());
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_among_new_messages_is_left_out_and_its_neighbours_are_recorded() {
    let world = world().await;
    let replica = world.replica().await;
    world.bus.publish(&world.change(1).with_id("same")).await.unwrap();
    world.entries(1).await;
    // The stream itself knows nothing of it: it keeps another one than that of changes.
    let batch = [world.record(1, &[]), world.record(2, &[]).with_id("same"), world.record(3, &[])];
    world.bus.publish_batch(&batch).await.unwrap();
    world.entries(3).await;
    world.settled().await;
    let same: i64 = sqlx::query_scalar("SELECT count(*) FROM entries WHERE event_id = 'same'")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(same, 1);
    let found = audit::verify(&world.pool, world.organization).await.unwrap();
    assert!(found.is_whole(), "{found:?}");
    assert_eq!(found.entries, 3);
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_an_entry_and_a_dead_letter_and_its_neighbours_go_on() {
    let world = world().await;
    let subject = bus::subject::change(&world.organization, "hubspot", "companies");
    let broken = message(subject, "change.captured", world.organization, &json!({ "connection": 4 }));
    world.bus.publish(&broken.clone().with_id("broken")).await.unwrap();
    world.bus.publish(&world.change(1)).await.unwrap();
    let replica = world.replica().await;
    world.entries(3).await;
    let actions: Vec<String> = sqlx::query_scalar("SELECT action FROM entries ORDER BY action")
        .fetch_all(&world.pool)
        .await
        .unwrap();
    assert_eq!(actions, ["change.captured", "dead_letter", "undecodable"]);
    let details: String = sqlx::query_scalar("SELECT details FROM entries WHERE action = 'dead_letter'")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert!(details.contains("audit_undecodable"), "{details}");
    let letters = dead::list(&world.bus, &dead::Filter::default(), 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (letters[0].reason.as_str(), letters[0].message_id.as_deref()),
        ("audit_undecodable", Some("broken"))
    );
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_that_cannot_be_read_does_not_go_round_in_circles() {
    let world = world().await;
    let replica = world.replica().await;
    let mut headers = world.change(1);
    headers.envelope.source = "x".into();
    world.bus.publish(&headers).await.unwrap();
    world.entries(1).await;
    let url: plain_nats::Url = plain_nats::parse(world.nats.url());
    plain_nats::publish_without_envelope(&url, "change.org_x.hubspot.companies").await;
    testkit::eventually(SOON, "the message without an envelope is a dead letter", || async {
        let letters = dead::list(&world.bus, &dead::Filter::default(), 10).await.ok()?;
        letters.iter().any(|letter| letter.reason == "envelope_invalid").then_some(())
    })
    .await;
    world.bus.publish(&world.change(2)).await.unwrap();
    world.entries(2).await;
    world.settled().await;
    let letters = dead::list(&world.bus, &dead::Filter::default(), 100).await.unwrap();
    assert!(letters.len() <= 2, "{}", letters.len());
    replica.stop().await;
}

/// A NATS client of a few lines: the SDK refuses to publish what this story needs.
mod plain_nats {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    pub(crate) struct Url {
        user: String,
        password: String,
        address: String,
    }

    pub(crate) fn parse(url: &str) -> Url {
        let rest = url.trim_start_matches("nats://");
        let (credentials, address) = rest.split_once('@').unwrap();
        let (user, password) = credentials.split_once(':').unwrap();
        Url { user: user.into(), password: password.into(), address: address.trim_end_matches('/').into() }
    }

    pub(crate) async fn publish_without_envelope(url: &Url, subject: &str) {
        let mut stream = TcpStream::connect(&url.address).await.unwrap();
        let connect = format!(
            "CONNECT {{\"user\":\"{}\",\"pass\":\"{}\",\"verbose\":false}}\r\nPUB {subject} 2\r\n{{}}\r\nPING\r\n",
            url.user, url.password
        );
        stream.write_all(connect.as_bytes()).await.unwrap();
        let mut seen = String::new();
        let mut buffer = [0; 4096];
        while !seen.contains("PONG") {
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(read > 0, "the server closed: {seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_survive_a_kill_and_the_rest_is_recorded_once() {
    let world = world().await;
    let batch = |from: u64| (from..from + 500).map(|i| world.change(i)).collect::<Vec<_>>();
    world.bus.publish_batch(&batch(0)).await.unwrap();
    let replica = world.replica().await;
    world.entries(500).await;
    world.bus.publish_batch(&batch(500)).await.unwrap();
    // The bus dies under it, and comes back with its data.
    world.nats.restart().await;
    world.bus.publish_batch(&batch(1_000)).await.unwrap();
    world.entries(1_500).await;
    replica.stop().await;
    let found = audit::verify(&world.pool, world.organization).await.unwrap();
    assert!(found.is_whole(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn recording_waits_for_a_database_that_is_killed() {
    let cluster = testkit::postgres_cluster().await;
    let nats = testkit::nats().await;
    let bus = bus::Bus::connect(nats.url(), bus::ConnectOptions::named("test")).await.unwrap();
    bus.ensure_streams().await.unwrap();
    let config = audit::Config::new(cluster.url());
    let pool = audit::open(&config).await.unwrap();
    let (shutdown, tasks) =
        (tokio_util::sync::CancellationToken::new(), tokio_util::task::TaskTracker::new());
    let deps = audit::Deps {
        bus: bus.clone(),
        guard: chassis::guard::Guard::new(
            tonic::transport::Endpoint::from_static("http://127.0.0.1:1").connect_lazy(),
        ),
        clock: std::sync::Arc::new(model::SystemClock),
        shutdown: shutdown.clone(),
        tasks: tasks.clone(),
    };
    audit::start(config, deps).await.unwrap();
    let subject = bus::subject::record(&organization(1), "deal");
    let one = move |i: u64| {
        message(subject.clone(), "deal.closed_won", organization(1), &json!({ "number": i }))
            .with_id(format!("m{i}"))
    };
    let count = || async {
        let count: Result<i64, _> = sqlx::query_scalar("SELECT count(*) FROM entries").fetch_one(&pool).await;
        count.ok()
    };
    let publishing = tokio::spawn({
        let bus = bus.clone();
        async move {
            for chunk in 0..400 {
                let batch: Vec<_> = (chunk * 20..chunk * 20 + 20).map(&one).collect();
                bus.publish_batch(&batch).await.unwrap();
            }
        }
    });
    // Transactions are cut off in the middle all the time, and four times the whole server is killed.
    let cutting = tokio::spawn(cut_off_transactions(pool.clone(), cluster.url().to_owned()));
    for round in 1..=4 {
        testkit::eventually(3 * SOON, "the flow goes on", || async {
            count().await.filter(|count| *count >= round * 1_000)
        })
        .await;
        cluster.kill().await;
        cluster.start().await;
    }
    cutting.abort();
    publishing.await.unwrap();
    testkit::eventually(3 * SOON, "all is recorded", || async {
        count().await.filter(|count| *count == 8_000)
    })
    .await;
    let found = audit::verify(&pool, organization(1)).await.unwrap();
    assert!(found.is_whole(), "{found:?}");
    shutdown.cancel();
    tasks.close();
    tasks.wait().await;
}

/// Ends the session of every transaction that it meets, as a failover would, each time that more was recorded.
async fn cut_off_transactions(pool: sqlx::PgPool, url: String) {
    let recorded =
        || async { sqlx::query_scalar::<_, i64>("SELECT count(*) FROM entries").fetch_one(&pool).await.ok() };
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE application_name = 'accord-audit' AND xact_start IS NOT NULL
               AND query NOT LIKE '%count(*)%'";
    loop {
        let there = || async { sqlx::PgConnection::connect(&url).await.ok() };
        let mut connection = testkit::eventually(3 * SOON, "the server is there", there).await;
        while sqlx::query(cut).execute(&mut connection).await.is_ok() {
            let before = recorded().await.unwrap_or_default();
            let more = || async { recorded().await.filter(|count| *count > before) };
            testkit::eventually(3 * SOON, "the flow goes on after a cut", more).await;
        }
    }
}
