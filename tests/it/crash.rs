//! Accord, its PostgreSQL and its NATS are killed at random while both sides edit.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use nix::sys::signal::{Signal, kill};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Map, Value, json};
use testkit::eventually;
use tests::{Api, House, HubSpotPortal, Start};

/// Edits that are acknowledged on each side.
const EDITS: usize = 2_000;
/// HubSpot's edits in one call.
const BATCH: usize = 10;
const COMPANIES: usize = 100;
const KILLS: usize = 8;
/// How long both sides may take to become equal after the last edit.
const EQUAL_WITHIN: Duration = Duration::from_secs(100);

/// Our field, HubSpot's property, and the policy that it gets.
const FIELDS: [(&str, &str, &str); 4] = [
    ("phone", "phone", "platform_wins"),
    ("address_city", "city", "crm_wins"),
    ("description", "description", "newest_wins"),
    ("address_line1", "address", "newest_wins"),
];

/// A field of a company: HubSpot's id and the place in [`FIELDS`].
type Cell = (String, usize);

/// What was written to each cell on one side, in order, and whether it was acknowledged.
#[derive(Debug, Default)]
struct Side(Mutex<HashMap<Cell, Vec<(String, bool)>>>);

impl Side {
    fn note(&self, cell: &Cell, value: &str, acknowledged: bool) {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cells.entry(cell.clone()).or_default().push((value.to_owned(), acknowledged));
    }

    fn of(&self, cell: &Cell) -> Vec<(String, bool)> {
        let cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cells.get(cell).cloned().unwrap_or_default()
    }
}

/// What the editors share: where the house is now, and what they did.
#[derive(Debug)]
struct Story {
    doors: Mutex<(Api, HubSpotPortal)>,
    /// Our records by HubSpot's ids.
    records: BTreeMap<String, String>,
    ours: Side,
    theirs: Side,
    done: [AtomicUsize; 2],
}

