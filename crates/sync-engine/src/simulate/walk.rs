//! The small world, walked whole: one record of ours, linked at one vendor or two, and every order in which a few edits
//! on all sides, readings, deliveries one by one and in pairs, writes and answers can come, with a few faults on a way. What was reached before by another way is not walked again, and the shortest ways come first, so that
//! the way to a violation is a shortest one.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use model::Value;
use rust_decimal::Decimal;

use super::{
    chance::Chance,
    check::{self, Property, Violation},
    key::key,
    plan::{End, FIELDS, Plan, SystemPlan, WriteEnd},
    profile::{Guard, Profile},
    run, say, words,
    world::{World, again},
};
use crate::domain::mapping::{Direction, Policy};

/// Between two things that have a time, longer than what clocks may be wrong by and than any vendor's tick.
const BETWEEN: i64 = 10_000;

/// What happens in a small world, at most, on any one way through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How many vendors the record is linked at.
    pub systems: usize,
    /// How many fields are mapped, of which each takes its first value and two others.
    pub fields: usize,
    /// Whether one of the values is one that the vendors refuse to be asked for.
    pub refused: bool,
    /// Edits that users make here.
    pub here: usize,
    /// Edits that people make at the vendors, all together.
    pub there: usize,
    /// Of these, those that are made in the same moment as one here, where times decide.
    pub ties: usize,
    /// Deliveries that come once more, past the inbox, at any later time.
    pub again: usize,
    /// Writes that are carried out and whose answer is lost, so that they are made once more.
    pub lost: usize,
    /// Crashes after a commit and before its acknowledgement: of a consumer, of the relay, or of a writer.
    pub crashes: usize,
}

impl Bounds {
    /// One vendor and one field, of which nobody edits anything and where nothing goes wrong.
    pub const NONE: Self = Self {
        systems: 1,
        fields: 1,
        refused: false,
        here: 0,
        there: 0,
        ties: 0,
        again: 0,
        lost: 0,
        crashes: 0,
    };
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let Self { systems, fields, refused, here, there, ties, again, lost, crashes } = *self;
        let (systems, fields) = (count(systems, "vendor"), count(fields, "field"));
        let refused = if refused { " with a refused one" } else { "" };
        let edits = count(here, "edit");
        write!(f, "{systems}, {fields} of 3 values{refused}; {edits} here, {there} there")?;
        if ties > 0 {
            write!(f, ", {ties} of them at once")?;
        }
        let faults = [(again, "repeated delivery"), (lost, "lost answer"), (crashes, "crash")];
        if faults.iter().all(|(times, _)| *times == 0) {
            return write!(f, ", no fault");
        }
        let faults = faults.iter().filter(|(times, _)| *times > 0);
        faults.into_iter().try_for_each(|(times, what)| write!(f, ", {times} {what}"))
    }
}

/// Small worlds with the same bounds: one for each kind of vendor, direction and policy.
#[derive(Clone, Debug)]
pub struct Stage {
    /// What happens in each of them.
    pub bounds: Bounds,
    /// The kinds of vendors.
    pub vendors: Vec<&'static str>,
}

/// What is walked where nothing else is asked for, the smallest first: as much as ends in a few minutes on two
/// cores. With a vendor, all of it is walked with that one.
#[must_use]
pub fn stages(vendor: Option<&str>) -> Vec<Stage> {
    let one = Bounds { here: 1, there: 1, ties: 1, ..Bounds::NONE };
    let worlds = [
        (one, 4),
        (Bounds { refused: true, again: 1, lost: 1, ..one }, 1),
        (Bounds { fields: 2, again: 1, lost: 1, ..one }, 1),
        (Bounds { again: 1, lost: 1, crashes: 1, ..one }, 3),
        (Bounds { systems: 2, ..one }, 1),
        (Bounds { here: 2, there: 2, ties: 0, ..one }, 1),
    ];
    let stage = |(bounds, kinds): (Bounds, usize)| match super::profile(vendor) {
        Some(profile) => Stage { bounds, vendors: vec![profile.name] },
        None => Stage { bounds, vendors: super::profiles().into_iter().take(kinds).collect() },
    };
    worlds.into_iter().map(stage).collect()
}

