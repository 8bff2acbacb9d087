//! Room for a call on its provider's account: asked for before, given back after.
//!
//! An account with configured limits is kept by the ledger, so that they hold for all
//! processes together. One without is kept in this process, where its breaker and the
//! calls of its agents are watched for next to nothing.

use crate::line::Lines;
use baton_ledger::{
    Accounts, Admission, Admit, Bound, Health, Ledger, LedgerError, PERMIT_MS_MAX, Release,
};
use baton_provider::{ProviderError, RETRY_AFTER_MS_MAX};
use baton_workflow::{AccountTerms, AgentCard};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// For how long a permit of the ledger holds: a process that dies frees its room then.
const PERMIT_MS: u64 = 30_000;
/// How often a permit is extended while its call goes on: twice may fail.
const EXTEND: Duration = Duration::from_millis(10_000);
/// How long a call waits for room before it is better given to another agent.
const PATIENCE: Duration = Duration::from_millis(RETRY_AFTER_MS_MAX);
/// First pause after the ledger did not answer; it is repeated.
const UNANSWERED: Duration = Duration::from_millis(100);

/// What one account allows, and where that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountLimits {
    /// What it allows.
    pub terms: AccountTerms,
    /// Whether all processes share it, by way of the ledger.
    pub shared: bool,
}

/// Where room is asked for. Clones share it.
#[derive(Clone)]
pub(crate) struct Gate {
    ledger: Option<Arc<dyn Ledger>>,
    local: Accounts,
    lines: Arc<Lines>,
}

/// Who asks.
pub(crate) struct Visit<'a> {
    pub(crate) card: &'a AgentCard,
    pub(crate) limits: AccountLimits,
    pub(crate) tokens: u64,
    pub(crate) deadline: Option<Instant>,
    /// Whether an agent of another account may do it instead.
    pub(crate) elsewhere: bool,
}

/// Room that was not given within reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRoom {
    pub(crate) bound: Bound,
    pub(crate) ms: u64,
}

/// Room that was given, and what had to be waited for.
pub(crate) struct Entered {
    pub(crate) pass: Pass,
    pub(crate) waited: Option<(Bound, Duration)>,
}

impl Gate {
    pub(crate) fn new(ledger: Option<Arc<dyn Ledger>>) -> Self {
        Self { ledger, local: Accounts::default(), lines: Arc::default() }
    }

    /// Room at once, or none.
    pub(crate) async fn try_enter(&self, visit: &Visit<'_>) -> Option<Pass> {
        let (ask, ledger) = self.question(visit);
        let line = self.lines.of(&ask.account, &ask.agent);
        if line.is_waited_in() {
            return None;
        }
        let admitted = self.admit(&ask, ledger.as_ref()).await;
        matches!(admitted, Ok(Admission::Admitted)).then(|| self.pass(ask, ledger))
    }

    /// Waits for room, in turn. Calls of one agent in this process form a line, of which
    /// only the first asks.
    pub(crate) async fn enter(&self, visit: &Visit<'_>) -> Result<Entered, NoRoom> {
        if let Some(pass) = self.try_enter(visit).await {
            return Ok(Entered { pass, waited: None });
        }
        let (ask, ledger) = self.question(visit);
        let line = self.lines.of(&ask.account, &ask.agent);
        let began = Instant::now();
        let patience = visit.elsewhere.then(|| began + PATIENCE);
        let until = [patience, visit.deadline].into_iter().flatten().min();
        let _place = line.join();
        let turn = async { line.turn().await };
        let Some(_turn) = until_then(until, turn).await else { return Err(line.no_room()) };
        let mut waited = None;
        loop {
            // Listening begins before the question, so that nothing falls in between.
            let freed = self.lines.freed(&ask.account);
            let freed = freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            let (bound, pause) = match self.admit(&ask, ledger.as_ref()).await {
                Ok(Admission::Admitted) => {
                    let waited = waited.map(|bound| (bound, began.elapsed()));
                    return Ok(Entered { pass: self.pass(ask, ledger), waited });
                }
                Ok(Admission::Wait { bound, ms }) => {
                    line.saw(bound, ms);
                    if bound == Bound::Breaker && visit.elsewhere {
                        return Err(NoRoom { bound, ms });
                    }
                    waited.get_or_insert(bound);
                    (Some((bound, ms)), Duration::from_millis(ms))
                }
                Err(error) => {
                    tracing::warn!(%error, account = ask.account, "cannot ask for room");
                    (None, UNANSWERED)
                }
            };
            if let (Some((bound, ms)), Some(until)) = (bound, until)
                && Instant::now() + pause > until
            {
                return Err(NoRoom { bound, ms });
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(line.no_room());
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep(pause) => {}
                () = &mut freed => {}
            }
        }
    }

