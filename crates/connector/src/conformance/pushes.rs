use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ::http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, sleep},
};
use url::Url;
use uuid::Uuid;

use super::{Driver, Subject, went_well};
use crate::{Connector, ErrorKind, Heard, Notice, Push, Pushed, Watch, WatchWish};

/// How long a vendor that was asked to be quiet is listened to.
const QUIET: Duration = Duration::from_millis(500);
const SECRET: &str = "qgXvnmZkBv3mLQeMNeJ1X6XG6E9cV4uT2wYh0s5pRkA";

/// An address that takes what the vendor pushes, as the gateway does.
struct Door {
    address: Url,
    heard: Arc<Mutex<Vec<Notice>>>,
    task: JoinHandle<()>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Door {
    async fn open(connector: &Arc<dyn Connector>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let bound = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = bound.unwrap_or_else(|error| panic!("no port to listen at: {error}"));
        let address = Url::parse(&format!("http://{address}/push/{}", connector.vendor().name));
        let address = address.unwrap_or_else(|error| panic!("no address: {error}"));
        let heard = Arc::default();
        let task = tokio::spawn(serve(listener, Arc::clone(connector), Arc::clone(&heard)));
        Self { address, heard, task }
    }

    fn heard(&self) -> Vec<Notice> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often it was told of something new, of this watch and with the secret.
    fn news(&self, watch: &Watch) -> usize {
        let is_right = |notice: &&Notice| {
            assert_eq!(notice.watch, watch.id, "it tells of another watch");
            assert_eq!(notice.secret.expose_secret(), SECRET, "it does not say the secret");
            notice.heard == Heard::Changed
        };
        self.heard().iter().filter(is_right).count()
    }
}

async fn serve(listener: TcpListener, connector: Arc<dyn Connector>, heard: Arc<Mutex<Vec<Notice>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let Some(pusher) = connector.pusher() else { return };
        let Some((headers, query, body)) = read(&mut stream).await else { continue };
        let (status, text) = match pusher.receive(&Push { headers: &headers, query: &query, body: &body }) {
            Ok(Pushed::Handshake(text)) => ("200 OK", text),
            Ok(Pushed::Told(notices)) => {
                heard.lock().unwrap_or_else(PoisonError::into_inner).extend(notices);
                ("202 Accepted", String::new())
            }
            Err(_) => ("400 Bad Request", String::new()),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
            text.len()
        );
        drop(stream.write_all(answer.as_bytes()).await);
    }
}

/// A request over HTTP/1.1 whose length is said.
async fn read(stream: &mut TcpStream) -> Option<(HeaderMap, String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let mut body = bytes.split_off(end + 4);
    let head = String::from_utf8(bytes).ok()?;
    let (first, rest) = head.split_once("\r\n")?;
    let query = first.split(' ').nth(1)?.split_once('?').map_or("", |(_, query)| query).to_owned();
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value.trim()).ok()?))
    };
    let headers: HeaderMap = rest.lines().filter_map(header).collect();
    let length = headers.get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    while body.len() < length.unwrap_or(0) {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some((headers, query, body))
}

/// Of what is new the vendor tells at the address that it was given, with the secret that it was given, until it is asked not
/// to; ending what is ended is as good, and an address that nobody answers at is refused by a vendor that asks it.
///
/// # Panics
/// With what was missed.
pub async fn a_watch_tells_with_its_secret_of_what_is_new_until_it_is_ended(driver: &dyn Driver) {
    let connector = driver.connector();
    let Some(pusher) = connector.pusher() else { return };
    for feed in pusher.feeds() {
        let subject = Subject::of(driver).await;
        let (session, door) = (&subject.session, Door::open(&connector).await);
        let secret = SecretString::from(SECRET);
        let (id, now) = (Uuid::new_v4(), session.vendor_now());
        let wish = WatchWish { feed, id, address: &door.address, secret: &secret, now };
        let watch = went_well("watch", pusher.watch(session, &wish).await);
        assert!(watch.ends_at > session.vendor_now(), "the watch of {feed} has ended already");
        let until = Instant::now() + Duration::from_secs(20);
        while door.news(&watch) == 0 {
            assert!(Instant::now() < until, "the vendor tells nothing of {feed}");
            driver.act(feed, 1).await;
            sleep(Duration::from_millis(100)).await;
        }
        let renewed = pusher.renew(session, &watch, session.vendor_now()).await;
        if let Some(renewed) = went_well("renew a watch", renewed) {
            assert!(renewed.id == watch.id && renewed.ends_at >= watch.ends_at, "{renewed:?} of {watch:?}");
        }
        went_well("end a watch", pusher.unwatch(session, &watch).await);
        went_well("end a watch that is ended", pusher.unwatch(session, &watch).await);
        match pusher.renew(session, &watch, session.vendor_now()).await {
            Ok(None) => {}
            Ok(Some(_)) => panic!("a watch of {feed} that was ended is renewed"),
            Err(error) => assert_eq!(error.kind, ErrorKind::NotFound, "failed to {error}"),
        }
        sleep(QUIET).await;
        let before = door.heard().len();
        driver.act(feed, 1).await;
        sleep(QUIET).await;
        assert_eq!(door.heard().len(), before, "the vendor goes on telling of {feed}");
        let nowhere = door.address.clone();
        drop(door);
        if watch.is_proven {
            let wish = WatchWish { feed, id: Uuid::new_v4(), address: &nowhere, secret: &secret, now };
            let Err(error) = pusher.watch(session, &wish).await else {
                panic!("the vendor tells of {feed} at an address that nobody answers at");
            };
            assert!(!error.is_transient() && error.kind == ErrorKind::Validation, "failed to {error}");
        }
    }
}
