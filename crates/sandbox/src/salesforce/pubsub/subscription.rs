//! One client's subscription: what it asked for, what it was given, and when it ends.

use std::time::Duration;

use rand::Rng;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tonic::{Status, Streaming};
use uuid::Uuid;

use super::access::Caller;
use super::errors::{self, Refusal};
use super::events::Topic;
use super::faults::{Rpc, StreamFault, StreamFaultKind};
use super::log::Position;
use super::reset::reset;
use super::wire::{ConsumerEvent, FetchRequest, FetchResponse, ReplayPreset};
use crate::salesforce::server::Shared;
use crate::salesforce::sim::Sim;
use crate::wiretap::Scissors;

/// The most events that a subscription may be owed; who asks for more is owed these.
const MOST_OWED: usize = 100;
/// How often a subscription looks whether its token is still good and whether the clock was moved.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long what was delivered has to leave the process before its stream or connection is cut.
const CUT_AFTER: Duration = Duration::from_millis(20);

/// A subscription.
pub(crate) struct Subscription {
    shared: Shared,
    caller: Caller,
    rpc_id: Uuid,
    fault: Option<StreamFault>,
    scissors: Option<Scissors>,
    /// The number of the last order to cut before it began.
    cuts: u64,
    /// Where the stream ended when the call came: `LATEST` is what is new to the caller.
    latest: Position,
    started: Option<Started>,
    owed: usize,
    delivered: u64,
    /// When something was sent, or nothing was owed any more.
    quiet_since: Instant,
    /// The client sends no more requests.
    half_closed: bool,
}

/// What the first request fixes.
struct Started {
    topic_name: String,
    topic: Topic,
    position: Position,
    /// The next response repeats events: it is not repeated again.
    repeating: bool,
}

/// What happens next.
enum Step {
    Send(FetchResponse),
    Wait(Duration),
    /// The stream ends without an error.
    Close,
    Fail(Refusal),
    Strike(StreamFaultKind),
}

impl Subscription {
    pub(crate) fn new(
        shared: Shared,
        caller: Caller,
        rpc_id: Uuid,
        fault: Option<StreamFault>,
        scissors: Option<Scissors>,
    ) -> Self {
        let (cuts, latest) = {
            let mut sim = shared.lock();
            sim.capture();
            (sim.events.cut.number, sim.events.log.last())
        };
        Self {
            shared,
            caller,
            rpc_id,
            fault,
            scissors,
            cuts,
            latest,
            started: None,
            owed: 0,
            delivered: 0,
            quiet_since: Instant::now(),
            half_closed: false,
        }
    }

    /// Serves until the client goes or something ends the stream.
    pub(crate) async fn run(
        mut self,
        mut requests: Streaming<FetchRequest>,
        responses: mpsc::Sender<Result<FetchResponse, Status>>,
    ) {
        let (mut commits, mut bell) = self.alarms();
        let stop = self.shared.stop.clone();
        loop {
            commits.mark_unchanged();
            bell.mark_unchanged();
            let wait = match self.step() {
                Step::Send(response) => {
                    if responses.send(Ok(response)).await.is_err() {
                        return;
                    }
                    continue;
                }
                Step::Close => return,
                Step::Fail(refusal) => return self.end(&responses, refusal).await,
                Step::Strike(kind) => return self.strike(&responses, kind).await,
                Step::Wait(wait) => wait,
            };
            tokio::select! {
                request = requests.message(), if !self.half_closed => match request {
                    Ok(Some(request)) => if let Err(refusal) = self.accept(request) {
                        return self.end(&responses, refusal).await;
                    },
                    Ok(None) => self.half_closed = true,
                    Err(_gone) => return,
                },
                _ = commits.changed() => {}
                _ = bell.changed() => {}
                () = tokio::time::sleep(wait) => {}
                () = responses.closed() => return,
                () = stop.cancelled() => return self.end(&responses, errors::UNAVAILABLE).await,
            }
        }
    }

    /// What rings when there may be something to send.
    fn alarms(&self) -> (watch::Receiver<i64>, watch::Receiver<()>) {
        let sim = self.shared.lock();
        (sim.org.journal.subscribe(), sim.events.bell())
    }

    async fn end(&self, responses: &mpsc::Sender<Result<FetchResponse, Status>>, refusal: Refusal) {
        let _client_is_gone = responses.send(Err(refusal.status(self.rpc_id))).await;
    }

    async fn strike(self, responses: &mpsc::Sender<Result<FetchResponse, Status>>, kind: StreamFaultKind) {
        if let Some(refusal) = kind.refusal(Rpc::Subscribe) {
            return self.end(responses, refusal).await;
        }
        match (kind, &self.scissors) {
            (StreamFaultKind::ResetStream, _) => {
                tokio::time::sleep(CUT_AFTER).await;
                let _client_is_gone = responses.send(Err(reset())).await;
            }
            (StreamFaultKind::CutConnection, Some(scissors)) => {
                tokio::time::sleep(CUT_AFTER).await;
                scissors.cut();
                self.end(responses, errors::UNAVAILABLE).await;
            }
            _ => tokio::select! {
                () = responses.closed() => {}
                () = self.shared.stop.cancelled() => {}
            },
        }
    }

