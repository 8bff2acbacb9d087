//! The longer lists of arguments.

use crate::request::{Arguments, budget_text};
use baton_ledger::{Body, Commit, LedgerError, Submission};
use baton_workflow::RunId;

/// A submission, with the texts that have to be sent and the names of those that do not.
pub(super) fn submitting(submission: &Submission, new: Vec<&Body>, there: &[&str]) -> Arguments {
    let Submission { tenant, run, key, digest, budget, .. } = submission;
    Arguments::new()
        .bytes(tenant.as_str())
        .bytes(run.as_str())
        .maybe(key.as_ref())
        .bytes(digest)
        .bytes(budget_text(budget))
        .bytes(&submission.label)
        .maybe(submission.traceparent.as_ref())
        .run(&submission.events, &submission.tasks, &submission.timers)
        .bodies(new)
        .texts(there)
}

pub(super) fn committing(commit: &Commit) -> Result<Arguments, LedgerError> {
    let run = &commit.task.run;
    let child_id = |number: u32| {
        let id = run.child(number);
        id.map_err(|error| LedgerError::Invalid(format!("child {number} of {run}: {error}")))
    };
    let mut arguments = Arguments::new()
        .held(&commit.task, &commit.token)
        .number(commit.journal_len)
        .number(commit.mail_seen)
        .run(&commit.events, &commit.tasks, &commit.timers)
        .count(commit.children.len());
    for child in &commit.children {
        arguments = arguments
            .number(child.number.into())
            .bytes(child_id(child.number)?.as_str())
            .run(&child.events, &child.tasks, &child.timers);
    }
    let tasks: Vec<String> = commit.withdraw.iter().map(u32::to_string).collect();
    let children = commit.withdraw_children.iter();
    let children: Result<Vec<RunId>, LedgerError> = children.map(|&n| child_id(n)).collect();
    let children = children?;
    let children: Vec<&str> = children.iter().map(RunId::as_str).collect();
    Ok(arguments.texts(&tasks).texts(&children).maybe(commit.end.as_ref()).bodies(&commit.bodies))
}
