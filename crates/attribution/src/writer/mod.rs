//! Facts are written in gatherings: all that waits, up to a thousand, is written with what it comes to in one transaction.
//! A gathering begins when the one before has nothing left to do but to commit, and when those who were answered had a moment
//! to come back, so that what comes meanwhile is one transaction: each costs as much as a dozen of facts.

mod apply;
pub(crate) mod difference;
pub(crate) mod job;
mod take;

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bus::outbox::Waker;
use model::Clock;
use sqlx::{PgConnection, PgPool};
use tokio::{
    sync::{OwnedSemaphorePermit, RwLock, RwLockReadGuard, Semaphore, mpsc, oneshot},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::job::{Answer, Fact, Job, NotDecided};
use self::{apply::Context, job::Waiting};
use crate::{Error, catalog::Catalogs, store::facts::Customer, webhooks::Bell};

/// The most jobs of one transaction.
const MOST: usize = 1_000;
/// The most jobs that wait; more wait at the door.
const QUEUE: usize = 4_096;
/// So many are worth a second transaction that is not committing yet.
const MANY: usize = 64;
/// How many transactions are not committing yet at once.
const TURNS: u32 = 2;
/// How long a gathering of few waits at most for as many as were under way just now.
const LINGER: Duration = Duration::from_millis(1);
/// How often a gathering is tried that met another transaction.
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// Hands jobs to the writers. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Writers {
    queue: mpsc::Sender<Waiting>,
    /// Held by whoever derives many customers again.
    deriving: Arc<RwLock<()>>,
}

impl Writers {
    /// Starts so many writers.
    pub(crate) fn spawn(
        count: usize,
        pool: &PgPool,
        catalogs: &Arc<Catalogs>,
        clock: &Arc<dyn Clock>,
        (waker, bell): (&Waker, &Bell),
        shutdown: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE);
        let context = Context {
            pool: pool.clone(),
            catalogs: Arc::clone(catalogs),
            clock: Arc::clone(clock),
            waker: waker.clone(),
            bell: bell.clone(),
        };
        let gatherer = Gatherer {
            context,
            lanes: Arc::default(),
            free: Arc::new(Semaphore::new(count.max(1))),
            turns: Arc::new(Semaphore::new(TURNS as usize)),
            queue,
            waiting: VecDeque::new(),
            last: 0,
            tasks: tasks.clone(),
        };
        tasks.spawn(gatherer.run(shutdown.clone()));
        Self { queue: sender, deriving: Arc::default() }
    }

    /// Does a job; the answer comes after the commit.
    pub(crate) async fn run(&self, job: Job) -> Result<Answer, Error> {
        self.submit(job).await?.await.unwrap_or(Err(Error::Ending))
    }

    /// Does jobs together; the answers are in their order.
    pub(crate) async fn run_all(&self, jobs: Vec<Job>) -> Result<Vec<Result<Answer, Error>>, Error> {
        let mut waiting = Vec::with_capacity(jobs.len());
        for job in jobs {
            waiting.push(self.submit(job).await?);
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for answer in waiting {
            answers.push(answer.await.unwrap_or(Err(Error::Ending)));
        }
        Ok(answers)
    }

    /// Says that customers which are noted as stale are derived, as long as it is held.
    pub(crate) async fn deriving(&self) -> RwLockReadGuard<'_, ()> {
        self.deriving.read().await
    }

    /// Whether somebody does.
    pub(crate) fn are_deriving(&self) -> bool {
        self.deriving.try_write().is_err()
    }

    async fn submit(&self, job: Job) -> Result<oneshot::Receiver<Result<Answer, Error>>, Error> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Waiting { job, reply }).await.map_err(|_| Error::Ending)?;
        Ok(answer)
    }
}

/// The connections of the writers that nobody writes on.
type Lanes = Arc<Mutex<Vec<PgConnection>>>;

/// Gathers jobs, and starts a writer for each gathering.
struct Gatherer {
    context: Context,
    lanes: Lanes,
    /// Counts writers.
    free: Arc<Semaphore>,
    /// Counts what may be done before a commit: a gathering of many takes one of the two, one of few takes both.
    turns: Arc<Semaphore>,
    queue: mpsc::Receiver<Waiting>,
    /// Jobs that are in no gathering yet, in their order.
    waiting: VecDeque<Waiting>,
    /// How many jobs the gathering before had.
    last: usize,
    tasks: TaskTracker,
}

impl Gatherer {
    /// Works until the shutdown; what was handed in before it is done.
    async fn run(mut self, shutdown: CancellationToken) {
        loop {
            if self.waiting.is_empty() {
                match shutdown.run_until_cancelled(self.queue.recv()).await {
                    Some(Some(first)) => self.waiting.push_back(first),
                    Some(None) => return,
                    None => match self.queue.try_recv() {
                        Ok(first) => self.waiting.push_back(first),
                        Err(_) => return,
                    },
                }
            }
            // Neither is ever closed.
            let Ok(free) = Arc::clone(&self.free).acquire_owned().await else { return };
            let Some(turn) = self.turn().await else { return };
            self.receive();
            let gathering = self.gather();
            self.last = gathering.len();
            let lane = self.lanes.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let writer = Writer { context: self.context.clone(), lane, turn: Some(turn) };
            let lanes = Arc::clone(&self.lanes);
            self.tasks.spawn(async move {
                let lane = writer.write(gathering).await;
                lanes.lock().unwrap_or_else(PoisonError::into_inner).extend(lane);
                drop(free);
            });
        }
    }

