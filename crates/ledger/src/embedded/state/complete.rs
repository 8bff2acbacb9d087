//! An outcome, recorded once.

use super::{Proof, Standing, State};
use crate::{Completion, Held, LedgerError, Mail, Recorded, embedded::store::Store};
use baton_workflow::Timestamp;

impl State {
    /// See [`crate::Ledger::complete`].
    pub(crate) fn complete(
        &mut self,
        store: &dyn Store,
        now: Timestamp,
        held: &Held,
        completion: Completion,
    ) -> Result<Recorded, LedgerError> {
        match self.proof(store, &held.task, &held.token)? {
            Proof::Holds => {}
            Proof::Finished => return Ok(Recorded::AlreadyDone),
            Proof::Stale => return Err(LedgerError::LeaseLost),
        }
        let id = &held.task;
        let Some(run) = self.run(&id.run) else { return Err(LedgerError::LeaseLost) };
        let (tenant, root) = (run.head.tenant.clone(), run.head.root.clone());
        if run.progress.ended.is_none() {
            self.keep_bodies(store, &tenant, &root, completion.bodies)?;
        }
        self.charge(id, completion.spend, completion.estimated);
        self.unlease(id);
        self.finish_task(id, Standing::Done(held.token));
        let Some(task) = self.task(id) else { return Err(LedgerError::LeaseLost) };
        let mail = Mail::Outcome {
            task: id.number,
            outcome: completion.outcome,
            spend: task.progress.spent,
            estimated: task.progress.estimated,
        };
        self.mail(now, &id.run, mail)?;
        Ok(Recorded::Now)
    }
}
