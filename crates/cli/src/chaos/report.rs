//! What was done, and what was found.

use super::{
    judge::{Facts, Rule, Violation, judge, repeats},
    link::MADE_OF,
    schedule::{Fault, What},
};
use crate::{
    args::Format,
    exit::Failure,
    output::{BAD, DIM, PLAIN, STRONG},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Violations that are shown one by one.
const SHOWN_MAX: usize = 20;

/// The result.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    seed: u64,
    /// How links were cut and slowed.
    links: &'static str,
    faults: Vec<Struck>,
    requests: usize,
    /// Requests that were sent again.
    repeated_requests: u64,
    runs: usize,
    /// Runs that were begun by other runs.
    child_runs: usize,
    /// How they ended, and how many so.
    ended: BTreeMap<String, usize>,
    calls: usize,
    /// Tasks whose calls were made again.
    repeated_tasks: usize,
    /// Calls that were made again, at most one for each victim that held the task.
    repeated_calls: usize,
    /// Tasks that victims held at their faults.
    held_by_victims: usize,
    pub(super) violations: Vec<Violation>,
}

#[derive(Debug, Serialize)]
struct Struck {
    at_ms: u64,
    lasts_ms: u64,
    what: What,
    words: String,
    held: usize,
}

impl Report {
    pub(super) fn of(
        seed: u64,
        planned: &[Fault],
        names: &[String],
        repeated_requests: u64,
        facts: &Facts,
    ) -> Self {
        let faults = planned.iter().zip(&facts.faults).map(|(fault, done)| Struck {
            at_ms: fault.at_ms,
            lasts_ms: fault.lasts_ms,
            what: fault.what,
            words: fault.what.words(names),
            held: done.held.len(),
        });
        let faults: Vec<_> = faults.collect();
        let mut ended = BTreeMap::new();
        let roots = facts.runs.iter().filter(|(run, record)| record.is_root(run));
        let runs = roots.clone().count();
        for (_, record) in roots {
            let end = record.view.end.as_ref();
            let end = end.and_then(|end| serde_json::from_slice::<serde_json::Value>(end).ok());
            let status = end.and_then(|end| end["status"].as_str().map(str::to_owned));
            *ended.entry(status.unwrap_or_else(|| "not ended".into())).or_default() += 1;
        }
        let repeats = repeats(&facts.calls);
        Self {
            seed,
            links: MADE_OF,
            requests: facts.requests.len(),
            repeated_requests,
            runs,
            child_runs: facts.runs.len() - runs,
            ended,
            calls: facts.calls.len(),
            repeated_tasks: repeats.len(),
            repeated_calls: repeats.values().sum(),
            held_by_victims: faults.iter().map(|fault| fault.held).sum(),
            faults,
            violations: judge(facts),
        }
    }

    pub(super) fn print(&self, format: Format) -> Result<(), Failure> {
        match format {
            Format::Json => {
                let text = serde_json::to_string_pretty(self);
                let text = text.map_err(|error| Failure::other(error.to_string()))?;
                anstream::println!("{text}");
            }
            Format::Text => self.tell(),
        }
        Ok(())
    }

    fn tell(&self) {
        let Self { seed, requests, repeated_requests, runs, calls, .. } = self;
        let faults = self.faults.len();
        let ended: Vec<_> =
            self.ended.iter().map(|(status, count)| format!("{count} {status}")).collect();
        anstream::println!(
            "{STRONG}{faults} faults{PLAIN} under {requests} requests, {repeated_requests} of them \
             sent again\n{runs} runs: {}; {} below them\n{calls} calls, {} repeated, of {} tasks that victims \
             held",
            ended.join(", "),
            self.child_runs,
            self.repeated_calls,
            self.held_by_victims,
        );
        for rule in Rule::ALL {
            let broken = self.violations.iter().filter(|found| found.rule == rule).count();
            match broken {
                0 => anstream::println!("{DIM}holds{PLAIN}   {}", rule.words()),
                _ => anstream::println!("{BAD}broken{PLAIN}  {} ({broken})", rule.words()),
            }
        }
        for violation in self.violations.iter().take(SHOWN_MAX) {
            anstream::println!("  {violation}");
        }
        let more = self.violations.len().saturating_sub(SHOWN_MAX);
        if more > 0 {
            anstream::println!("  and {more} more (-o json shows all)");
        }
        anstream::println!("seed {seed}");
    }
}
