//! A run's steps as lines for people, while they happen and afterwards.

use crate::output::{BAD, DIM, GOOD, PLAIN, STRONG, dollars};
use baton_engine::{Cause, End, Event, Input, Outcome, PlanSource, Planning, Status};
use baton_workflow::{AgentId, Spend, StepId};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write as _};

/// Characters of a subtask or of an output in one line.
const LINE_CHARS_MAX: usize = 72;

/// Tells a run's story from its journal, a line for each thing that happens.
#[derive(Default)]
pub(crate) struct Story {
    tasks: BTreeMap<u32, Doing>,
    steps: usize,
}

enum Doing {
    Plan,
    Step(StepId, AgentId),
    Child(StepId, u32),
    Check,
}

impl Story {
    /// What there is to say about an entry; nothing for what people need not know.
    pub(crate) fn line(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::Submitted { spec } => match &spec.planning {
                Planning::Strategy { .. } => None,
                Planning::Policy { model, .. } => {
                    Some(format!("{DIM}┌ asking {} for a plan{PLAIN}", model.id))
                }
            },
            Event::PlanAsked { task, round, .. } => {
                self.tasks.insert(*task, Doing::Plan);
                (*round > 0).then(|| format!("{DIM}├ asking for a corrective plan{PLAIN}"))
            }
            Event::Adopted { plan, source, .. } => {
                self.steps = plan.steps.len();
                let (PlanSource::Strategy(name) | PlanSource::Fallback(name)) = source;
                Some(format!("{DIM}├ {name}: {}{PLAIN}", count(self.steps, "step")))
            }
            Event::StepDispatched { task, step, agent, .. } => {
                self.tasks.insert(*task, Doing::Step(*step, agent.clone()));
                Some(format!("{DIM}├ step {step} → {agent}{PLAIN}"))
            }
            Event::RoundBegun { cause, .. } => Some(match cause {
                Cause::StepFailed { step } => {
                    format!("├ {BAD}step {step} failed for good{PLAIN}: planning again")
                }
                Cause::Asked { step, why } => {
                    format!("├ {BAD}step {step} asks for another plan{PLAIN}: {}", short(why))
                }
            }),
            Event::Withdrawn { .. } => None,
            Event::ResultsAwaited { step, .. } => {
                Some(format!("├ step {step} {STRONG}awaits results of tools{PLAIN}"))
            }
            Event::ChildBegun { child, step, budget, .. } => {
                self.tasks.insert(*child, Doing::Child(*step, *child));
                let share = format!("at most {}", count(budget.calls as usize, "call"));
                Some(format!(
                    "{DIM}├ step {step} → {PLAIN}{STRONG}baton{PLAIN}{DIM}: child run {child}, {share}{PLAIN}"
                ))
            }
            Event::VerifyAsked { task, candidates, .. } => {
                self.tasks.insert(*task, Doing::Check);
                let what = if candidates.len() > 1 { "voting" } else { "checking" };
                Some(format!("{DIM}├ {what}{PLAIN}"))
            }
            Event::Heard { input } => self.heard(input),
            Event::Ended { end } => Some(ended(end)),
        }
    }

    fn heard(&mut self, input: &Input) -> Option<String> {
        match input {
            Input::Outcome { task, outcome, spend, .. } => {
                let doing = self.tasks.remove(task)?;
                Some(self.outcome(&doing, outcome, *spend))
            }
            Input::ChildEnded { child, end, spend } => {
                let doing = self.tasks.remove(child)?;
                Some(self.outcome(&doing, &end.for_step(), *spend))
            }
            Input::Lost { task, .. } => {
                self.tasks.remove(task)?;
                Some(format!("├ {BAD}lost{PLAIN}: every process that held it died"))
            }
            Input::Interrupted { task, .. } => {
                self.tasks.remove(task)?;
                Some(format!("├ {BAD}interrupted{PLAIN}: it had begun, and is not done twice"))
            }
            Input::Results { results, .. } => Some(match results {
                Some(_) => "├ the results of the tools came".into(),
                None => format!("├ {BAD}the results of the tools did not come in time{PLAIN}"),
            }),
            Input::Signalled { .. } => None,
            Input::DeadlinePassed => Some(format!("├ {BAD}the time is over{PLAIN}")),
            Input::AgentsRemoved { agents } => {
                let agents: Vec<_> = agents.iter().map(ToString::to_string).collect();
                Some(format!("├ no longer configured: {}", agents.join(", ")))
            }
            Input::CancelAsked { reason } => Some(format!("├ {BAD}cancelled{PLAIN}: {reason}")),
        }
    }

    fn outcome(&mut self, doing: &Doing, outcome: &Outcome, spend: Spend) -> String {
        let cost =
            format!("{DIM}{} tokens, {}{PLAIN}", spend.tokens(), dollars(spend.usd.dollars()));
        let who = match doing {
            Doing::Plan => "plan".to_owned(),
            Doing::Step(step, agent) => format!("step {step} {STRONG}{agent}{PLAIN}"),
            Doing::Child(step, child) => {
                format!("step {step} {STRONG}baton{PLAIN}: child run {child}")
            }
            Doing::Check => "check".to_owned(),
        };
        match outcome {
            Outcome::Planned { plan, ms, repairs } => {
                self.steps = plan.steps.len();
                let mut shape = String::new();
                for (place, step) in plan.steps.iter().enumerate() {
                    let sees: Vec<_> = step.sees.iter().map(ToString::to_string).collect();
                    let sees = if sees.is_empty() {
                        String::new()
                    } else {
                        format!(" sees {}", sees.join(","))
                    };
                    let _ = write!(shape, "\n│   {place} {}{DIM}{sees}{PLAIN}", step.agent);
                }
                let repaired = match repairs {
                    0 => String::new(),
                    n => format!(", repaired {n}×"),
                };
                let steps = count(plan.steps.len(), "step");
                format!(
                    "├ {GOOD}✓{PLAIN} {who}: {steps}{repaired} {cost} {DIM}{ms} ms{PLAIN}{shape}"
                )
            }
            Outcome::Worked { ms, .. } => {
                format!("├ {GOOD}✓{PLAIN} {who} {cost} {DIM}{ms} ms{PLAIN}")
            }
            Outcome::FellShort { shortfall, ms, .. } => {
                let said = short(&shortfall.to_string());
                format!("├ {BAD}✗{PLAIN} {who}: {said} {cost} {DIM}{ms} ms{PLAIN}")
            }
            Outcome::Verified { verdict, ms, .. } => {
                let kind = format!("{:?}", verdict.kind).to_lowercase();
                let (code, said) = (&verdict.code, short(&verdict.feedback));
                format!("├ {STRONG}{kind}{PLAIN} {code} {cost} {DIM}{ms} ms {said}{PLAIN}")
            }
            Outcome::Stands => format!("├ {GOOD}✓{PLAIN} {who}: the answer stands {cost}"),
            Outcome::Unreadable { complaints, .. } => {
                let first = complaints.first().map(|c| short(c)).unwrap_or_default();
                format!("├ {BAD}✗{PLAIN} {who} cannot be read: {first} {cost}")
            }
            Outcome::Failed { code, message } => {
                format!("├ {BAD}✗{PLAIN} {who}: {code}: {} {cost}", short(message))
            }
            Outcome::BudgetSpent { resource } => {
                format!("├ {BAD}✗{PLAIN} {who}: the budget of {resource} is spent")
            }
            Outcome::Abandoned => format!("├ {DIM}{who} abandoned{PLAIN}"),
        }
    }
}

