//! What must hold of a cluster, whatever befell it.

use super::{
    client,
    link::LOST,
    world::{Faults, World},
};
use baton_codes::FailureCode;
use baton_engine::{End, Event, Input, Outcome, Run, version};
use baton_ledger::{Ledger as _, LedgerError};
use baton_workflow::{RunId, Spend, Timestamp, VerdictKind};
use std::collections::BTreeMap;

/// What is found when everything is quiet.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The runs that clients were given, by the numbers of their requests.
    pub acknowledged: BTreeMap<u64, RunId>,
    /// All runs that the ledger has.
    pub runs: BTreeMap<RunId, RunFacts>,
    /// Whether all ended in time.
    pub ended: bool,
    /// Unfinished runs, waiting tasks and leases, by the ledger's own count.
    pub left: (u64, u64, u64),
    /// Writes that were taken from somebody who did not hold the task.
    pub stale: Vec<String>,
    /// Calls to models by key, and leases of the task that the key is of.
    pub asked: BTreeMap<String, (u32, u32)>,
}

/// What is found of one run.
#[derive(Debug, Clone, Default)]
pub struct RunFacts {
    /// Its request's words.
    pub question: String,
    /// Its journal: each event with its number and time.
    pub journal: Vec<(u64, Timestamp, Option<Event>)>,
    /// Its end, as the ledger keeps it.
    pub end: Option<End>,
    /// What it spent, by the ledger's count.
    pub spent: Spend,
    /// What is still set aside for it.
    pub reserved: Spend,
}

impl Facts {
    pub(super) async fn collect(
        world: &World,
        acknowledged: BTreeMap<u64, RunId>,
        ended: bool,
    ) -> Self {
        let tenant = baton_workflow::TenantId::new(client::TENANT).unwrap();
        let mut runs = BTreeMap::new();
        for summary in world.ledger.list(&tenant, 1000, None).await.unwrap() {
            runs.insert(summary.run.clone(), RunFacts::of(world, &summary.run).await.unwrap());
        }
        let stats = world.ledger.stats().await.unwrap();
        let queued = stats.queues.iter().map(|queue| queue.queued).sum();
        let leased = stats.queues.iter().map(|queue| queue.leased).sum();
        let shared = world.lock();
        let leases = |key: &str| {
            // A plan's key has the number of its repair behind the task's, a second call's too.
            let of = |task: &baton_workflow::TaskId| {
                let task = task.to_string();
                key == task || key.strip_prefix(&task).is_some_and(|rest| rest.starts_with('/'))
            };
            let found = shared.leases.iter().filter(|(task, _)| of(task));
            found.map(|(_, (_, times))| *times).max().unwrap_or(0)
        };
        let asked = shared.asked.iter().map(|(key, calls)| (key.clone(), (*calls, leases(key))));
        Self {
            acknowledged,
            runs,
            ended,
            left: (stats.unfinished, queued, leased),
            stale: shared.stale.clone(),
            asked: asked.collect(),
        }
    }
}

impl RunFacts {
    async fn of(world: &World, run: &RunId) -> Result<Self, LedgerError> {
        let view = world.ledger.read(run, 0).await?;
        let label: serde_json::Value = serde_json::from_slice(&view.label).unwrap_or_default();
        let journal = view.entries.iter();
        let journal = journal.map(|e| (e.seq, e.at, version::read(&e.event).ok()));
        Ok(Self {
            question: label["title"].as_str().unwrap_or_default().to_owned(),
            journal: journal.collect(),
            end: view.end.as_ref().and_then(|end| serde_json::from_slice(end).ok()),
            spent: view.spent,
            reserved: view.root_reserved,
        })
    }
}

/// All that must not be.
pub fn violations(facts: &Facts, faults: Faults) -> Vec<String> {
    let mut wrong = facts.stale.clone();
    if !facts.ended {
        wrong.push("not every run ended in time".to_owned());
    }
    let (unfinished, queued, leased) = facts.left;
    if unfinished + queued + leased > 0 {
        let left = format!("left: {unfinished} runs, {queued} tasks waiting, {leased} leased");
        wrong.push(left);
    }
    for (number, run) in &facts.acknowledged {
        if !facts.runs.contains_key(run) {
            wrong.push(format!("request {number} was given {run}, which is not there"));
        }
    }
    let mut questions: BTreeMap<&str, u32> = BTreeMap::new();
    for run in facts.runs.values() {
        *questions.entry(&run.question).or_default() += 1;
    }
    let twice = questions.iter().filter(|(_, runs)| **runs > 1);
    wrong.extend(twice.map(|(question, runs)| format!("{question:?} became {runs} runs")));
    for (id, run) in &facts.runs {
        let found = of_run(run);
        wrong.extend(found.into_iter().map(|violation| format!("{id}: {violation}")));
    }
    for (key, (calls, leases)) in &facts.asked {
        if faults == Faults::None && *calls > 1 {
            wrong.push(format!("{key} was called {calls} times, and nothing had gone wrong"));
        }
        // An attempt makes at most three calls.
        if *calls > 3 * leases {
            wrong.push(format!("{key} was called {calls} times in {leases} leases"));
        }
    }
    wrong
}

fn of_run(run: &RunFacts) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut outcomes: BTreeMap<u32, u32> = BTreeMap::new();
    let mut ends = 0;
    let mut folded: Option<Run> = None;
    for (place, (seq, at, event)) in run.journal.iter().enumerate() {
        if *seq != place as u64 + 1 {
            wrong.push(format!("entry {seq} stands at place {}", place + 1));
        }
        let Some(event) = event else {
            wrong.push(format!("entry {seq} cannot be read"));
            continue;
        };
        if let Event::Heard { input: Input::Outcome { task, outcome, .. } } = event
            && let Some(told) = unread(outcome)
        {
            wrong.push(format!("task {task} could not be read: {told}"));
        }
        match event {
            Event::Heard { input: Input::Outcome { task, .. } | Input::Lost { task, .. } } => {
                *outcomes.entry(*task).or_default() += 1;
            }
            Event::Ended { .. } => ends += 1,
            _ => {}
        }
        match &mut folded {
            None => folded = Run::begin(event, *at),
            Some(folded) => folded.apply(event),
        }
    }
    let twice = outcomes.iter().filter(|(_, times)| **times > 1);
    wrong.extend(twice.map(|(task, times)| format!("task {task} has {times} outcomes")));
    if ends != 1 || !matches!(run.journal.last(), Some((_, _, Some(Event::Ended { .. })))) {
        wrong.push(format!("it has {ends} ends, the last entry being {:?}", run.journal.last()));
    }
    let Some(folded) = folded else { return wrong };
    if folded.end() != run.end.as_ref() {
        wrong.push(format!("its journal ends with {:?}, it with {:?}", folded.end(), run.end));
    }
    if run.reserved != Spend::ZERO {
        wrong.push(format!("{:?} is still set aside", run.reserved));
    }
    // What was spent after the end is on the bill alone.
    let (known, billed) = (folded.spent(), run.spent);
    if known.usd > billed.usd || known.calls > billed.calls {
        wrong.push(format!("its tasks spent {known:?}, and it is billed {billed:?}"));
    }
    wrong
}

/// What an outcome says of texts that were not read. They are all there: whoever wants one
/// waits for the ledger, however often its calls are lost.
fn unread(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Failed { code, message } if FailureCode::Unreadable == code.as_str() => {
            Some(message)
        }
        Outcome::Verified { verdict, .. }
            if verdict.kind == VerdictKind::Unavailable && verdict.feedback.contains(LOST) =>
        {
            Some(&verdict.feedback)
        }
        _ => None,
    }
}
