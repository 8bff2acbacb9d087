//! What can be said against an argument without knowing the ledger's state.
//!
//! Every implementation calls these before anything else, so that the same call is
//! refused in the same words by all of them.

use crate::{
    BATCH_MAX, BODY_BYTES_MAX, Body, Class, Commit, Completion, DECIDE_TASK, Held, LeaseRequest,
    LedgerError, NAME_BYTES_MAX, NewChild, NewTask, NewTimer, PAYLOAD_BYTES_MAX, Submission,
    TenantTerms,
};
use bytes::Bytes;
use std::collections::BTreeSet;

/// Most runs in one list.
const LIST_MAX: usize = 1000;
/// Largest weight of a tenant.
const WEIGHT_MAX: u32 = 1000;
/// The last priority.
pub(crate) const PRIORITY_MAX: u8 = 9;

/// Largest cost of a task: as many tokens as a budget may name.
const COST_MAX: u64 = 1_000_000_000;

type Checked = Result<(), LedgerError>;

fn invalid(what: impl Into<String>) -> Checked {
    Err(LedgerError::Invalid(what.into()))
}

fn count(what: &str, found: usize) -> Checked {
    if found > BATCH_MAX {
        return invalid(format!("{found} {what} in one write: expected at most {BATCH_MAX}"));
    }
    Ok(())
}

fn name(what: &str, value: &str) -> Checked {
    let found = value.len();
    if found > NAME_BYTES_MAX {
        return invalid(format!("{what} of {found} bytes: expected at most {NAME_BYTES_MAX}"));
    }
    Ok(())
}

fn payload(what: &str, bytes: &Bytes) -> Checked {
    let found = bytes.len();
    if found > PAYLOAD_BYTES_MAX {
        return invalid(format!(
            "{what} of {found} bytes: expected at most {PAYLOAD_BYTES_MAX}; put texts into bodies"
        ));
    }
    Ok(())
}

fn events(events: &[Bytes]) -> Checked {
    events.iter().try_for_each(|event| payload("an event", event))
}

fn timers(timers: &[NewTimer]) -> Checked {
    timers.iter().try_for_each(|timer| name("a timer's name", &timer.name))
}

fn bodies(bodies: &[Body]) -> Checked {
    count("bodies", bodies.len())?;
    for body in bodies {
        let found = body.bytes.len();
        if found > BODY_BYTES_MAX {
            return invalid(format!("a body of {found} bytes: expected at most {BODY_BYTES_MAX}"));
        }
        if body.name != Body::new(body.bytes.clone()).name {
            return invalid(format!("body {:?} is not named by its content", body.name));
        }
    }
    Ok(())
}

fn tasks(tasks: &[NewTask]) -> Checked {
    let mut numbers = BTreeSet::new();
    for task in tasks {
        let number = task.number;
        if number == DECIDE_TASK || task.class == Class::decide() {
            return invalid(format!(
                "task {number} of class {:?}: decide tasks are made by the ledger, others count from 1",
                task.class
            ));
        }
        if !numbers.insert(number) {
            return invalid(format!("task {number} is there twice: expected every number once"));
        }
        if task.priority > PRIORITY_MAX {
            let found = task.priority;
            return invalid(format!(
                "task {number} has priority {found}: expected 0 to {PRIORITY_MAX}"
            ));
        }
        if !(1..=COST_MAX).contains(&task.cost) {
            let found = task.cost;
            return invalid(format!("task {number} has cost {found}: expected 1 to {COST_MAX}"));
        }
        name("a class", task.class.as_str())?;
        payload("a task's payload", &task.payload)?;
    }
    Ok(())
}

fn children(children: &[NewChild]) -> Checked {
    count("children", children.len())?;
    let mut numbers = BTreeSet::new();
    for child in children {
        if !numbers.insert(child.number) {
            let number = child.number;
            return invalid(format!("child {number} is there twice: expected every number once"));
        }
        events(&child.events)?;
        tasks(&child.tasks)?;
        timers(&child.timers)?;
    }
    Ok(())
}

impl TenantTerms {
    /// Whether the weight is one.
    pub fn check(&self) -> Checked {
        if !(1..=WEIGHT_MAX).contains(&self.weight) {
            return invalid(format!("a weight of {}: expected 1 to {WEIGHT_MAX}", self.weight));
        }
        Ok(())
    }
}

