//! A tenant that lives: now and then a mail comes.

use super::seed::{Order, plant};
use super::server::Shared;
use super::sim::Sim;

/// Has mail come at the set pace until the simulator stops.
pub(crate) async fn live(shared: Shared) {
    shared.live(|sim| sim.settings.living_edits_per_minute, come).await;
}

fn come(sim: &mut Sim) {
    let (now_ms, seed) = (sim.clock.now_ms(), sim.settings.seed);
    let Some(mailbox) = sim.boxes.first_mut() else { return };
    let came = plant(mailbox, &Order::one(), seed, now_ms);
    debug_assert!(came.is_ok(), "one mail can be planted");
    mailbox.announce_last();
    sim.save();
}