    fn question(&self, visit: &Visit<'_>) -> (Admit, Option<Arc<dyn Ledger>>) {
        let ledger = self.ledger.clone().filter(|_| visit.limits.shared);
        let ask = Admit {
            account: visit.card.provider.clone(),
            permit: rand::random_range(1..=u64::MAX),
            agent: visit.card.id.to_string(),
            agent_concurrency: visit.card.concurrency.max(1),
            tokens: visit.tokens,
            // Here a call cannot be survived by its permit.
            ttl_ms: if ledger.is_some() { PERMIT_MS } else { PERMIT_MS_MAX },
            terms: visit.limits.terms,
        };
        (ask, ledger)
    }

    async fn admit(
        &self,
        ask: &Admit,
        ledger: Option<&Arc<dyn Ledger>>,
    ) -> Result<Admission, LedgerError> {
        match ledger {
            Some(ledger) => ledger.admit(ask.clone()).await,
            None => Ok(self.local.admit(ask)),
        }
    }

    fn pass(&self, ask: Admit, ledger: Option<Arc<dyn Ledger>>) -> Pass {
        let keeper = match ledger {
            Some(ledger) => Keeper::Ledger(ledger),
            None => Keeper::Local(self.local.clone()),
        };
        Pass { ask: Some(ask), keeper, lines: self.lines.clone() }
    }
}

async fn until_then<T>(until: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match until {
        Some(until) => tokio::time::timeout_at(until, work).await.ok(),
        None => Some(work.await),
    }
}

enum Keeper {
    Ledger(Arc<dyn Ledger>),
    Local(Accounts),
}

/// Room for one call. Dropped, it is given back with nothing said of the account.
pub(crate) struct Pass {
    /// None once it was given back.
    ask: Option<Admit>,
    keeper: Keeper,
    lines: Arc<Lines>,
}

impl Pass {
    /// Keeps the room while this goes on.
    pub(crate) async fn during<T>(&self, call: impl Future<Output = T>) -> T {
        let (Some(ask), Keeper::Ledger(ledger)) = (&self.ask, &self.keeper) else {
            return call.await;
        };
        tokio::pin!(call);
        loop {
            tokio::select! {
                biased;
                done = &mut call => return done,
                () = tokio::time::sleep(EXTEND) => {
                    // Room that was lost, because the ledger was away, is not worth a call.
                    if let Err(error) = ledger.admit(ask.clone()).await {
                        tracing::warn!(%error, account = ask.account, "cannot keep the room");
                    }
                }
            }
        }
    }

    /// Gives the room back.
    pub(crate) async fn leave(mut self, tokens: Option<u64>, health: Health) {
        let Some(ask) = self.ask.take() else { return };
        let account = ask.account.clone();
        let release = release(ask, tokens, health);
        match &self.keeper {
            Keeper::Local(accounts) => accounts.release(&release),
            Keeper::Ledger(ledger) => {
                if let Err(error) = ledger.release(release).await {
                    // It runs out by itself.
                    tracing::warn!(%error, account, "cannot give room back");
                }
            }
        }
        self.lines.freed(&account).notify_waiters();
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let Some(ask) = self.ask.take() else { return };
        let freed = self.lines.freed(&ask.account);
        let release = release(ask, None, Health::Unknown);
        match &self.keeper {
            Keeper::Local(accounts) => {
                accounts.release(&release);
                freed.notify_waiters();
            }
            Keeper::Ledger(ledger) => {
                let ledger = ledger.clone();
                // Without a runtime, at the very end of a process, the permit runs out.
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(async move {
                        // An error means that it runs out as well.
                        let _released = ledger.release(release).await;
                        freed.notify_waiters();
                    });
                }
            }
        }
    }
}

fn release(ask: Admit, tokens: Option<u64>, health: Health) -> Release {
    Release { account: ask.account, permit: ask.permit, tokens, health, terms: ask.terms }
}

/// What a failed call says of the account that it was made on.
pub(crate) fn health(error: &ProviderError) -> Health {
    match error {
        ProviderError::RateLimited { retry_after_ms, .. } => {
            Health::Limited { retry_after_ms: *retry_after_ms }
        }
        ProviderError::Connect { .. }
        | ProviderError::Timeout { .. }
        | ProviderError::Server { .. }
        | ProviderError::Cut { .. }
        | ProviderError::Malformed(_) => Health::Failed,
        // It answers, whatever it says.
        ProviderError::Empty | ProviderError::Auth { .. } | ProviderError::Refused { .. } => {
            Health::Well
        }
    }
}
