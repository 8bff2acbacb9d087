//! Words from outside: delivered once, or too late.

use super::State;
use crate::{
    LedgerError, Mail, NewTimer, SIGNALS_MAX, Signal, Signalled, embedded::store::Store,
    too_many_signals,
};
use baton_workflow::{RunId, Timestamp};

impl State {
    /// See [`crate::Ledger::signal`].
    pub(crate) fn signal(
        &mut self,
        store: &dyn Store,
        now: Timestamp,
        signal: Signal,
    ) -> Result<Signalled, LedgerError> {
        let Signal { run: id, key, event, bodies } = signal;
        let Some(run) = self.run(&id) else {
            let known = self.is_used(store, &id)?;
            return known.then_some(Signalled::AlreadyEnded).ok_or(LedgerError::NoSuchRun(id));
        };
        if run.progress.ended.is_some() {
            return Ok(Signalled::AlreadyEnded);
        }
        match run.signals.get(&key) {
            Some(true) => return Ok(Signalled::AlreadyDelivered),
            Some(false) => return Ok(Signalled::Expired),
            None if run.signals.len() >= SIGNALS_MAX => return Err(too_many_signals(&id)),
            None => {}
        }
        let (tenant, root) = (run.head.tenant.clone(), run.head.root.clone());
        self.keep_bodies(store, &tenant, &root, bodies)?;
        self.drop_timer(&id, NewTimer::awaiting(&key, 0).name)?;
        self.note_signal(now, &id, key, Some(event))?;
        Ok(Signalled::Delivered)
    }

    /// The wait for a word is over without it.
    pub(super) fn awaited_in_vain(
        &mut self,
        now: Timestamp,
        id: &RunId,
        key: &str,
    ) -> Result<(), LedgerError> {
        self.note_signal(now, id, key.to_owned(), None)
    }

    fn note_signal(
        &mut self,
        now: Timestamp,
        id: &RunId,
        key: String,
        event: Option<bytes::Bytes>,
    ) -> Result<(), LedgerError> {
        let came = event.is_some();
        if let Some(run) = self.runs.get_mut(id) {
            run.signals.insert(key.clone(), came);
            self.changes.signal(id, &key, came)?;
        }
        self.mail(now, id, Mail::Signal { key, event })
    }

    fn drop_timer(&mut self, id: &RunId, name: String) -> Result<(), LedgerError> {
        let due = self.runs.get_mut(id).and_then(|run| run.timers.remove(&name));
        if let Some(due) = due {
            self.changes.timer(id, &name, None)?;
            self.timers.remove(&(due, id.clone(), name));
        }
        Ok(())
    }
}
