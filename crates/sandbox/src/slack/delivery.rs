//! What is sent to the app: signed, repeated where the vendor repeats, with what came of it.

use std::collections::VecDeque;

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::Sha256;

use super::auth::secret;
use super::errors::Failure;
use super::sim::Sim;
use super::workspace::APP_BOT;
use crate::clock::iso;

/// How many deliveries are remembered.
const REMEMBERED: usize = 5_000;
/// When a failed event is sent again: milliseconds after the failure before.
const RETRIES_MS: [i64; 3] = [0, 60_000, 300_000];
/// What an app may answer, in characters that are remembered.
const ANSWER_MOST: usize = 4_000;

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Waiting,
    Sending,
    Acknowledged,
    Failed,
}

/// What the answer of the app decides.
#[derive(Debug, Clone)]
pub(crate) enum About {
    Nothing,
    /// What becomes of a dialog.
    View(String),
    /// Whether the events URL is the app's: it must say this.
    Challenge(String),
}

/// One try.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Attempt {
    at: String,
    retry_num: usize,
    timestamp: i64,
    signature: String,
    status: Option<u16>,
    took_ms: f64,
    reason: Option<&'static str>,
    answer: String,
}

/// One request to the app, with its tries.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Delivery {
    pub(crate) id: u64,
    pub(crate) kind: String,
    url: String,
    body: String,
    pub(crate) state: State,
    attempts: Vec<Attempt>,
    #[serde(skip)]
    content_type: &'static str,
    #[serde(skip)]
    is_repeated: bool,
    #[serde(skip)]
    next_ms: i64,
    #[serde(skip)]
    about: About,
    #[serde(skip)]
    seal: Seal,
}

/// How a delivery is signed.
#[derive(Debug, Clone, Default)]
pub(crate) enum Seal {
    #[default]
    Genuine,
    /// As before, to the letter.
    Again { timestamp: i64, signature: String },
    /// Signed so many seconds ago.
    Aged(i64),
    /// With a secret that is not the app's.
    Forged,
}

/// Everything that was sent or will be.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    all: VecDeque<Delivery>,
    last_id: u64,
}

/// A request as the courier takes it.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) id: u64,
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    pub(crate) limit_ms: u64,
    retry_num: usize,
    timestamp: i64,
    signature: String,
}

/// What came of a try: status, whether more tries are welcome, and the body; or why there is none.
pub(crate) type Tried = Result<(u16, bool, String), &'static str>;

/// `v0=` and the signature of a body at a time.
pub(crate) fn sign(signing_secret: &str, timestamp: i64, body: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(signing_secret.as_bytes()) else { return String::new() };
    mac.update(format!("v0:{timestamp}:{body}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v0={hex}")
}

impl Deliveries {
    pub(crate) fn get(&self, id: u64) -> Option<&Delivery> {
        self.all.iter().rev().find(|delivery| delivery.id == id)
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Delivery> {
        self.all.iter()
    }

    fn add(&mut self, mut delivery: Delivery) -> u64 {
        self.last_id += 1;
        delivery.id = self.last_id;
        self.all.push_back(delivery);
        if self.all.len() > REMEMBERED && self.all.front().is_some_and(Delivery::is_over) {
            self.all.pop_front();
        }
        self.last_id
    }
}

impl Delivery {
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Acknowledged | State::Failed)
    }

    pub(crate) fn to_interactivity(url: &str, kind: &str, payload: &Value, about: About) -> Self {
        let body = serde_urlencoded::to_string([("payload", payload.to_string())]).unwrap_or_default();
        Self::new(url, kind, "application/x-www-form-urlencoded", body, about)
    }

    pub(crate) fn to_events(url: &str, kind: &str, body: &Value, about: About) -> Self {
        Self::new(url, kind, "application/json", body.to_string(), about)
    }

    fn new(url: &str, kind: &str, content_type: &'static str, body: String, about: About) -> Self {
        Self {
            id: 0,
            kind: kind.to_owned(),
            url: url.to_owned(),
            body,
            state: State::Waiting,
            attempts: Vec::new(),
            content_type,
            is_repeated: kind == "event_callback",
            next_ms: i64::MIN,
            about,
            seal: Seal::Genuine,
        }
    }

    /// The same once more, without repetition.
    pub(crate) fn again(&self, seal: Option<Seal>, body: Option<String>) -> Option<Self> {
        let last = self.attempts.last()?;
        let as_before = || Seal::Again { timestamp: last.timestamp, signature: last.signature.clone() };
        Some(Self {
            seal: seal.unwrap_or_else(as_before),
            body: body.unwrap_or_else(|| self.body.clone()),
            state: State::Waiting,
            attempts: Vec::new(),
            is_repeated: false,
            next_ms: i64::MIN,
            about: About::Nothing,
            ..self.clone()
        })
    }

    fn parcel(&self, signing_secret: &str, real_s: i64, limit_ms: u64) -> Parcel {
        let (timestamp, signature) = match &self.seal {
            Seal::Genuine => (real_s, sign(signing_secret, real_s, &self.body)),
            Seal::Again { timestamp, signature } => (*timestamp, signature.clone()),
            Seal::Aged(by_s) => (real_s - by_s, sign(signing_secret, real_s - by_s, &self.body)),
            Seal::Forged => (real_s, sign("not-the-apps-secret", real_s, &self.body)),
        };
        let mut headers = vec![
            ("content-type", self.content_type.to_owned()),
            ("user-agent", "Slackbot 1.0 (+https://api.slack.com/robots)".to_owned()),
            ("accept", "application/json,*/*".to_owned()),
            ("x-slack-request-timestamp", timestamp.to_string()),
            ("x-slack-signature", signature.clone()),
        ];
        if let Some(last) = self.attempts.last() {
            headers.push(("x-slack-retry-num", self.attempts.len().to_string()));
            headers.push(("x-slack-retry-reason", last.reason.unwrap_or("unknown_error").to_owned()));
        }
        let (id, url, body) = (self.id, self.url.clone(), self.body.clone());
        Parcel { id, url, headers, body, limit_ms, retry_num: self.attempts.len(), timestamp, signature }
    }
}

