//! What pays for the calls of a task.

use crate::CallFailure;
use baton_ledger::{Held, Leased, Ledger, LedgerError};
use baton_workflow::{Budget, Resource, Spend};
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
        /// What the lease has set aside for the first calls, until those are made; or what
        /// did not hold it.
        set_aside: Arc<Mutex<Result<Spend, Resource>>>,
        /// Reservations made so far, so that the ledger knows a repeated one.
        reservations: Arc<AtomicU64>,
    },
    /// So much, and what has been taken of it.
    Given(Arc<Mutex<Given>>),
    /// Nothing is reserved: the caller answers for the spend.
    Open,
}

/// What was given for calls that no run pays for.
#[derive(Debug)]
pub struct Given {
    budget: Budget,
    spent: Spend,
    reserved: Spend,
}

impl Given {
    fn reserve(&mut self, bound: Spend) -> Result<(), CallFailure> {
        let reserved = self.reserved.plus(bound);
        if let Some(resource) = self.budget.exceeded_by(&self.spent.plus(reserved)) {
            return Err(CallFailure::BudgetSpent(resource));
        }
        self.reserved = reserved;
        Ok(())
    }

    /// The calls of one asking are over: what they did not use is there again.
    fn settle(&mut self, spend: Spend) {
        self.spent = self.spent.plus(spend);
        self.reserved = Spend::ZERO;
    }
}

impl Purse {
    /// So much for calls that are made one after the other. Seconds and depth are not looked
    /// at.
    pub fn given(budget: Budget) -> Self {
        let (spent, reserved) = (Spend::ZERO, Spend::ZERO);
        Self::Given(Arc::new(Mutex::new(Given { budget, spent, reserved })))
    }

    /// What pays for the calls of a leased task.
    pub fn of(ledger: Arc<dyn Ledger>, leased: &Leased) -> Self {
        let held = Held { task: leased.task.clone(), token: leased.token };
        let set_aside = Arc::new(Mutex::new(leased.reserved));
        Self::Lease { ledger, held, set_aside, reservations: Arc::default() }
    }

    /// What is set aside already of so much, given out once.
    pub(crate) fn set_aside(&self, bound: Spend) -> Result<Spend, Resource> {
        match self {
            Self::Lease { set_aside, .. } => {
                // Whoever panicked, an amount is whole.
                let mut rest = set_aside.lock().unwrap_or_else(PoisonError::into_inner);
                let all = (*rest)?;
                let left = all.minus(bound);
                *rest = Ok(left);
                Ok(all.minus(left))
            }
            Self::Given(_) | Self::Open => Ok(Spend::ZERO),
        }
    }

    /// The calls of one asking have used so much.
    pub(crate) fn settle(&self, spend: Spend) {
        match self {
            Self::Given(given) => {
                given.lock().unwrap_or_else(PoisonError::into_inner).settle(spend);
            }
            // The ledger learns it when the task is completed.
            Self::Lease { .. } | Self::Open => {}
        }
    }
}

/// Sets so much aside, unless the purse is open.
pub(crate) async fn reserve(
    purse: &Purse,
    bound: Spend,
    stop: &CancellationToken,
) -> Result<(), CallFailure> {
    let (ledger, held, reservations) = match purse {
        Purse::Lease { ledger, held, reservations, .. } => (ledger, held, reservations),
        Purse::Given(given) => {
            return given.lock().unwrap_or_else(PoisonError::into_inner).reserve(bound);
        }
        Purse::Open => return Ok(()),
    };
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