/// One small world.
#[derive(Clone, Copy, Debug)]
pub(super) struct Small {
    pub(super) profile: &'static Profile,
    pub(super) direction: Direction,
    pub(super) policy: Policy,
    pub(super) bounds: Bounds,
}

/// What may happen next. Messages are named by their place in the stream.
#[derive(Clone, Copy, Debug)]
enum Move {
    EditHere {
        field: usize,
        value: usize,
    },
    /// Also in the same moment as an edit here.
    EditThere {
        system: usize,
        field: usize,
        value: usize,
        tie: bool,
    },
    Read {
        system: usize,
    },
    Deliver {
        which: usize,
        end: End,
    },
    /// Two in one transaction, in this order.
    DeliverTwo {
        first: usize,
        second: usize,
    },
    /// It is delivered now, and stays to be delivered once more.
    DeliverAgain {
        which: usize,
    },
    Write {
        system: usize,
        end: WriteEnd,
    },
    /// Somebody sets the field of a write behind it, before it is read back.
    EditBehind {
        system: usize,
        field: usize,
        value: usize,
    },
    RelayAgain {
        system: usize,
    },
}

/// What has happened of what is bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Spent {
    here: usize,
    there: usize,
    ties: usize,
    again: usize,
    lost: usize,
    crashes: usize,
}

#[derive(Clone)]
struct State {
    world: World,
    spent: Spent,
    /// How many writes had been asked for when the last edit was made.
    asked: usize,
    /// Its place among all states.
    number: usize,
}

/// What a walk has found.
#[derive(Clone, Debug, Default)]
pub struct Walked {
    /// How many small worlds were walked.
    pub worlds: usize,
    /// States that differ in more than ids and times.
    pub states: u64,
    /// Steps from one to another.
    pub transitions: u64,
    /// States at rest, in each of which everything must hold.
    pub rests: u64,
    /// Steps of the longest of the shortest ways.
    pub depth: usize,
    /// Properties that do not hold, one a line; none when all do.
    pub violations: Vec<String>,
    /// A shortest way there.
    pub story: Vec<String>,
}

