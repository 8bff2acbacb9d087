//! What the calls of one asking have come to so far.

use crate::{CallFailure, Called, Purse, Reply, purse::reserve};
use baton_provider::ProviderError;
use baton_workflow::{Incident, Spend};
use tokio_util::sync::CancellationToken;

/// The calls of one [`Caller::make`] so far, and what they consumed. It outlives a call
/// that is given up in the middle.
pub(crate) struct Tries {
    /// The most that one call can consume.
    pub(crate) bound: Spend,
    /// Calls made, second ones included: the number of the last.
    pub(crate) calls: u32,
    /// Reservations that no call has used: one that fails for nothing leaves its own.
    pub(crate) spare: u32,
    /// Calls under way.
    pub(crate) open: u32,
    pub(crate) incidents: Vec<Incident>,
    spend: Spend,
    estimated: bool,
}

impl Tries {
    pub(crate) fn new(bound: Spend) -> Self {
        Self {
            bound,
            calls: 0,
            spare: 0,
            open: 0,
            incidents: Vec::new(),
            spend: Spend::ZERO,
            estimated: false,
        }
    }

    /// Sees to it that the next call has a reservation. The first one needs only what goes
    /// beyond what its lease has set aside.
    pub(crate) async fn fund(
        &mut self,
        purse: &Purse,
        stop: &CancellationToken,
    ) -> Result<(), CallFailure> {
        if self.spare > 0 {
            return Ok(());
        }
        let set_aside = purse.set_aside(self.bound).map_err(CallFailure::BudgetSpent)?;
        let wanted = self.bound.minus(set_aside);
        if wanted != Spend::ZERO {
            reserve(purse, wanted, stop).await?;
        }
        self.spare += 1;
        Ok(())
    }

    /// A call begins, on a reservation.
    pub(crate) fn begin(&mut self) {
        self.spare = self.spare.saturating_sub(1);
        self.open += 1;
    }

    /// A call has succeeded.
    pub(crate) fn paid(&mut self, spend: Spend, known: bool) {
        self.open = self.open.saturating_sub(1);
        self.spend = self.spend.plus(spend);
        self.estimated |= !known;
    }

    /// A call has failed.
    pub(crate) fn failed(&mut self, error: &ProviderError) {
        if error.may_have_cost() {
            return self.given_up();
        }
        self.open = self.open.saturating_sub(1);
        self.spare += 1;
    }

    /// A call is given up, and nobody will know what it used.
    pub(crate) fn given_up(&mut self) {
        self.paid(self.bound, false);
    }

    pub(crate) fn settle_open(&mut self) {
        while self.open > 0 {
            self.given_up();
        }
    }

    pub(crate) fn ended(self, result: Result<Reply, CallFailure>) -> Called {
        let Self { spend, estimated, incidents, .. } = self;
        Called { result, spend, estimated, incidents }
    }
}
