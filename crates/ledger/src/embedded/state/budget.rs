//! Money: set aside before a call, spent after it, summed up along the ancestors.

use super::{LastCalls, Standing, State};
use crate::{Held, LedgerError};
use baton_workflow::{Resource, RunId, Spend, TaskId};

impl State {
    /// See [`crate::Ledger::reserve`].
    pub(crate) fn reserve(
        &mut self,
        held: &Held,
        call: u64,
        amount: Spend,
    ) -> Result<(), LedgerError> {
        let (root, mine) = self.reservation(held)?;
        if self.last_calls(held).is_some_and(|last| call <= last.reserved) {
            return Ok(());
        }
        self.set_aside(&root, amount).map_err(LedgerError::BudgetSpent)?;
        self.set_reservation(held, mine.plus(amount));
        if let Some(last) = self.last_calls(held) {
            last.reserved = call;
        }
        Ok(())
    }

    /// Sets an amount of a root's budget aside, or says what does not hold it.
    pub(super) fn set_aside(&mut self, root: &RunId, amount: Spend) -> Result<(), Resource> {
        let Some(run) = self.runs.get_mut(root) else { return Ok(()) };
        if amount == Spend::ZERO {
            return Ok(());
        }
        let reserved = run.reserved.plus(amount);
        let total = run.progress.spent.plus(reserved);
        match run.head.budget.exceeded_by(&total) {
            Some(resource) => Err(resource),
            None => {
                run.reserved = reserved;
                Ok(())
            }
        }
    }

    /// See [`crate::Ledger::settle`]. An attempt gives back no more than it has set aside.
    pub(crate) fn settle(
        &mut self,
        held: &Held,
        call: u64,
        reserved: Spend,
        spent: Spend,
    ) -> Result<(), LedgerError> {
        let (_, mine) = self.reservation(held)?;
        if let Some(last) = self.last_calls(held) {
            if call <= last.settled {
                return Ok(());
            }
            last.settled = call;
        }
        let rest = mine.minus(reserved);
        self.set_reservation(held, rest);
        self.release(&held.task.run, mine.minus(rest));
        self.charge(&held.task, spent, false);
        Ok(())
    }

    /// The last calls that were booked on the lease of a held task.
    fn last_calls(&mut self, held: &Held) -> Option<&mut LastCalls> {
        self.task_mut(&held.task)?.lease.as_mut().map(|lease| &mut lease.last)
    }

    /// The root of a held task, and what its attempt has set aside.
    fn reservation(&self, held: &Held) -> Result<(RunId, Spend), LedgerError> {
        let run = self.run(&held.task.run).ok_or(LedgerError::LeaseLost)?;
        let task = run.tasks.get(&held.task.number).ok_or(LedgerError::LeaseLost)?;
        match task.progress.standing.held() {
            Some((token, mine)) if token == held.token => Ok((run.head.root.clone(), mine)),
            Some(_) | None => Err(LedgerError::LeaseLost),
        }
    }

    fn set_reservation(&mut self, held: &Held, amount: Spend) {
        if let Some(task) = self.task_mut(&held.task) {
            let standing = &mut task.progress.standing;
            *standing = match *standing {
                Standing::Started(..) => Standing::Started(held.token, amount),
                Standing::Queued | Standing::Leased(..) | Standing::Done(_) | Standing::Gone => {
                    Standing::Leased(held.token, amount)
                }
            };
        }
    }

    /// What was set aside in a run's tree is free again.
    pub(super) fn release(&mut self, id: &RunId, amount: Spend) {
        let Some(root) = self.run(id).map(|run| run.head.root.clone()) else { return };
        if let Some(run) = self.runs.get_mut(&root) {
            run.reserved = run.reserved.minus(amount);
        }
    }

    /// Books a spend on a task, its run and all above it.
    pub(super) fn charge(&mut self, id: &TaskId, spend: Spend, estimated: bool) {
        if let Some(task) = self.task_mut(id) {
            task.progress.spent = task.progress.spent.plus(spend);
            task.progress.estimated |= estimated;
        }
        if spend == Spend::ZERO {
            return;
        }
        let mut above = Some(id.run.clone());
        while let Some(run) = above.and_then(|id| self.run_mut(&id)) {
            run.progress.spent = run.progress.spent.plus(spend);
            above = run.head.parent.as_ref().map(|(parent, _)| parent.clone());
        }
    }
}
