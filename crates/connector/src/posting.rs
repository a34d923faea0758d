//! Messages and mails: taken from the work queue of a partition, posted or sent once each, answered, then acknowledged. Those of
//! a channel or a mailbox go out one after the other, those of different ones side by side.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use bus::{ConsumerConfig, Delivery, Message, subject};
use futures::{StreamExt, stream::FuturesUnordered};
use model::{
    AnswerPrivately, ConnectionId, ConnectionState, IssueCategory, MessagePosted, PostMessage, SendMail,
    WithdrawMail, kind,
};
use tokio::{
    sync::mpsc,
    time::{Instant, interval},
};

use crate::{
    Error, ErrorKind, Messenger, Retry,
    core::{Core, Link},
    failure::Failure,
    mailing::{Mailed, Sending},
    publisher::Publisher,
    session::backoff,
    store::{BegunPost, Connection, Lease, Store},
};

/// The inbox's name for answered messages.
const INBOX: &str = "connector-posts";
/// The part of a connection's work that this is.
const PART: &str = "post messages";
const ACK_WAIT: Duration = Duration::from_secs(60);
const STILL_AT_IT: Duration = Duration::from_secs(15);
/// A message is never given up: it is answered, or its connection does not work yet.
const MAX_DELIVER: u64 = 1_000_000;
const MAX_WAITING: usize = 10_000;
/// How often a message is tried to which the vendor gives an answer that says nothing.
pub(crate) const PUZZLED_TRIES: u64 = 6;
/// What is older than this is no answer any more to whoever clicked.
const ANSWER_LASTS: Duration = Duration::from_secs(30 * 60);
const OWN_FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// Posts the messages and sends the mails of one partition.
pub(crate) struct Poster {
    pub(crate) core: Arc<Core>,
    pub(crate) lease: Lease,
    /// What it takes from the queue.
    filters: Vec<String>,
    /// Until when mailboxes rest, because their vendor wants it.
    pub(crate) rests: Mutex<HashMap<ConnectionId, Instant>>,
}

/// What is made one after the other: the messages of a channel of a connection, or the mails of a mailbox.
type Line = (ConnectionId, String);

/// What a vendor is asked to tell.
enum Wish {
    Post(PostMessage),
    Answer(AnswerPrivately),
    Mail(Box<SendMail>),
    Withdraw(WithdrawMail),
}

/// A wish and its delivery.
struct Job {
    wish: Wish,
    delivery: Delivery,
}

/// What became of a wish.
pub(crate) enum Outcome {
    /// Nothing that is told.
    Nothing,
    /// The vendor's id of a message, or a stable code of why there is none.
    Posted(Result<String, String>),
    /// What became of a mail.
    Mailed(Box<Mailed>),
}

/// What became of a try.
pub(crate) enum Tried {
    /// It is done.
    Done(Outcome),
    /// It is tried again after this time.
    Again(Duration),
}

impl Wish {
    fn read(message: &Message) -> Result<Self, bus::Error> {
        match message.envelope.kind.as_str() {
            kind::ANSWER => message.decode().map(Self::Answer),
            kind::MAIL => message.decode().map(Box::new).map(Self::Mail),
            kind::MAIL_WITHDRAWAL => message.decode().map(Self::Withdraw),
            _ => message.decode().map(Self::Post),
        }
    }

    fn line(&self) -> Line {
        match self {
            Self::Post(post) => (post.connection, post.channel.clone()),
            Self::Answer(answer) => (answer.connection, answer.channel.clone()),
            Self::Mail(mail) => (mail.connection, String::new()),
            // It waits for no mail.
            Self::Withdraw(withdraw) => (withdraw.connection, withdraw.mail.to_string()),
        }
    }

    /// By what it is known again, beside the id of its delivery.
    fn ids(&self, delivery: &Delivery) -> Vec<String> {
        let id = delivery.message.envelope.id.clone();
        match self {
            Self::Post(_) | Self::Withdraw(_) => vec![id],
            Self::Answer(answer) => vec![id, format!("answer:{}:{}", answer.connection, answer.interaction)],
            Self::Mail(mail) => vec![id, format!("mail:{}:{}", mail.connection, mail.mail)],
        }
    }
}

