//! Turns: the answer's step calls tools of the user's, and their results are awaited.
//!
//! A turn belongs to its step. Whoever carries the step on is told its turns as they were;
//! of the others, whoever may see the step is told them in words.

use crate::afford::tokens_in_max;
use crate::{Answer, Closing, Event, Reason, Run, Stage, StepState};
use baton_workflow::{AgentId, BodyRef, StepId};
use serde::{Deserialize, Serialize};

/// How long results are awaited, in milliseconds: as long as the official clients wait for
/// an answer. The run's deadline may come first.
pub const AWAIT_MS: u64 = 600_000;
/// Turns of one run: an assignment names each with three bodies, and has a limit of bytes.
/// Calls beyond it end the run.
pub const TURNS_MAX: usize = 64;

/// A wait for results of tools.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Of this round.
    pub round: u16,
    /// The step that calls.
    pub step: StepId,
    /// By whom.
    pub agent: AgentId,
    /// What it said beside.
    pub output: BodyRef,
    /// The calls, as a body of JSON.
    pub calls: BodyRef,
    /// The results, once they are there.
    pub results: Option<BodyRef>,
}

/// A turn that is over, as tasks are told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// What the agent said beside its calls.
    pub output: BodyRef,
    /// The calls, as a body of JSON.
    pub calls: BodyRef,
    /// The results, as a conversation: a message for each.
    pub results: BodyRef,
}

impl Exchange {
    pub(crate) fn bytes(&self) -> u64 {
        [&self.output, &self.calls, &self.results].map(|body| u64::from(body.len)).iter().sum()
    }
}

impl Turn {
    fn exchange(&self) -> Option<Exchange> {
        let Self { output, calls, results, .. } = self.clone();
        Some(Exchange { output, calls, results: results? })
    }
}

impl Run {
    /// The waits for results of tools, in order; only the last one may be without them.
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// The wait that is not over, by its number.
    pub fn awaited(&self) -> Option<u32> {
        let last = self.turns.len().checked_sub(1)?;
        let waits = self.turns.get(last)?.results.is_none()
            && matches!(self.stage, Stage::Awaiting(_))
            && self.end.is_none();
        waits.then_some(last as u32)
    }

    /// The turns of a step, or of the step that it was kept from.
    pub(crate) fn exchanges(&self, mut round: u16, mut step: StepId) -> Vec<Exchange> {
        let kept = |round, step: StepId| self.round(round)?.0.steps.get(step.index())?.kept;
        while let (Some(from), Some(before)) = (kept(round, step), round.checked_sub(1)) {
            (round, step) = (before, from);
        }
        let of_step = self.turns.iter().filter(|turn| (turn.round, turn.step) == (round, step));
        of_step.filter_map(Turn::exchange).collect()
    }

    pub(crate) fn turns_of(
        &self,
        round: u16,
        steps: impl Iterator<Item = StepId>,
    ) -> Vec<(StepId, Exchange)> {
        let of_step = |step| self.exchanges(round, step).into_iter().map(move |turn| (step, turn));
        steps.flat_map(of_step).collect()
    }

    /// Who called tools for a step last: with the results it goes back to them.
    pub(crate) fn caller(&self, round: u16, step: StepId) -> Option<&AgentId> {
        let mut turns = self.turns.iter().rev();
        turns.find(|turn| (turn.round, turn.step) == (round, step)).map(|turn| &turn.agent)
    }

    /// The step of a round that goes on with results.
    pub(crate) fn chosen(&self, round: u16) -> Option<StepId> {
        self.rounds.get(usize::from(round))?.chosen
    }

    /// Whether an answer's calls can be awaited, as far as the run's terms say.
    pub(crate) fn may_await(&self) -> bool {
        self.spec.awaits && self.turns.len() < TURNS_MAX
    }

    /// An answer calls tools. Nothing waits that could not be gone on with.
    pub(crate) fn next_awaiting(&self, answer: &Answer) -> Option<Event> {
        if self.awaited().is_some() {
            return None;
        }
        let (turn, round, step) = (self.turns.len() as u32, answer.round, answer.step);
        let told = self.exchanges(round, step).iter().map(Exchange::bytes).sum::<u64>();
        let bytes = u64::from(self.spec.request.len) + told;
        let agent = self.spec.agents.iter().find(|agent| agent.id == answer.agent);
        let agent = agent.or(self.spec.agents.first());
        let afford =
            agent.map(|agent| self.afford(agent, tokens_in_max(bytes, self.spec.images), 1));
        Some(match afford {
            Some(Ok(_)) => Event::ResultsAwaited { turn, round, step, ms: AWAIT_MS },
            Some(Err(_)) | None => self.close(Closing::With(Reason::ToolCalls, answer.clone())),
        })
    }

    pub(crate) fn begin_turn(&mut self) {
        let Stage::Awaiting(answer) = &self.stage else { return };
        let Answer { round, step, agent, output, tool_calls: Some(calls), .. } = answer.clone()
        else {
            return;
        };
        self.turns.push(Turn { round, step, agent, output, calls, results: None });
    }

    /// The wait is over. Results of another turn than the present one come too late, or twice.
    pub(crate) fn end_turn(&mut self, turn: u32, results: Option<&BodyRef>) {
        if self.awaited() != Some(turn) {
            return;
        }
        let Some(results) = results else {
            self.stage = Stage::Over(Closing::Best(Reason::Unanswered));
            return;
        };
        let Some(open) = self.turns.last_mut() else { return };
        open.results = Some(results.clone());
        let (round, step) = (open.round, open.step);
        if let Some(round) = self.rounds.get_mut(usize::from(round)) {
            round.chosen = Some(step);
            if let Some(state) = round.steps.get_mut(step.index()) {
                *state = StepState::Waiting { failed: Vec::new(), last: None };
            }
        }
        self.stage = Stage::Working;
    }
}
