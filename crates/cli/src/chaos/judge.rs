//! What must be true of a cluster after it was broken, as functions over what was collected.
//!
//! No IO and no clock: each rule is tried on histories that break it.

mod costs;
mod excuse;

use super::schedule::Kind;
use baton_engine::{Event, Input, Outcome, Run, Status, version};
use baton_ledger::{JournalEntry, RunView};
use baton_workflow::Timestamp;
use costs::{Costs, costs};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What may differ between an amount of dollars and its picodollars, for each call.
const ROUNDING_PICO: u64 = 2;

/// Everything that is known after the cluster was left alone.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// What clients asked for, by its number.
    pub(super) requests: BTreeMap<u64, Request>,
    /// Every run of the ledger, with all that were begun below it.
    pub(super) runs: BTreeMap<String, Record>,
    /// Every call that a model was asked.
    pub(super) calls: Vec<Call>,
    /// What was done to the cluster.
    pub(super) faults: Vec<Done>,
    /// Of which kinds that was.
    pub(super) kinds: BTreeSet<Kind>,
    /// What stands in the ledger.
    pub(super) left: Left,
}

/// What a client asked for, and was told.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    /// The runs that replies of success named: one, however often it asked.
    pub(super) runs: BTreeSet<String>,
    /// Replies that it can do nothing about.
    pub(super) refused: Option<String>,
}

/// A run, as the ledger has it.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// Its journal, in the order in which it was read.
    pub(super) entries: Vec<JournalEntry>,
    /// What else is known of it.
    pub(super) view: RunView,
}

impl Record {
    /// Whether a client asked for it, rather than a run above it.
    pub(super) fn is_root(&self, run: &str) -> bool {
        self.view.root.as_str() == run
    }
}

/// A call, in the simulated pool's own record.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Call {
    pub(super) seq: u64,
    pub(super) idempotency_key: Option<String>,
    /// `running`, `done`, `refused`, `cut` or `gone`.
    pub(super) outcome: String,
    /// What it costs at the model's price, in dollars.
    pub(super) usd: f64,
}

/// A fault that happened.
#[derive(Debug, Clone, Default)]
pub(super) struct Done {
    /// The tasks that its victims held.
    pub(super) held: BTreeSet<String>,
}

/// What stands in the ledger when everything should be over.
#[derive(Debug, Clone, Default)]
pub(super) struct Left {
    pub(super) unfinished: u64,
    pub(super) queued: u64,
    pub(super) leased: u64,
    pub(super) held: Vec<String>,
    /// Why the counts are not known: the store answers, with what no count can be.
    pub(super) unreadable: Option<String>,
}

impl Left {
    pub(super) fn is_nothing(&self) -> bool {
        let Self { unfinished, queued, leased, held, unreadable } = self;
        unfinished + queued + leased == 0 && held.is_empty() && unreadable.is_none()
    }
}

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Violation {
    pub(super) rule: Rule,
    /// A run, a task or a request.
    pub(super) of: String,
    pub(super) found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.rule.words(), self.of, self.found)
    }
}

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Rule {
    Answered,
    OneRun,
    EndedOnce,
    Failed,
    OneOutcome,
    NoGap,
    Replay,
    Called,
    Repeated,
    NothingLeft,
    Budget,
}

impl Rule {
    pub(super) const ALL: [Self; 11] = [
        Self::Answered,
        Self::OneRun,
        Self::EndedOnce,
        Self::Failed,
        Self::OneOutcome,
        Self::NoGap,
        Self::Replay,
        Self::Called,
        Self::Repeated,
        Self::NothingLeft,
        Self::Budget,
    ];

    /// As a sentence.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Answered => "every request was acknowledged in the end",
            Self::OneRun => "one run for each request, however often it was repeated",
            Self::EndedOnce => "every acknowledged run ended exactly once",
            Self::Failed => "no run failed but by what was done to the cluster",
            Self::OneOutcome => "at most one recorded outcome for each task",
            Self::NoGap => "journals without a gap",
            Self::Replay => "a replayed journal gives the stored state",
            Self::Called => "every recorded step was called, every call is of a recorded step",
            Self::Repeated => "calls repeated only for tasks that a victim held",
            Self::NothingLeft => "nothing left waiting or leased",
            Self::Budget => "budgets equal the sum of costs",
        }
    }
}