impl Poster {
    /// None where the vendor neither posts messages nor sends mail.
    pub(crate) fn new(core: Arc<Core>, lease: Lease) -> Option<Self> {
        let connector = core.connectors.get(lease.vendor)?;
        let (vendor, partition) = (lease.vendor, lease.partition);
        let mut filters = Vec::new();
        if connector.messenger().is_some() {
            filters.extend([subject::posts_of(vendor, partition), subject::answers_of(vendor, partition)]);
        }
        if connector.mailer().is_some() {
            filters.push(subject::mails_of(vendor, partition));
        }
        let takes_any = !filters.is_empty();
        takes_any.then(|| Self { core, lease, filters, rests: Mutex::default() })
    }

    /// Posts and sends until dropped.
    pub(crate) async fn run(self) {
        loop {
            if let Err(failure) = self.consume().await {
                let (vendor, partition) = (self.lease.vendor, self.lease.partition);
                tracing::warn!(vendor, partition, error = %failure, "could not take messages to post");
                tokio::time::sleep(OWN_FAILURE_PAUSE).await;
            }
        }
    }

    async fn consume(&self) -> Result<(), Failure> {
        let Lease { vendor, partition, .. } = self.lease;
        let name = format!("connector-posts-{vendor}-{partition}");
        let mut config = ConsumerConfig::new(subject::WRITES, name).filtered(self.filters.clone());
        config.ack_wait = ACK_WAIT;
        config.max_deliver = MAX_DELIVER;
        config.max_ack_pending = MAX_WAITING;
        let mut consumer = self.core.bus.consumer(config).await?;
        let (taken, batches) = mpsc::channel(1);
        let taking = async move {
            while taken.send(consumer.next_batch().await?).await.is_ok() {}
            Ok::<(), Failure>(())
        };
        // The first failure ends both, once what is being posted is done; what was not begun comes again.
        let (took, posted) = tokio::join!(taking, self.work_off(batches));
        took.and(posted)
    }

    async fn work_off(&self, mut batches: mpsc::Receiver<Vec<Delivery>>) -> Result<(), Failure> {
        let mut waiting: BTreeMap<Line, VecDeque<Job>> = BTreeMap::new();
        let mut busy: BTreeSet<Line> = BTreeSet::new();
        let mut doing = FuturesUnordered::new();
        let mut ticks = interval(STILL_AT_IT);
        loop {
            let free: Vec<Line> = waiting.keys().filter(|line| !busy.contains(line)).cloned().collect();
            for line in free {
                let Some(jobs) = waiting.remove(&line) else { continue };
                let mut jobs = jobs;
                let Some(job) = jobs.pop_front() else { continue };
                if !jobs.is_empty() {
                    waiting.insert(line.clone(), jobs);
                }
                busy.insert(line.clone());
                doing.push(async move { (self.work(job).await, line) });
            }
            tokio::select! {
                Some((done, line)) = doing.next() => {
                    busy.remove(&line);
                    if done.is_err() {
                        while doing.next().await.is_some() {}
                        return done;
                    }
                }
                batch = batches.recv() => {
                    let Some(batch) = batch else {
                        while doing.next().await.is_some() {}
                        return Ok(());
                    };
                    for delivery in batch {
                        match Wish::read(&delivery.message) {
                            Ok(wish) => {
                                waiting.entry(wish.line()).or_default().push_back(Job { wish, delivery });
                            }
                            Err(error) => delivery.dead_letter("post_undecodable", &error.to_string()).await?,
                        }
                    }
                }
                _ = ticks.tick() => for job in waiting.values().flatten() {
                    job.delivery.in_progress().await?;
                },
            }
        }
    }

