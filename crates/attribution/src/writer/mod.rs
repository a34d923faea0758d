//! Facts are written in gatherings: a writer takes all that waits, up to a thousand, and writes it with what it comes to
//! in one transaction. The facts of a customer always go to the same writer, in their order.

mod apply;
pub(crate) mod difference;
pub(crate) mod job;
mod take;

use std::{
    collections::{HashSet, VecDeque, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use bus::outbox::Waker;
use model::Clock;
use sqlx::{PgConnection, PgPool};
use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::job::{Answer, Fact, Job, NotDecided};
use self::{apply::Context, job::Waiting};
use crate::{Error, catalog::Catalogs, store::facts::Customer, webhooks::Bell};

/// The most jobs of one transaction.
const MOST: usize = 1_000;
/// The most jobs that wait for a writer; more wait at its door.
const QUEUE: usize = 4_096;
/// How often a gathering is tried that met another transaction.
const ATTEMPTS: u32 = 6;
/// How long more jobs are waited for.
const MOMENT: Duration = Duration::from_micros(300);
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// Hands jobs to the writers. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Writers(Arc<[mpsc::Sender<Waiting>]>);

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
        let spawn = |_| {
            let (sender, queue) = mpsc::channel(QUEUE);
            let context = Context {
                pool: pool.clone(),
                catalogs: Arc::clone(catalogs),
                clock: Arc::clone(clock),
                waker: waker.clone(),
                bell: bell.clone(),
            };
            let writer = Writer { context, lane: None, queue, later: VecDeque::new(), usual: 0 };
            tasks.spawn(writer.run(shutdown.clone()));
            sender
        };
        Self((0..count.max(1)).map(spawn).collect())
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

    async fn submit(&self, job: Job) -> Result<oneshot::Receiver<Result<Answer, Error>>, Error> {
        let mut hasher = DefaultHasher::new();
        job.customers.first().hash(&mut hasher);
        let place = usize::try_from(hasher.finish() % self.0.len() as u64).unwrap_or_default();
        let (reply, answer) = oneshot::channel();
        self.0[place].send(Waiting { job, reply }).await.map_err(|_| Error::Ending)?;
        Ok(answer)
    }
}

struct Writer {
    context: Context,
    /// The connection that it writes on.
    lane: Option<PgConnection>,
    queue: mpsc::Receiver<Waiting>,
    /// Jobs that wait for one before them, in their order.
    later: VecDeque<Waiting>,
    /// How many were written together last.
    usual: usize,
}

impl Writer {
    /// Works until the shutdown; what was handed in before it is done.
    async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let first = match self.later.pop_front() {
                Some(first) => first,
                None => match shutdown.run_until_cancelled(self.queue.recv()).await {
                    Some(Some(first)) => first,
                    Some(None) => return,
                    None => match self.queue.try_recv() {
                        Ok(first) => first,
                        Err(_) => return,
                    },
                },
            };
            let candidates = self.candidates(first).await;
            let gathering = self.gather(candidates);
            self.usual = gathering.len();
            self.write(gathering).await;
        }
    }

    /// All that waits. Those who were answered just now come again at once where many ask without a pause; for them a
    /// moment is waited, since a transaction for each of two halves costs nearly twice as much as one for both.
    async fn candidates(&mut self, first: Waiting) -> VecDeque<Waiting> {
        let mut candidates = std::mem::take(&mut self.later);
        candidates.push_front(first);
        let began = Instant::now();
        loop {
            while candidates.len() < MOST
                && let Ok(next) = self.queue.try_recv()
            {
                candidates.push_back(next);
            }
            // Twice as many as last: where there are more to come it grows.
            let hoped_for = if self.usual > 1 { MOST.min(2 * self.usual) } else { 1 };
            if candidates.len() >= hoped_for || began.elapsed() > MOMENT {
                return candidates;
            }
            yield_now().await;
        }
    }

    /// Those that can be written together: not what depends on something that is gathered already.
    fn gather(&mut self, candidates: VecDeque<Waiting>) -> Vec<Waiting> {
        let mut taken: HashSet<Customer> = HashSet::with_capacity(candidates.len());
        let mut alone: HashSet<Customer> = HashSet::new();
        let mut gathering = Vec::with_capacity(candidates.len());
        for waiting in candidates {
            let customers = &waiting.job.customers;
            let conditional = waiting.job.is_conditional();
            let collides = |customer| alone.contains(customer) || conditional && taken.contains(customer);
            if customers.iter().any(collides) {
                alone.extend(customers.iter().cloned());
                self.later.push_back(waiting);
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

    async fn write(&mut self, gathering: Vec<Waiting>) {
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
    }

    /// Tries again what met another transaction.
    async fn write_patiently(&mut self, jobs: &[Job]) -> Result<Vec<Answer>, Error> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.context.apply(&mut self.lane, jobs).await {
                Err(error) if error.is_contention() => sleep(pause).await,
                other => return other,
            }
            pause *= 2;
        }
        self.context.apply(&mut self.lane, jobs).await
    }
}
