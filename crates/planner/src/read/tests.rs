//! Replies as text in, plans or complaints as text out.

use super::{Plan, REPLY_BYTES_MAX, read};
use crate::testing::pool;
use crate::write::write_access;
use baton_workflow::{Limits, Selection, Workflow};

mod complaints;
mod dirt;
mod forms;
mod linear;

/// What is read from `reply` with three agents: one line for each step (agent, subtask,
/// access), `STANDS`, or one line for each complaint.
fn seen(reply: &str) -> String {
    match read(reply, &pool(3), &Limits::default()) {
        Ok(Plan::Stands) => "STANDS".into(),
        Ok(Plan::Workflow(flow)) => lines(&flow),
        Err(wrong) => wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

fn lines(flow: &Workflow) -> String {
    let mut lines: Vec<_> = flow
        .steps()
        .iter()
        .map(|s| format!("{} {:?} {}", s.agent, s.subtask, write_access(&s.access)))
        .collect();
    if flow.selection() == Selection::Majority {
        lines.push("majority".into());
    }
    lines.join("\n")
}

fn check(reply: &str, expected: &str) {
    assert_eq!(seen(reply), expected, "\n--- reply:\n{reply}\n---");
}
