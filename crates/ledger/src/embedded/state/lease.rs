//! Leases: handed out, kept alive, taken back.

use super::{LastCalls, Lease, Proof, Standing, State, Task};
use crate::{
    ATTEMPTS_MAX, BATCH_MAX, Class, DECIDE_TASK, END, Heard, Held, LeaseRequest, Leased,
    LedgerError, Mail, Observation, Reaped, Recorded, Token, Watched,
};
use baton_workflow::{Spend, TaskId, Timestamp};

impl State {
    /// See [`crate::Ledger::lease`]; answers at once, with nothing where nothing waits.
    pub(crate) fn lease(
        &mut self,
        now: Timestamp,
        request: &LeaseRequest,
    ) -> Result<Vec<Leased>, LedgerError> {
        let taken = self.take(now, request)?;
        let leased: Vec<Leased> = taken.iter().filter_map(|id| self.leased(now, id)).collect();
        for decision in leased.iter().filter(|leased| leased.task.number == DECIDE_TASK) {
            if let Some(run) = self.runs.get_mut(&decision.task.run) {
                run.told_to_stop = decision.cancelled;
            }
        }
        Ok(leased)
    }

    /// Takes tasks, for this request or a repetition of it.
    fn take(&mut self, now: Timestamp, request: &LeaseRequest) -> Result<Vec<TaskId>, LedgerError> {
        let earlier = self.requests.get(&request.request).cloned().unwrap_or_default();
        if !earlier.is_empty() {
            return Ok(earlier);
        }
        let mut taken = Vec::new();
        let mut dropped = 0;
        loop {
            let before = taken.len() + dropped;
            // One of each class in turn, so that a busy class does not starve the others.
            for class in &request.classes {
                if taken.len() == request.max {
                    return Ok(taken);
                }
                if dropped == BATCH_MAX {
                    self.queues.stir(class);
                    return Ok(taken);
                }
                let Some(id) = self.queues.next(class) else { continue };
                if *class != Class::decide() && self.is_cancelled(&id.run) {
                    self.drop_task(now, &id)?;
                    dropped += 1;
                } else if self.hand_out(now, request, class, &id).is_some() {
                    taken.push(id);
                }
            }
            if taken.len() + dropped == before {
                return Ok(taken);
            }
        }
    }

    fn hand_out(
        &mut self,
        now: Timestamp,
        request: &LeaseRequest,
        class: &Class,
        id: &TaskId,
    ) -> Option<()> {
        let (epoch, nonce) = (self.epoch, self.count());
        let until = now.plus_ms(request.ttl_ms);
        let run = self.run(&id.run)?;
        let (tenant, root) = (run.head.tenant.clone(), run.head.root.clone());
        self.queues.take(class, &tenant);
        let reserve = self.task(id)?.head.reserve;
        let reserved = self.set_aside(&root, reserve).map(|()| reserve);
        let task = self.task_mut(id)?;
        task.progress.attempt += 1;
        let attempt = task.progress.attempt;
        let token = Token { epoch, attempt, nonce };
        task.progress.standing = Standing::Leased(token, reserved.unwrap_or_default());
        let holder = request.holder.clone();
        let request = request.request;
        task.lease = Some(Lease {
            until,
            heard: now,
            holder: holder.clone(),
            request,
            reserved,
            last: LastCalls::default(),
        });
        self.leases.insert((until, id.clone()));
        self.requests.entry(request).or_default().push(id.clone());
        if let Some(root) = self.runs.get_mut(&root) {
            root.pending += 1;
        }
        let observed =
            Observation::Leased { task: id.number, class: class.clone(), attempt, holder };
        self.notices.push((id.run.clone(), Watched::Observed(observed)));
        Some(())
    }

    /// A held task, as its holder is told.
    fn leased(&self, now: Timestamp, id: &TaskId) -> Option<Leased> {
        let (run, task) = (self.run(&id.run)?, self.task(id)?);
        let decides = id.number == DECIDE_TASK;
        let (token, _) = task.progress.standing.held()?;
        Some(Leased {
            task: id.clone(),
            class: task.head.class.clone(),
            token,
            tenant: run.head.tenant.clone(),
            root: run.head.root.clone(),
            payload: task.head.payload.clone(),
            traceparent: run.head.traceparent.clone(),
            cancelled: self.is_cancelled(&id.run),
            reserved: task.lease.as_ref()?.reserved,
            reading: decides.then(|| Box::new(self.present(now, &id.run, run, END))),
        })
    }

    /// See [`crate::Ledger::heartbeat`].
    pub(crate) fn heartbeat(&mut self, now: Timestamp, held: &[Held], ttl_ms: u64) -> Vec<Heard> {
        held.iter().map(|held| self.hear(now, held, ttl_ms)).collect()
    }

    /// A lease lives in memory alone, so extending it changes no row.
    fn hear(&mut self, now: Timestamp, held: &Held, ttl_ms: u64) -> Heard {
        let id = &held.task;
        let Some(run) = self.runs.get_mut(&id.run) else { return Heard::Lost };
        let Some(task) = run.tasks.get_mut(&id.number) else { return Heard::Lost };
        let proof = task.progress.standing.proof(&held.token);
        let (Proof::Holds, Some(lease)) = (proof, &mut task.lease) else { return Heard::Lost };
        let until = now.plus_ms(ttl_ms);
        self.leases.remove(&(lease.until, id.clone()));
        self.leases.insert((until, id.clone()));
        lease.until = until;
        lease.heard = now;
        let unwanted = task.progress.withdrawn || run.progress.ended.is_some();
        // A decision is not to be abandoned: it is what ends a run that is cancelled.
        if id.number != DECIDE_TASK && (unwanted || self.is_cancelled(&id.run)) {
            Heard::Abandon
        } else {
            Heard::Extended
        }
    }

