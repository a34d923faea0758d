use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use bus::{
    Message,
    outbox::{self, Waker},
};
use jiff::Timestamp;
use model::{Clock, ConversionId, OrganizationId};
use prost::Message as _;
use proto::attribution as wire;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use uuid::Uuid;

mod reaching;

use self::reaching::Beyond;
use super::{
    difference::{Come, Difference, View},
    job::{Answer, Fact, Job, NotDecided},
};
use crate::{
    Error,
    catalog::{Catalog, Catalogs},
    domain::{
        facts::{CommissionKey, Facts, Verdict},
        settle::settle_within,
    },
    publisher,
    store::{
        self,
        facts::{self, Customer, FirstStanding, NewDecision, NewEvent},
        locks::{self, Lock},
        news::News,
        standing::{CommissionRow, Opened, Standing},
    },
    text,
    webhooks::{self, Bell},
};

/// What a writer works with.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) pool: PgPool,
    pub(crate) catalogs: Arc<Catalogs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) waker: Waker,
    pub(crate) bell: Bell,
}

/// A customer with all that is known of it.
pub(super) struct Known {
    pub(super) facts: Facts,
    pub(super) standing: Standing,
}

/// A gathering that is under way.
pub(super) struct Gathering<'j> {
    pub(super) jobs: &'j [Job],
    pub(super) now: Timestamp,
    pub(super) catalogs: HashMap<OrganizationId, Arc<Catalog>>,
    pub(super) customers: BTreeMap<&'j Customer, Known>,
    /// First answers of events that are known by their key.
    pub(super) first: HashMap<(OrganizationId, Uuid), Vec<u8>>,
    /// Places of the jobs that bring something new.
    pub(super) new: Vec<usize>,
    /// Places of jobs that repeat another of this gathering, and of the other.
    pub(super) repeats: HashMap<usize, usize>,
    pub(super) answers: HashMap<usize, Answer>,
    /// When the decisions and corrections of the jobs count.
    pub(super) times: HashMap<usize, Timestamp>,
}

/// What a gathering is about, and the locks that it needs.
struct Wanted<'j> {
    customers: Vec<&'j Customer>,
    organizations: Vec<OrganizationId>,
    /// Those that have rules which reach over customers, by what was read last.
    reaching: Vec<OrganizationId>,
    /// Whether any has rules that read metadata, by what was read last.
    with_metadata: bool,
    shared: Vec<Lock>,
    alone: Vec<Lock>,
}

impl<'j> Wanted<'j> {
    fn of(jobs: &'j [Job], catalogs: &Catalogs) -> Self {
        let customers: BTreeSet<&Customer> = jobs.iter().flat_map(|job| &job.customers).collect();
        let organizations: BTreeSet<OrganizationId> =
            customers.iter().map(|customer| customer.organization).collect();
        let organizations: Vec<OrganizationId> = organizations.into_iter().collect();
        let reaching = catalogs.reaching(&organizations);
        let with_metadata = catalogs.read_metadata(&organizations);
        let shared = organizations.iter().copied().map(Lock::catalog).collect();
        let alone = customers.iter().map(|one| Lock::customer(one.organization, &one.user_key));
        let settling = reaching.iter().copied().map(Lock::settling);
        let alone = alone.chain(settling).chain(jobs.iter().filter_map(click)).collect();
        let customers = customers.into_iter().collect();
        Self { customers, organizations, reaching, with_metadata, shared, alone }
    }
}

impl Context {
    /// Writes the facts of these jobs with all they come to, in one transaction on the writer's own connection. The turn
    /// ends before the commit.
    pub(crate) async fn apply<T>(
        &self,
        lane: &mut Option<PgConnection>,
        turn: &mut Option<T>,
        jobs: &[Job],
    ) -> Result<Vec<Answer>, Error> {
        let now = text::micros(self.clock.now());
        let wanted = Wanted::of(jobs, &self.catalogs);
        let mut connection = self.begin(lane.take(), &wanted).await?;
        let written = self.write(&mut connection, turn, jobs, wanted, now).await;
        if written.is_ok() || sqlx::raw_sql("ROLLBACK").execute(&mut connection).await.is_ok() {
            *lane = Some(connection);
        }
        written
    }

