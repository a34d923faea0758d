//! What a seed stands for: a small organization with its vendors, and a list of steps. Carrying a plan out needs no
//! chance any more, so a step can be left out and the rest still means the same.

use model::FieldType;

use super::{
    chance::Chance,
    profile::{PROFILES, Profile},
};
use crate::domain::mapping::{Direction, Policy};

/// The mapped fields; the last one is the match key.
pub(super) const FIELDS: [(&str, FieldType); 4] = [
    ("name", FieldType::Text),
    ("annual_revenue", FieldType::Currency),
    ("company_type", FieldType::Picklist),
    ("domain", FieldType::Text),
];

/// One vendor's side of the mapping.
#[derive(Clone, Debug)]
pub(super) struct SystemPlan {
    pub(super) profile: &'static Profile,
    /// By how much its clock is wrong, in milliseconds.
    pub(super) skew_ms: i64,
    pub(super) direction: Direction,
    /// Of the mapped fields, the first ones of [`FIELDS`].
    pub(super) fields: Vec<(Direction, Policy)>,
    /// Records that exist there before anything is connected, each by the number of its match key.
    pub(super) there: Vec<usize>,
    /// Whether the mapping is active from the start.
    pub(super) active: bool,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) systems: Vec<SystemPlan>,
    /// Records that exist here before anything is connected, each by the number of its match key.
    pub(super) here: Vec<usize>,
    pub(super) steps: Vec<Step>,
}

/// What somebody types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// Something that nobody typed before.
    New,
    /// Nothing.
    Blank,
    /// What the field held before.
    Before,
    /// What the other side holds.
    Same,
    /// A value that vendors refuse, or that does not fit the other side.
    Unfit,
}

/// How the handling of deliveries ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Done,
    /// The process dies before it commits.
    CrashBeforeCommit,
    /// The process dies after it committed, before it acknowledges.
    CrashBeforeAck,
}

/// How a write ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteEnd {
    Done,
    /// The vendor is busy; nothing happens.
    RateLimited,
    /// The vendor carried it out, but its answer is lost, or the process dies before the answer is stored.
    Unknown,
    /// The answer is stored and the process dies before it acknowledges the write.
    CrashBeforeAck,
    /// Somebody edits the record after the write and before it is read back.
    EditedBehind,
}

/// What happens. Numbers choose among what there is at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    EditHere { record: usize, field: usize, typed: Typed },
    EditThere { system: usize, record: usize, field: usize, typed: Typed },
    CreateHere { key: usize },
    CreateThere { system: usize, key: usize },
    ArchiveHere { record: usize },
    DeleteThere { system: usize, record: usize },
    RestoreThere { system: usize, record: usize },
    Read { system: usize, record: usize, lag: usize },
    Sweep { system: usize },
    Consume { first: usize, count: usize, end: End },
    Replay { which: usize },
    Relay { crash: bool },
    Write { system: usize, which: usize, end: WriteEnd },
    Answer { system: usize, crash: bool },
    Activate { system: usize },
    Pause { system: usize },
    Work { system: usize },
    Retry { which: usize },
    RestoreLoser { which: usize },
    Reconnect { system: usize },
}

/// Something happens after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) pause_ms: i64,
    pub(super) act: Act,
}

impl Plan {
    /// The plan of a seed; with a profile, all vendors are of that kind.
    pub(super) fn of(seed: u64, profile: Option<&'static Profile>) -> Self {
        let mut chance = Chance::of(seed);
        let count = chance.pick(&[1, 1, 1, 2, 2, 3]);
        // By a chance of its own, so that a seed means what it meant before people could be asked.
        let mut asking = Chance::of(!seed);
        let systems = (0..count).map(|_| system(&mut chance, profile, &mut asking)).collect();
        let here = (0..chance.below(3)).map(|_| chance.below(3)).collect();
        let length = 10 + chance.below(70);
        let steps = (0..length).map(|_| step(&mut chance)).collect();
        Self { seed, systems, here, steps }
    }
}

impl Plan {
    /// Whether nobody types what was there already: a value that both sides agree on for a moment tells whether somebody
    /// was there in that moment.
    pub(super) fn is_original(&self) -> bool {
        self.steps.iter().all(|step| {
            let (Act::EditHere { typed, .. } | Act::EditThere { typed, .. }) = step.act else { return true };
            matches!(typed, Typed::New | Typed::Unfit)
        })
    }
}

