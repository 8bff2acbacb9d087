//! Texts that this process knows to be stored, so that they are not sent again: the same
//! workflow is submitted with every run of its strategy.

use baton_ledger::Body;
use baton_workflow::{BodyRef, TenantId};
use lru::LruCache;
use std::{
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Texts that are remembered, by name.
const KNOWN_MAX: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
/// Shorter ones are sent with less than it takes to ask for them, in bytes.
const BYTES_MIN: usize = 128;

/// The names. What stands behind them may have been deleted since: the store says so.
pub(crate) struct Stored(Mutex<LruCache<(TenantId, BodyRef), ()>>);

impl Default for Stored {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(KNOWN_MAX)))
    }
}

impl Stored {
    fn lock(&self) -> MutexGuard<'_, LruCache<(TenantId, BodyRef), ()>> {
        // It is whole between any two of its operations, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Parts what has to be sent from what is known to be there.
    pub(crate) fn part<'a>(
        &self,
        tenant: &TenantId,
        bodies: &'a [Body],
    ) -> (Vec<&'a Body>, Vec<&'a str>) {
        let mut known = self.lock();
        let (there, new): (Vec<&Body>, Vec<&Body>) = bodies
            .iter()
            .partition(|body| known.get(&(tenant.clone(), body.name.clone())).is_some());
        (new, there.into_iter().map(|body| &*body.name.hash).collect())
    }

    /// They have been stored.
    pub(crate) fn keep(&self, tenant: &TenantId, bodies: &[Body]) {
        let mut known = self.lock();
        for body in bodies.iter().filter(|body| body.bytes.len() >= BYTES_MIN) {
            known.put((tenant.clone(), body.name.clone()), ());
        }
    }

    /// Some of them are not there any more.
    pub(crate) fn forget(&self, tenant: &TenantId, bodies: &[Body]) {
        let mut known = self.lock();
        for body in bodies {
            known.pop(&(tenant.clone(), body.name.clone()));
        }
    }
}
