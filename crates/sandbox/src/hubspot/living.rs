//! A portal that lives: now and then its users change a record.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::names::CITIES;
use super::pipelines::{OWNERS, STAGES};
use super::portal::{Changes, Portal};
use super::record::Source;
use super::seed::{COMPANIES, amount, deal_values, phone};
use super::server::Shared;
use super::sim::Sim;

const DEALS: usize = 2;

/// Edits records at the set pace until the simulator stops.
pub(crate) async fn live(shared: Shared) {
    let mut rng = StdRng::seed_from_u64(shared.lock().settings.seed ^ 0x11fe);
    shared.live(|sim| sim.settings.living_edits_per_minute, |sim| edit_once(sim, &mut rng)).await;
}

fn edit_once(sim: &mut Sim, rng: &mut StdRng) {
    let (now_ms, delay) = (sim.clock.now_ms(), sim.settings.index_delay_ms);
    let Some(portal) = sim.portals.first_mut() else { return };
    portal.objects.iter_mut().for_each(|object| object.refresh_index(now_ms));
    let user = OWNERS[rng.random_range(0..5)].user_id;
    let stamp = portal.stamp(now_ms, delay, Source::User(user));
    match rng.random_range(0..10) {
        0 => {
            let company = any(portal, COMPANIES, rng);
            let changes = deal_values(portal, company, now_ms, rng);
            let id = portal.create(DEALS, changes, stamp);
            if let Some(company) = company {
                super::associations::connect(portal, (DEALS, id), (COMPANIES, company), &[]);
            }
        }
        1..=3 => {
            let code = CITIES[rng.random_range(0..CITIES.len())].3;
            let changes = one("phone", phone(code, rng));
            update(portal, COMPANIES, changes, stamp, rng);
        }
        4..=6 => {
            let stage = &STAGES[rng.random_range(0..STAGES.len())];
            update(portal, DEALS, one("dealstage", stage.id.to_owned()), stamp, rng);
        }
        _ => {
            let changes = one("amount", amount(rng));
            update(portal, DEALS, changes, stamp, rng);
        }
    }
    sim.save();
}

fn one(name: &str, value: String) -> Changes {
    vec![(name.into(), value)]
}

fn update(
    portal: &mut Portal,
    object: usize,
    changes: Changes,
    stamp: super::record::Stamp,
    rng: &mut StdRng,
) {
    if let Some(id) = any(portal, object, rng) {
        portal.update(object, id, changes, stamp);
    }
}

/// Any live record that search knows.
fn any(portal: &mut Portal, object: usize, rng: &mut StdRng) -> Option<u64> {
    let entries = portal.objects[object].index.entries();
    if entries.is_empty() { None } else { Some(entries[rng.random_range(0..entries.len())].1) }
}