    /// Begins a transaction that holds the locks. A connection that was lost meanwhile has done nothing, and another one
    /// takes its place.
    async fn begin(&self, open: Option<PgConnection>, wanted: &Wanted<'_>) -> Result<PgConnection, Error> {
        let begin = format!("BEGIN; {}", locks::taking(&wanted.shared, &wanted.alone));
        if let Some(mut connection) = open
            && sqlx::raw_sql(AssertSqlSafe(begin.as_str())).execute(&mut connection).await.is_ok()
        {
            return Ok(connection);
        }
        let mut connection = store::lane(&self.pool).await?;
        sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut connection).await?;
        Ok(connection)
    }

    async fn write<T>(
        &self,
        tx: &mut PgConnection,
        turn: &mut Option<T>,
        jobs: &[Job],
        wanted: Wanted<'_>,
        now: Timestamp,
    ) -> Result<Vec<Answer>, Error> {
        let mut gathering = self.read(tx, jobs, wanted, now).await?;
        gathering.take(tx).await?;
        let beyond = gathering.beyond(tx).await?;
        let difference = gathering.derive(&beyond)?;
        let decided =
            |place: &usize| matches!(jobs[*place].fact, Fact::DecideClick(_) | Fact::DecideCommission(..));
        let told = !difference.messages.is_empty() || gathering.new.iter().any(decided);
        let events = gathering.store(tx, &difference).await?;
        beyond.store(tx).await?;
        let hooked = gathering.catalogs.values().any(|catalog| catalog.has_webhooks)
            && webhooks::enqueue(tx, &difference.messages, now).await?;
        if !move_on(tx, &events, &difference, now).await? {
            return Err(Error::Contended);
        }
        drop(turn.take());
        sqlx::raw_sql("COMMIT").execute(tx).await?;
        if told {
            self.waker.wake();
        }
        if hooked {
            self.bell.ring();
        }
        gathering.answer(&difference)
    }

    /// Reads what is known of the customers.
    async fn read<'j>(
        &self,
        tx: &mut PgConnection,
        jobs: &'j [Job],
        wanted: Wanted<'j>,
        now: Timestamp,
    ) -> Result<Gathering<'j>, Error> {
        let Wanted { customers, organizations, reaching, with_metadata, .. } = wanted;
        let keys: Vec<(OrganizationId, Uuid)> = jobs.iter().filter_map(key).collect();
        let coming = coming(jobs, &customers);
        let wanted = facts::Wanted {
            customers: &customers,
            with_metadata,
            organizations: &organizations,
            keys: &keys,
            coming: &coming,
        };
        let facts::Found { mut facts, versions, first } = facts::read(tx, &wanted).await?;
        let catalogs = self.catalogs.at(tx, &organizations, &versions).await?;
        if self.catalogs.reaching(&organizations) != reaching
            || self.catalogs.read_metadata(&organizations) != with_metadata
        {
            // Somebody changed the terms since they were read last: all locks are taken together, or they wait for each
            // other, and all facts are read that the terms read.
            return Err(Error::Contended);
        }
        let standings = store::standing::load(tx, &mut facts).await?;
        let known = facts.into_iter().zip(standings).map(|(facts, standing)| Known { facts, standing });
        let customers = customers.into_iter().zip(known).collect();
        let (new, repeats, answers, times) = (Vec::new(), HashMap::new(), HashMap::new(), HashMap::new());
        Ok(Gathering { jobs, now, catalogs, customers, first, new, repeats, answers, times })
    }
}

/// The lock of the click that a job is about.
fn click(job: &Job) -> Option<Lock> {
    let organization = job.customers.first()?.organization;
    match &job.fact {
        Fact::Identify(click, _) => Some(Lock::click(organization, &click.id)),
        Fact::DecideClick(new) => Some(Lock::click(organization, new.decision.verdict.click()?)),
        _ => None,
    }
}

/// The clicks that these jobs make a customer's, each once, with the customer's place among these from 1.
fn coming<'j>(jobs: &'j [Job], customers: &[&Customer]) -> Vec<(i32, &'j str)> {
    let identified = jobs.iter().filter_map(|job| match &job.fact {
        Fact::Identify(click, _) => Some((job.customers.first()?, &*click.id)),
        _ => None,
    });
    // They are in their order, see above.
    let place = |customer: &Customer| {
        customers.binary_search(&customer).ok().and_then(|at| i32::try_from(at + 1).ok())
    };
    let coming: BTreeSet<_> =
        identified.filter_map(|(customer, click)| Some((place(customer)?, click))).collect();
    coming.into_iter().collect()
}

pub(super) fn key(job: &Job) -> Option<(OrganizationId, Uuid)> {
    match &job.fact {
        Fact::Event(event) => event.key.map(|key| (event.customer.organization, key)),
        _ => None,
    }
}

