//! One seed from its plan to a verdict, and how a failing plan is made smaller.

use std::collections::{BTreeMap, BTreeSet};

use model::{LinkId, WriteOutcome, Written};

use super::{
    chance::Chance,
    check::{self, Property, Rest, Violation},
    plan::{Plan, Step},
    world::World,
};
use crate::consumer::Fact;

/// How many writes of one field of a link may follow the last edit; one more for each other system that may respell
/// the value.
const MOST_WRITES: usize = 2;

/// Every so many seeds the order of the last deliveries is varied too.
const VARIED: u64 = 2;

/// Carries a plan out and says what does not hold.
pub(super) fn run(plan: &Plan) -> Vec<Violation> {
    verdict(plan, false).0
}

/// The same, with the story.
pub(super) fn told(plan: &Plan) -> (Vec<Violation>, Vec<String>) {
    verdict(plan, true)
}

fn verdict(plan: &Plan, told: bool) -> (Vec<Violation>, Vec<String>) {
    let mut world = World::new(plan, told);
    for step in &plan.steps {
        world.take(step);
    }
    let varied =
        plan.seed.is_multiple_of(VARIED) && plan.is_original() && check::is_settled_by_values(&world);
    let fork = varied.then(|| world.clone());
    let mut chance = Chance::of(plan.seed ^ 1);
    let mut violations = settle(&mut world, &mut chance);
    if violations.is_empty() {
        violations = check::at_rest(&world);
    }
    if violations.is_empty() {
        violations = repeats(&mut world, &mut chance);
    }
    if let Some(mut other) = fork.filter(|_| violations.is_empty()) {
        other.story = None;
        other.settle(&mut Chance::of(plan.seed ^ 2));
        if Rest::of(&other) != Rest::of(&world) {
            let what = format!("another order ends in {:?}, not {:?}", Rest::of(&other), Rest::of(&world));
            violations.push(Violation { property: Property::Repeats, what });
        }
    }
    (violations, world.story.unwrap_or_default())
}

/// Lets a world come to rest and counts the writes on the way.
fn settle(world: &mut World, chance: &mut Chance) -> Vec<Violation> {
    let asked = world.platform.asked.len();
    let rests = world.settle(chance);
    let mut violations: Vec<Violation> = too_many_writes(world, asked).into_iter().collect();
    if violations.is_empty() && !rests {
        let what = "it never comes to rest".to_owned();
        violations.push(Violation { property: Property::Loop, what });
    }
    violations
}

/// What is said when there are more writes than needed among those that were asked for from this one on, nobody having
/// edited anything since.
pub(super) fn too_many_writes(world: &World, from: usize) -> Option<Violation> {
    let mut writes: BTreeMap<(LinkId, &str), usize> = BTreeMap::new();
    for write in &world.platform.asked[from..] {
        for field in write.fields.keys() {
            *writes.entry((write.link, field)).or_default() += 1;
        }
    }
    let refused = refused_fields(world);
    let most = |link: &LinkId| {
        let neighbours = refused.iter().filter(|(of, _)| of == link).count();
        MOST_WRITES + world.systems.len() - 1 + neighbours
    };
    let worst = writes.into_iter().map(|((link, field), times)| (times, most(&link), field)).max();
    let (times, most, field) = worst.filter(|(times, most, _)| times > most)?;
    let what = format!("{times} writes of {field} after the last edit, at most {most} are needed");
    Some(Violation { property: Property::Loop, what })
}

/// The fields because of which a write was ever refused, each with its link: the others of it are written once more.
pub(super) fn refused_fields(world: &World) -> BTreeSet<(LinkId, String)> {
    let named = world.published.iter().filter_map(|arrival| match &arrival.fact {
        Fact::Written(Written { link, outcome: WriteOutcome::Rejected { field, .. }, .. }) => {
            Some((*link, field.clone()?))
        }
        _ => None,
    });
    named.collect()
}

/// Delivers everything again: nothing may follow from it.
pub(super) fn repeats(world: &mut World, chance: &mut Chance) -> Vec<Violation> {
    let before = Rest::of(world);
    let (asked, conflicts) = (world.platform.asked.len(), world.platform.conflicts.len());
    world.deliver_again(chance);
    let mut violations = Vec::new();
    let mut violated = |what: String| violations.push(Violation { property: Property::Repeats, what });
    if Rest::of(world) != before {
        violated(format!("repeated deliveries change {before:?} to {:?}", Rest::of(world)));
    } else if world.platform.asked.len() > asked {
        violated("repeated deliveries ask for a write".to_owned());
    } else if world.platform.conflicts.len() > conflicts {
        violated("repeated deliveries make a conflict".to_owned());
    }
    violations
}

/// The smallest plan that was found to fail in the same way: without steps that it does not take.
pub(super) fn shrink(plan: &Plan, property: Property) -> Plan {
    let fails = |plan: &Plan| run(plan).iter().any(|it| it.property == property);
    let mut best = plan.clone();
    let mut size = best.steps.len().max(1);
    while size > 0 {
        let mut at = 0;
        while at < best.steps.len() {
            let mut steps: Vec<Step> = best.steps.clone();
            steps.drain(at..(at + size).min(best.steps.len()));
            let smaller = Plan { steps, ..best.clone() };
            if fails(&smaller) {
                best = smaller;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    best
}