fn system(chance: &mut Chance, profile: Option<&'static Profile>, asking: &mut Chance) -> SystemPlan {
    let profile = profile.unwrap_or_else(|| chance.pick(&PROFILES));
    let wrong = if chance.percent(25) { 0 } else { profile.skew_ms };
    let skew_ms = chance.below(2 * wrong + 1) as i64 - wrong as i64;
    let object = direction(chance);
    let policy = policy(chance);
    let fields = std::iter::repeat_with(|| {
        let direction = if chance.percent(80) { object } else { direction(chance) };
        let policy = if chance.percent(50) { policy } else { self::policy(chance) };
        (direction, if asking.percent(12) { Policy::Manual } else { policy })
    });
    let fields = fields.take(FIELDS.len()).collect();
    let there = (0..1 + chance.below(2)).map(|_| chance.below(3)).collect();
    SystemPlan { profile, skew_ms, direction: object, fields, there, active: chance.percent(70) }
}

const fn direction(chance: &mut Chance) -> Direction {
    match chance.below(10) {
        0 => Direction::ToVendor,
        1 => Direction::FromVendor,
        _ => Direction::Bidirectional,
    }
}

fn policy(chance: &mut Chance) -> Policy {
    chance.pick(&[Policy::Platform, Policy::Crm, Policy::Newest])
}

fn step(chance: &mut Chance) -> Step {
    let pause_ms = match chance.below(10) {
        // Now and then two things happen in the same millisecond.
        _ if chance.percent(4) => return Step { pause_ms: -1, act: act(chance) },
        0..6 => chance.below(900),
        6..9 => chance.below(8_000),
        _ => chance.below(400_000),
    };
    Step { pause_ms: pause_ms as i64, act: act(chance) }
}

fn act(chance: &mut Chance) -> Act {
    let (system, record, which) = (chance.below(64), chance.below(64), chance.below(64));
    let field = chance.pick(&[0, 0, 0, 0, 1, 1, 2, 2, 3]);
    match chance.below(100) {
        0..11 => Act::EditHere { record, field, typed: typed(chance) },
        11..22 => Act::EditThere { system, record, field, typed: typed(chance) },
        22 => Act::CreateHere { key: chance.below(4) },
        23 => Act::CreateThere { system, key: chance.below(4) },
        24 if chance.percent(20) => Act::ArchiveHere { record },
        24..26 => Act::DeleteThere { system, record },
        26..28 => Act::RestoreThere { system, record },
        28..44 => Act::Read { system, record, lag: chance.below(1_000) },
        44 => Act::Sweep { system },
        45..61 => Act::Consume { first: which, count: 1 + chance.below(3), end: end(chance) },
        61..63 => Act::Replay { which },
        63..74 => Act::Relay { crash: chance.percent(15) },
        74..86 => Act::Write { system, which, end: write_end(chance) },
        86..92 => Act::Answer { system, crash: chance.percent(15) },
        92 => Act::Activate { system },
        93 if chance.percent(30) => Act::Pause { system },
        93..95 => Act::Work { system },
        95 => Act::Retry { which },
        96 => Act::RestoreLoser { which },
        97 if chance.percent(30) => Act::Reconnect { system },
        _ => Act::Read { system, record, lag: 0 },
    }
}

fn typed(chance: &mut Chance) -> Typed {
    match chance.below(20) {
        0 => Typed::Blank,
        1..3 => Typed::Before,
        3 => Typed::Same,
        4 => Typed::Unfit,
        _ => Typed::New,
    }
}

fn end(chance: &mut Chance) -> End {
    match chance.below(10) {
        0 => End::CrashBeforeCommit,
        1..3 => End::CrashBeforeAck,
        _ => End::Done,
    }
}

fn write_end(chance: &mut Chance) -> WriteEnd {
    match chance.below(12) {
        0 => WriteEnd::RateLimited,
        1..3 => WriteEnd::Unknown,
        3 => WriteEnd::CrashBeforeAck,
        4 => WriteEnd::EditedBehind,
        _ => WriteEnd::Done,
    }
}