fn ended(end: &End) -> String {
    let spend = end.spend;
    let status = match end.status {
        Status::Completed => format!("{GOOD}completed{PLAIN}"),
        Status::Incomplete => format!("{BAD}incomplete{PLAIN}"),
        Status::Failed => format!("{BAD}failed{PLAIN}"),
        Status::Cancelled => format!("{BAD}cancelled{PLAIN}"),
    };
    format!(
        "└ {status}: {}, {} tokens, {}",
        count(spend.calls as usize, "call"),
        spend.tokens(),
        dollars(spend.usd.dollars())
    )
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn short(text: &str) -> String {
    let line: Vec<_> = text.split_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(LINE_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// The same lines inside a step of another run.
pub(crate) fn inside(lines: &str) -> String {
    let lines = lines.lines().map(|line| format!("{DIM}│{PLAIN}   {line}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// A finished or running run, from its report.
pub(crate) fn report(report: &Value) -> String {
    let mut out = outline(report);
    if let Some(answer) = report["answer"].as_str() {
        let _ = write!(out, "\n\n{answer}");
    }
    out
}

/// The same without its answer, the runs below it inside their steps.
fn outline(report: &Value) -> String {
    let text = |value: &Value, name: &str| match &value[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let cost = |value: &Value| {
        let tokens =
            value["tokens_in"].as_u64().unwrap_or(0) + value["tokens_out"].as_u64().unwrap_or(0);
        let usd = value["usd"].as_f64().unwrap_or(0.0);
        format!("{tokens} tokens, {}", dollars(usd))
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut out = format!("{STRONG}{}{PLAIN} {}", text(report, "id"), text(report, "status"));
    if let Some(code) = report["reason"]["code"].as_str() {
        let _ = write!(out, " ({code})");
    }
    for round in list(&report["rounds"]) {
        let _ = write!(out, "\n┌ round {} by {}", round["round"], text(&round, "source"));
        if let Some(planning) = round.get("planning") {
            let _ = write!(out, " {DIM}{}{PLAIN}", cost(planning));
        }
        for step in list(&round["steps"]) {
            let subtask = short(&text(&step, "subtask"));
            let _ = write!(
                out,
                "\n├ {} {STRONG}{}{PLAIN} {} {DIM}{}, {} ms{PLAIN}\n│   {subtask}",
                step["step"],
                text(&step, "agent"),
                text(&step, "status"),
                cost(&step),
                step["ms"],
            );
            for run in list(&step["runs"]) {
                let _ = write!(out, "\n{}", inside(&outline(&run)));
            }
        }
        for check in list(&round["checks"]) {
            let kind = check["verdict"]["kind"].as_str().unwrap_or("unavailable");
            let code = check["verdict"]["code"].as_str().unwrap_or_default();
            let _ = write!(
                out,
                "\n├ {}: {STRONG}{kind}{PLAIN} {code} {DIM}{}{PLAIN}",
                text(&check, "kind"),
                cost(&check)
            );
        }
    }
    let _ = write!(out, "\n└ {} calls, {}", report["usage"]["calls"], cost(&report["usage"]));
    out
}
