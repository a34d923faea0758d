//! An org that lives: now and then its users change a record.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::id::Id;
use super::org::{Org, Touch, Transaction};
use super::seed::{amount, cells, opportunity_values, phone};
use super::server::Shared;
use super::sim::Sim;
use crate::names::CITIES;

/// What the web interface of the vendor calls itself in change events.
pub(crate) const INTERFACE: &str = "com/salesforce/api/soap/67.0;client=SfdcInternalAPI/";
const STAGES: [&str; 6] = [
    "Qualification",
    "Needs Analysis",
    "Value Proposition",
    "Negotiation/Review",
    "Closed Won",
    "Closed Lost",
];

/// Edits records at the set pace until the simulator stops.
pub(crate) async fn live(shared: Shared) {
    let mut rng = StdRng::seed_from_u64(shared.lock().settings.seed ^ 0x11fe);
    let edit = |sim: &mut Sim| {
        edit_once(&mut sim.org, sim.clock.now_ms(), &mut rng);
        sim.save();
    };
    shared.live(|sim| sim.settings.living_edits_per_minute, edit).await;
}

fn edit_once(org: &mut Org, now_ms: i64, rng: &mut StdRng) {
    let now_s = now_ms.div_euclid(1_000);
    let user = org.users[rng.random_range(1..org.users.len())];
    let mut transaction = Transaction::new(user, INTERFACE, now_s);
    match rng.random_range(0..10) {
        0 => {
            let account = any(org, "Account", rng).map(|(_, id)| id);
            let body = opportunity_values(org, account, now_s, rng);
            if let Some(at) = org.find("Opportunity") {
                let values = cells(org, at, &body);
                org.insert(&mut transaction, at, values);
            }
        }
        1..=3 => {
            let code = CITIES[rng.random_range(0..CITIES.len())].3;
            change(org, &mut transaction, "Account", &json!({"Phone": phone(code, rng)}), rng);
        }
        4..=6 => {
            let stage = STAGES.choose(rng).copied().unwrap_or_default();
            change(org, &mut transaction, "Opportunity", &json!({"StageName": stage}), rng);
        }
        _ => change(org, &mut transaction, "Opportunity", &json!({"Amount": amount(rng)}), rng),
    }
    org.commit(transaction, now_ms);
}

fn change(org: &mut Org, transaction: &mut Transaction, object: &str, body: &Value, rng: &mut StdRng) {
    if let Some((at, id)) = any(org, object, rng).filter(|(at, id)| !org.is_locked(*at, *id)) {
        let values = cells(org, at, body);
        org.update(transaction, at, id, values, Touch::User);
    }
}

/// Any live record of an object.
fn any(org: &Org, object: &str, rng: &mut StdRng) -> Option<(usize, Id)> {
    let at = org.find(object)?;
    let live: Vec<Id> = org.objects[at].live().map(|record| record.id).collect();
    live.choose(rng).map(|id| (at, *id))
}
