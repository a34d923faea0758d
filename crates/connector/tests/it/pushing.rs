//! A vendor tells at an address of ours that a feed has something new, and the feed is read at once. Polling is a week away in
//! these stories (R36, R251).

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use chassis::guard::stable_code;
use model::{ActivityTold, ConnectionId, kind};
use proto::connections::{FeedArrival, ReceiveRequest};
use serde_json::{Value, json};
use testkit::eventually;
use tonic::Code;

use crate::{
    acme::{Fault, PUSHING, Watched},
    world::{Replica, SOON, World, about},
};

/// What the vendor posts: of a watch, with its secret, what it tells.
fn notice(watch: &Watched, heard: &str) -> Value {
    json!({"watch": watch.id, "secret": watch.secret, "heard": heard})
}

fn to(watch: &Watched, query: &str, body: &str) -> ReceiveRequest {
    let id = watch.address.strip_prefix("http://api.test/push/acme/").unwrap();
    ReceiveRequest {
        vendor: "acme".into(),
        watch: id.to_owned(),
        query: query.to_owned(),
        body: body.into(),
        ..ReceiveRequest::default()
    }
}

impl Replica {
    /// The vendor tells something at the address of a watch; the answer's text, or why it is refused.
    async fn tell(&self, watch: &Watched, told: &[Value]) -> Result<String, (Code, String)> {
        self.post(to(watch, "", &json!(told).to_string())).await
    }

    async fn post(&self, request: ReceiveRequest) -> Result<String, (Code, String)> {
        match self.api.clone().receive(request).await {
            Ok(answer) => Ok(answer.into_inner().text),
            Err(status) => Err((status.code(), stable_code(&status).unwrap_or_default().to_owned())),
        }
    }

    async fn arrival(&self, id: ConnectionId, feed: &str) -> Option<FeedArrival> {
        let progress = self.api.clone().get_progress(about("viewer", id)).await.unwrap().into_inner();
        progress.feeds.into_iter().find(|found| found.feed == feed).unwrap().arrival
    }

    async fn wait_for_arrival(&self, id: ConnectionId, state: &str, words: &str) -> FeedArrival {
        eventually(SOON, &format!("the inbox to be {state}: {words}"), || async {
            let arrival = self.arrival(id, "inbox").await?;
            (arrival.state == state && arrival.message.contains(words)).then_some(arrival)
        })
        .await
    }
}

impl World {
    /// The vendor's only watch of the inbox, once there is one that fits.
    async fn watch(&self, fits: impl Fn(&Watched) -> bool) -> Watched {
        eventually(SOON, "one watch", || async {
            let [watch] = <[Watched; 1]>::try_from(self.acme.watched("inbox")).ok()?;
            fits(&watch).then_some(watch)
        })
        .await
    }

    fn is_told(&self, id: &str) -> bool {
        self.all::<ActivityTold>(kind::ACTIVITY_TOLD).iter().any(|told| told.external_id == id)
    }

    async fn wait_until_told(&self, id: &str) {
        eventually(SOON, "a mail on the bus", || async { self.is_told(id).then_some(()) }).await;
    }

    /// Waits until whatever connecting and watching made the reader do is done.
    async fn settled(&self) -> usize {
        eventually(SOON, "no more readings", || async { (self.calls_at_rest(400).await).then_some(()) })
            .await;
        self.acme.calls("/feed").len()
    }

    async fn calls_at_rest(&self, for_ms: u64) -> bool {
        let calls = self.acme.calls("/feed").len();
        tokio::time::sleep(Duration::from_millis(for_ms)).await;
        self.acme.calls("/feed").len() == calls
    }
}

