//! All accounts that one process knows, shared by its tasks.

use super::{Account, Admission, Admit, Release};
use lru::LruCache;
use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::time::Instant;

/// Accounts kept. There are as many as providers in the configuration.
const ACCOUNTS_MAX: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
/// Added to every reading of the clock, in milliseconds, so that no time is 0.
const EPOCH_MS: u64 = 1;

/// Accounts in memory. Clones share them. A question takes about a microsecond.
#[derive(Clone)]
pub struct Accounts {
    started: Instant,
    accounts: Arc<Mutex<LruCache<String, Account>>>,
}

impl Default for Accounts {
    fn default() -> Self {
        let accounts = Arc::new(Mutex::new(LruCache::new(ACCOUNTS_MAX)));
        Self { started: Instant::now(), accounts }
    }
}

impl Accounts {
    /// As [`crate::Ledger::admit`], of a checked question.
    pub fn admit(&self, ask: &Admit) -> Admission {
        let mut accounts = self.lock();
        let now = self.now();
        accounts.get_or_insert_mut_ref(ask.account.as_str(), Account::default).admit(now, ask)
    }

    /// As [`crate::Ledger::release`], of a checked end.
    pub fn release(&self, release: &Release) {
        let mut accounts = self.lock();
        let now = self.now();
        if let Some(account) = accounts.get_mut(release.account.as_str()) {
            account.release(now, release);
        }
    }

    /// A clock that never falls. Read under the lock, so that accounts see it in order.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX) + EPOCH_MS
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<String, Account>> {
        // Whoever panicked left counts that are whole, or forgotten: they guard no data.
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