/// Everything that is not as it must be.
pub(super) fn judge(facts: &Facts) -> Vec<Violation> {
    let mut court = Court { facts, found: Vec::new() };
    court.requests();
    let repeats = repeats(&facts.calls);
    let costs = costs(facts);
    for (run, record) in &facts.runs {
        court.run(run, record, &repeats, costs.get(record.view.root.as_str()));
    }
    court.calls(&repeats);
    court.left();
    court.found
}

struct Court<'a> {
    facts: &'a Facts,
    found: Vec<Violation>,
}

impl Court<'_> {
    fn says(&mut self, rule: Rule, of: impl Into<String>, found: impl Into<String>) {
        self.found.push(Violation { rule, of: of.into(), found: found.into() });
    }

    fn requests(&mut self) {
        let mut known = BTreeSet::new();
        let mut unanswered: usize = 0;
        for (number, request) in &self.facts.requests {
            let of = format!("request {number}");
            if let Some(refused) = &request.refused {
                self.says(Rule::Answered, of.clone(), format!("refused: {refused}"));
            } else if request.runs.is_empty() {
                self.says(Rule::Answered, of.clone(), "it never was");
            }
            unanswered += usize::from(request.runs.is_empty());
            if request.runs.len() > 1 {
                self.says(Rule::OneRun, of.clone(), format!("it has {:?}", request.runs));
            }
            for run in &request.runs {
                if !known.insert(run.clone()) {
                    self.says(Rule::OneRun, of.clone(), format!("{run} is another request's too"));
                }
                if !self.facts.runs.contains_key(run) {
                    self.says(Rule::EndedOnce, run.clone(), "the ledger does not know it");
                }
            }
        }
        // Whoever never heard of its run may still have one.
        let roots = self.facts.runs.iter().filter(|(run, record)| record.is_root(run));
        let strays: Vec<_> =
            roots.map(|(run, _)| run).filter(|run| !known.contains(*run)).collect();
        if strays.len() > unanswered {
            let some = strays.iter().take(3).map(|run| run.as_str()).collect::<Vec<_>>();
            let found = format!("{}, such as {}", strays.len(), some.join(", "));
            self.says(Rule::OneRun, "runs of no request", found);
        }
    }

    fn run(
        &mut self,
        run: &str,
        record: &Record,
        repeats: &BTreeMap<&str, usize>,
        costs: Option<&Costs>,
    ) {
        let gap = (1..).zip(&record.entries).find(|(seq, entry)| *seq != entry.seq);
        if let Some((expected, entry)) = gap {
            self.says(Rule::NoGap, run, format!("entry {} where {expected} must be", entry.seq));
            return;
        }
        if record.entries.len() as u64 != record.view.journal_len {
            let (found, length) = (record.entries.len(), record.view.journal_len);
            self.says(Rule::NoGap, run, format!("{found} entries of {length}"));
            return;
        }
        let events: Result<Vec<Event>, _> =
            record.entries.iter().map(|entry| version::read(&entry.event)).collect();
        let events = match events {
            Ok(events) => events,
            Err(error) => return self.says(Rule::Replay, run, error.to_string()),
        };
        self.ends(run, &events, &record.view);
        if record.is_root(run) {
            self.failure(run, &events);
        }
        let outcomes = self.outcomes(run, &events, costs);
        self.replay(run, record, &events);
        self.budget(run, record, &events, &outcomes, repeats, costs);
    }

    fn ends(&mut self, run: &str, events: &[Event], view: &RunView) {
        let ends = events.iter().filter(|event| matches!(event, Event::Ended { .. })).count();
        let ended = view.end.is_some();
        if ends != 1 || !ended {
            let stored = if ended { "an end" } else { "no end" };
            self.says(Rule::EndedOnce, run, format!("{ends} ends in its journal, {stored} stored"));
        } else if !matches!(events.last(), Some(Event::Ended { .. })) {
            self.says(Rule::EndedOnce, run, "its journal goes on behind the end");
        }
    }

    /// A run below another may fail: the one above it goes on without.
    fn failure(&mut self, run: &str, events: &[Event]) {
        let Some(Event::Ended { end }) = events.last() else { return };
        let excuses = excuse::excuses(&end.reason);
        if end.status == Status::Failed && !excuses.iter().any(|k| self.facts.kinds.contains(k)) {
            self.says(Rule::Failed, run, format!("{:?}", end.reason));
        }
    }

    /// The tasks whose outcomes are recorded.
    fn outcomes(&mut self, run: &str, events: &[Event], costs: Option<&Costs>) -> BTreeSet<u32> {
        let mut seen = BTreeMap::<u32, usize>::new();
        let mut worked = BTreeSet::new();
        for event in events {
            let Some((task, outcome)) = heard_of(event) else { continue };
            *seen.entry(task).or_default() += 1;
            if let Some(Outcome::Worked { .. }) = outcome {
                worked.insert(task);
            }
        }
        for (task, times) in seen.iter().filter(|(_, times)| **times > 1) {
            self.says(Rule::OneOutcome, format!("{run}:{task}"), format!("{times} outcomes"));
        }
        for task in worked {
            let of = format!("{run}:{task}");
            if !costs.is_some_and(|costs| costs.tasks.contains(&of)) {
                self.says(Rule::Called, of, "a step is recorded, and no model was called");
            }
        }
        seen.into_keys().collect()
    }

    fn replay(&mut self, run: &str, record: &Record, events: &[Event]) {
        let Some(folded) = fold(events, record.view.submitted_at) else {
            return self.says(Rule::Replay, run, "its first entry begins no run");
        };
        let stored = record.view.end.as_ref();
        let replayed = folded.end().and_then(|end| serde_json::to_vec(end).ok());
        if stored.map(|end| end.to_vec()) != replayed {
            self.says(Rule::Replay, run, "the stored end is not the replayed one");
        }
        let again = folded.decide(record.view.now);
        if folded.end().is_some() && !(again.events.is_empty() && again.tasks.is_empty()) {
            self.says(Rule::Replay, run, "after its end it decides something more");
        }
    }

    fn budget(
        &mut self,
        run: &str,
        record: &Record,
        events: &[Event],
        outcomes: &BTreeSet<u32>,
        repeats: &BTreeMap<&str, usize>,
        costs: Option<&Costs>,
    ) {
        let view = &record.view;
        if record.is_root(run) && view.root_reserved != baton_workflow::Spend::default() {
            let found = format!("{:?} is still set aside", view.root_reserved);
            self.says(Rule::Budget, run, found);
        }
        let told = events.iter().filter_map(spend_of).sum::<u64>();
        let spent = view.spent.usd.pico();
        let asked: BTreeSet<u32> = events.iter().filter_map(begun_by).collect();
        let open = asked.difference(outcomes).count();
        if open == 0 && told != spent || told > spent {
            let found = format!("outcomes cost {told} p$, the ledger has {spent} p$");
            self.says(Rule::Budget, run, found);
        }
        let Some(costs) = costs.filter(|_| record.is_root(run)) else { return };
        let slack = ROUNDING_PICO * costs.calls;
        if costs.pico > spent + slack {
            let found = format!("its calls cost {} p$, the ledger has {spent} p$", costs.pico);
            self.says(Rule::Budget, run, found);
        }
        let undisturbed = open == 0
            && costs.whole
            && !events.iter().any(|event| matches!(event, Event::ChildBegun { .. }))
            && !events.iter().any(is_estimated)
            && costs.tasks.iter().all(|task| repeats.get(task.as_str()).is_none_or(|n| *n == 0));
        if undisturbed && spent > costs.pico + slack {
            let found = format!(
                "nothing happened to it, its calls cost {} p$, and the ledger has {spent} p$",
                costs.pico
            );
            self.says(Rule::Budget, run, found);
        }
    }

    fn calls(&mut self, repeats: &BTreeMap<&str, usize>) {
        for call in &self.facts.calls {
            let task = call.idempotency_key.as_deref().map(task_of);
            let known = task.and_then(|task| task.split_once(':'));
            if !known.is_some_and(|(run, _)| self.facts.runs.contains_key(run)) {
                let key = call.idempotency_key.as_deref().unwrap_or("none");
                self.says(Rule::Called, format!("call {}", call.seq), format!("its key is {key}"));
            }
        }
        for (task, times) in repeats {
            let excused = self.facts.faults.iter().filter(|fault| fault.held.contains(*task));
            let excused = excused.count();
            if *times > excused {
                let found = format!("repeated {times} times, {excused} victims held it");
                self.says(Rule::Repeated, *task, found);
            }
        }
    }

    fn left(&mut self) {
        let left = &self.facts.left;
        if left.is_nothing() {
            return;
        }
        let Left { unfinished, queued, leased, held, unreadable } = left;
        let found = match unreadable {
            Some(why) => format!("its counts cannot be: {why}"),
            None => format!(
                "{unfinished} unfinished runs, {queued} waiting and {leased} leased tasks, leases \
                 of {held:?}"
            ),
        };
        self.says(Rule::NothingLeft, "the ledger", found);
    }
}