#[tokio::test]
async fn what_is_told_to_any_replica_is_read_at_once_though_polling_is_a_week_away() {
    let world = World::new(PUSHING).await;
    let mut config = world.config();
    // Nobody looks by itself whether something was told.
    config.watch_interval = Duration::from_secs(3_600);
    let (mut one, other) = (world.start_with(config.clone()).await, world.start_with(config).await);
    let id = one.connect(&world.acme).await;
    let watch = world.watch(|_| true).await;
    assert!(watch.address.starts_with("http://api.test/push/acme/"), "{}", watch.address);
    let arrival = one.wait_for_arrival(id, "pushed", "").await;
    assert!(arrival.since.is_some() && arrival.message.is_empty());
    assert!(one.arrival(id, "sent").await.is_none(), "of this feed the vendor tells nothing");
    world.settled().await;
    for replica in [&one, &other] {
        let mail = world.acme.mail("inbox", json!({"subject": "News"}));
        assert_eq!(replica.tell(&watch, &[notice(&watch, "changed")]).await, Ok(String::new()));
        world.wait_until_told(&mail).await;
    }
    assert!(one.arrival(id, "inbox").await.unwrap().pushed_at.is_some());
    assert_eq!(world.acme.lock().watches.made, 1, "one replica alone asks");
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn what_is_forged_or_of_no_watch_is_refused_and_nothing_is_read() {
    let world = World::new(PUSHING).await;
    let mut replica = world.start().await;
    replica.connect(&world.acme).await;
    let watch = world.watch(|_| true).await;
    let readings = world.settled().await;
    let with = |name: &str, value: &str| {
        let mut notice = notice(&watch, "changed");
        notice[name] = json!(value);
        notice
    };
    let forged = (Code::Unauthenticated, "secret_invalid".to_owned());
    let cut = &watch.secret[..watch.secret.len() - 1];
    for notice in
        [with("secret", ""), with("secret", cut), with("secret", "guessed"), with("watch", "watch-9")]
    {
        assert_eq!(
            replica.tell(&watch, std::slice::from_ref(&notice)).await,
            Err(forged.clone()),
            "{notice}"
        );
    }
    let unreadable = replica.post(to(&watch, "", "{")).await;
    assert_eq!(unreadable, Err((Code::InvalidArgument, "body_invalid".to_owned())));
    assert_eq!(replica.tell(&watch, &[]).await, Err((Code::InvalidArgument, "body_invalid".to_owned())));
    let unknown = Err((Code::NotFound, "watch_unknown".to_owned()));
    for id in ["018f0000-0000-7000-8000-000000000000", "nothing", "%00"] {
        let request = ReceiveRequest { watch: id.into(), ..to(&watch, "", "[]") };
        assert_eq!(replica.post(request).await, unknown, "{id}");
        let request = ReceiveRequest { watch: id.into(), ..to(&watch, "hello=friend", "") };
        assert_eq!(replica.post(request).await, unknown, "nobody else's address is ours");
    }
    let of_another = ReceiveRequest { vendor: "hubspot".into(), ..to(&watch, "", "[]") };
    assert_eq!(replica.post(of_another).await.unwrap_err().0, Code::NotFound);
    assert!(world.calls_at_rest(300).await && world.acme.calls("/feed").len() == readings, "it was read");
    // One that is genuine among forged ones counts, and a handshake is answered where somebody was asked to tell.
    let mail = world.acme.mail("inbox", json!({"subject": "News"}));
    let told = [with("secret", "guessed"), notice(&watch, "changed")];
    assert_eq!(replica.tell(&watch, &told).await, Ok(String::new()));
    world.wait_until_told(&mail).await;
    assert_eq!(replica.post(to(&watch, "hello=friend", "")).await, Ok("friend".to_owned()));
    let stored: String = world.query("SELECT string_agg(watches::text, '') FROM watches").await;
    assert!(!stored.contains(&watch.secret), "the secret is stored");
    replica.stop().await;
}

#[tokio::test]
async fn a_hundred_repeats_are_a_few_readings_and_nothing_is_told_twice() {
    let world = World::new(PUSHING).await;
    let mut config = world.config();
    let pause = Duration::from_millis(500);
    config.poll_interval_min = pause;
    let mut replica = world.start_with(config).await;
    replica.connect(&world.acme).await;
    let watch = world.watch(|_| true).await;
    let before = world.settled().await;
    let began = Instant::now();
    let mails = world.acme.mails("inbox", 20);
    for _ in 0..100 {
        replica.tell(&watch, &[notice(&watch, "changed"), notice(&watch, "begun")]).await.unwrap();
    }
    for mail in &mails {
        world.wait_until_told(mail).await;
    }
    let after = world.settled().await;
    let most = 4 + began.elapsed().as_millis() / pause.as_millis();
    assert!((after - before) as u128 <= most, "{} readings, not {most}", after - before);
    let told: Vec<ActivityTold> = world.all(kind::ACTIVITY_TOLD);
    let ids: HashSet<&str> = told.iter().map(|told| told.external_id.as_str()).collect();
    assert_eq!((told.len(), ids.len()), (20, 20));
    replica.stop().await;
}

#[tokio::test]
async fn a_watch_is_renewed_before_it_ends_and_stays_where_it_is() {
    let world = World::new(PUSHING).await;
    // Half of it is time enough to renew it, also where much else is going on.
    world.acme.lock().watches.life_ms = 8_000;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    let first = world.watch(|_| true).await;
    let renewed = world.watch(|watch| watch.renewed >= 2).await;
    assert_eq!((&renewed.id, &renewed.address), (&first.id, &first.address));
    let since = replica.wait_for_arrival(id, "pushed", "").await.since;
    let mail = world.acme.mail("inbox", json!({"subject": "News"}));
    replica.tell(&first, &[notice(&first, "changed")]).await.unwrap();
    world.wait_until_told(&mail).await;
    assert_eq!(replica.arrival(id, "inbox").await.unwrap().since, since, "it is pushed since then");
    // It says itself that it ends, long before its time.
    world.acme.lock().watches.life_ms = 3 * 24 * 3_600_000;
    let long = world.watch(|watch| watch.renewed > renewed.renewed).await;
    replica.tell(&first, &[notice(&first, "ending")]).await.unwrap();
    world.watch(|watch| watch.renewed > long.renewed).await;
    assert_eq!(world.acme.lock().watches.made, 1);
    replica.stop().await;
}

#[tokio::test]
async fn where_none_is_prolonged_another_one_takes_its_place_before_it_ends() {
    let world = World::new(PUSHING).await;
    {
        let mut inner = world.acme.lock();
        inner.watches.prolongs = false;
        inner.watches.proves = false;
        inner.watches.life_ms = 8_000;
    }
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    let first = world.watch(|_| true).await;
    replica.wait_for_arrival(id, "polled", "nothing has arrived from it yet").await;
    replica.tell(&first, &[notice(&first, "begun")]).await.unwrap();
    replica.wait_for_arrival(id, "pushed", "").await;
    world.acme.lock().watches.life_ms = 3 * 24 * 3_600_000;
    let next = world.watch(|watch| watch.id != first.id).await;
    assert!(next.made_ms < first.ends_ms, "for a while nobody told anything");
    assert_ne!((&next.secret, &next.address), (&first.secret, &first.address));
    let stale = eventually(SOON, "the old one to be forgotten", || async {
        replica.tell(&first, &[notice(&first, "changed")]).await.err()
    });
    assert_eq!(stale.await, (Code::NotFound, "watch_unknown".to_owned()));
    let mail = world.acme.mail("inbox", json!({"subject": "News"}));
    replica.tell(&next, &[notice(&next, "changed")]).await.unwrap();
    world.wait_until_told(&mail).await;
    replica.stop().await;
}

#[tokio::test]
async fn a_watch_that_the_vendor_ended_or_forgot_is_made_anew_and_what_was_missed_is_read() {
    let world = World::new(PUSHING).await;
    let mut replica = world.start().await;
    replica.connect(&world.acme).await;
    let first = world.watch(|_| true).await;
    world.settled().await;
    // It says so, after something happened of which it told nothing.
    world.acme.forget_watches();
    let missed = world.acme.mail("inbox", json!({"subject": "Missed"}));
    replica.tell(&first, &[notice(&first, "ended")]).await.unwrap();
    world.wait_until_told(&missed).await;
    let second = world.watch(|watch| watch.id != first.id).await;
    // It says nothing, and is found out when it is renewed.
    world.settled().await;
    world.acme.forget_watches();
    let missed = world.acme.mail("inbox", json!({"subject": "Missed too"}));
    let tried = eventually(SOON, "the first to be unknown", || async {
        replica.tell(&first, &[notice(&first, "ending")]).await.err()
    });
    assert_eq!(tried.await.0, Code::NotFound);
    replica.tell(&second, &[notice(&second, "ending")]).await.unwrap();
    world.watch(|watch| watch.id != second.id).await;
    world.wait_until_told(&missed).await;
    replica.stop().await;
}

#[tokio::test]
async fn a_refused_wish_is_told_in_words_while_it_is_polled_and_made_again() {
    let world = World::new(PUSHING).await;
    let mut config = world.config();
    config.feed_intervals.insert("acme".to_owned(), Duration::from_millis(100));
    world.acme.lock().faults.extend((0..3).map(|_| ("/watches", Fault::Status(403))));
    let mut replica = world.start_with(config).await;
    let id = replica.connect(&world.acme).await;
    replica.wait_for_arrival(id, "polled", "403").await;
    let mail = world.acme.mail("inbox", json!({"subject": "News"}));
    world.wait_until_told(&mail).await;
    assert_eq!(replica.get(id).await.state, "active", "nothing is wrong with the connection");
    replica.wait_for_arrival(id, "pushed", "").await;
    let left: i64 = world.query("SELECT count(*) FROM watches").await;
    assert_eq!(left, 1, "what was refused is forgotten");
    replica.stop().await;
}

#[tokio::test]
async fn what_was_told_while_nobody_could_say_so_is_read_soon() {
    let world = World::new(PUSHING).await;
    let mut replica = world.start().await;
    replica.connect(&world.acme).await;
    world.watch(|_| true).await;
    world.settled().await;
    let mail = world.acme.mail("inbox", json!({"subject": "News"}));
    // As a replica leaves it that ends between the note and the hint.
    let noted: i32 = world.query("UPDATE watches SET pushed_at = now() RETURNING 1").await;
    assert_eq!(noted, 1);
    world.wait_until_told(&mail).await;
    replica.stop().await;
}

#[tokio::test]
async fn disconnecting_ends_the_watch_and_what_is_told_after_it_is_refused() {
    let world = World::new(PUSHING).await;
    let mut replica = world.start().await;
    let id = replica.connect(&world.acme).await;
    let watch = world.watch(|_| true).await;
    let agreed = "SELECT count(*) FROM watches WHERE external_id IS NOT NULL";
    eventually(SOON, "its answer to be stored", || async {
        (world.query::<i64>(agreed).await == 1).then_some(())
    })
    .await;
    replica.api.disconnect(about("owner", id)).await.unwrap();
    assert!(world.acme.watched("inbox").is_empty(), "the vendor was not asked to end it");
    let refused = replica.tell(&watch, &[notice(&watch, "changed")]).await;
    assert_eq!(refused, Err((Code::NotFound, "watch_unknown".to_owned())));
    assert_eq!(world.query::<i64>("SELECT count(*) FROM watches").await, 0);
    assert_eq!(world.query::<i64>("SELECT count(*) FROM arrivals").await, 0);
    // Whoever connects again is told again, elsewhere.
    assert_eq!(replica.connect(&world.acme).await, id);
    let again = world.watch(|_| true).await;
    assert_ne!((&again.address, &again.secret), (&watch.address, &watch.secret));
    replica.stop().await;
}
