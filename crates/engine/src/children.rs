//! Steps that are workflows: child runs, begun with a part of what is left.

use crate::{End, Event, Outcome, Reason, Run, RunSpec, Status, WorkAssignment};
use baton_workflow::{Abilities, AgentId, BodyRef, Budget, Spend, StepId, Timestamp, Usd};

/// Fewer calls than a plan, a step and one to spare are no workflow.
const CALLS_MIN: u32 = 3;
/// Fewer prompts of a plan than this are no workflow either.
const PROMPTS_MIN: u64 = 2;
/// Of the time that is left, a child has so many parts out of so many: it then still tells
/// its parent the best that it has, and the parent can do something with it.
const TIME_PARTS: (u64, u64) = (7, 8);

/// What a child run is asked to do.
#[derive(Debug, Clone, PartialEq)]
pub struct ChildAssignment {
    /// The step, as a worker would be given it: what the child's conversation is made of.
    pub work: WorkAssignment,
    spec: RunSpec,
}

impl ChildAssignment {
    /// The child's own specification, once its conversation is stored as `request`.
    pub fn spec(&self, request: BodyRef) -> RunSpec {
        RunSpec { request, ..self.spec.clone() }
    }
}

/// The most that a child can consume of what it is given.
pub(crate) fn most_of(budget: &Budget) -> Spend {
    let Budget { usd, tokens, calls, .. } = *budget;
    Spend { usd, tokens_in: tokens, tokens_out: 0, calls }
}

impl End {
    /// What a child's end is to the step that it carried out. An answer is one even if the
    /// child could not have it accepted; what a step on the way to it gave is none.
    pub fn for_step(&self) -> Outcome {
        let Some(answer) = &self.answer else { return self.failed() };
        if let Some(shortfall) = &answer.shortfall {
            let (shortfall, text) = (shortfall.clone(), answer.output.clone());
            return Outcome::FellShort { shortfall, text, ms: 0 };
        }
        match self.status {
            Status::Failed | Status::Cancelled => self.failed(),
            Status::Completed | Status::Incomplete if answer.partial => self.failed(),
            Status::Completed | Status::Incomplete => Outcome::Worked {
                output: answer.output.clone(),
                truncated: answer.truncated,
                ms: 0,
                tool_calls: answer.tool_calls.clone(),
                replan: None,
            },
        }
    }

    fn failed(&self) -> Outcome {
        let code = self.reason.code().as_str();
        let mut message = format!("the child run ended without an answer: {code}");
        if let Reason::StepFailed { step, failure, message: why } = &self.reason {
            message = format!("step {step} of the child run failed ({failure}): {why}");
        }
        Outcome::Failed { code: code.into(), message }
    }
}

impl Run {
    /// A child run for a step that names the Conductor itself; none where it may not be
    /// named, has failed at the step, or too little is left to share: then an agent has
    /// to do.
    pub(crate) fn child_for(
        &self,
        step: StepId,
        planned: &AgentId,
        failed: &[AgentId],
        parts: usize,
        now: Timestamp,
    ) -> Option<Event> {
        if !planned.is_itself() || !self.spec.recurses() || failed.contains(planned) {
            return None;
        }
        let budget = self.share(parts, now)?;
        let (child, round) = (self.next_task, self.current_round());
        Some(Event::ChildBegun { child, round, step, budget })
    }

    /// The part of what is left that one of `parts` unfinished steps is given. One more part
    /// is kept back, for the check and for what comes after it.
    fn share(&self, parts: usize, now: Timestamp) -> Option<Budget> {
        let Budget { usd, tokens, calls, depth, .. } = self.spec.budget;
        let taken = self.spent.plus(self.reserved());
        let parts = parts as u64 + 1;
        let calls = u64::from(calls.saturating_sub(taken.calls)) / parts;
        let tokens = tokens.saturating_sub(taken.tokens()) / parts;
        let left = usd.minus(taken.usd);
        let usd = Usd::from_pico(left.pico() / parts);
        let (some, all) = TIME_PARTS;
        let seconds = self.deadline().since_ms(now).saturating_mul(some) / (all * 1000);
        // The parts are no larger than the wholes, which are of these types.
        let (calls, seconds) = (calls as u32, seconds as u32);
        let enough = calls >= CALLS_MIN
            && tokens >= PROMPTS_MIN * self.tokens_to_plan()
            && seconds > 0
            && (usd > Usd::ZERO || left == Usd::ZERO);
        let depth = depth.checked_sub(1)?;
        enough.then_some(Budget { usd, tokens, calls, seconds, depth })
    }

    /// What the child that an event begins is asked to do.
    pub(crate) fn child(&self, event: &Event) -> Option<(u32, ChildAssignment)> {
        let Event::ChildBegun { child, round, step, budget } = event else { return None };
        let work = self.work_assignment(*round, *step, &AgentId::itself(), u32::MAX)?;
        let mut spec = self.spec.clone();
        spec.budget = *budget;
        // Its calls are its end: the root awaits the results.
        spec.awaits = false;
        // Its answer is looked at where it is used: by the root, with the root's own.
        spec.review = false;
        // What is said of the answer concerns whoever writes it.
        if !work.is_answer {
            (spec.check, spec.needs) = (None, Abilities::NONE);
            spec.verifier = spec.verifier.filter(|verifier| verifier.judge.is_some());
        }
        Some((*child, ChildAssignment { work, spec }))
    }
}
