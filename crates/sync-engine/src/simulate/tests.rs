use super::{walk::Small, *};
use crate::domain::mutant::{self, Mutant};

fn assert_holds(plan: &Plan) {
    if !run::run(plan).is_empty() {
        let Failure { seed, violations, story } = smallest(plan);
        panic!("seed {seed}\n{}\n{}", story.join("\n"), violations.join("\n"));
    }
}

#[test]
fn no_seed_violates_a_property() {
    for seed in 0..400 {
        assert_holds(&Plan::of(seed, None));
    }
}

/// Seeds far away that failed once, each by another fault.
#[test]
fn no_seed_that_once_failed_fails_again() {
    for seed in [10_510, 28_100, 108_531, 148_806, 164_434, 197_607] {
        assert_holds(&Plan::of(seed, None));
    }
}

#[test]
fn no_vendor_of_one_kind_violates_a_property() {
    for profile in PROFILES {
        for seed in 0..60 {
            assert_holds(&Plan::of(seed, Some(profile)));
        }
    }
}

#[test]
fn a_seed_tells_the_same_story_every_time() {
    for seed in 0..20 {
        let plan = Plan::of(seed, None);
        assert_eq!(run::told(&plan).1, run::told(&plan).1, "seed {seed}");
    }
}

#[test]
fn the_number_of_threads_does_not_matter_to_what_fails_first() {
    let of = |threads| run(0, 128, threads, None, &|_| {}).map(|failure| failure.seed);
    assert_eq!(of(1), of(3));
}

#[test]
fn a_failure_is_made_small_and_fails_again_by_its_seed() {
    mutant::set(Some(Mutant::ConflictSilent));
    let mut plans = (0..100).map(|seed| Plan::of(seed, None));
    let plan = plans.find(|plan| !run::run(plan).is_empty()).expect("a rule is broken");
    let failure = smallest(&plan);
    let whole = replay(plan.seed, None);
    mutant::set(None);
    assert_eq!(failure.seed, plan.seed);
    assert!(!failure.violations.is_empty() && !whole.violations.is_empty());
    assert!(failure.story.len() < whole.story.len(), "{:?}", failure.story);
}

/// Seeds whose runs come where few do, to be tried before all others.
const FAR: [u64; 11] = [235, 253, 262, 1161, 1678, 5684, 7301, 9140, 14944, 47585, 84284];

/// Breaks each rule of the merge, one at a time. `cargo nextest run -p sync-engine every_broken_rule --no-capture` prints
/// the seed by which the simulator notices, and the property that does not hold.
#[test]
fn every_broken_rule_is_noticed() {
    const MOST: u64 = 2_000;
    let mut missed = Vec::new();
    for (mutant, what) in Mutant::ALL {
        mutant::set(Some(*mutant));
        let caught = (0..40).chain(FAR).chain(40..MOST).find_map(|seed| {
            let violations = run::run(&Plan::of(seed, None));
            violations.first().map(|violation| (seed, violation.property.name()))
        });
        mutant::set(None);
        match caught {
            Some((seed, property)) => println!("{what:<75} {seed:>5}  {property}"),
            None => missed.push(what),
        }
    }
    assert!(missed.is_empty(), "not noticed within {MOST} seeds: {missed:?}");
}

/// The smallest of the small worlds.
const SMALL: Bounds = Bounds { here: 1, there: 1, ties: 1, ..Bounds::NONE };

#[test]
fn no_way_through_a_small_world_violates_a_property() {
    let plain = Stage { bounds: SMALL, vendors: profiles() };
    let repeated = Stage { bounds: Bounds { again: 1, ..SMALL }, vendors: vec!["hubspot"] };
    let refused = Stage { bounds: Bounds { refused: true, ..SMALL }, vendors: vec!["hubspot"] };
    for stage in [plain, repeated, refused] {
        let walked = walk(&stage, 2, &|_| {});
        let Walked { states, transitions, rests, depth, violations, story, .. } = &walked;
        assert!(violations.is_empty(), "{}\n{}", story.join("\n"), violations.join("\n"));
        println!(
            "{}: {states} states, {transitions} transitions, {rests} at rest, {depth} deep",
            stage.bounds
        );
        assert!(*rests > 100 && *states > 5 * rests && *depth > 7, "{walked:?}");
    }
}

#[test]
fn a_walk_does_not_depend_on_ids_or_threads() {
    let stage = Stage { bounds: SMALL, vendors: vec!["stream"] };
    let count = |threads| {
        let walked = walk(&stage, threads, &|_| {});
        (walked.worlds, walked.states, walked.transitions, walked.rests, walked.depth)
    };
    assert_eq!(count(1), count(3));
}

/// Rules about what does not happen in the smallest worlds: values that do not fit, deletions, several records, mappings
/// that are paused, connections that are made anew, writes that nobody waits for any more, and other fields of the record.
const ELSEWHERE: [Mutant; 16] = [
    Mutant::UnfitIsBlank,
    Mutant::UnfitCoveredDropped,
    Mutant::UnreadAgain,
    Mutant::OldDeletion,
    Mutant::DeletionForgets,
    Mutant::DeletionUntold,
    Mutant::HeirForgotten,
    Mutant::IssueOfGone,
    Mutant::RecordIssueCleared,
    Mutant::StrangerAnswers,
    Mutant::StrangerCovered,
    Mutant::EchoForgotten,
    Mutant::LateIgnored,
    Mutant::FieldTimesIgnored,
    Mutant::HeldForgotten,
    Mutant::PartForgotten,
];

/// Breaks each other rule of the merge, one at a time, and walks until it shows. `cargo nextest run -p sync-engine
/// a_walk_notices --no-capture` prints the length of the story, which is a shortest one, and what does not hold.
#[test]
fn a_walk_notices_broken_rules() {
    let never = AtomicBool::new(false);
    let bounds = [
        Bounds { there: 2, ..Bounds::NONE },
        Bounds { refused: true, here: 2, ..Bounds::NONE },
        SMALL,
        Bounds { here: 2, there: 1, ..Bounds::NONE },
    ];
    let of = |bounds: Bounds| Small::all(&Stage { bounds, vendors: vec!["hubspot"] });
    let worlds = bounds.map(of).concat();
    let mut missed = Vec::new();
    for (mutant, what) in Mutant::ALL.iter().filter(|(mutant, _)| !ELSEWHERE.contains(mutant)) {
        mutant::set(Some(*mutant));
        let mut walks = worlds.iter().map(|small| small.walk(&|_| {}, &never));
        let caught = walks.find(|walked| !walked.violations.is_empty());
        mutant::set(None);
        match caught {
            Some(walked) => println!("{what:<75} {:>3} {}", walked.story.len(), walked.violations[0]),
            None => missed.push(what),
        }
    }
    assert!(missed.is_empty(), "not noticed: {missed:#?}");
}