/// The task that a call's key names: behind it stand repairs and second calls.
pub(super) fn task_of(key: &str) -> &str {
    key.split('/').next().unwrap_or(key)
}

/// How often each task that was repeated at all was repeated: as often as the one of its
/// calls that was made most often.
pub(super) fn repeats(calls: &[Call]) -> BTreeMap<&str, usize> {
    let mut times = BTreeMap::<&str, usize>::new();
    for key in calls.iter().filter_map(|call| call.idempotency_key.as_deref()) {
        *times.entry(key).or_default() += 1;
    }
    let mut repeated = BTreeMap::new();
    for (key, times) in times.into_iter().filter(|(_, times)| *times > 1) {
        let most: &mut usize = repeated.entry(task_of(key)).or_default();
        *most = (*most).max(times - 1);
    }
    repeated
}

fn fold(events: &[Event], at: Timestamp) -> Option<Run> {
    let (first, more) = events.split_first()?;
    let mut run = Run::begin(first, at)?;
    more.iter().for_each(|event| run.apply(event));
    Some(run)
}

/// The task, or the child run, whose outcome is awaited from now on.
fn begun_by(event: &Event) -> Option<u32> {
    match event {
        Event::ChildBegun { child, .. } => Some(*child),
        other => other.asks().map(|(task, _)| task),
    }
}

