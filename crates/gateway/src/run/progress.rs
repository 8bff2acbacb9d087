//! Reads off a run's journal what is going on, and who writes the answer.

use baton_engine::{Cause, Check, Event, Input, Outcome, Plan, PlanSource};
use baton_workflow::{AgentId, Selection, StepId, VerdictKind};

/// Who writes a run's answer: both have numbers out of the same count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// An agent, given the last step as this task.
    Task(u32),
    /// Whoever writes the answer of this child run.
    Child(u32),
}

/// A run, as far as a client that waits for it cares.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Whether the answer is checked or looked at before it is given.
    checked: bool,
    /// Steps of the current plan, and whether the last one's output is what it yields.
    steps: usize,
    ends_with_last: bool,
    /// Who writes the answer, while it is at it.
    writer: Option<Writer>,
    /// The turn that comes next.
    turn: u32,
}

impl Progress {
    /// Whose text is the answer as it stands, if nothing can replace it but the writer's own
    /// failure. The engine tells the worker-agent the same (`is_answer`). A child run that
    /// writes the answer of an unchecked run is not checked either.
    pub(crate) fn writer(&self) -> Option<Writer> {
        self.writer
    }

    /// The turn that is under way, or its answer.
    pub(crate) fn turn(&self) -> u32 {
        self.turn
    }

    /// Takes the next entry; gives words for it, if it is worth any.
    pub(crate) fn take(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::Submitted { spec } => {
                let checked = spec.check.as_ref().is_some_and(Check::is_of_answers);
                self.checked = checked || spec.review;
                None
            }
            Event::PlanAsked { round, .. } => Some(format!("planning round {}", round + 1)),
            Event::Adopted { plan, source, .. } => {
                let name = match source {
                    PlanSource::Strategy(name) => name.clone(),
                    PlanSource::Fallback(name) => format!("{name}, because the policy failed"),
                };
                Some(format!("{} by strategy {name}", self.plan(plan)))
            }
            Event::StepDispatched { task, step, agent, .. } => {
                self.given(*step, Writer::Task(*task));
                Some(format!("{}: given to {agent}", self.step(*step)))
            }
            Event::RoundBegun { cause, .. } => {
                self.writer = None;
                Some(match cause {
                    Cause::StepFailed { step } => format!("{}: failed for good", self.step(*step)),
                    Cause::Asked { step, .. } => {
                        format!("{}: says that the plan does not work", self.step(*step))
                    }
                })
            }
            Event::Withdrawn { .. } => None,
            Event::ResultsAwaited { turn, step, .. } => {
                Some(format!("{}: awaits results of tools (turn {turn})", self.step(*step)))
            }
            Event::ChildBegun { child, step, .. } => {
                self.given(*step, Writer::Child(*child));
                Some(format!("{}: a workflow of its own, child run {child}", self.step(*step)))
            }
            Event::VerifyAsked { candidates, .. } => {
                Some(format!("checking {} candidate answers", candidates.len()))
            }
            Event::Heard { input } => self.heard(input),
            Event::Ended { .. } => None,
        }
    }

    fn heard(&mut self, input: &Input) -> Option<String> {
        match input {
            Input::Outcome { task, outcome, .. } => {
                self.over(Writer::Task(*task));
                self.outcome(*task, outcome)
            }
            Input::Lost { task, .. } => {
                self.over(Writer::Task(*task));
                Some(format!("task {task}: lost"))
            }
            Input::ChildEnded { child, end, .. } => {
                self.over(Writer::Child(*child));
                Some(format!("child run {child}: ended ({})", end.reason.code().as_str()))
            }
            Input::Interrupted { task, .. } => {
                self.over(Writer::Task(*task));
                Some(format!("task {task}: interrupted, and not to be done twice"))
            }
            Input::Results { turn, results } => Some(match results {
                Some(_) => {
                    self.turn = turn.saturating_add(1);
                    "the results of the tools came".into()
                }
                None => "the results of the tools did not come in time".into(),
            }),
            Input::Signalled { .. } => None,
            Input::DeadlinePassed => Some("the time is over".into()),
            Input::CancelAsked { .. } => Some("cancelled".into()),
            Input::AgentsRemoved { agents } => {
                let agents: Vec<_> = agents.iter().map(AgentId::as_str).collect();
                Some(format!("no longer configured: {}", agents.join(", ")))
            }
        }
    }

    fn outcome(&mut self, task: u32, outcome: &Outcome) -> Option<String> {
        match outcome {
            Outcome::Planned { plan, .. } => Some(self.plan(plan)),
            Outcome::Stands => Some("the policy lets the answer stand".into()),
            Outcome::Unreadable { .. } => Some("the policy's plan cannot be read".into()),
            Outcome::Worked { ms, .. } => Some(format!("task {task}: done in {ms} ms")),
            Outcome::FellShort { shortfall, .. } => {
                Some(format!("task {task}: no answer ({})", shortfall.code()))
            }
            Outcome::Verified { verdict, .. } => Some(
                match verdict.kind {
                    VerdictKind::Pass => "the check passed",
                    VerdictKind::Fail => "the check failed",
                    VerdictKind::Abstain => "the check abstained",
                    VerdictKind::Unavailable => "the check cannot be had",
                }
                .into(),
            ),
            Outcome::Failed { code, .. } => Some(format!("task {task}: failed ({code})")),
            Outcome::BudgetSpent { resource } => Some(format!("no {resource} left")),
            Outcome::Abandoned => None,
        }
    }

    fn plan(&mut self, plan: &Plan) -> String {
        self.steps = plan.steps.len();
        self.ends_with_last = plan.selection == Selection::Last;
        self.writer = None;
        let mut agents: Vec<_> = plan.steps.iter().map(|step| step.agent.as_str()).collect();
        agents.dedup();
        format!("plan of {} steps: {}", self.steps, agents.join(", "))
    }

    fn given(&mut self, step: StepId, writer: Writer) {
        if !self.checked && self.ends_with_last && step.index() + 1 == self.steps {
            self.writer = Some(writer);
        }
    }

    fn over(&mut self, writer: Writer) {
        self.writer = self.writer.filter(|current| *current != writer);
    }

    fn step(&self, step: StepId) -> String {
        format!("step {} of {}", step.index() + 1, self.steps)
    }
}