impl Submission {
    /// Whether the submission keeps to every limit.
    pub fn check(&self) -> Checked {
        if self.events.is_empty() {
            return invalid(format!("{} has no event: expected at least one", self.run));
        }
        count("events", self.events.len())?;
        count("tasks", self.tasks.len())?;
        count("timers", self.timers.len())?;
        name("an idempotency key", self.key.as_deref().unwrap_or_default())?;
        name("a digest", &self.digest)?;
        name("a traceparent", self.traceparent.as_deref().unwrap_or_default())?;
        payload("a label", &self.label)?;
        events(&self.events)?;
        tasks(&self.tasks)?;
        timers(&self.timers)?;
        bodies(&self.bodies)
    }
}

impl LeaseRequest {
    /// Whether the request asks for something, and for no more than is allowed.
    pub fn check(&self) -> Checked {
        if !(1..=BATCH_MAX).contains(&self.max) {
            return invalid(format!("{} tasks wanted: expected 1 to {BATCH_MAX}", self.max));
        }
        if self.classes.is_empty() {
            return invalid("no class to lease from: expected at least one");
        }
        count("classes", self.classes.len())?;
        name("a holder", &self.holder)
    }
}

impl Completion {
    /// Whether the completion keeps to every limit and is about a task that is completed.
    pub fn check(&self, held: &Held) -> Checked {
        if held.task.number == DECIDE_TASK {
            return invalid(format!("{} is a decide task: expected a commit", held.task));
        }
        payload("an outcome", &self.outcome)?;
        bodies(&self.bodies)
    }
}

impl Commit {
    /// Whether the commit keeps to every limit, those of its children included.
    pub fn check(&self) -> Checked {
        if self.task.number != DECIDE_TASK {
            return invalid(format!("{} is no decide task: expected a completion", self.task));
        }
        let sum = |own: usize, of: fn(&NewChild) -> usize| {
            own.saturating_add(self.children.iter().map(of).sum())
        };
        count("events", sum(self.events.len(), |child| child.events.len()))?;
        count("tasks", sum(self.tasks.len(), |child| child.tasks.len()))?;
        count("timers", sum(self.timers.len(), |child| child.timers.len()))?;
        count("withdrawn tasks", self.withdraw.len())?;
        count("withdrawn children", self.withdraw_children.len())?;
        events(&self.events)?;
        tasks(&self.tasks)?;
        timers(&self.timers)?;
        children(&self.children)?;
        if let Some(end) = &self.end {
            payload("an end", end)?;
        }
        bodies(&self.bodies)
    }
}

/// Whether a word for a run is short enough.
pub(crate) fn signal(event: &Bytes, texts: &[Body]) -> Checked {
    payload("a signal", event)?;
    bodies(texts)
}

/// Whether a task is one that can be marked as begun.
pub fn check_start(held: &Held) -> Checked {
    if held.task.number == DECIDE_TASK {
        return invalid(format!("{} is a decide task: it can always be done again", held.task));
    }
    Ok(())
}

/// Whether a task is a decision.
pub fn check_park(held: &Held) -> Checked {
    if held.task.number != DECIDE_TASK {
        return invalid(format!("{} is no decide task: expected a completion", held.task));
    }
    Ok(())
}

/// Whether a holder's name is no longer than a lease allows.
pub fn check_holder(holder: &str) -> Checked {
    name("a holder", holder)
}

/// Whether a heartbeat is about no more tasks than one call may be.
pub fn check_heartbeat(held: &[Held]) -> Checked {
    count("held tasks", held.len())
}

/// Whether a list is of a length that may be asked for.
pub fn check_list(limit: usize) -> Checked {
    if !(1..=LIST_MAX).contains(&limit) {
        return invalid(format!("{limit} runs wanted: expected 1 to {LIST_MAX}"));
    }
    Ok(())
}

/// Whether a reason to cancel is short enough to be kept.
pub fn check_reason(reason: &str) -> Checked {
    let found = reason.len();
    if found > PAYLOAD_BYTES_MAX {
        return invalid(format!("a reason of {found} bytes: expected at most {PAYLOAD_BYTES_MAX}"));
    }
    Ok(())
}
