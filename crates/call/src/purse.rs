//! What pays for the calls of a task.

use crate::CallFailure;
use baton_ledger::{Held, Leased, Ledger, LedgerError};
use baton_workflow::{Resource, Spend};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};
use tokio_util::sync::CancellationToken;

/// What pays for a call.
#[derive(Clone)]
pub enum Purse {
    /// The budget of the run whose task is held.
    Lease {
        /// Where it is kept.
        ledger: Arc<dyn Ledger>,
        /// The task.
        held: Held,
        /// What the lease has set aside for the first call, until that is made; or what
        /// did not hold it.
        set_aside: Arc<Mutex<Result<Spend, Resource>>>,
        /// Reservations made so far, so that the ledger knows a repeated one.
        reservations: Arc<AtomicU64>,
    },
    /// Nothing is reserved: the caller answers for the spend.
    Open,
}

impl Purse {
    /// What pays for the calls of a leased task.
    pub fn of(ledger: Arc<dyn Ledger>, leased: &Leased) -> Self {
        let held = Held { task: leased.task.clone(), token: leased.token };
        let set_aside = Arc::new(Mutex::new(leased.reserved));
        Self::Lease { ledger, held, set_aside, reservations: Arc::default() }
    }

    /// What is set aside already, given out once.
    pub(crate) fn set_aside(&self) -> Result<Spend, Resource> {
        match self {
            Self::Lease { set_aside, .. } => {
                // Whoever panicked, an amount is whole.
                let mut rest = set_aside.lock().unwrap_or_else(PoisonError::into_inner);
                (*rest)?;
                std::mem::replace(&mut *rest, Ok(Spend::ZERO))
            }
            Self::Open => Ok(Spend::ZERO),
        }
    }
}

/// Sets so much aside, unless the purse is open.
pub(crate) async fn reserve(
    purse: &Purse,
    bound: Spend,
    stop: &CancellationToken,
) -> Result<(), CallFailure> {
    let Purse::Lease { ledger, held, reservations, .. } = purse else { return Ok(()) };
    let call = reservations.fetch_add(1, Ordering::Relaxed) + 1;
    match baton_ledger::persist(stop, || ledger.reserve(held, call, bound)).await {
        Ok(()) => Ok(()),
        Err(LedgerError::BudgetSpent(resource)) => Err(CallFailure::BudgetSpent(resource)),
        Err(error) => {
            tracing::info!(%error, task = %held.task, "no reservation");
            Err(CallFailure::Stopped)
        }
    }
}