    /// Ends the lease of a task in every index; the task itself is the caller's to change.
    /// Gives what the attempt still has set aside.
    pub(super) fn unlease(&mut self, id: &TaskId) -> Spend {
        let Some(run) = self.runs.get_mut(&id.run) else { return Spend::ZERO };
        let (tenant, root) = (run.head.tenant.clone(), run.head.root.clone());
        let Some(Task { head, progress, lease }) = run.tasks.get_mut(&id.number) else {
            return Spend::ZERO;
        };
        self.queues.release(&head.class, &tenant);
        let reserved = progress.standing.held().map(|(_, reserved)| reserved).unwrap_or_default();
        if let Some(lease) = lease.take() {
            self.leases.remove(&(lease.until, id.clone()));
            if let Some(tasks) = self.requests.get_mut(&lease.request) {
                tasks.retain(|task| task != id);
                if tasks.is_empty() {
                    self.requests.remove(&lease.request);
                }
            }
        }
        self.release(&id.run, reserved);
        self.settled_one(&root);
        reserved
    }

    /// Takes a lease back. What its attempt had set aside may have been spent, so it is
    /// booked in full.
    pub(super) fn expire(&mut self, now: Timestamp, id: &TaskId) -> Result<(), LedgerError> {
        let reserved = self.unlease(id);
        self.charge(id, reserved, reserved != Spend::ZERO);
        let Some(run) = self.runs.get(&id.run) else { return Ok(()) };
        let Some(task) = run.tasks.get(&id.number) else { return Ok(()) };
        let attempt = task.progress.attempt;
        let started = matches!(task.progress.standing, Standing::Started(..));
        let expired = Observation::Expired { task: id.number, attempt };
        self.notices.push((id.run.clone(), Watched::Observed(expired)));
        if run.progress.ended.is_some() {
            self.finish_task(id, Standing::Gone);
        } else if started {
            self.interrupt(now, id)?;
        } else if task.progress.withdrawn {
            self.lose(now, id, true)?;
        } else if attempt >= ATTEMPTS_MAX {
            self.lose(now, id, false)?;
        } else {
            let (head, tenant) = (&task.head, &run.head.tenant);
            self.queues.push(&head.class, tenant, (head.priority, head.age), id.clone(), head.cost);
            if let Some(task) = self.task_mut(id) {
                task.progress.standing = Standing::Queued;
            }
        }
        Ok(())
    }

    /// What may have been done is not done again: its run gets to know.
    fn interrupt(&mut self, now: Timestamp, id: &TaskId) -> Result<(), LedgerError> {
        self.finish_task(id, Standing::Gone);
        let spend = self.task(id).map(|task| task.progress.spent).unwrap_or_default();
        self.mail(now, &id.run, Mail::Interrupted { task: id.number, spend })
    }

    /// See [`crate::Ledger::start`].
    pub(crate) fn start(&mut self, held: &Held) -> Result<Recorded, LedgerError> {
        let task = self.task_mut(&held.task).ok_or(LedgerError::LeaseLost)?;
        match task.progress.standing {
            Standing::Leased(token, reserved) if token == held.token => {
                task.progress.standing = Standing::Started(token, reserved);
                Ok(Recorded::Now)
            }
            Standing::Started(token, _) if token == held.token => Ok(Recorded::AlreadyDone),
            Standing::Queued
            | Standing::Leased(..)
            | Standing::Started(..)
            | Standing::Done(_)
            | Standing::Gone => Err(LedgerError::LeaseLost),
        }
    }

    /// See [`crate::Ledger::reap`]. Looks at every lease: there are no more than tasks that
    /// processes hold, and processes do not die often.
    pub(crate) fn reap(
        &mut self,
        now: Timestamp,
        holder: &str,
        silent_ms: u64,
    ) -> Result<Reaped, LedgerError> {
        let is_silent = |id: &TaskId| {
            let lease = self.task(id).and_then(|task| task.lease.as_ref());
            lease.is_some_and(|lease| {
                lease.holder == holder && lease.heard.plus_ms(silent_ms) <= now
            })
        };
        let silent = self.leases.iter().map(|(_, id)| id).filter(|id| is_silent(id));
        let mut silent: Vec<TaskId> = silent.take(BATCH_MAX + 1).cloned().collect();
        let more = silent.len() > BATCH_MAX;
        silent.truncate(BATCH_MAX);
        silent.sort();
        silent.iter().try_for_each(|id| self.expire(now, id))?;
        Ok(Reaped { leases: silent.len(), more })
    }

    /// Takes a queued task out because nobody wants it any more.
    pub(super) fn drop_task(&mut self, now: Timestamp, id: &TaskId) -> Result<(), LedgerError> {
        self.vanish(id);
        self.lose(now, id, true)
    }

    /// A task is over without an outcome: its run gets to know.
    fn lose(&mut self, now: Timestamp, id: &TaskId, dropped: bool) -> Result<(), LedgerError> {
        self.finish_task(id, Standing::Gone);
        let spend = self.task(id).map(|task| task.progress.spent).unwrap_or_default();
        self.mail(now, &id.run, Mail::Lost { task: id.number, dropped, spend })
    }
}