impl Sim {
    /// Sends something to the app; the answer is its number.
    pub(crate) fn send(&mut self, delivery: Delivery) -> u64 {
        let id = self.deliveries.add(delivery);
        self.bell.notify_waiters();
        id
    }

    /// Sends an event about a workspace, where the app takes events.
    pub(crate) fn tell(&mut self, team: &str, mut event: Value) -> Option<u64> {
        let url = self.settings.events_url.clone()?;
        let now_s = self.clock.now_ms() / 1_000;
        if event.get("event_ts").is_none() {
            event["event_ts"] = json!(format!("{now_s}.000100"));
        }
        let body = json!({
            "token": "sandbox-verification-token", "team_id": team, "context_team_id": team,
            "context_enterprise_id": null, "api_app_id": self.settings.app_id, "event": event,
            "type": "event_callback", "event_id": format!("Ev{}", secret(10).to_uppercase()),
            "event_time": now_s,
            "authorizations": [{"enterprise_id": null, "team_id": team, "user_id": APP_BOT.user_id,
                "is_bot": true, "is_enterprise_install": false}],
            "is_ext_shared_channel": false, "event_context": format!("4-{}", secret(24)),
        });
        Some(self.send(Delivery::to_events(&url, "event_callback", &body, About::Nothing)))
    }

    /// Asks the events URL to prove that it is the app's.
    pub(crate) fn verify(&mut self) -> Result<u64, Failure> {
        let url =
            self.settings.events_url.clone().ok_or_else(|| Failure::bad("the app has no events_url"))?;
        let challenge = secret(48);
        let body = json!({"token": "sandbox-verification-token", "challenge": challenge,
            "type": "url_verification"});
        Ok(self.send(Delivery::to_events(&url, "url_verification", &body, About::Challenge(challenge))))
    }

    /// What is due now. Signatures carry the real time: the app's clock is not moved with this one.
    pub(crate) fn take_due(&mut self) -> Vec<Parcel> {
        let now_ms = self.clock.now_ms();
        let real_s = (now_ms - self.clock.offset_ms()) / 1_000;
        let (secret, limit_ms) = (&self.settings.signing_secret, self.settings.ack_limit_ms);
        let waiting = self.deliveries.all.iter_mut().filter(|one| one.state == State::Waiting);
        let due = waiting.filter(|delivery| delivery.next_ms <= now_ms).map(|delivery| {
            delivery.state = State::Sending;
            delivery.parcel(secret, real_s, limit_ms)
        });
        due.collect()
    }

    /// Notes what came of a try.
    pub(crate) fn delivered(&mut self, parcel: Parcel, result: Tried, took_ms: f64) {
        let now_ms = self.clock.now_ms();
        let found = self.deliveries.all.iter_mut().rev().find(|delivery| delivery.id == parcel.id);
        let Some(delivery) = found else { return };
        let (status, is_welcome, answer) = match &result {
            Ok((status, is_welcome, answer)) => (Some(*status), *is_welcome, answer.clone()),
            Err(_) => (None, true, String::new()),
        };
        let mut reason = match result {
            Err(reason) => Some(reason),
            Ok((status, ..)) => (!(200..300).contains(&status)).then_some("http_error"),
        };
        if let About::Challenge(challenge) = &delivery.about
            && reason.is_none()
            && !answer.contains(challenge.as_str())
        {
            reason = Some("challenge_failed");
        }
        delivery.attempts.push(Attempt {
            at: iso(now_ms),
            retry_num: parcel.retry_num,
            timestamp: parcel.timestamp,
            signature: parcel.signature,
            status,
            took_ms,
            reason,
            answer: answer.chars().take(ANSWER_MOST).collect(),
        });
        let pause_ms = RETRIES_MS.get(parcel.retry_num).filter(|_| delivery.is_repeated && is_welcome);
        delivery.state = match (reason, pause_ms) {
            (None, _) => State::Acknowledged,
            (Some(_), Some(pause_ms)) => {
                delivery.next_ms = now_ms + pause_ms;
                State::Waiting
            }
            (Some(_), None) => State::Failed,
        };
        if let About::View(view_id) = delivery.about.clone() {
            self.view_answered(&view_id, reason.is_none().then_some(answer.as_str()));
        }
        self.save();
    }
}

#[cfg(test)]
mod tests {
    use super::sign;

    #[test]
    fn a_request_is_signed_as_the_vendors_example_is() {
        let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
                    &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
                    &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
                    &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
        let signature = sign("8f742231b10e8888abcd99yyyzzz85a5", 1_531_420_618, body);
        assert_eq!(signature, "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503");
    }
}