/// The task whose end is told, and how it ended.
fn heard_of(event: &Event) -> Option<(u32, Option<&Outcome>)> {
    let Event::Heard { input } = event else { return None };
    match input {
        Input::Outcome { task, outcome, .. } => Some((*task, Some(outcome))),
        Input::Lost { task, .. } | Input::Interrupted { task, .. } => Some((*task, None)),
        // Children are counted with the tasks.
        Input::ChildEnded { child, .. } => Some((*child, None)),
        Input::Results { .. }
        | Input::Signalled { .. }
        | Input::DeadlinePassed
        | Input::CancelAsked { .. }
        | Input::AgentsRemoved { .. } => None,
    }
}

fn spend_of(event: &Event) -> Option<u64> {
    let Event::Heard { input } = event else { return None };
    match input {
        Input::Outcome { spend, .. }
        | Input::Lost { spend, .. }
        | Input::ChildEnded { spend, .. }
        | Input::Interrupted { spend, .. } => Some(spend.usd.pico()),
        Input::Results { .. }
        | Input::Signalled { .. }
        | Input::DeadlinePassed
        | Input::CancelAsked { .. }
        | Input::AgentsRemoved { .. } => None,
    }
}

/// Whether a part of what it cost is an upper bound.
fn is_estimated(event: &Event) -> bool {
    match event {
        Event::Heard { input: Input::Outcome { estimated, .. } } => *estimated,
        Event::Heard { input: Input::Lost { .. } | Input::Interrupted { .. } } => true,
        _other => false,
    }
}

#[cfg(test)]
mod tests;