impl Small {
    /// All of a stage. What flows one way only is walked with one vendor, and what flows outward only with one policy,
    /// because nothing that could win a conflict comes in; the largest world comes first.
    pub(super) fn all(stage: &Stage) -> Vec<Self> {
        let bounds = stage.bounds;
        let of = |profile: &'static Profile| {
            [Direction::Bidirectional, Direction::ToVendor, Direction::FromVendor].into_iter().flat_map(
                move |direction| {
                    [Policy::Newest, Policy::Crm, Policy::Platform, Policy::Manual].map(|policy| Self {
                        profile,
                        direction,
                        policy,
                        bounds,
                    })
                },
            )
        };
        let differs = |small: &Self| match small.direction {
            Direction::Bidirectional => true,
            Direction::FromVendor => bounds.systems == 1,
            Direction::ToVendor => bounds.systems == 1 && small.policy == Policy::Newest,
        };
        let profiles = stage.vendors.iter().filter_map(|vendor| super::profile(Some(vendor)));
        profiles.flat_map(of).filter(differs).collect()
    }

    fn begin(&self) -> State {
        let system = |there: Vec<usize>| SystemPlan {
            profile: self.profile,
            skew_ms: 0,
            direction: Direction::Bidirectional,
            fields: vec![(self.direction, self.policy); self.bounds.fields],
            there,
            active: true,
        };
        let systems = (0..self.bounds.systems).map(|n| system(if n == 0 { vec![0] } else { Vec::new() }));
        let plan = Plan { seed: 0, systems: systems.collect(), here: Vec::new(), steps: Vec::new() };
        let mut world = World::new(&plan, false);
        world.settle(&mut Chance::of(0));
        let asked = world.platform.asked.len();
        State { world, spent: Spent::default(), asked, number: 0 }
    }

    /// The values that a field takes.
    fn value(&self, begin: &World, field: usize, value: usize) -> Value {
        match (field, value) {
            (_, 0) => begin.systems[0].records[0].now(field).clone(),
            (0, 1) => Value::text("Acme"),
            (0, _) if self.bounds.refused => Value::text("refused"),
            (0, _) => Value::text(" Globex "),
            (_, 1) => Value::Number(Decimal::new(10, 0)),
            _ => Value::Number(Decimal::new(20_456, 3)),
        }
    }

    /// Walks it. `progress` is told of every so many states.
    pub(super) fn walk(&self, progress: &dyn Fn(u64), is_over: &AtomicBool) -> Walked {
        let begin = self.begin();
        let mut walked = Walked { worlds: 1, states: 1, ..Walked::default() };
        let mut known = HashSet::from([self.key(&begin)]);
        // From which state each was reached, and how.
        let mut ways: Vec<(usize, Option<Move>)> = vec![(0, None)];
        let mut open = VecDeque::from([begin.clone()]);
        while let Some(state) = open.pop_front() {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let moves = self.moves(&begin.world, &state);
            for step in moves {
                let mut next = state.clone();
                self.take(&begin.world, &mut next, step);
                walked.transitions += 1;
                if !known.insert(self.key(&next)) {
                    continue;
                }
                next.number = ways.len();
                ways.push((state.number, Some(step)));
                walked.states += 1;
                if walked.states.is_multiple_of(1_024) {
                    progress(1_024);
                }
                let rests = self.rests(&next);
                walked.rests += u64::from(rests);
                let violations = verdict(&mut next, rests);
                if !violations.is_empty() {
                    walked.violations = violations.iter().map(words).collect();
                    walked.story = self.tell(&ways);
                    return walked;
                }
                open.push_back(next);
            }
        }
        walked.depth = way_to(&ways, ways.len() - 1).len();
        progress(walked.states % 1_024);
        walked
    }

    fn key(&self, state: &State) -> u128 {
        let platform = &state.world.platform;
        let place = |link| platform.links.iter().position(|known| known.id == link);
        let asked = platform.asked[state.asked..].iter();
        let mut writes: Vec<(Option<usize>, &String)> =
            asked.flat_map(|write| write.fields.keys().map(|field| (place(write.link), field))).collect();
        writes.sort_unstable();
        let refused = self.bounds.refused.then(|| run::refused_fields(&state.world));
        let refused = refused.map(|fields| {
            fields.into_iter().map(|(link, field)| (place(link), field)).collect::<BTreeSet<_>>()
        });
        key(&state.world, &(state.spent, writes, refused))
    }

    /// Whether nothing more happens unless somebody edits something.
    fn rests(&self, state: &State) -> bool {
        state.world.stream.is_empty()
            && state.world.systems.iter().all(|it| it.queue.is_empty() && it.unread().is_empty())
    }

    fn moves(&self, begin: &World, state: &State) -> Vec<Move> {
        let (world, spent, most) = (&state.world, state.spent, self.bounds);
        let mut moves = Vec::new();
        let each = (0..most.fields).flat_map(|field| (0..3).map(move |value| (field, value)));
        if spent.here < most.here {
            let here = |(field, value): (usize, usize)| {
                let ours = world.platform.records[0].value(FIELDS[field].0);
                (*ours != self.value(begin, field, value)).then_some(Move::EditHere { field, value })
            };
            moves.extend(each.clone().filter_map(here));
        }
        for (system, it) in world.systems.iter().enumerate() {
            if spent.there < most.there {
                let there = each.clone().filter(|(field, value)| {
                    let stored = it.profile.stores(FIELDS[*field].1, &self.value(begin, *field, *value));
                    *it.records[0].now(*field) != stored
                });
                let ties: &[bool] = if spent.ties < most.ties && self.can_tie(world, system) {
                    &[false, true]
                } else {
                    &[false]
                };
                moves.extend(there.flat_map(|(field, value)| {
                    ties.iter().map(move |tie| Move::EditThere { system, field, value, tie: *tie })
                }));
            }
            if !it.unread().is_empty() {
                moves.push(Move::Read { system });
            }
            let Some(write) = it.queue.front() else { continue };
            moves.push(Move::Write { system, end: WriteEnd::Done });
            if it.is_answered(write.id) {
                continue;
            }
            if spent.there < most.there && it.profile.guard == Guard::History {
                let behind = each.clone().filter(|(field, _)| write.fields.contains_key(FIELDS[*field].0));
                moves.extend(behind.map(|(field, value)| Move::EditBehind { system, field, value }));
            }
            if spent.lost < most.lost {
                moves.push(Move::Write { system, end: WriteEnd::Unknown });
            }
            if spent.crashes < most.crashes {
                moves.push(Move::Write { system, end: WriteEnd::CrashBeforeAck });
                moves.push(Move::RelayAgain { system });
            }
        }
        self.deliveries(world, spent, &mut moves);
        moves
    }

    /// Whether something was just edited here and times decide.
    fn can_tie(&self, world: &World, system: usize) -> bool {
        let mut cells = world.platform.records[0].cells.values();
        self.policy == Policy::Newest
            && world.systems[system].records[0].last_at() < world.now
            && cells.any(|cell| cell.at == world.at())
    }

    fn deliveries(&self, world: &World, spent: Spent, moves: &mut Vec<Move>) {
        for which in 0..world.stream.len() {
            moves.push(Move::Deliver { which, end: End::Done });
            let is_news = |which: &usize| !world.platform.knows(&world.stream[*which]);
            if !is_news(&which) {
                continue;
            }
            let others = (0..world.stream.len()).filter(|other| *other != which).filter(is_news);
            moves.extend(others.map(|second| Move::DeliverTwo { first: which, second }));
            if spent.again < self.bounds.again {
                moves.push(Move::DeliverAgain { which });
            }
            if spent.crashes < self.bounds.crashes {
                moves.push(Move::Deliver { which, end: End::CrashBeforeAck });
            }
        }
    }

    fn take(&self, begin: &World, state: &mut State, step: Move) {
        let (world, spent) = (&mut state.world, &mut state.spent);
        let mut is_edit = false;
        match step {
            Move::EditHere { field, value } => {
                world.now += BETWEEN;
                world.put_here(0, field, self.value(begin, field, value));
                spent.here += 1;
                is_edit = true;
            }
            Move::EditThere { system, field, value, tie } => {
                world.now += if tie { 0 } else { BETWEEN };
                spent.ties += usize::from(tie);
                world.put_there(system, 0, field, self.value(begin, field, value));
                spent.there += 1;
                is_edit = true;
            }
            Move::Read { system } => {
                // A vendor that withholds what is not a tick old has none of it left by then.
                world.now += BETWEEN;
                world.read(system, 0, 0);
                world.now -= BETWEEN;
            }
            Move::Deliver { which, end } => {
                world.consume(which, 1, end);
                spent.crashes += usize::from(end != End::Done);
            }
            Move::DeliverTwo { first, second } => {
                let batch = [first, second].map(|which| Arc::clone(&world.stream[which]));
                world.stream.swap_remove(first.max(second));
                world.stream.swap_remove(first.min(second));
                world.tell(|_| "two in one transaction".to_owned());
                batch.iter().for_each(|it| world.tell(|_| format!("delivered: {}", say::fact(it))));
                world.commit(&batch);
            }
            Move::DeliverAgain { which } => {
                let copy = again(&world.stream[which]);
                world.consume(which, 1, End::Done);
                world.stream.push(copy);
                spent.again += 1;
            }
            Move::Write { system, end } => {
                world.now += BETWEEN;
                world.make(system, 0, end, None);
                spent.lost += usize::from(end == WriteEnd::Unknown);
                spent.crashes += usize::from(end == WriteEnd::CrashBeforeAck);
            }
            Move::EditBehind { system, field, value } => {
                world.now += BETWEEN;
                let value = self.value(begin, field, value);
                world.make(system, 0, WriteEnd::EditedBehind, Some((field, value)));
                spent.there += 1;
                is_edit = true;
            }
            Move::RelayAgain { system } => {
                let write = world.systems[system].queue.front().cloned();
                world.systems[system].queue.extend(write);
                spent.crashes += 1;
            }
        }
        // A delay of the relay, and of an answer that is stored, is one of the write or of its delivery.
        world.relay(false);
        for system in 0..world.systems.len() {
            world.answer(system, false);
        }
        if is_edit {
            state.asked = state.world.platform.asked.len();
        }
    }

    /// The way to the last state, as a story.
    fn tell(&self, ways: &[(usize, Option<Move>)]) -> Vec<String> {
        let begin = self.begin();
        let mut state = begin.clone();
        state.world.story = Some(Vec::new());
        for step in way_to(ways, ways.len() - 1) {
            self.take(&begin.world, &mut state, step);
        }
        let mut story = vec![self.to_string()];
        story.extend(state.world.story.unwrap_or_default());
        story
    }
}

