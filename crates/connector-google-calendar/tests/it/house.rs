//! A simulated Google, connected the way a person connects it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use connector::{Activity, ActivityPage, AuthorizeRequest, Connector, Error, Grant, Session, http::Client};
use connector_google_calendar::{Config, GoogleCalendar};
use jiff::{SignedDuration, Timestamp};
use model::{Clock, SystemClock};
use sandbox::google::{self, Fault, FaultKind, FaultMatch, Handle, Settings};
use serde_json::{Value as Json, json};

/// The example of RFC 7636.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT_URI: &str = "http://127.0.0.1/oauth/callback/google-calendar";
const GUEST: &str = "kim.lee@partner.example";

pub(crate) struct House {
    pub(crate) sandbox: Handle,
    pub(crate) google: Arc<GoogleCalendar>,
    pub(crate) grant: Grant,
    pub(crate) session: Session,
}

pub(crate) async fn connected() -> House {
    connected_with(Settings { rate_limits: false, transcript_delay_ms: 0, ..Settings::default() }).await
}

pub(crate) async fn connected_with(settings: Settings) -> House {
    let (client_id, client_secret) = (settings.client_id.clone(), settings.client_secret.as_str().into());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sandbox = google::start(settings, listener).await.unwrap();
    let url: url::Url = sandbox.url().parse().unwrap();
    let google = Arc::new(GoogleCalendar::new(Config::at(&url, client_id, client_secret)));
    let grant = consent(&google, sandbox.email(), None).await;
    let session = Session::for_tests(google.clone(), "", grant.access_token.clone()).unwrap();
    House { sandbox, google, grant, session }
}

/// The consent page, its form, the redirect and the exchange of the code. `ticked` are the only scopes that the person
/// leaves ticked; without it, all.
pub(crate) async fn consent(google: &Arc<GoogleCalendar>, email: &str, ticked: Option<&[&str]>) -> Grant {
    let request = AuthorizeRequest {
        login_url: &google.login_url("").unwrap(),
        redirect_uri: REDIRECT_URI,
        state: "the-state",
        code_challenge: CHALLENGE,
    };
    let page = google.authorize_url(&request);
    let http = Client::try_new(Duration::from_secs(10)).unwrap();
    assert!(http.get(&page, None).await.unwrap().is_success());
    let mut form: Vec<(String, String)> = page.query_pairs().into_owned().collect();
    form.push(("account".into(), email.into()));
    form.push(("decision".into(), "allow".into()));
    if let Some(ticked) = ticked {
        form.push(("granular".into(), "true".into()));
        form.extend(ticked.iter().map(|scope| ("granted".to_owned(), (*scope).to_owned())));
    }
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut action = page.clone();
    action.set_query(None);
    let answer = http.post_form(&action, &form).await.unwrap();
    let back: url::Url = answer.header("location").expect("consent leads back").parse().unwrap();
    let query: std::collections::HashMap<String, String> = back.query_pairs().into_owned().collect();
    assert_eq!(query["state"], "the-state");
    let exchange = google.exchange_request(&query["code"], REDIRECT_URI, &VERIFIER.into());
    let nobody = Session::for_tests(google.clone(), "", "none".into()).unwrap();
    google.read_grant(&nobody.send(exchange).await.unwrap()).unwrap()
}

/// So many minutes from now, to the minute.
pub(crate) fn at(minutes: i64) -> Timestamp {
    let now = SystemClock.now() + SignedDuration::from_mins(minutes);
    Timestamp::from_second(now.as_second() / 60 * 60).unwrap()
}

pub(crate) fn time(at: Timestamp) -> Json {
    json!({"dateTime": at.to_string(), "timeZone": "Europe/Zurich"})
}

/// A meeting of half an hour with a guest from outside.
pub(crate) fn meeting(summary: &str, start: Timestamp) -> Json {
    json!({"summary": summary, "start": time(start), "end": time(start + SignedDuration::from_mins(30)),
        "attendees": [{"email": GUEST, "displayName": "Kim Lee"},
            {"email": "room-7@resource.calendar.google.com", "displayName": "Room 7", "resource": true}]})
}

/// What is known after everything was told, as the crm room keeps it.
pub(crate) fn live(told: &[Activity]) -> BTreeMap<&str, &Activity> {
    let mut known: BTreeMap<&str, &Activity> = BTreeMap::new();
    for one in told {
        let newest = known.entry(&one.external_id).or_insert(one);
        if (one.version, one.is_gone) > (newest.version, newest.is_gone) {
            *newest = one;
        }
    }
    known.retain(|_, one| !one.is_gone);
    known
}

impl House {
    pub(crate) fn meet(&self, event: Json) -> String {
        self.sandbox.meeting(event).unwrap()["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn page(&self, feed: &str, from: Option<&str>) -> Result<ActivityPage, Error> {
        self.google.fetch_activities(&self.session, feed, from, self.session.vendor_now()).await
    }

    /// Reads a feed to its end, and says where that is.
    pub(crate) async fn read(&self, feed: &str, from: Option<&str>) -> (Vec<Activity>, String) {
        let (mut told, mut from) = (Vec::new(), from.map(str::to_owned));
        for _ in 0..500 {
            let page = self.page(feed, from.as_deref()).await.unwrap();
            told.extend(page.activities);
            if !page.more {
                return (told, page.position);
            }
            from = Some(page.position);
        }
        panic!("the feed {feed} never ends");
    }

    /// The vendor's clock goes on, and the session learns of it.
    pub(crate) async fn wait(&self, minutes: u64) {
        self.sandbox.advance_clock(minutes * 60_000);
        self.sandbox.change_settings(json!({})).unwrap();
        // The dev token outlives what is waited for; any answer tells the time.
        self.page("calendar", None).await.unwrap();
    }

    pub(crate) fn fault(&self, path_prefix: &str, kind: FaultKind, times: u32) {
        self.sandbox.add_fault(Fault {
            on: FaultMatch { path_prefix: Some(path_prefix.into()), method: None },
            kind,
            times: Some(times),
            probability: None,
            delay_ms: Some(0),
        });
    }

    /// A session with the sandbox's token that does not expire, for stories in which days pass.
    pub(crate) fn lasting(mut self) -> Self {
        let token = self.sandbox.access_token().to_owned().into();
        self.session = Session::for_tests(self.google.clone(), "", token).unwrap();
        self
    }
}
