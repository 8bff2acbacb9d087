//! A process's way to the ledger: over it everything it does becomes known, and on it calls
//! are lost.

use super::world::{Fate, Sabotage, World};
use async_trait::async_trait;
use baton_ledger::{
    Admission, Admit, Bytes, Cancelled, Commit, Completion, Heard, Held, Inventory, LeaseRequest,
    Leased, Ledger, LedgerError, Reaped, Reconciled, Recorded, Release, Retained, Retention,
    RunSummary, RunView, Signal, Signalled, Stats, Submission, Submitted, TenantTerms, Ticked,
    Token, Watched,
};
use baton_workflow::{BodyRef, RunId, Spend, TaskId, TenantId};
use futures::stream::BoxStream;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::Notify, time::sleep};

/// How long an answer is waited for that does not come.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is said of a call that was lost.
pub(super) const LOST: &str = "lost on the way";

/// Whether a process goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Going,
    /// For a while: then it goes on as if nothing had been.
    Still,
    Dead,
}

/// A process: all that it says and hears goes through here.
pub(super) struct Process {
    pub(super) name: String,
    state: Mutex<State>,
    /// Wakes in the order of waiting; a watch channel would do so by lots.
    changed: Notify,
}

impl Process {
    pub(super) fn new(name: String) -> Self {
        Self { name, state: Mutex::new(State::Going), changed: Notify::new() }
    }

    pub(super) fn set(&self, to: State) {
        let mut state = self.state.lock().unwrap();
        if *state != State::Dead {
            *state = to;
            self.changed.notify_waiters();
        }
    }

    pub(super) fn lives(&self) -> bool {
        *self.state.lock().unwrap() != State::Dead
    }

    /// Waits while it stands still; for ever once it is dead.
    pub(super) async fn goes_on(&self) {
        loop {
            let changed = self.changed.notified();
            if *self.state.lock().unwrap() == State::Going {
                return;
            }
            changed.await;
        }
    }
}

/// See the module.
pub(super) struct Link {
    pub(super) world: Arc<World>,
    pub(super) process: Arc<Process>,
}

impl Link {
    async fn call<T, F>(&self, what: &str, call: impl Fn() -> F) -> Result<T, LedgerError>
    where
        F: Future<Output = Result<T, LedgerError>>,
    {
        self.process.goes_on().await;
        let lost = || LedgerError::Unavailable(LOST.to_owned());
        let result = match self.world.fate() {
            Fate::Done => call().await,
            Fate::Late(by) => {
                sleep(by).await;
                call().await
            }
            Fate::Lost => {
                sleep(PATIENCE).await;
                Err(lost())
            }
            Fate::Unanswered => {
                let _unheard = call().await;
                sleep(PATIENCE).await;
                Err(lost())
            }
            Fate::Twice => {
                let _first = call().await;
                call().await
            }
        };
        self.world.note(what);
        self.process.goes_on().await;
        result
    }

    /// The token as it was given, or where tokens are not compared, the present one.
    fn shown(&self, task: &TaskId, token: Token) -> Token {
        match self.world.sabotage {
            Sabotage::AnyToken => self.world.lock().leases.get(task).map_or(token, |last| last.0),
            Sabotage::None | Sabotage::FreshKeys | Sabotage::Forgetful => token,
        }
    }

    /// Notes an outcome that was taken from somebody who did not hold the task any more.
    fn taken(&self, task: &TaskId, token: Token, recorded: &Result<Recorded, LedgerError>) {
        if !matches!(recorded, Ok(Recorded::Now)) {
            return;
        }
        let mut shared = self.world.lock();
        let last = shared.leases.get(task).map(|last| last.0);
        if last != Some(token) {
            let name = &self.process.name;
            let what = format!("{task} was written by {name} under {token:?}, held under {last:?}");
            shared.stale.push(what);
        }
    }
}