impl<'j> Gathering<'j> {
    /// The customers of whom something is new.
    fn concerned(&self) -> BTreeSet<&Customer> {
        self.new.iter().flat_map(|place| &self.jobs[*place].customers).collect()
    }

    /// What has to be written for all customers of whom something is new, and for those whose payments depend on it.
    fn derive(&self, beyond: &Beyond) -> Result<Difference, Error> {
        let mut difference = Difference::default();
        let concerned = self.concerned().into_iter();
        let concerned = concerned.filter_map(|customer| Some((customer, self.customers.get(customer)?)));
        for (customer, known) in concerned.chain(&beyond.others) {
            let Some(catalog) = self.catalogs.get(&customer.organization) else { continue };
            let view = View {
                customer,
                book: &catalog.book,
                facts: &known.facts,
                standing: &known.standing,
                now: self.now,
            };
            let derived = view.derive();
            let payments = settle_within(&derived.claims, &beyond.payments);
            view.tell(&Come { derived, payments }, &mut difference)?;
        }
        Ok(difference)
    }

    /// Stores the facts but for new events, which are stored with what they come to: those are answered, with their first
    /// answers.
    async fn store(
        &mut self,
        tx: &mut PgConnection,
        difference: &Difference,
    ) -> Result<Vec<(&'j NewEvent, FirstStanding)>, Error> {
        let sets: HashMap<ConversionId, &Opened> =
            difference.sets.iter().map(|set| (set.event, set)).collect();
        let mut commissions: HashMap<ConversionId, Vec<&CommissionRow>> = HashMap::new();
        for row in &difference.accrued {
            commissions.entry(row.is.key.conversion).or_default().push(row);
        }
        let (mut events, mut identifies, mut decisions) = (Vec::new(), Vec::new(), Vec::new());
        let jobs = self.jobs;
        for &place in &self.new {
            let job = &jobs[place];
            match &job.fact {
                Fact::Event(event) => {
                    let rows = commissions.get(&event.conversion.id).map_or(&[][..], Vec::as_slice);
                    let first = first_standing(event, sets.get(&event.conversion.id).copied(), rows)?;
                    self.answers.insert(place, Answer::Event(first.answer.clone()));
                    events.push((&**event, first));
                }
                Fact::Identify(click, stitch) => {
                    let customer = &job.customers[0];
                    // As it was taken: with what is odd about it.
                    let taken =
                        self.customers.get(customer).into_iter().flat_map(|known| &known.facts.clicks);
                    identifies.extend(
                        taken.filter(|one| one.id == click.id).map(|click| (customer, click, &**stitch)),
                    );
                }
                Fact::Correct(new) => {
                    let mut new = (**new).clone();
                    new.correction.at = self.times.get(&place).copied().unwrap_or(new.correction.at);
                    store::facts::insert_correction(tx, &new, self.now).await?;
                    self.answers.insert(place, Answer::Corrected(true));
                }
                Fact::DecideClick(new) | Fact::DecideCommission(_, new) => {
                    let mut new = (**new).clone();
                    new.decision.at = self.times.get(&place).copied().unwrap_or(new.decision.at);
                    decisions.push(new);
                }
                Fact::Nothing => {}
            }
        }
        let nothing = |job: &&Job| matches!(job.fact, Fact::Nothing);
        let derived: Vec<&Customer> =
            self.jobs.iter().filter(nothing).flat_map(|job| &job.customers).collect();
        store::stale::delete(tx, &derived).await?;
        store::facts::insert_identifies(tx, &identifies).await?;
        store::facts::insert_decisions(tx, &decisions).await?;
        self.note_others(tx).await?;
        outbox::enqueue(tx, &self.told(&decisions)?).await?;
        Ok(events)
    }

    /// Whoever has a click since it was looked up who has it is derived after it is decided about.
    async fn note_others(&self, tx: &mut PgConnection) -> Result<(), Error> {
        for job in self.jobs {
            let Fact::DecideClick(new) = &job.fact else { continue };
            let Some(click) = new.decision.verdict.click() else { continue };
            let mut others = store::clicks::customers(&mut *tx, new.organization, click).await?;
            others.retain(|one| !job.customers.contains(one));
            store::stale::insert(tx, &others).await?;
        }
        Ok(())
    }