impl Story {
    fn doors(&self) -> (Api, HubSpotPortal) {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_over(&self) -> bool {
        self.done.iter().all(|done| done.load(Ordering::Relaxed) >= EDITS)
    }
}

// R2, R112, R118; every requirement of the main path while everything dies
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_of_anything_at_any_moment_loses_no_edit_and_doubles_none() {
    let seed =
        std::env::var("ACCORD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    tell(&format!("seed {seed}: set ACCORD_SEED to run the same kills and edits again"));
    let mut house = House::start(Start { companies: COMPANIES, deals: 5, ..Start::default() }).await;
    set_policies(&house).await;
    let before = company_count(&house).await;
    let story = Arc::new(begin(&house).await);
    let started = Instant::now();
    let editors = [
        tokio::spawn(edit_ours(story.clone(), seed ^ 1)),
        tokio::spawn(edit_ours(story.clone(), seed ^ 2)),
        tokio::spawn(edit_theirs(story.clone(), seed ^ 3)),
    ];
    kill_now_and_then(&mut house, &story, seed).await;
    for editor in editors {
        editor.await.expect("an editor goes on until it is done");
    }
    tell(&format!("{EDITS} edits a side in {:.0?}", started.elapsed()));
    let ended = Instant::now();
    wait_until_equal(&house, &story).await;
    tell(&format!("both sides are equal {:.0?} after the last edit", ended.elapsed()));
    house.hubspot().wait_for_polls().await;
    wait_until_equal(&house, &story).await;

    assert_eq!(company_count(&house).await, before, "no company was lost or doubled");
    every_edit_is_accounted_for(&house, &story).await;
    let chain = house.ok("GET", "/api/v1/audit/verify", None).await;
    assert_eq!(chain["whole"], true, "{chain}");
    assert_eq!(house.operator(&["dead", "list"]).trim(), "", "nothing was given up");
}

async fn set_policies(house: &House) {
    let mapping = house.mapping("company").await;
    for (field, _, policy) in FIELDS {
        let wish = json!({ "action": "settings", "policy": policy });
        house.ok("PATCH", &format!("/api/v1/mappings/{mapping}/fields/{field}"), Some(wish)).await;
    }
    house.apply_changes(&mapping).await;
}

async fn begin(house: &House) -> Story {
    let mut records = BTreeMap::new();
    for id in house.hubspot().ids("companies", COMPANIES).await {
        let record = house.linked("company", &id).await.expect("it was backfilled");
        records.insert(id, record["id"].as_str().expect("an id").to_owned());
    }
    Story {
        doors: Mutex::new((house.api(), house.hubspot())),
        records,
        ours: Side::default(),
        theirs: Side::default(),
        done: [AtomicUsize::new(0), AtomicUsize::new(0)],
    }
}

/// Edits here, one field at a time, until enough were acknowledged by both editors together.
async fn edit_ours(story: Arc<Story>, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let ids: Vec<&String> = story.records.keys().collect();
    for number in 0.. {
        if story.done[0].load(Ordering::Relaxed) >= EDITS {
            return;
        }
        let company = ids[rng.random_range(0..ids.len())];
        let field = rng.random_range(0..FIELDS.len());
        let (cell, value) = ((company.clone(), field), format!("ours {}-{number}", seed & 3));
        let path = format!("/api/v1/records/company/{}", story.records[company]);
        let body = json!({ "fields": { FIELDS[field].0: value } });
        let answer = story.doors().0.try_call("PATCH", &path, Some(body)).await;
        let acknowledged = answer.is_ok_and(|answer| {
            assert!(![400, 403, 404, 409].contains(&answer.status), "{} {}", answer.status, answer.body);
            answer.status == 200
        });
        story.ours.note(&cell, &value, acknowledged);
        if acknowledged {
            story.done[0].fetch_add(1, Ordering::Relaxed);
        }
        pause(&mut rng, if acknowledged { 20 } else { 200 }).await;
    }
}

/// Edits in HubSpot, some companies in one call, until enough were acknowledged.
async fn edit_theirs(story: Arc<Story>, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let ids: Vec<&String> = story.records.keys().collect();
    for number in 0.. {
        if story.done[1].load(Ordering::Relaxed) >= EDITS {
            return;
        }
        let chosen: BTreeSet<usize> = (0..BATCH).map(|_| rng.random_range(0..ids.len())).collect();
        let mut inputs = Vec::new();
        let mut edits = Vec::new();
        for company in chosen {
            let (field, value) = (rng.random_range(0..FIELDS.len()), format!("theirs {number}-{company}"));
            inputs.push(json!({ "id": ids[company], "properties": { FIELDS[field].1: value } }));
            edits.push(((ids[company].clone(), field), value));
        }
        let body = json!({ "inputs": inputs });
        let answer =
            story.doors().1.try_call("POST", "/crm/v3/objects/companies/batch/update", Some(body)).await;
        let acknowledged = answer.is_ok_and(|(status, answer)| {
            assert!([200, 429].contains(&status), "{status} {answer}");
            status == 200
        });
        for (cell, value) in &edits {
            story.theirs.note(cell, value, acknowledged);
        }
        if acknowledged {
            story.done[1].fetch_add(edits.len(), Ordering::Relaxed);
        }
        pause(&mut rng, 300).await;
    }
}

/// The pace of an editor: about so many milliseconds.
async fn pause(rng: &mut StdRng, about_ms: u64) {
    tokio::time::sleep(Duration::from_millis(rng.random_range(0..2 * about_ms))).await;
}

/// Kills until the edits are done, and everything at least once.
async fn kill_now_and_then(house: &mut House, story: &Story, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    for number in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(rng.random_range(500..6_000))).await;
        // The first three are one of each; then chance decides.
        let victim = if number < 3 { number } else { rng.random_range(0..3) };
        match victim {
            0 => kill_server(house, "postgres").await,
            1 => kill_server(house, "nats-server").await,
            _ => {
                tell("kill -9 accord");
                house.kill();
                house.start_again().await;
                let doors = (house.api(), house.hubspot());
                *story.doors.lock().unwrap_or_else(PoisonError::into_inner) = doors;
            }
        }
        if story.is_over() && number >= 3 {
            return;
        }
    }
}

