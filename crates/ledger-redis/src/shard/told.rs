//! What scripts answer, in the port's words.

use crate::reply::Reply;
use baton_ledger::{DECIDE_TASK, Leased, LedgerError, RunSummary, RunView};
use baton_workflow::{Resource, RunId, TaskId};

/// What a tenant with a full queue is told to wait, in milliseconds: runs last seconds.
const RETRY_AFTER_MS: u64 = 1_000;

/// A task in a set of leases: `RUN NUMBER`.
pub(super) fn task_of(member: &str) -> Result<TaskId, LedgerError> {
    let parts = member.split_once(' ');
    let task = parts.and_then(|(run, number)| {
        Some(TaskId { run: RunId::new(run).ok()?, number: number.parse().ok()? })
    });
    task.ok_or_else(|| LedgerError::Unusable(format!("{member:?} is no task")))
}

pub(super) fn leased(reply: &mut Reply) -> Result<Leased, LedgerError> {
    let task = TaskId { run: reply.run()?, number: reply.parse("a task")? };
    let decides = task.number == DECIDE_TASK;
    Ok(Leased {
        task,
        class: baton_ledger::Class::from_text(&reply.text()?),
        token: reply.token()?,
        tenant: reply.tenant()?,
        root: reply.run()?,
        payload: reply.bytes()?,
        traceparent: reply.maybe_text()?,
        cancelled: reply.flag()?,
        reserved: match reply.flag()? {
            true => Err(resource(&reply.text()?)),
            false => Ok(reply.spend()?),
        },
        reading: decides.then(|| view(reply).map(Box::new)).transpose()?,
    })
}

/// A resource, as scripts name it.
fn resource(name: &str) -> Resource {
    match name {
        "usd" => Resource::Usd,
        "tokens" => Resource::Tokens,
        _ => Resource::Calls,
    }
}

/// The error that a script named; an error of its own where the name is not known.
pub(super) fn refused(why: &str, mut details: Reply) -> Result<LedgerError, LedgerError> {
    Ok(match why {
        "LeaseLost" => LedgerError::LeaseLost,
        "Invalid" => LedgerError::Invalid(details.text()?),
        "KeyReused" => LedgerError::KeyReused(details.run()?),
        "QueueFull" => LedgerError::QueueFull {
            queued: details.parse("a count")?,
            retry_after_ms: RETRY_AFTER_MS,
        },
        "BudgetSpent" => LedgerError::BudgetSpent(resource(&details.text()?)),
        other => LedgerError::Unusable(format!("the store refused for a reason unknown: {other}")),
    })
}

pub(super) fn view(reply: &mut Reply) -> Result<RunView, LedgerError> {
    Ok(RunView {
        tenant: reply.tenant()?,
        root: reply.run()?,
        submitted_at: reply.time()?,
        now: reply.time()?,
        journal_len: reply.parse("a length")?,
        cancelled: reply.flag()?,
        end: reply.maybe()?,
        spent: reply.spend()?,
        budget: reply.budget()?,
        root_spent: reply.spend()?,
        root_reserved: reply.spend()?,
        label: reply.bytes()?,
        traceparent: reply.maybe_text()?,
        entries: reply.list(Reply::entry)?,
        mails: reply.list(Reply::mail)?,
    })
}

pub(super) fn summary(reply: &mut Reply) -> Result<RunSummary, LedgerError> {
    let (run, submitted_at, ended) = (reply.run()?, reply.time()?, reply.text()?);
    let ended_at = (!ended.is_empty()).then(|| ended.parse().map(baton_workflow::Timestamp));
    Ok(RunSummary {
        run,
        submitted_at,
        ended_at: ended_at.and_then(Result::ok),
        label: reply.bytes()?,
        end: reply.maybe()?,
        spent: reply.spend()?,
    })
}
