//! What the calls of runs cost, by the simulated pool's own record.

use super::{Facts, task_of};
use std::collections::{BTreeMap, BTreeSet};

/// What a run's calls cost in truth.
#[derive(Debug, Default)]
pub(super) struct Costs {
    pub(super) pico: u64,
    pub(super) calls: u64,
    /// Whether all of them were answered to their end.
    pub(super) whole: bool,
    /// Those for which calls were made.
    pub(super) tasks: BTreeSet<String>,
}

/// By the run at the top, whose budget pays for all below it.
pub(super) fn costs(facts: &Facts) -> BTreeMap<&str, Costs> {
    let mut runs = BTreeMap::<&str, Costs>::new();
    for call in &facts.calls {
        let Some(task) = call.idempotency_key.as_deref().map(task_of) else { continue };
        let Some((run, _)) = task.split_once(':') else { continue };
        let Some(record) = facts.runs.get(run) else { continue };
        let costs = runs
            .entry(record.view.root.as_str())
            .or_insert_with(|| Costs { whole: true, ..Costs::default() });
        // What nobody received to its end may be billed, and need not be.
        if call.outcome == "done" {
            costs.pico += pico(call.usd);
        } else {
            costs.whole = false;
        }
        costs.calls += 1;
        costs.tasks.insert(task.to_owned());
    }
    runs
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a call costs between nothing and some dollars"
)]
fn pico(usd: f64) -> u64 {
    (usd * 1e12).round() as u64
}