    /// What others are told of decisions; that of the hold period is told by what it does.
    fn told(&self, decisions: &[NewDecision]) -> Result<Vec<Message>, Error> {
        let told = decisions.iter().filter(|new| !matches!(new.decision.verdict, Verdict::Mature(_)));
        let message = |new: &NewDecision| {
            let known = |key: &CommissionKey| {
                self.customers.values().find_map(|known| known.standing.commissions.get(key))
            };
            let commission = new.decision.verdict.commission().and_then(known);
            publisher::decided(new, commission.map(|row| row.id))
        };
        told.map(message).collect()
    }

    /// The answers in the order of the jobs.
    fn answer(mut self, difference: &Difference) -> Result<Vec<Answer>, Error> {
        let places: Vec<usize> = self.new.clone();
        let sets: HashSet<ConversionId> = difference.sets.iter().map(|set| set.event).collect();
        for place in places {
            let job = &self.jobs[place];
            let answer = match &job.fact {
                Fact::Event(_) | Fact::Correct(_) => continue,
                Fact::Identify(..) => {
                    Answer::Identified { first: true, backfilled: self.changed(&job.customers, &sets) }
                }
                Fact::DecideClick(_) | Fact::Nothing => Answer::Changed(self.changed(&job.customers, &sets)),
                Fact::DecideCommission(key, _) => {
                    let moved = difference.moved.iter().find(|(_, row)| row.is.key == *key);
                    let stood =
                        || self.customers.get(&job.customers[0])?.standing.commissions.get(key).cloned();
                    let row = moved.map(|(_, row)| row.clone()).or_else(stood);
                    Answer::Decided(row.map(Box::new).ok_or(NotDecided::missing()))
                }
            };
            self.answers.insert(place, answer);
        }
        for (place, first) in &self.repeats {
            if let Some(answer) = self.answers.get(first).cloned() {
                self.answers.insert(*place, answer);
            }
        }
        let lost = || Error::Stored("a job has no answer".to_owned());
        (0..self.jobs.len()).map(|place| self.answers.remove(&place).ok_or_else(lost)).collect()
    }

    /// How many events of these customers that were there before are attributed otherwise now.
    fn changed(&self, customers: &[Customer], sets: &HashSet<ConversionId>) -> u32 {
        let known = customers.iter().filter_map(|customer| self.customers.get(customer));
        let changed =
            known.flat_map(|known| known.standing.events.keys()).filter(|event| sets.contains(event)).count();
        u32::try_from(changed).unwrap_or(u32::MAX)
    }
}

fn first_standing(
    event: &NewEvent,
    set: Option<&Opened>,
    commissions: &[&CommissionRow],
) -> Result<FirstStanding, Error> {
    let set = set.ok_or_else(|| Error::Stored("an event was not derived".to_owned()))?;
    let standing = &set.standing;
    let touches = standing.touches.iter().map(|touch| {
        let pays = |row: &&&CommissionRow| row.is.key.click == touch.click;
        let commission = commissions.iter().filter(pays).min_by_key(|row| row.is.key.rule);
        wire::Touch {
            click_id: touch.click.to_string(),
            partner_id: touch.partner.to_string(),
            weight: Some(wire::Weight {
                numerator: touch.weight.numerator,
                denominator: touch.weight.denominator,
            }),
            attribution_id: touch.id.to_string(),
            commission_id: commission.map(|row| row.id.to_string()).unwrap_or_default(),
        }
    });
    let answer = wire::RecordedEvent {
        event_id: event.conversion.id.to_string(),
        status: standing.status.name().to_owned(),
        model: standing.model.map(|model| model.name().to_owned()).unwrap_or_default(),
        touches: touches.collect(),
    };
    Ok(FirstStanding {
        answer: answer.encode_to_vec(),
        status: standing.status.name(),
        reason: standing.reason.map(|reason| reason.name()),
        model: standing.model.map(|model| model.name()),
        generation: standing.generation,
    })
}

/// Writes new events and what is derived. False: another transaction moved a commission meanwhile.
async fn move_on(
    tx: &mut PgConnection,
    events: &[(&NewEvent, FirstStanding)],
    difference: &Difference,
    now: Timestamp,
) -> Result<bool, Error> {
    let again: Vec<&Opened> = difference.sets.iter().filter(|set| set.is_again).collect();
    let ids: Vec<Uuid> = again.iter().map(|set| set.event.uuid()).collect();
    store::standing::close(tx, &ids, now).await?;
    store::standing::restate(tx, &again).await?;
    let Difference { sets, accrued, moved, entries, messages } = difference;
    if !store::standing::update(tx, moved).await? {
        return Ok(false);
    }
    let news = News { events, sets, commissions: accrued, entries, messages };
    store::news::insert(tx, news, now).await?;
    Ok(true)
}
