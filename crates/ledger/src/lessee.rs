//! Holding tasks: leases them, keeps the leases alive, and tells a handler when to stop.
//!
//! A service gives a [`Handler`]; this loop gives it tasks, never more at a time than
//! it may hold, and cancels a task's token when its lease is lost or when it is no longer
//! wanted. When the process stops, handlers may finish for a while; what is not done by
//! then is dropped where it stands: its lease ends, and another process takes it up.

use crate::{
    BATCH_MAX, Class, Heard, Held, LeaseRequest, Leased, Ledger, LedgerError, Room, room::Place,
};
use async_trait::async_trait;
use baton_workflow::TaskId;
use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{runtime::Handle, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Most time between heartbeats: several may be lost, and a cancellation is heard soon.
const BEAT_MS_MAX: u64 = 1_000;
/// Silence of a holder after which [`Ledger::reap`] may take its leases back: two heartbeats
/// that did not come.
pub const SILENT_MS: u64 = 2 * BEAT_MS_MAX;
/// How long one request for tasks waits.
const WAIT_MS: u64 = 10_000;
/// First and longest pause after the ledger did not answer.
const PAUSE_MS: (u64, u64) = (50, 2_000);
/// How long handlers may go on after the process was told to stop.
const DRAIN_MS: u64 = 10_000;
/// How long handing back may take: a ledger that is away then ends the leases itself.
const HAND_BACK_MS: u64 = 2_000;

/// How long leases last, and what follows from it. The same for everybody who shares a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerms {
    ttl_ms: u64,
}

impl LeaseTerms {
    /// Long against a pause of the process, short against the patience of a user whose
    /// worker died.
    pub const USUAL: Self = Self { ttl_ms: 30_000 };
    /// The shortest lease: its heartbeats still survive a busy machine.
    pub const TTL_MS_MIN: u64 = 1_200;

    /// Leases of this length; for tests, which have less patience than users.
    pub fn lasting(ttl_ms: u64) -> Self {
        Self { ttl_ms: ttl_ms.max(Self::TTL_MS_MIN) }
    }

    /// How long a lease lasts without a heartbeat, in milliseconds.
    pub const fn ttl_ms(self) -> u64 {
        self.ttl_ms
    }

    /// Time between heartbeats: several may be lost, and a cancellation is heard soon.
    const fn beat_ms(self) -> u64 {
        if self.ttl_ms / 12 < BEAT_MS_MAX { self.ttl_ms / 12 } else { BEAT_MS_MAX }
    }

    /// For how long a holder trusts in its lease by its own clock: it stops itself before
    /// the lease ends.
    fn trusted(self) -> Duration {
        Duration::from_millis(self.ttl_ms - self.ttl_ms / 10)
    }
}

impl Default for LeaseTerms {
    fn default() -> Self {
        Self::USUAL
    }
}

/// What a service does with a task.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Carries out one task and records its outcome. Must return soon after `stop` is
    /// cancelled; what it writes under a lost lease is refused by the ledger.
    async fn handle(&self, leased: Leased, stop: CancellationToken);
}

/// Which tasks to hold.
#[derive(Debug, Clone)]
pub struct Lessee {
    /// Names the process.
    pub holder: String,
    /// Queues to take from.
    pub classes: Vec<Class>,
    /// For the tasks that are held at the same time.
    pub room: Room,
}

#[derive(Default)]
struct Holding {
    tasks: Mutex<HashMap<TaskId, Lease>>,
    /// Drops every handler where it stands.
    leave: CancellationToken,
}

struct Lease {
    held: Held,
    stop: CancellationToken,
    ends: Instant,
}

impl Lessee {
    /// Leases and handles tasks until `stop` is cancelled and the handlers are done.
    pub async fn run(
        self,
        ledger: Arc<dyn Ledger>,
        handler: Arc<dyn Handler>,
        stop: CancellationToken,
    ) {
        self.run_in(None, ledger, handler, stop).await;
    }