    async fn work(&self, job: Job) -> Result<(), Failure> {
        let ids = job.wish.ids(&job.delivery);
        let mut db = self.core.store.pool.acquire().await?;
        let handled = bus::inbox::handled(&mut db, INBOX, &ids).await?;
        drop(db);
        if !handled.is_empty() {
            return Ok(job.delivery.ack().await?);
        }
        let envelope = &job.delivery.message.envelope;
        let (organization, sent_at) = (envelope.organization, envelope.time);
        let connection = self.core.store.connection(job.wish.line().0).await?;
        let is_theirs = |connection: &Connection| {
            connection.organization == organization && connection.vendor == self.lease.vendor
        };
        let Some(connection) = connection.filter(is_theirs) else {
            let detail = "no connection of this organization has this id";
            return Ok(job.delivery.dead_letter("connection_unknown", detail).await?);
        };
        if let Some(over) = self.over_anyway(&job.wish).await? {
            return self.finish(&connection, job, &ids, over).await;
        }
        // What was meant for the time before a disconnection is not told after it.
        if connection.state == ConnectionState::Disconnected || sent_at < connection.alive_since {
            let over = self.over_without_link(&job.wish, true).await?.unwrap_or(Outcome::Nothing);
            return self.finish(&connection, job, &ids, over).await;
        }
        let link = self.core.link(&connection).await?.filter(|_| connection.works());
        let Some(link) = link else {
            return match self.over_without_link(&job.wish, false).await? {
                Some(over) => self.finish(&connection, job, &ids, over).await,
                None => Ok(job.delivery.nak(self.core.config.held_write_pause).await?),
            };
        };
        let tried = {
            let trying = self.attempt(&link, &job);
            let mut trying = std::pin::pin!(trying);
            let mut ticks = interval(STILL_AT_IT);
            ticks.tick().await;
            loop {
                tokio::select! {
                    tried = &mut trying => break tried?,
                    _ = ticks.tick() => job.delivery.in_progress().await?,
                }
            }
        };
        match tried {
            Tried::Done(outcome) => self.finish(&connection, job, &ids, outcome).await,
            Tried::Again(pause) => Ok(job.delivery.nak(pause).await?),
        }
    }

    /// What becomes of a wish for which the vendor need not be asked.
    async fn over_anyway(&self, wish: &Wish) -> Result<Option<Outcome>, Failure> {
        match wish {
            Wish::Mail(mail) => self.withdrawn_unbegun(mail).await,
            Wish::Withdraw(withdraw) => {
                self.core.store.withdraw_mail(withdraw, self.core.now()).await?;
                Ok(Some(Outcome::Nothing))
            }
            Wish::Post(_) | Wish::Answer(_) => Ok(None),
        }
    }

    /// What becomes of a wish whose connection is gone, or does not work; none while it is to wait.
    async fn over_without_link(&self, wish: &Wish, is_gone: bool) -> Result<Option<Outcome>, Failure> {
        match wish {
            Wish::Mail(mail) => self.mail_without_link(mail, is_gone).await,
            _ if !is_gone => Ok(None),
            Wish::Post(_) => Ok(Some(Outcome::Posted(Err("connection_disconnected".to_owned())))),
            Wish::Answer(_) | Wish::Withdraw(_) => Ok(Some(Outcome::Nothing)),
        }
    }

    async fn attempt(&self, link: &Link, job: &Job) -> Result<Tried, Failure> {
        let attempt = job.delivery.attempt;
        match (&job.wish, link.connector.messenger(), link.connector.mailer()) {
            (Wish::Mail(mail), _, Some(mailer)) => self.mail(Sending { link, mailer, mail, attempt }).await,
            (Wish::Post(message), Some(messenger), _) => self.post(link, messenger, message, attempt).await,
            (Wish::Answer(answer), Some(messenger), _) => {
                let age = self.core.now().duration_since(job.delivery.message.envelope.time);
                if age.unsigned_abs() > ANSWER_LASTS {
                    return Ok(Tried::Done(Outcome::Nothing));
                }
                match messenger.answer(&link.session, answer).await {
                    // Told twice is worse than not told by chance.
                    Err(error) if waits(&error) && error.kind != ErrorKind::AnswerLost => {
                        self.again(link, &error, attempt, PART).await
                    }
                    told => {
                        if let Err(error) = told {
                            tracing::warn!(connection = %link.id, %error, "could not answer somebody");
                        }
                        Ok(Tried::Done(Outcome::Nothing))
                    }
                }
            }
            // Nothing that the vendor does not do is taken from the queue.
            _ => Ok(Tried::Again(self.core.config.held_write_pause)),
        }
    }

