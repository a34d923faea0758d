//! Clicks are recorded in gatherings, as facts are: all that wait, in one statement.

use std::sync::Arc;

use jiff::Timestamp;
use model::Clock;
use sqlx::{PgConnection, PgPool};
use tokio::sync::{mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Error,
    store::{
        self,
        clicks::{self, Found, NewClick},
    },
    text,
};

/// The most clicks of one statement.
const MOST: usize = 500;
const QUEUE: usize = 4_096;

type Reply = oneshot::Sender<Result<Found, Error>>;

/// Records clicks. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Clicker(mpsc::Sender<(NewClick, Reply)>);

impl Clicker {
    /// Starts the task that records.
    pub(crate) fn spawn(
        pool: PgPool,
        clock: Arc<dyn Clock>,
        shutdown: CancellationToken,
        tasks: &TaskTracker,
    ) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE);
        tasks.spawn(record(pool, clock, queue, shutdown));
        Self(sender)
    }

    /// Records a click; the answer comes after it is stored. Nothing: there is no such link, or it is closed.
    pub(crate) async fn run(&self, click: NewClick) -> Result<Found, Error> {
        let (reply, answer) = oneshot::channel();
        self.0.send((click, reply)).await.map_err(|_| Error::Ending)?;
        answer.await.unwrap_or(Err(Error::Ending))
    }
}

async fn record(
    pool: PgPool,
    clock: Arc<dyn Clock>,
    mut queue: mpsc::Receiver<(NewClick, Reply)>,
    shutdown: CancellationToken,
) {
    let mut gathered = Vec::with_capacity(MOST);
    let mut lane = None;
    loop {
        let waited = shutdown.run_until_cancelled(queue.recv_many(&mut gathered, MOST)).await;
        if waited.is_none() {
            // What was handed in before the end is recorded.
            while gathered.len() < MOST
                && let Ok(next) = queue.try_recv()
            {
                gathered.push(next);
            }
        }
        if gathered.is_empty() {
            return;
        }
        let (new, replies): (Vec<NewClick>, Vec<Reply>) = gathered.drain(..).unzip();
        let landings = insert(&pool, &mut lane, &new, text::micros(clock.now())).await;
        if let Err(error) = &landings {
            tracing::error!(%error, clicks = new.len(), "recording clicks failed");
        }
        let mut landings = landings.map(Vec::into_iter);
        for reply in replies {
            let answer = match &mut landings {
                Ok(landings) => Ok(landings.next().unwrap_or(Found::Nothing)),
                Err(_) => Err(Error::Unavailable),
            };
            // Who asked may have gone; the click is recorded all the same.
            let _gone = reply.send(answer);
        }
    }
}

/// Stores them on the connection that is open. One that was lost meanwhile is replaced; a click that was stored before
/// the loss is known by its id.
async fn insert(
    pool: &PgPool,
    lane: &mut Option<PgConnection>,
    new: &[NewClick],
    now: Timestamp,
) -> Result<Vec<Found>, Error> {
    let new: Vec<&NewClick> = new.iter().collect();
    if let Some(mut connection) = lane.take()
        && let Ok(landings) = clicks::insert(&mut connection, &new, now).await
    {
        *lane = Some(connection);
        return Ok(landings);
    }
    let mut connection = store::lane(pool).await?;
    let landings = clicks::insert(&mut connection, &new, now).await?;
    *lane = Some(connection);
    Ok(landings)
}
