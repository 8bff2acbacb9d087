//! Bodies that this process has written or read, kept at hand.
//!
//! A body is named by its content, so what is remembered can never be wrong. It is
//! remembered per tenant, because a name is no permission.

use crate::{
    Admission, Admit, Body, Cancelled, Commit, Completion, Heard, Held, Inventory, LeaseRequest,
    LeaseTerms, Leased, Ledger, LedgerError, Reaped, Reconciled, Recorded, Release, Retained,
    Retention, RunSummary, RunView, Signal, Signalled, Stats, Submission, Submitted, TenantTerms,
    Ticked, Watched,
};
use async_trait::async_trait;
use baton_workflow::{BodyRef, RunId, Spend, TenantId};
use bytes::Bytes;
use futures_core::stream::BoxStream;
use lru::LruCache;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of bodies kept at hand.
const REMEMBERED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What a body costs besides its bytes.
const ENTRY_BYTES: usize = 256;

/// A ledger whose bodies are read from memory where this process has seen them before.
pub struct Remembered<L> {
    ledger: L,
    bodies: Mutex<Bodies>,
}

struct Bodies {
    bytes: usize,
    known: LruCache<(TenantId, BodyRef), Bytes>,
}

impl Bodies {
    fn keep(&mut self, tenant: &TenantId, name: &BodyRef, bytes: &Bytes) {
        let size = bytes.len() + ENTRY_BYTES;
        if size > REMEMBERED_BYTES_MAX / 8 {
            return;
        }
        let key = (tenant.clone(), name.clone());
        if self.known.put(key, bytes.clone()).is_none() {
            self.bytes += size;
        }
        while self.bytes > REMEMBERED_BYTES_MAX {
            let Some((_, oldest)) = self.known.pop_lru() else { return };
            self.bytes = self.bytes.saturating_sub(oldest.len() + ENTRY_BYTES);
        }
    }
}

impl<L: Ledger> Remembered<L> {
    /// In front of this ledger.
    pub fn new(ledger: L) -> Self {
        let bodies = Bodies { bytes: 0, known: LruCache::unbounded() };
        Self { ledger, bodies: Mutex::new(bodies) }
    }

    fn lock(&self) -> MutexGuard<'_, Bodies> {
        // Whoever panicked, what is kept is content under its own name.
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, tenant: &TenantId, written: &[Body]) {
        let mut bodies = self.lock();
        written.iter().for_each(|body| bodies.keep(tenant, &body.name, &body.bytes));
    }
}

#[async_trait]
impl<L: Ledger> Ledger for Remembered<L> {
    async fn set_tenant(&self, tenant: &TenantId, terms: TenantTerms) -> Result<(), LedgerError> {
        self.ledger.set_tenant(tenant, terms).await
    }

    async fn inventory(&self) -> Result<Inventory, LedgerError> {
        self.ledger.inventory().await
    }

    async fn submit(&self, submission: Submission) -> Result<Submitted, LedgerError> {
        let (tenant, bodies) = (submission.tenant.clone(), submission.bodies.clone());
        let submitted = self.ledger.submit(submission).await?;
        if let Submitted::New(_) = submitted {
            self.keep(&tenant, &bodies);
        }
        Ok(submitted)
    }

    fn lease_terms(&self) -> LeaseTerms {
        self.ledger.lease_terms()
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Leased>, LedgerError> {
        self.ledger.lease(request).await
    }

    async fn heartbeat(&self, held: &[Held], ttl_ms: u64) -> Result<Vec<Heard>, LedgerError> {
        self.ledger.heartbeat(held, ttl_ms).await
    }

    async fn reserve(&self, held: &Held, call: u64, amount: Spend) -> Result<(), LedgerError> {
        self.ledger.reserve(held, call, amount).await
    }

    async fn settle(
        &self,
        held: &Held,
        call: u64,
        reserved: Spend,
        spent: Spend,
    ) -> Result<(), LedgerError> {
        self.ledger.settle(held, call, reserved, spent).await
    }

    async fn complete(&self, held: &Held, completion: Completion) -> Result<Recorded, LedgerError> {
        self.ledger.complete(held, completion).await
    }

    async fn start(&self, held: &Held) -> Result<Recorded, LedgerError> {
        self.ledger.start(held).await
    }

    async fn commit(&self, commit: Commit) -> Result<Recorded, LedgerError> {
        self.ledger.commit(commit).await
    }

    async fn park(&self, held: &Held) -> Result<Recorded, LedgerError> {
        self.ledger.park(held).await
    }

    async fn tick(&self, max: usize) -> Result<Ticked, LedgerError> {
        self.ledger.tick(max).await
    }

    async fn reap(&self, holder: &str, silent_ms: u64) -> Result<Reaped, LedgerError> {
        self.ledger.reap(holder, silent_ms).await
    }

    async fn signal(&self, signal: Signal) -> Result<Signalled, LedgerError> {
        self.ledger.signal(signal).await
    }

    async fn cancel(&self, run: &RunId, reason: &str) -> Result<Cancelled, LedgerError> {
        self.ledger.cancel(run, reason).await
    }

    async fn read(&self, run: &RunId, from: u64) -> Result<RunView, LedgerError> {
        self.ledger.read(run, from).await
    }

    async fn watch(
        &self,
        run: &RunId,
        from: u64,
    ) -> Result<BoxStream<'static, Result<Watched, LedgerError>>, LedgerError> {
        self.ledger.watch(run, from).await
    }

    async fn list(
        &self,
        tenant: &TenantId,
        limit: usize,
        before: Option<&RunId>,
    ) -> Result<Vec<RunSummary>, LedgerError> {
        self.ledger.list(tenant, limit, before).await
    }

    async fn admit(&self, ask: Admit) -> Result<Admission, LedgerError> {
        self.ledger.admit(ask).await
    }

    async fn release(&self, release: Release) -> Result<(), LedgerError> {
        self.ledger.release(release).await
    }

    async fn body(&self, tenant: &TenantId, body: &BodyRef) -> Result<Bytes, LedgerError> {
        let known = self.lock().known.get(&(tenant.clone(), body.clone())).cloned();
        if let Some(bytes) = known {
            return Ok(bytes);
        }
        let bytes = self.ledger.body(tenant, body).await?;
        self.lock().keep(tenant, body, &bytes);
        Ok(bytes)
    }

    async fn reconcile(&self, max: usize) -> Result<Reconciled, LedgerError> {
        self.ledger.reconcile(max).await
    }

    async fn retain(&self, rules: &Retention, max: usize) -> Result<Retained, LedgerError> {
        self.ledger.retain(rules, max).await
    }

    async fn stats(&self) -> Result<Stats, LedgerError> {
        self.ledger.stats().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let tenant = TenantId::new("t").unwrap();
        let mut bodies = Bodies { bytes: 0, known: LruCache::unbounded() };
        for n in 0..40_u32 {
            let body = Body::new(vec![n as u8; 4 * 1024 * 1024]);
            bodies.keep(&tenant, &body.name, &body.bytes);
            bodies.keep(&tenant, &body.name, &body.bytes);
        }
        assert!(
            bodies.bytes <= REMEMBERED_BYTES_MAX && bodies.known.len() == 15,
            "{}",
            bodies.known.len()
        );
        let huge = Body::new(vec![0; 16 * 1024 * 1024]);
        bodies.keep(&tenant, &huge.name, &huge.bytes);
        assert_eq!(bodies.known.len(), 15);
    }
}