    async fn post(
        &self,
        link: &Link,
        messenger: &dyn Messenger,
        message: &PostMessage,
        attempt: u64,
    ) -> Result<Tried, Failure> {
        // Replacing a message twice does the same as once.
        let begun = match message.replaces {
            Some(_) => None,
            None => self.core.store.begin_post(message.post, self.core.now()).await?,
        };
        if let Some(BegunPost { message: Some(id), .. }) = begun {
            return Ok(Tried::Done(Outcome::Posted(Ok(id))));
        }
        let since = begun.map(|begun| begun.at);
        let error = match messenger.post(&link.session, message, since).await {
            Ok(id) => {
                self.core.part_succeeded(link, PART).await?;
                return Ok(Tried::Done(Outcome::Posted(Ok(id))));
            }
            Err(error) => error,
        };
        let may_be_there = matches!(error.kind, ErrorKind::AnswerLost | ErrorKind::Protocol);
        if message.replaces.is_none() && since.is_none() && !may_be_there {
            self.core.store.withdraw_post(message.post).await?;
        }
        if waits(&error) {
            return self.again(link, &error, attempt, PART).await;
        }
        if error.kind.category() == IssueCategory::Unavailable && attempt < PUZZLED_TRIES {
            tracing::warn!(connection = %link.id, attempt, %error, "a message waits");
            return Ok(Tried::Again(self.core.config.held_write_pause));
        }
        tracing::warn!(connection = %link.id, %error, "a message cannot be posted");
        let code = error.code.as_deref().unwrap_or_else(|| error.kind.code());
        Ok(Tried::Done(Outcome::Posted(Err(code.to_owned()))))
    }

    /// When to try again what waits.
    pub(crate) async fn again(
        &self,
        link: &Link,
        error: &Error,
        attempt: u64,
        part: &str,
    ) -> Result<Tried, Failure> {
        tracing::warn!(connection = %link.id, %error, "could not {part}; it waits");
        self.core.part_failed(link, part, error).await?;
        let most = self.core.config.held_write_pause;
        Ok(Tried::Again(match error.retry {
            // The budget may be raised meanwhile.
            Retry::After(pause) if error.kind == ErrorKind::BudgetSpent => pause.min(most),
            Retry::After(pause) => pause,
            Retry::Backoff => backoff(u32::try_from(attempt).unwrap_or(u32::MAX), rand::random())
                .max(Duration::from_millis(50)),
            Retry::Never => most,
        }))
    }

    /// Stores what became of it and the answer together, then acknowledges.
    async fn finish(
        &self,
        connection: &Connection,
        job: Job,
        ids: &[String],
        outcome: Outcome,
    ) -> Result<(), Failure> {
        let mut tx = self.core.store.pool.begin().await?;
        bus::inbox::fresh(&mut tx, INBOX, ids).await?;
        let publisher = Publisher::new(connection.organization, self.lease.vendor);
        let (cause, now) = (&job.delivery.message.envelope.id, self.core.now());
        match (&job.wish, outcome) {
            (Wish::Post(message), Outcome::Posted(outcome)) => {
                if let (Ok(id), None) = (&outcome, &message.replaces) {
                    Store::finish_post(&mut tx, message.post, id).await?;
                }
                let fact = MessagePosted {
                    connection: message.connection,
                    post: message.post,
                    channel: message.channel.clone(),
                    message: outcome.as_ref().ok().cloned(),
                    error: outcome.err(),
                };
                bus::outbox::enqueue(&mut tx, &[publisher.posted(&fact, cause, now)?]).await?;
            }
            (Wish::Mail(mail), Outcome::Mailed(mailed)) => {
                let Mailed { answer, activity } = *mailed;
                Store::finish_mail(&mut tx, mail, answer.state).await?;
                let mut told = vec![publisher.mailed(&answer, cause)?];
                if let Some(sent) = activity {
                    let chosen = self.core.store.readings(&[mail.connection]).await?;
                    let with_body = chosen.first().is_some_and(|chosen| chosen.settings.bodies);
                    told.push(publisher.activities(mail.connection).message(sent, with_body, now)?);
                }
                bus::outbox::enqueue(&mut tx, &told).await?;
            }
            _ => {}
        }
        tx.commit().await?;
        self.core.waker.wake();
        Ok(job.delivery.ack().await?)
    }
}

/// Whether a message is tried again: the failure passes, or somebody must connect again first.
pub(crate) fn waits(error: &Error) -> bool {
    error.is_transient() || matches!(error.kind, ErrorKind::AccessRevoked | ErrorKind::TokenExpired)
}