    /// Takes a request for more events; the first one fixes topic and start.
    fn accept(&mut self, request: FetchRequest) -> Result<(), Refusal> {
        if !request.auth_refresh.is_empty() {
            return Err(errors::AUTH_REFRESH);
        }
        let asked = usize::try_from(request.num_requested).ok().filter(|asked| *asked > 0);
        let asked = asked.ok_or(errors::REQUESTED)?;
        match &self.started {
            None => self.started = Some(self.start(&request)?),
            Some(started) if request.topic_name.is_empty() || request.topic_name == started.topic_name => {}
            Some(_) => return Err(errors::TOPIC_MISMATCH),
        }
        if self.owed == 0 {
            self.quiet_since = Instant::now();
        }
        self.owed = (self.owed + asked).min(MOST_OWED);
        Ok(())
    }

    fn start(&self, request: &FetchRequest) -> Result<Started, Refusal> {
        let mut sim = self.shared.lock();
        let topic = sim.topic(&request.topic_name)?;
        sim.capture();
        let log = &sim.events.log;
        let preset = ReplayPreset::try_from(request.replay_preset).map_err(|_| errors::REPLAY_MISSING)?;
        let position = match preset {
            ReplayPreset::Latest => self.latest,
            ReplayPreset::Earliest => log.start(),
            ReplayPreset::Custom if request.replay_id.is_empty() => return Err(errors::REPLAY_MISSING),
            ReplayPreset::Custom => log.find(&request.replay_id).ok_or(errors::REPLAY_CORRUPTED)?,
        };
        Ok(Started { topic_name: request.topic_name.clone(), topic, position, repeating: false })
    }

    fn step(&mut self) -> Step {
        let shared = self.shared.clone();
        let mut sim = shared.lock();
        if let Err(refusal) = self.caller.check(&sim) {
            return Step::Fail(refusal);
        }
        if sim.events.cut.number > self.cuts {
            return Step::Strike(sim.events.cut.kind);
        }
        let due = sim.capture().map_or(LOOK_EVERY, |ms| Duration::from_millis(ms).min(LOOK_EVERY));
        if let Some(fault) = &self.fault
            && self.delivered >= fault.after_events
        {
            return Step::Strike(fault.kind);
        }
        let response = self.respond(&mut sim);
        let settings = &sim.events.settings;
        let limit = if self.owed == 0 { settings.idle_limit_ms } else { settings.keepalive_ms };
        match response {
            Some(response) => Step::Send(response),
            None if self.owed == 0 && self.half_closed => Step::Close,
            None => {
                let left = Duration::from_millis(limit).saturating_sub(self.quiet_since.elapsed());
                match (left.is_zero(), self.owed) {
                    (true, 0) => Step::Close,
                    (true, _) => self.keepalive(&mut sim),
                    (false, _) => Step::Wait(left.min(due)),
                }
            }
        }
    }

    /// The events that are there and owed, if any.
    fn respond(&mut self, sim: &mut Sim) -> Option<FetchResponse> {
        let started = self.started.as_mut()?;
        let left = self.fault.as_ref().map_or(u64::MAX, |fault| fault.after_events - self.delivered);
        let most = self.owed.min(usize::try_from(left).unwrap_or(usize::MAX));
        let mut last = None;
        let events: Vec<ConsumerEvent> = sim
            .events
            .log
            .after(started.position)
            .filter(|event| started.topic.carries(&event.entity))
            .take(most)
            .inspect(|event| last = Some(event.position))
            .map(|event| event.event.clone())
            .collect();
        // What other topics carry is not looked at again.
        let seen = if events.len() < most { Some(sim.events.log.last()) } else { last };
        let Some(last) = last else {
            started.position = seen.unwrap_or(started.position);
            return None;
        };
        self.owed -= events.len();
        self.delivered += events.len() as u64;
        self.quiet_since = Instant::now();
        let again = sim.events.rng.random_range(0..100) < sim.events.settings.duplicate_percent;
        started.repeating = again && !started.repeating;
        if !started.repeating {
            started.position = seen.unwrap_or(last);
        }
        Some(self.response(sim, events, last))
    }

    fn keepalive(&mut self, sim: &mut Sim) -> Step {
        let now_ms = sim.clock.now_ms();
        let events = &mut sim.events;
        let mark = events.log.mark(now_ms);
        self.quiet_since = Instant::now();
        if let Some(started) = &mut self.started {
            started.position = mark;
        }
        Step::Send(self.response(sim, Vec::new(), mark))
    }

    fn response(&self, sim: &Sim, mut events: Vec<ConsumerEvent>, latest: Position) -> FetchResponse {
        let mut latest_replay_id = latest.replay_id();
        if sim.events.settings.damaged_replay_ids {
            let told = events.iter_mut().map(|event| &mut event.replay_id);
            told.chain([&mut latest_replay_id]).for_each(|id| id.truncate(id.len() / 2));
        }
        FetchResponse {
            events,
            latest_replay_id,
            rpc_id: self.rpc_id.to_string(),
            pending_num_requested: i32::try_from(self.owed).unwrap_or(i32::MAX),
        }
    }
}