    /// The same, with the handlers in another runtime, if one is given: there, one that
    /// computes for long keeps no heartbeat waiting.
    pub async fn run_in(
        self,
        workshop: Option<Handle>,
        ledger: Arc<dyn Ledger>,
        handler: Arc<dyn Handler>,
        stop: CancellationToken,
    ) {
        let holding = Arc::new(Holding::default());
        let beating = CancellationToken::new();
        let beat = tokio::spawn(beat(ledger.clone(), holding.clone(), beating.clone()));
        let tracker = TaskTracker::new();
        let team = Team { handler, holding: holding.clone(), tracker: tracker.clone(), workshop };
        self.lease_until(&ledger, &team, &stop).await;
        tracker.close();
        let drained = Duration::from_millis(DRAIN_MS);
        if tokio::time::timeout(drained, tracker.wait()).await.is_err() {
            tracing::info!(tasks = tracker.len(), "tasks left for other processes");
            holding.leave.cancel();
            tracker.wait().await;
        }
        beating.cancel();
        if let Err(error) = beat.await {
            tracing::error!(%error, "heartbeats ended badly");
        }
    }

    async fn lease_until(&self, ledger: &Arc<dyn Ledger>, team: &Team, stop: &CancellationToken) {
        let mut pause = PAUSE_MS.0;
        let terms = ledger.lease_terms();
        let mut request = self.request(terms);
        loop {
            let permits = stop.run_until_cancelled(self.room.permits()).await;
            let Some(mut permits) = permits.flatten() else { return };
            request.max = permits.num_permits();
            // What is granted in the very moment of a stop is taken up when its lease ends.
            let asked = ledger.lease(request.clone());
            let Some(leased) = stop.run_until_cancelled(asked).await else { return };
            match leased {
                Ok(leased) => {
                    pause = PAUSE_MS.0;
                    request = self.request(terms);
                    for task in leased {
                        // No more are leased than were asked for.
                        let Some(permit) = permits.split(1) else { break };
                        team.start(task, terms, self.room.place(permit));
                    }
                }
                Err(error) => {
                    if !matches!(error, LedgerError::Unavailable(_)) {
                        request = self.request(terms);
                    }
                    tracing::warn!(%error, classes = ?self.classes, "cannot lease");
                    let pausing = tokio::time::sleep(Duration::from_millis(pause));
                    if stop.run_until_cancelled(pausing).await.is_none() {
                        return;
                    }
                    pause = (pause * 2).min(PAUSE_MS.1);
                }
            }
        }
    }

    /// A new request: repeated unchanged it gives the same tasks.
    fn request(&self, terms: LeaseTerms) -> LeaseRequest {
        static REQUESTS: AtomicU64 = AtomicU64::new(0);
        let number = REQUESTS.fetch_add(1, Ordering::Relaxed);
        let name = blake3::hash(format!("{}/{number}", self.holder).as_bytes());
        let mut id = [0; 8];
        id.copy_from_slice(&name.as_bytes()[..8]);
        LeaseRequest {
            holder: self.holder.clone(),
            classes: self.classes.clone(),
            max: 1,
            ttl_ms: terms.ttl_ms(),
            wait_ms: WAIT_MS,
            request: u64::from_le_bytes(id),
        }
    }
}

/// Who carries tasks out, and where.
struct Team {
    handler: Arc<dyn Handler>,
    holding: Arc<Holding>,
    tracker: TaskTracker,
    workshop: Option<Handle>,
}

impl Team {
    fn start(&self, leased: Leased, terms: LeaseTerms, place: Place) {
        let stop = CancellationToken::new();
        let held = Held { task: leased.task.clone(), token: leased.token };
        let task = held.task.clone();
        let ends = Instant::now() + terms.trusted();
        self.holding.lock().insert(task.clone(), Lease { held, stop: stop.clone(), ends });
        let (handler, holding) = (self.handler.clone(), self.holding.clone());
        let leave = holding.leave.clone();
        let handling = async move {
            let _release = Release { task, holding, _place: place };
            leave.run_until_cancelled(handler.handle(leased, stop)).await;
        };
        match &self.workshop {
            Some(workshop) => drop(self.tracker.spawn_on(handling, workshop)),
            None => drop(self.tracker.spawn(handling)),
        }
    }
}

/// Lets go of a task however its handler ends, by a panic too.
struct Release {
    task: TaskId,
    holding: Arc<Holding>,
    _place: Place,
}

impl Drop for Release {
    fn drop(&mut self) {
        self.holding.lock().remove(&self.task);
    }
}

