//! Who waits for room in this process, first come first served.

use crate::gate::NoRoom;
use baton_ledger::{Bound, PERMIT_WAIT_MS};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::{Notify, OwnedMutexGuard};

/// All lines, by account and agent: as many as the configuration names.
#[derive(Default)]
pub(crate) struct Lines {
    lines: Mutex<HashMap<String, Account>>,
}

#[derive(Default)]
struct Account {
    agents: HashMap<String, Arc<Line>>,
    freed: Arc<Notify>,
}

/// The calls of one agent that wait.
#[derive(Default)]
pub(crate) struct Line {
    waiting: AtomicUsize,
    turn: Arc<tokio::sync::Mutex<()>>,
    /// What the first in line was told last.
    seen: Mutex<Option<NoRoom>>,
}

/// A place in a line, until it is dropped.
pub(crate) struct Place<'a>(&'a Line);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each of these is whole between any two operations, whoever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lines {
    pub(crate) fn of(&self, account: &str, agent: &str) -> Arc<Line> {
        let mut lines = lock(&self.lines);
        if let Some(line) = lines.get(account).and_then(|account| account.agents.get(agent)) {
            return line.clone();
        }
        let account = lines.entry(account.to_owned()).or_default();
        account.agents.entry(agent.to_owned()).or_default().clone()
    }

    /// Is told of each room of an account that was given back in this process.
    pub(crate) fn freed(&self, account: &str) -> Arc<Notify> {
        lock(&self.lines).entry(account.to_owned()).or_default().freed.clone()
    }
}

impl Line {
    pub(crate) fn is_waited_in(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    pub(crate) fn join(&self) -> Place<'_> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        Place(self)
    }

    /// Waits until everybody before has gone.
    pub(crate) async fn turn(&self) -> OwnedMutexGuard<()> {
        self.turn.clone().lock_owned().await
    }

    pub(crate) fn saw(&self, bound: Bound, ms: u64) {
        *lock(&self.seen) = Some(NoRoom { bound, ms });
    }

    /// What keeps this line waiting, as far as is known.
    pub(crate) fn no_room(&self) -> NoRoom {
        let unknown = NoRoom { bound: Bound::AgentConcurrency, ms: PERMIT_WAIT_MS };
        lock(&self.seen).unwrap_or(unknown)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
