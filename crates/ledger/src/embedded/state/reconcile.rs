//! Looking after runs that wait for nothing: by the rules of the port there are none, and
//! a fault anywhere must not leave one standing for ever.

use super::{Run, State};
use crate::{DECIDE_TASK, LedgerError, PARKED_MS, Reconciled};
use baton_workflow::Timestamp;

impl State {
    /// See [`crate::Ledger::reconcile`].
    pub(crate) fn reconcile(
        &mut self,
        now: Timestamp,
        max: usize,
    ) -> Result<Reconciled, LedgerError> {
        if self.to_look_at.is_empty() {
            let unfinished = self.runs.iter().filter(|(_, run)| run.progress.ended.is_none());
            self.to_look_at = unfinished.map(|(id, _)| id.clone()).collect();
        }
        let mut done = Reconciled::default();
        while done.looked < max {
            let Some(id) = self.to_look_at.pop() else { break };
            done.looked += 1;
            if self.run(&id).is_some_and(|run| self.waits_for_nothing(now, run)) {
                tracing::warn!(run = %id, "a run waited for nothing: it decides again");
                self.ensure_decide(now, &id)?;
                done.revived += 1;
            }
        }
        Ok(done)
    }

    /// Mail is read by a decision alone; whoever has none to read may wait for a task, a
    /// timer or a child.
    fn waits_for_nothing(&self, now: Timestamp, run: &Run) -> bool {
        if run.parked.is_some_and(|since| since.plus_ms(PARKED_MS) > now) {
            return false;
        }
        let open = |number: &u32| {
            run.tasks.get(number).is_some_and(|task| task.progress.standing.is_open())
        };
        if run.progress.ended.is_some() || open(&DECIDE_TASK) {
            return false;
        }
        let works = run.tasks.keys().any(open);
        let children = run.children.values().any(|child| !self.is_ended(child));
        !run.mails.is_empty() || !(works || children || !run.timers.is_empty())
    }
}