impl Holding {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TaskId, Lease>> {
        // The map is whole between any two of its operations, whoever panicked.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> Vec<Held> {
        self.overdue();
        self.lock().values().map(|lease| lease.held.clone()).collect()
    }

    /// Stops what others may begin soon.
    fn overdue(&self) {
        let now = Instant::now();
        let tasks = self.lock();
        tasks.values().filter(|lease| lease.ends <= now).for_each(|lease| lease.stop.cancel());
    }

    fn heard(&self, held: &[Held], answers: &[Heard], trusted_until: Instant) {
        let mut tasks = self.lock();
        for (held, answer) in held.iter().zip(answers) {
            let Some(lease) = tasks.get_mut(&held.task).filter(|l| l.held.token == held.token)
            else {
                continue;
            };
            match answer {
                Heard::Extended => lease.ends = trusted_until,
                Heard::Lost | Heard::Abandon => lease.stop.cancel(),
                Heard::Unknown => {}
            }
        }
    }
}

async fn beat(ledger: Arc<dyn Ledger>, holding: Arc<Holding>, stop: CancellationToken) {
    let terms = ledger.lease_terms();
    let mut ticks = tokio::time::interval(Duration::from_millis(terms.beat_ms()));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let held = holding.held();
        for batch in held.chunks(BATCH_MAX) {
            let trusted_until = Instant::now() + terms.trusted();
            let mut asked = ledger.heartbeat(batch, terms.ttl_ms());
            let answer = loop {
                // A ledger that stands still must not keep leases from ending here.
                tokio::select! {
                    answer = &mut asked => break answer,
                    () = tokio::time::sleep(Duration::from_millis(terms.beat_ms())) => {
                        holding.overdue();
                    }
                }
            };
            match answer {
                Ok(answers) => holding.heard(batch, &answers, trusted_until),
                Err(error) => tracing::warn!(%error, "heartbeat failed"),
            }
        }
    }
}

/// Hands back at once what this holder holds, also what it was given in the very moment in
/// which it stopped: others need not wait for leases to end. For a holder all of whose
/// [`Lessee::run`] have ended, so that nothing is carried out any more.
pub async fn hand_back(ledger: &dyn Ledger, holder: &str) {
    let handing = async {
        loop {
            match ledger.reap(holder, 0).await {
                Ok(done) if done.more => {}
                Ok(done) => return Ok(done),
                Err(error) => return Err(error),
            }
        }
    };
    match tokio::time::timeout(Duration::from_millis(HAND_BACK_MS), handing).await {
        Ok(Ok(done)) => tracing::debug!(holder, leases = done.leases, "work was handed back"),
        Ok(Err(error)) => tracing::warn!(holder, %error, "work is left until its leases end"),
        Err(_elapsed) => tracing::warn!(holder, "work is left until its leases end"),
    }
}

/// Repeats a write that the ledger did not answer, until it does or `stop` is cancelled:
/// repeating under the same token is safe, giving up would lose what was paid for.
pub async fn persist<T, F, W>(stop: &CancellationToken, mut write: F) -> Result<T, LedgerError>
where
    F: FnMut() -> W,
    W: Future<Output = Result<T, LedgerError>>,
{
    let mut pause = PAUSE_MS.0;
    loop {
        match write().await {
            Err(LedgerError::Unavailable(reason)) => {
                tracing::warn!(reason, "the ledger did not answer, trying again");
                let pausing = tokio::time::sleep(Duration::from_millis(pause));
                if stop.run_until_cancelled(pausing).await.is_none() {
                    return Err(LedgerError::Unavailable(reason));
                }
                pause = (pause * 2).min(PAUSE_MS.1);
            }
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_stops_itself_before_its_lease_ends_and_after_several_heartbeats() {
        for ttl_ms in [0, LeaseTerms::TTL_MS_MIN, 4_000, LeaseTerms::USUAL.ttl_ms()] {
            let terms = LeaseTerms::lasting(ttl_ms);
            let (ttl, beat) = (terms.ttl_ms(), terms.beat_ms());
            assert!(ttl >= LeaseTerms::TTL_MS_MIN && beat >= 100, "{terms:?}");
            let trusted = u64::try_from(terms.trusted().as_millis()).unwrap();
            assert!(4 * beat < trusted && trusted + beat <= ttl, "{terms:?}");
        }
    }
}
