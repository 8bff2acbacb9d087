//! The Conductor's one write: checked as a whole, then done as a whole.

use super::{Head, Proof, Run, Standing, State, run::Start};
use crate::{Commit, Held, LedgerError, NewChild, Recorded, Token, embedded::store::Store};
use baton_workflow::{RunId, Spend, TaskId, Timestamp};

/// What a child is told that its parent does not want any more.
const WITHDRAWN: &str = "withdrawn by its parent";

impl State {
    /// See [`crate::Ledger::commit`].
    pub(crate) fn commit(
        &mut self,
        store: &dyn Store,
        now: Timestamp,
        commit: Commit,
    ) -> Result<Recorded, LedgerError> {
        match self.proof(store, &commit.task, &commit.token)? {
            Proof::Holds => {}
            Proof::Finished => return Ok(Recorded::AlreadyDone),
            Proof::Stale => return Err(LedgerError::LeaseLost),
        }
        let id = commit.task.run.clone();
        let run = self.run(&id).ok_or(LedgerError::LeaseLost)?;
        check_position(run, &commit)?;
        check_parts(run, &commit)?;
        let children = self.name_children(store, &commit.children, &id)?;
        let (tenant, root) = (run.head.tenant.clone(), run.head.root.clone());

        self.keep_bodies(store, &tenant, &root, commit.bodies)?;
        self.forget_mail(&id, commit.mail_seen);
        self.append(now, &id, commit.events)?;
        for number in commit.withdraw {
            self.withdraw(now, &TaskId { run: id.clone(), number })?;
        }
        self.add_tasks(now, &id, commit.tasks)?;
        self.set_timers(now, &id, commit.timers)?;
        for number in commit.withdraw_children {
            let child = self.run(&id).and_then(|run| run.children.get(&number).cloned());
            if let Some(child) = child {
                self.cancel(store, now, &child, WITHDRAWN)?;
            }
        }
        for (child, child_id) in commit.children.into_iter().zip(children) {
            self.create_child(now, &id, child, &child_id)?;
        }
        self.finish_decision(&commit.task, commit.token);
        match commit.end {
            Some(end) => self.end(now, &id, end)?,
            None => self.decide_again(now, &id)?,
        }
        Ok(Recorded::Now)
    }

    /// See [`crate::Ledger::park`].
    pub(crate) fn park(
        &mut self,
        store: &dyn Store,
        now: Timestamp,
        held: &Held,
    ) -> Result<Recorded, LedgerError> {
        match self.proof(store, &held.task, &held.token)? {
            Proof::Holds => {}
            Proof::Finished => return Ok(Recorded::AlreadyDone),
            Proof::Stale => return Err(LedgerError::LeaseLost),
        }
        self.finish_decision(&held.task, held.token);
        if let Some(run) = self.runs.get_mut(&held.task.run) {
            run.parked = Some(now);
        }
        Ok(Recorded::Now)
    }

    /// The ids of new children, all of them unused.
    fn name_children(
        &self,
        store: &dyn Store,
        children: &[NewChild],
        parent: &RunId,
    ) -> Result<Vec<RunId>, LedgerError> {
        let mut names = Vec::with_capacity(children.len());
        for child in children {
            let name = parent.child(child.number);
            let name = name.map_err(|error| LedgerError::Invalid(error.to_string()))?;
            if self.is_used(store, &name)? {
                return Err(LedgerError::Invalid(format!(
                    "child {name} exists: expected an unused number"
                )));
            }
            names.push(name);
        }
        Ok(names)
    }

    fn create_child(
        &mut self,
        now: Timestamp,
        parent: &RunId,
        child: NewChild,
        id: &RunId,
    ) -> Result<(), LedgerError> {
        let order = self.count();
        let Some(above) = self.runs.get_mut(parent) else { return Ok(()) };
        above.children.insert(child.number, id.clone());
        let head = Head {
            parent: Some((parent.clone(), child.number)),
            submitted_at: now,
            order,
            key: None,
            ..above.head.clone()
        };
        let start = Start { events: child.events, tasks: child.tasks, timers: child.timers };
        self.create(now, id, head, start)
    }

    /// Mail up to this number has been taken into account.
    fn forget_mail(&mut self, id: &RunId, seen: u64) {
        let Some(run) = self.runs.get_mut(id) else { return };
        run.progress.mail_seen = run.progress.mail_seen.max(seen);
        while let Some(mail) = run.mails.pop_front_if(|mail| mail.number <= seen) {
            self.changes.mail_gone(id, mail.number);
        }
    }

    /// Takes a task back. A queued one is dropped, a leased one is told by heartbeat, and
    /// one that is over has its mail under way already.
    fn withdraw(&mut self, now: Timestamp, id: &TaskId) -> Result<(), LedgerError> {
        match self.task(id).map(|task| task.progress.standing) {
            Some(Standing::Queued) => self.drop_task(now, id)?,
            Some(Standing::Leased(..) | Standing::Started(..)) => {
                if let Some(task) = self.task_mut(id) {
                    task.progress.withdrawn = true;
                }
            }
            Some(Standing::Done(_) | Standing::Gone) | None => {}
        }
        Ok(())
    }

    fn finish_decision(&mut self, id: &TaskId, token: Token) {
        let reserved = self.unlease(id);
        self.charge(id, reserved, reserved != Spend::ZERO);
        self.finish_task(id, Standing::Done(token));
        if let Some(run) = self.run_mut(&id.run) {
            run.progress.committed = Some(token);
        }
    }

    /// Mail that the decision did not see calls for another one, and so does a word to stop
    /// that came to a run above it meanwhile.
    fn decide_again(&mut self, now: Timestamp, id: &RunId) -> Result<(), LedgerError> {
        let unseen = |run: &Run| run.progress.mail_last > run.progress.mail_seen;
        let untold = |run: &Run| !run.told_to_stop && self.is_cancelled(id);
        if self.run(id).is_some_and(|run| unseen(run) || untold(run)) {
            self.ensure_decide(now, id)?;
        }
        Ok(())
    }
}

/// The decision must be made from the run as it is.
fn check_position(run: &Run, commit: &Commit) -> Result<(), LedgerError> {
    let (expected, found) = (commit.journal_len, run.progress.journal_len);
    if expected != found {
        return Err(LedgerError::JournalMoved { run: commit.task.run.clone(), expected, found });
    }
    let (seen, last) = (commit.mail_seen, run.progress.mail_last);
    if seen > last {
        return Err(LedgerError::Invalid(format!("mail {seen} is seen: the last one is {last}")));
    }
    Ok(())
}

/// What is created has unused numbers, what is withdrawn exists.
fn check_parts(run: &Run, commit: &Commit) -> Result<(), LedgerError> {
    let last = run.progress.task_last;
    if let Some(task) = commit.tasks.iter().find(|task| task.number <= last) {
        let number = task.number;
        return Err(LedgerError::Invalid(format!(
            "task {number} is not new: expected a number above {last}"
        )));
    }
    if let Some(number) = commit.withdraw.iter().find(|number| !run.tasks.contains_key(number)) {
        return Err(LedgerError::Invalid(format!("there is no task {number} to withdraw")));
    }
    let unknown = |number: &&u32| !run.children.contains_key(number);
    if let Some(number) = commit.withdraw_children.iter().find(unknown) {
        return Err(LedgerError::Invalid(format!("there is no child {number} to withdraw")));
    }
    Ok(())
}