async fn kill_server(house: &House, program: &str) {
    let wait = Duration::from_secs(30);
    let servers = eventually(wait, &format!("{program} to run"), || async {
        Some(house.servers(program)).filter(|pids| !pids.is_empty())
    })
    .await;
    tell(&format!("kill -9 {program}"));
    for pid in servers {
        // It may have ended by itself a moment ago, because what it depends on was killed.
        let _ = kill(pid, Signal::SIGKILL);
    }
}

/// Waits until both sides have the same values in all mapped fields and nothing is on its way.
async fn wait_until_equal(house: &House, story: &Story) {
    let end = Instant::now() + EQUAL_WITHIN;
    loop {
        let different = differences(house, story).await;
        if different.is_empty() {
            return;
        }
        let (count, some) = (different.len(), &different[..different.len().min(5)]);
        assert!(Instant::now() < end, "{count} cells stay different: {some:#?}\n{}", house.log());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn differences(house: &House, story: &Story) -> Vec<String> {
    let here = our_companies(house).await;
    let there = their_companies(house).await;
    let mut found = Vec::new();
    for (vendor_id, record_id) in &story.records {
        let (ours, theirs) = (&here[record_id], &there[vendor_id]);
        for (field, property, policy) in FIELDS {
            // HubSpot does not name what nobody ever set.
            let (a, b) = (ours["fields"][field].as_str(), theirs.get(property).and_then(Value::as_str));
            let (a, b) = (a.unwrap_or_default(), b.unwrap_or_default());
            if a != b {
                found.push(format!("{vendor_id} {field} ({policy}): here {a:?}, there {b:?}"));
            }
        }
        if ours["links"][0]["state"] != "in_sync" {
            found.push(format!("{vendor_id} is {}", ours["links"][0]["state"]));
        }
    }
    found
}

async fn our_companies(house: &House) -> HashMap<String, Value> {
    let list = house.ok("GET", "/api/v1/records/company?limit=500", None).await;
    let records = list["data"].as_array().cloned().expect("a list");
    records.into_iter().map(|record| (record["id"].as_str().expect("an id").to_owned(), record)).collect()
}

async fn their_companies(house: &House) -> HashMap<String, Map<String, Value>> {
    let state = house.hubspot().control("GET", "state/companies", json!({})).await;
    let records = state["results"].as_array().expect("a list").iter();
    let properties = |record: &Value| record["properties"].as_object().cloned().unwrap_or_default();
    records.map(|record| (record["id"].as_str().expect("an id").to_owned(), properties(record))).collect()
}

/// How many companies there are here and there.
async fn company_count(house: &House) -> (usize, usize) {
    (our_companies(house).await.len(), their_companies(house).await.len())
}

/// Every acknowledged edit stands, or was overtaken by a later one of the same side, or reached the other side and was
/// edited there later, or is the recorded loser of a conflict. None was made twice.
async fn every_edit_is_accounted_for(house: &House, story: &Story) {
    let here = our_companies(house).await;
    let mut lost = Vec::new();
    for (vendor_id, record_id) in &story.records {
        let path = format!("/api/v1/records/company/{record_id}");
        let history = house.ok("GET", &format!("{path}/history?limit=500"), None).await;
        let revisions = history["data"].as_array().expect("a list");
        versions_are_gapless(revisions, &here[record_id]);
        let conflicts =
            house.ok("GET", &format!("/api/v1/conflicts?limit=500&record_id={record_id}"), None).await;
        let their_history = property_history(house, vendor_id).await;
        for (at, (field, property, policy)) in FIELDS.into_iter().enumerate() {
            let cell = (vendor_id.clone(), at);
            let (ours, theirs) = (story.ours.of(&cell), story.theirs.of(&cell));
            let changes = changes_of(revisions, field);
            let stands = here[record_id]["fields"][field].as_str().unwrap_or_default().to_owned();
            let lost_here: Vec<&str> = conflicts["data"]
                .as_array()
                .expect("a list")
                .iter()
                .filter(|conflict| conflict["field"] == field)
                .filter_map(|conflict| conflict["lost"].as_str())
                .collect();
            made_once(&ours, &changes, vendor_id, field);
            let there: Vec<&str> = their_history[property].iter().map(String::as_str).collect();
            let here: Vec<&str> = changes.iter().map(|(value, _)| value.as_str()).collect();
            for (last, seen_elsewhere) in [(last_made(&changes), &there), (last_acknowledged(&theirs), &here)]
            {
                let Some((value, later)) = last else { continue };
                let overtaken = later
                    .iter()
                    .any(|value| there.contains(&value.as_str()) || here.contains(&value.as_str()));
                if stands != value
                    && !lost_here.contains(&value.as_str())
                    && !seen_elsewhere.contains(&value.as_str())
                    && !overtaken
                {
                    lost.push(format!("{vendor_id} {field} ({policy}): {value:?} is lost, {stands:?} stands, here {here:?}, there {there:?}, losers {lost_here:?}"));
                }
            }
        }
    }
    assert!(lost.is_empty(), "{} edits are lost: {:#?}", lost.len(), &lost[..lost.len().min(5)]);
}

/// The last edit that was made here. The history tells it: of two editors, who was answered first may have been second.
fn last_made(changes: &[(String, String)]) -> Option<(String, Vec<String>)> {
    let newest = changes.iter().find(|(_, reason)| reason == "edited");
    newest.map(|(value, _)| (value.clone(), Vec::new()))
}

/// The last value that was acknowledged, and those that were tried later without an answer.
fn last_acknowledged(edits: &[(String, bool)]) -> Option<(String, Vec<String>)> {
    let at = edits.iter().rposition(|(_, acknowledged)| *acknowledged)?;
    let later = edits[at + 1..].iter().map(|(value, _)| value.clone()).collect();
    Some((edits[at].0.clone(), later))
}

fn versions_are_gapless(revisions: &[Value], record: &Value) {
    let versions: Vec<i64> = revisions.iter().filter_map(|revision| revision["version"].as_i64()).collect();
    let newest = record["version"].as_i64().expect("a number");
    let expected: Vec<i64> = (1..=newest).rev().collect();
    assert_eq!(versions, expected, "each version has its one revision");
}

/// The values that a field took here, newest first, and why.
fn changes_of(revisions: &[Value], field: &str) -> Vec<(String, String)> {
    let changes =
        revisions.iter().flat_map(|revision| revision["changes"].as_array().cloned().unwrap_or_default());
    changes
        .filter(|change| change["field"] == field)
        .map(|change| {
            let text = |name: &str| change[name].as_str().unwrap_or_default().to_owned();
            assert_ne!(change["before"], change["after"], "a revision that changes nothing");
            (text("after"), text("reason"))
        })
        .collect()
}

/// Each edit that was acknowledged here was made exactly once, and one that was not, at most once.
fn made_once(ours: &[(String, bool)], changes: &[(String, String)], company: &str, field: &str) {
    for (value, acknowledged) in ours {
        let made = changes.iter().filter(|(after, reason)| after == value && reason == "edited").count();
        let expected = if *acknowledged { made == 1 } else { made <= 1 };
        assert!(
            expected,
            "{value:?} of {company} {field} was made {made} times, acknowledged: {acknowledged}"
        );
    }
}

/// The values that HubSpot's properties had, by property.
async fn property_history(house: &House, company: &str) -> HashMap<String, Vec<String>> {
    let names: Vec<&str> = FIELDS.iter().map(|(_, property, _)| *property).collect();
    let path = format!("/crm/v3/objects/companies/{company}?propertiesWithHistory={}", names.join(","));
    let record = eventually(Duration::from_secs(30), "HubSpot's history", || async {
        let (status, record) = house.hubspot().call("GET", &path, None).await;
        if status == 429 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            return None;
        }
        assert_eq!(status, 200, "{record}");
        Some(record)
    })
    .await;
    names
        .into_iter()
        .map(|name| {
            let versions = record["propertiesWithHistory"][name].as_array().cloned().unwrap_or_default();
            let values = versions.iter().filter_map(|version| version["value"].as_str().map(str::to_owned));
            (name.to_owned(), values.collect())
        })
        .collect()
}

#[expect(clippy::print_stderr, reason = "whoever watches sees the seed and the kills")]
fn tell(text: &str) {
    eprintln!("{text}");
}