    /// Waits until what waits may be written: many as soon as there is a turn, few when nobody else has one.
    async fn turn(&mut self) -> Option<OwnedSemaphorePermit> {
        self.receive();
        if let Ok(turn) = Arc::clone(&self.turns).try_acquire_many_owned(TURNS) {
            self.linger(self.last).await;
            return Some(turn);
        }
        loop {
            if self.waiting.len() >= MANY {
                return Arc::clone(&self.turns).acquire_owned().await.ok();
            }
            tokio::select! {
                biased;
                turn = Arc::clone(&self.turns).acquire_many_owned(TURNS) => {
                    self.linger(self.last + self.waiting.len()).await;
                    return turn.ok();
                }
                Some(next) = self.queue.recv() => self.waiting.push_back(next),
            }
            self.receive();
        }
    }

    /// Waits a moment until so many wait. Whoever is answered often has something else to hand in at once: callers who take
    /// turns in two gatherings cost as much again as in one. Should nobody come, the next gathering expects as few.
    async fn linger(&mut self, expected: usize) {
        let coming = async {
            while self.waiting.len() < expected.min(MOST)
                && let Some(next) = self.queue.recv().await
            {
                self.waiting.push_back(next);
            }
        };
        // Too late is as good as here.
        let _late = timeout(LINGER, coming).await;
    }

    /// Takes what is handed in, as far as it is written together.
    fn receive(&mut self) {
        while self.waiting.len() < MOST
            && let Ok(next) = self.queue.try_recv()
        {
            self.waiting.push_back(next);
        }
    }

    /// Those that can be written together: not what depends on something that is gathered already.
    fn gather(&mut self) -> Vec<Waiting> {
        let candidates = std::mem::take(&mut self.waiting);
        let mut taken: HashSet<Customer> = HashSet::with_capacity(candidates.len());
        let mut alone: HashSet<Customer> = HashSet::new();
        let mut gathering = Vec::with_capacity(candidates.len());
        for waiting in candidates {
            let customers = &waiting.job.customers;
            let conditional = waiting.job.is_conditional();
            let collides = |customer| alone.contains(customer) || conditional && taken.contains(customer);
            if customers.iter().any(collides) {
                alone.extend(customers.iter().cloned());
                self.waiting.push_back(waiting);
                continue;
            }
            if conditional {
                alone.extend(customers.iter().cloned());
            }
            taken.extend(customers.iter().cloned());
            gathering.push(waiting);
        }
        gathering
    }
}

/// Writes a gathering.
struct Writer {
    context: Context,
    /// The connection that it writes on.
    lane: Option<PgConnection>,
    /// Given back before the commit.
    turn: Option<OwnedSemaphorePermit>,
}

impl Writer {
    /// Writes the jobs and answers them; returns the connection.
    async fn write(mut self, gathering: Vec<Waiting>) -> Option<PgConnection> {
        let (jobs, replies): (Vec<Job>, Vec<_>) =
            gathering.into_iter().map(|waiting| (waiting.job, waiting.reply)).unzip();
        match self.write_patiently(&jobs).await {
            Ok(answers) => {
                for (reply, answer) in replies.into_iter().zip(answers) {
                    // Who asked may have gone; the fact is written all the same.
                    let _gone = reply.send(Ok(answer));
                }
            }
            Err(error) if jobs.len() > 1 && !error.is_transient() => {
                tracing::warn!(%error, jobs = jobs.len(), "writing a gathering failed, writing one by one");
                for (reply, job) in replies.into_iter().zip(jobs) {
                    let answers = self.write_patiently(std::slice::from_ref(&job)).await;
                    let answer = answers.and_then(|mut answers| answers.pop().ok_or(Error::Ending));
                    let _gone = reply.send(answer);
                }
            }
            Err(error) => {
                tracing::error!(%error, jobs = jobs.len(), "writing a gathering failed");
                let transient = error.is_transient();
                for reply in replies {
                    let again = if transient { Error::Unavailable } else { Error::Stored(error.to_string()) };
                    let _gone = reply.send(Err(again));
                }
            }
        }
        self.lane
    }

    /// Tries again what met another transaction.
    async fn write_patiently(&mut self, jobs: &[Job]) -> Result<Vec<Answer>, Error> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.context.apply(&mut self.lane, &mut self.turn, jobs).await {
                Err(error) if error.is_contention() => {
                    self.turn = None;
                    sleep(pause).await;
                }
                other => return other,
            }
            pause *= 2;
        }
        self.context.apply(&mut self.lane, &mut self.turn, jobs).await
    }
}
