//! Meetings that look real: with customers and partners, some weekly, those that are over with what was said.

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Deserialize;
use serde_json::{Value, json};

use super::errors::Failure;
use super::events::meet;
use super::sim::Sim;
use crate::names::{DEAL_KINDS, FAMILY_NAMES, FIRST_WORDS, GIVEN_NAMES, SECOND_WORDS, slug};

const MOST: usize = 5_000;
const HALF_HOUR_MS: i64 = 1_800_000;
/// The meetings lie so many half hours before and after now.
const SPREAD: i64 = 3 * 7 * 48;

/// How much is planted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    count: usize,
    seed: Option<u64>,
    /// The companies that are met, by their domains; made up without them.
    #[serde(default)]
    domains: Vec<String>,
}

/// What was planted, and which meetings were held, in the words of the control API.
#[derive(Debug, Default)]
pub(crate) struct Planted {
    pub(crate) ids: Vec<String>,
    pub(crate) held: Vec<Value>,
}

/// Plants meetings of the first account.
pub(crate) fn meetings(sim: &mut Sim, order: &Order, now_ms: i64) -> Result<Planted, Failure> {
    if order.count > MOST {
        return Err(Failure::bad("invalid", "count is at most 5,000"));
    }
    let mut rng = StdRng::seed_from_u64(order.seed.unwrap_or(sim.settings.seed) ^ 0x6e57);
    let (email, host) = (sim.calendars[0].email.clone(), sim.calendars[0].name.clone());
    let mut planted = Planted::default();
    for at in 0..order.count {
        let guest = format!("{} {}", any(&GIVEN_NAMES, &mut rng), any(&FAMILY_NAMES, &mut rng));
        let company = format!("{} {}", any(&FIRST_WORDS, &mut rng), any(&SECOND_WORDS, &mut rng));
        let domain = match order.domains.is_empty() {
            true => format!("{}.example", slug(&company)),
            false => order.domains[at % order.domains.len()].clone(),
        };
        let topic = any(&DEAL_KINDS, &mut rng);
        let half_hour = now_ms.div_euclid(HALF_HOUR_MS) + rng.random_range(-SPREAD..SPREAD);
        let start_ms = half_hour * HALF_HOUR_MS;
        let time = |ms: i64| {
            let at = Timestamp::from_millisecond(ms).unwrap_or_default();
            json!({"dateTime": at.to_string(), "timeZone": "Europe/Zurich"})
        };
        let code = sim.new_code();
        let mut body = json!({
            "summary": format!("{company}: {topic}"), "start": time(start_ms),
            "end": time(start_ms + HALF_HOUR_MS), "location": "",
            "attendees": [{"email": format!("{}@{domain}", slug(&guest).replace('-', ".")), "displayName": guest,
                "responseStatus": "accepted"}, {"email": email, "responseStatus": "accepted"}],
            "conferenceData": meet(&code, &json!({"requestId": code})),
        });
        if at % 10 == 9 {
            body["recurrence"] = json!(["RRULE:FREQ=WEEKLY;COUNT=8"]);
        }
        let Value::Object(body) = body else { continue };
        let id = sim.add_event(&email, body, now_ms)?;
        if start_ms + HALF_HOUR_MS <= now_ms {
            let say = |speaker: &str, text: String| json!({"speaker": speaker, "text": text});
            let start = Timestamp::from_millisecond(start_ms).unwrap_or_default().to_string();
            planted.held.push(json!({"id": id, "start": start, "minutes": 30, "participants":
            [{"name": host}, {"name": guest}], "lines": [
                say(&host, format!("Thanks for making the time, {guest}.")),
                say(&guest, format!("Happy to. At {company} we want to talk about the {topic}.")),
                say(&host, "Then let us start with what you have today.".to_owned()),
                say(&guest, "Send us the proposal and we decide until the end of the month.".to_owned()),
            ]}));
        }
        planted.ids.push(id);
    }
    Ok(planted)
}

fn any<'a>(of: &[&'a str], rng: &mut StdRng) -> &'a str {
    of[rng.random_range(0..of.len())]
}
