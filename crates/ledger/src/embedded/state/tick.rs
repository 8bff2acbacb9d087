//! What time brings: timers that are due, leases that are over.

use super::State;
use crate::{BATCH_MAX, LedgerError, Mail, NewTimer, Ticked};
use baton_workflow::Timestamp;

impl State {
    /// See [`crate::Ledger::tick`].
    pub(crate) fn tick(&mut self, now: Timestamp, max: usize) -> Result<Ticked, LedgerError> {
        let max = max.min(BATCH_MAX);
        let mut done = Ticked::default();
        while done.timers < max {
            let Some((due, id, name)) = self.timers.first().cloned() else { break };
            if due > now {
                break;
            }
            self.timers.pop_first();
            if let Some(run) = self.runs.get_mut(&id) {
                run.timers.remove(&name);
            }
            self.changes.timer(&id, &name, None)?;
            match NewTimer::awaited(&name) {
                Some(key) => self.awaited_in_vain(now, &id, key)?,
                None => self.mail(now, &id, Mail::Timer { name })?,
            }
            done.timers += 1;
        }
        while done.leases < max {
            let Some((until, id)) = self.leases.first().cloned() else { break };
            if until > now {
                break;
            }
            self.expire(now, &id)?;
            done.leases += 1;
        }
        done.next_ms = self.next_due().map(|due| due.since_ms(now));
        Ok(done)
    }

    fn next_due(&self) -> Option<Timestamp> {
        let timer = self.timers.first().map(|(due, ..)| *due);
        let lease = self.leases.first().map(|(until, _)| *until);
        timer.into_iter().chain(lease).min()
    }
}
