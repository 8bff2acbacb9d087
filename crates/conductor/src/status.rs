//! What goes on at the moment: queues, the newest runs, and where each of them stands.

use crate::{Conductor, decide::encode, known::FoldError, report};
use baton_engine::{Run, Stage, StepState};
use baton_ledger::{QueueStats, QueueSums, RunSummary};
use baton_workflow::{AgentId, TenantId, Timestamp};
use bytes::Bytes;
use serde::Serialize;
use std::collections::BTreeSet;

/// Runs in one status at most.
pub(crate) const RUNS_MAX: usize = 100;
/// Unfinished runs that are looked into, the newest first: each costs a read of the
/// ledger.
const LOOKED_INTO_MAX: usize = 32;

#[derive(Serialize)]
struct Status {
    now: Timestamp,
    /// Of the whole ledger: only for whoever may see all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<LedgerSums>,
    queues: Vec<QueueStats>,
    runs: Vec<Line>,
}

#[derive(Serialize)]
struct LedgerSums {
    epoch: u64,
    unfinished: u64,
    finished: u64,
    timers: u64,
    other_queues: QueueSums,
    bytes: u64,
}

/// A run as in a list, and what it does.
#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    run: serde_json::Map<String, serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    doing: Option<Doing>,
}

/// Where an unfinished run stands.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Doing {
    /// `planning`, `working`, `voting`, `awaiting_tools`, `checking` or `ending`.
    stage: &'static str,
    round: u16,
    steps: usize,
    steps_done: usize,
    /// Agents that carry out a step, each once.
    agents: BTreeSet<AgentId>,
}

impl Conductor {
    /// The status of a tenant, with the newest `runs` of its runs; with `everything` also
    /// the queues of all others and the whole ledger's sums.
    pub(crate) async fn status_json(
        &self,
        tenant: &TenantId,
        everything: bool,
        runs: usize,
    ) -> Result<Bytes, FoldError> {
        let stats = self.ledger.stats().await?;
        let ledger = everything.then(|| LedgerSums {
            epoch: stats.epoch,
            unfinished: stats.unfinished,
            finished: stats.finished,
            timers: stats.timers,
            other_queues: stats.other_queues,
            bytes: stats.files.iter().map(|file| file.bytes).sum(),
        });
        let mut queues = stats.queues;
        queues.retain(|queue| everything || queue.tenant == *tenant);
        let listed = match runs {
            0 => Vec::new(),
            _some => self.ledger.list(tenant, runs.min(RUNS_MAX), None).await?,
        };
        let (mut lines, mut looked_into) = (Vec::new(), 0);
        for summary in &listed {
            let mut doing = None;
            if summary.ended_at.is_none() && looked_into < LOOKED_INTO_MAX {
                looked_into += 1;
                doing = self.doing(summary).await;
            }
            let run = serde_json::from_slice(&report::line(summary)).unwrap_or_default();
            lines.push(Line { run, doing });
        }
        Ok(encode(&Status { now: stats.now, ledger, queues, runs: lines }))
    }

    /// Nothing of a run that cannot be read: one of them must not hide the others.
    async fn doing(&self, summary: &RunSummary) -> Option<Doing> {
        match self.known.read(self.ledger.as_ref(), &summary.run).await {
            Ok((fold, _)) => Some(doing(&fold.run)),
            Err(error) => {
                tracing::debug!(%error, run = %summary.run, "a run's state cannot be read");
                None
            }
        }
    }
}

fn doing(run: &Run) -> Doing {
    let stage = match run.stage() {
        Stage::Planning(_) => "planning",
        Stage::Working => "working",
        Stage::Voting(_) => "voting",
        Stage::Awaiting(_) => "awaiting_tools",
        Stage::Checking(_) => "checking",
        Stage::Over(_) => "ending",
    };
    let round = run.current_round();
    let steps = run.round(round).map(|(_, steps)| steps).unwrap_or_default();
    let mut doing = Doing { stage, round, steps: steps.len(), ..Doing::default() };
    for step in steps {
        match step {
            StepState::Waiting { .. } => {}
            StepState::Running { agent, .. } => {
                doing.agents.insert(agent.clone());
            }
            StepState::Done { .. } => doing.steps_done += 1,
        }
    }
    doing
}