impl fmt::Display for Small {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { profile, direction, policy, bounds } = self;
        write!(f, "{bounds}; {}, {}, {}", profile.name, direction.name(), policy.name())
    }
}

fn verdict(state: &mut State, rests: bool) -> Vec<Violation> {
    let mut violations: Vec<Violation> =
        run::too_many_writes(&state.world, state.asked).into_iter().collect();
    if rests && violations.is_empty() {
        violations = check::at_rest(&state.world);
        let (systems, conflicts) = (state.world.systems.len(), &state.world.platform.conflicts);
        let is_alone = systems == 1 && (state.spent.here == 0 || state.spent.there == 0);
        if let Some(conflict) = conflicts.first().filter(|_| is_alone && violations.is_empty()) {
            let what = format!("a conflict about {:?}, and only one side moved", conflict.lost);
            violations.push(Violation { property: Property::Policy, what });
        }
        if violations.is_empty() {
            violations = run::repeats(&mut state.world.clone(), &mut Chance::of(0));
        }
    }
    violations
}

/// The steps to a state.
fn way_to(ways: &[(usize, Option<Move>)], mut state: usize) -> Vec<Move> {
    let mut steps = Vec::new();
    while let (before, Some(step)) = ways[state] {
        steps.push(step);
        state = before;
    }
    steps.reverse();
    steps
}

/// Walks all worlds of a stage on some threads, until the first one in which something does not hold. `progress` is told
/// how many states there were so far.
pub fn walk(stage: &Stage, threads: usize, progress: &(dyn Fn(u64) + Sync)) -> Walked {
    let worlds = Small::all(stage);
    let (next, states) = (AtomicUsize::new(0), AtomicU64::new(0));
    let is_over = AtomicBool::new(false);
    let all = Mutex::new(Walked::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(small) = worlds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let more = |more| progress(states.fetch_add(more, Ordering::Relaxed) + more);
                    let walked = small.walk(&more, &is_over);
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    is_over.fetch_or(!walked.violations.is_empty(), Ordering::Relaxed);
                    all.lock().unwrap_or_else(PoisonError::into_inner).add(walked);
                }
            });
        }
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Walked {
    fn add(&mut self, other: Self) {
        self.worlds += other.worlds;
        self.states += other.states;
        self.transitions += other.transitions;
        self.rests += other.rests;
        self.depth = self.depth.max(other.depth);
        if self.violations.is_empty() {
            (self.violations, self.story) = (other.violations, other.story);
        }
    }
}