#[async_trait]
impl Ledger for Link {
    async fn set_tenant(&self, tenant: &TenantId, terms: TenantTerms) -> Result<(), LedgerError> {
        self.call("set_tenant", || self.world.ledger.set_tenant(tenant, terms)).await
    }
    async fn inventory(&self) -> Result<Inventory, LedgerError> {
        self.call("inventory", || self.world.ledger.inventory()).await
    }
    async fn submit(&self, submission: Submission) -> Result<Submitted, LedgerError> {
        if self.world.sabotage == Sabotage::Forgetful && self.world.chance(0.3) {
            return Ok(Submitted::New(submission.run));
        }
        self.call("submit", || self.world.ledger.submit(submission.clone())).await
    }
    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Leased>, LedgerError> {
        let lease = || async {
            let leased = self.world.ledger.lease(request.clone()).await?;
            let mut shared = self.world.lock();
            for task in &leased {
                let before = shared.leases.get(&task.task).copied();
                let again = before.is_some_and(|(token, _)| token == task.token);
                let times = before.map_or(0, |(_, times)| times) + u32::from(!again);
                shared.leases.insert(task.task.clone(), (task.token, times));
            }
            Ok(leased)
        };
        self.call("lease", lease).await
    }
    async fn heartbeat(&self, held: &[Held], ttl_ms: u64) -> Result<Vec<Heard>, LedgerError> {
        self.call("heartbeat", || self.world.ledger.heartbeat(held, ttl_ms)).await
    }
    async fn reserve(&self, held: &Held, call: u64, amount: Spend) -> Result<(), LedgerError> {
        self.call("reserve", || self.world.ledger.reserve(held, call, amount)).await
    }
    async fn settle(
        &self,
        held: &Held,
        call: u64,
        reserved: Spend,
        spent: Spend,
    ) -> Result<(), LedgerError> {
        self.call("settle", || self.world.ledger.settle(held, call, reserved, spent)).await
    }
    async fn complete(&self, held: &Held, completion: Completion) -> Result<Recorded, LedgerError> {
        let complete = || async {
            let token = self.shown(&held.task, held.token);
            let shown = Held { task: held.task.clone(), token };
            let recorded = self.world.ledger.complete(&shown, completion.clone()).await;
            self.taken(&held.task, held.token, &recorded);
            recorded
        };
        self.call("complete", complete).await
    }
    async fn start(&self, held: &Held) -> Result<Recorded, LedgerError> {
        self.call("start", || self.world.ledger.start(held)).await
    }
    async fn commit(&self, commit: Commit) -> Result<Recorded, LedgerError> {
        let write = || async {
            let token = self.shown(&commit.task, commit.token);
            self.world.ledger.commit(Commit { token, ..commit.clone() }).await
        };
        self.call("commit", write).await
    }
    async fn park(&self, held: &Held) -> Result<Recorded, LedgerError> {
        self.call("park", || self.world.ledger.park(held)).await
    }
    async fn tick(&self, max: usize) -> Result<Ticked, LedgerError> {
        self.call("tick", || self.world.ledger.tick(max)).await
    }
    async fn reap(&self, holder: &str, silent_ms: u64) -> Result<Reaped, LedgerError> {
        let reap = || async {
            let reaped = self.world.ledger.reap(holder, silent_ms).await?;
            self.world.lock().reaped += reaped.leases as u64;
            Ok(reaped)
        };
        self.call("reap", reap).await
    }
    async fn signal(&self, signal: Signal) -> Result<Signalled, LedgerError> {
        self.call("signal", || self.world.ledger.signal(signal.clone())).await
    }
    async fn cancel(&self, run: &RunId, reason: &str) -> Result<Cancelled, LedgerError> {
        self.call("cancel", || self.world.ledger.cancel(run, reason)).await
    }
    async fn read(&self, run: &RunId, from: u64) -> Result<RunView, LedgerError> {
        self.call("read", || self.world.ledger.read(run, from)).await
    }
    async fn watch(
        &self,
        run: &RunId,
        from: u64,
    ) -> Result<BoxStream<'static, Result<Watched, LedgerError>>, LedgerError> {
        self.call("watch", || self.world.ledger.watch(run, from)).await
    }
    async fn list(
        &self,
        tenant: &TenantId,
        limit: usize,
        before: Option<&RunId>,
    ) -> Result<Vec<RunSummary>, LedgerError> {
        self.call("list", || self.world.ledger.list(tenant, limit, before)).await
    }
    async fn admit(&self, ask: Admit) -> Result<Admission, LedgerError> {
        self.call("admit", || self.world.ledger.admit(ask.clone())).await
    }
    async fn release(&self, release: Release) -> Result<(), LedgerError> {
        self.call("release", || self.world.ledger.release(release.clone())).await
    }
    async fn body(&self, tenant: &TenantId, body: &BodyRef) -> Result<Bytes, LedgerError> {
        self.call("body", || self.world.ledger.body(tenant, body)).await
    }
    async fn reconcile(&self, max: usize) -> Result<Reconciled, LedgerError> {
        self.call("reconcile", || self.world.ledger.reconcile(max)).await
    }
    async fn retain(&self, rules: &Retention, max: usize) -> Result<Retained, LedgerError> {
        self.call("retain", || self.world.ledger.retain(rules, max)).await
    }
    async fn stats(&self) -> Result<Stats, LedgerError> {
        self.call("stats", || self.world.ledger.stats()).await
    }
}
