//! A run's state, as the fold of its journal.

use crate::{Answer, Event, Failure, Input, Instead, Outcome, Plan, Planning, RunSpec};
use baton_workflow::{AgentId, BodyRef, Resource, Selection, Spend, StepId, Timestamp, Verdict};
use std::collections::BTreeMap;

/// A run. Two runs with the same journal are equal.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub(crate) spec: RunSpec,
    pub(crate) submitted_at: Timestamp,
    pub(crate) stage: Stage,
    pub(crate) rounds: Vec<Round>,
    pub(crate) open: BTreeMap<u32, Open>,
    pub(crate) next_task: u32,
    pub(crate) spent: Spend,
    pub(crate) broke: Option<Resource>,
    pub(crate) late: bool,
    pub(crate) cancel: Option<String>,
    /// Agents of the run that are not in the pool any more.
    pub(crate) removed: Vec<AgentId>,
    pub(crate) best: Option<Scored>,
    pub(crate) end: Option<crate::End>,
}

/// Where a run stands; see the crate's transition table.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// A workflow is wanted for the current round.
    Planning(PlanningState),
    /// Steps are carried out.
    Working,
    /// The outputs of these steps are put to the vote.
    Voting(Vec<StepId>),
    /// The answer is checked.
    Checking(Answer),
    /// Nothing more will be decided.
    Over(Closing),
}

/// How far planning has come.
#[derive(Debug, Clone, PartialEq)]
pub enum PlanningState {
    /// Nobody was asked yet.
    Wanted,
    /// The policy was asked.
    Asked,
    /// The policy failed.
    Unplanned,
}

/// What a run that needs no more work still has to say.
#[derive(Debug, Clone, PartialEq)]
pub enum Closing {
    /// This answer, for this reason.
    With(crate::Reason, Answer),
    /// The best there is, for this reason.
    Best(crate::Reason),
}

/// One workflow of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Round {
    pub(crate) plan: Option<Plan>,
    pub(crate) steps: Vec<StepState>,
    pub(crate) verdict: Option<Verdict>,
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq)]
pub enum StepState {
    /// Not given to anybody at the moment.
    Waiting {
        /// Agents that failed at it.
        failed: Vec<AgentId>,
        /// The last failure.
        last: Option<Failure>,
    },
    /// Given to an agent.
    Running {
        /// The task.
        task: u32,
        /// The agent.
        agent: AgentId,
        /// Agents that failed at it before.
        failed: Vec<AgentId>,
    },
    /// Done.
    Done {
        /// By whom.
        agent: AgentId,
        /// What came out.
        output: BodyRef,
        /// Whether the agent ran into its limit of tokens.
        truncated: bool,
        /// The calls of tools that it asks for.
        tool_calls: Option<BodyRef>,
    },
}

/// A task whose outcome is awaited.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Open {
    pub(crate) work: Work,
    pub(crate) bound: Spend,
}

/// What a task is for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Work {
    Plan { round: u16 },
    Step { round: u16, step: StepId },
    Verify { round: u16 },
}

/// An answer that a check has looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scored {
    pub(crate) answer: Answer,
    pub(crate) score: f64,
}

impl Run {
    /// The run of a journal whose first entry is `Submitted`; nothing else begins a run.
    pub fn begin(first: &Event, at: Timestamp) -> Option<Self> {
        let Event::Submitted { spec } = first else { return None };
        Some(Self {
            spec: spec.as_ref().clone(),
            submitted_at: at,
            stage: Stage::Planning(PlanningState::Wanted),
            rounds: vec![Round::new()],
            open: BTreeMap::new(),
            next_task: 1,
            spent: Spend::ZERO,
            broke: None,
            late: false,
            cancel: None,
            removed: Vec::new(),
            best: None,
            end: None,
        })
    }

    /// What was asked.
    pub fn spec(&self) -> &RunSpec {
        &self.spec
    }

    /// Where the run stands.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// How it ended, once it has.
    pub fn end(&self) -> Option<&crate::End> {
        self.end.as_ref()
    }

    /// What the finished tasks consumed.
    pub fn spent(&self) -> Spend {
        self.spent
    }

    /// The most that the unfinished tasks may consume.
    pub fn reserved(&self) -> Spend {
        self.open.values().map(|open| open.bound).sum()
    }

    /// Its agents that are not in the pool any more, as far as it has heard.
    pub fn removed(&self) -> &[AgentId] {
        &self.removed
    }

    /// When its time is over.
    pub fn deadline(&self) -> Timestamp {
        self.submitted_at.plus_ms(u64::from(self.spec.budget.seconds) * 1000)
    }

    /// The workflow of a round and where its steps stand, once it is planned.
    pub fn round(&self, round: u16) -> Option<(&Plan, &[StepState])> {
        let round = self.rounds.get(usize::from(round))?;
        round.plan.as_ref().map(|plan| (plan, round.steps.as_slice()))
    }

    /// The verdict on a round's answer, once there is one.
    pub fn verdict(&self, round: u16) -> Option<&Verdict> {
        self.rounds.get(usize::from(round))?.verdict.as_ref()
    }

    /// The current round, from 0.
    pub fn current_round(&self) -> u16 {
        (self.rounds.len() - 1) as u16
    }

    /// Takes one journal entry into account. After the end nothing changes any more
    /// but the bill.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Submitted { .. } => {}
            Event::Heard { input } => self.hear(input),
            Event::PlanAsked { task, round, bound } => {
                self.open_task(*task, Work::Plan { round: *round }, *bound);
                self.stage = Stage::Planning(PlanningState::Asked);
            }
            Event::Adopted { plan, .. } => self.take_plan(plan),
            Event::StepDispatched { task, round, step, agent, bound, .. } => {
                self.open_task(*task, Work::Step { round: *round, step: *step }, *bound);
                if let Some(state) = self.step_mut(*round, *step) {
                    let failed = match state {
                        StepState::Waiting { failed, .. } => std::mem::take(failed),
                        StepState::Running { .. } | StepState::Done { .. } => Vec::new(),
                    };
                    *state = StepState::Running { task: *task, agent: agent.clone(), failed };
                }
            }
            Event::VerifyAsked { task, round, candidates, bound, .. } => {
                self.open_task(*task, Work::Verify { round: *round }, *bound);
                if self.stage == Stage::Working {
                    self.stage = Stage::Voting(candidates.clone());
                }
            }
            Event::Ended { end } => self.end = Some(end.clone()),
        }
    }

    fn open_task(&mut self, task: u32, work: Work, bound: Spend) {
        self.open.insert(task, Open { work, bound });
        self.next_task = self.next_task.max(task.saturating_add(1));
    }

    fn step_mut(&mut self, round: u16, step: StepId) -> Option<&mut StepState> {
        self.rounds.get_mut(usize::from(round))?.steps.get_mut(step.index())
    }

    fn take_plan(&mut self, plan: &Plan) {
        if let Some(round) = self.rounds.last_mut() {
            let waiting = StepState::Waiting { failed: Vec::new(), last: None };
            round.steps = vec![waiting; plan.steps.len()];
            round.plan = Some(plan.clone());
            self.stage = Stage::Working;
        }
    }

    fn hear(&mut self, input: &Input) {
        match input {
            Input::Outcome { task, outcome, spend, .. } => {
                // A task that is not open has been heard of before: its spend is on the bill.
                if let Some(open) = self.settle(*task, *spend) {
                    self.conclude(&open.work, outcome);
                }
            }
            Input::Lost { task, spend } => {
                if let Some(open) = self.settle(*task, *spend) {
                    let (code, message) = ("lost", "every process that held the task died");
                    let lost = Outcome::Failed { code: code.into(), message: message.into() };
                    self.conclude(&open.work, &lost);
                }
            }
            Input::Interrupted { task, spend } => {
                if let Some(open) = self.settle(*task, *spend) {
                    self.interrupt(&open.work);
                }
            }
            // No run waits for its client yet.
            Input::Signalled { .. } => {}
            Input::DeadlinePassed => self.late = true,
            Input::CancelAsked { reason } => {
                self.cancel.get_or_insert_with(|| reason.clone());
            }
            Input::AgentsRemoved { agents } => self.removed.clone_from(agents),
        }
    }

    /// What an interrupted task was for fails for good: another agent would do it again.
    fn interrupt(&mut self, work: &Work) {
        let (code, message) = ("interrupted", "the process that had begun it died");
        let failed = Outcome::Failed { code: code.into(), message: message.into() };
        self.conclude(work, &failed);
        let agents: Vec<_> = self.spec.agents.iter().map(|agent| agent.id.clone()).collect();
        if let Work::Step { round, step } = work
            && let Some(StepState::Waiting { failed, .. }) = self.step_mut(*round, *step)
        {
            *failed = agents;
        }
    }

    fn settle(&mut self, task: u32, spend: Spend) -> Option<Open> {
        let open = self.open.remove(&task)?;
        self.spent = self.spent.plus(spend);
        Some(open)
    }

    /// What a task's outcome means for what it was for.
    fn conclude(&mut self, work: &Work, outcome: &Outcome) {
        if let Outcome::BudgetSpent { resource } = outcome {
            self.broke.get_or_insert(*resource);
        }
        match work {
            Work::Plan { round } => self.conclude_plan(*round, outcome),
            Work::Step { round, step } => self.conclude_step(*round, *step, outcome),
            Work::Verify { round } => self.conclude_verify(*round, outcome),
        }
    }

    fn conclude_plan(&mut self, round: u16, outcome: &Outcome) {
        match outcome {
            Outcome::Planned { plan, .. } => self.take_plan(plan),
            Outcome::Stands if round > 0 => {
                self.stage = Stage::Over(Closing::Best(crate::Reason::Stands));
            }
            Outcome::Stands
            | Outcome::Unreadable { .. }
            | Outcome::Failed { .. }
            | Outcome::Abandoned
            | Outcome::BudgetSpent { .. }
            | Outcome::Worked { .. }
            | Outcome::FellShort { .. }
            | Outcome::Verified { .. } => self.stage = Stage::Planning(PlanningState::Unplanned),
        }
    }

    fn conclude_step(&mut self, round: u16, step: StepId, outcome: &Outcome) {
        let failure = match outcome {
            Outcome::Worked { output, truncated, tool_calls, .. } => {
                if let Some(state) = self.step_mut(round, step)
                    && let StepState::Running { agent, .. } = state
                {
                    let (agent, output) = (agent.clone(), output.clone());
                    let (truncated, tool_calls) = (*truncated, tool_calls.clone());
                    *state = StepState::Done { agent, output, truncated, tool_calls };
                }
                self.after_step();
                return;
            }
            Outcome::Failed { code, message } => (code.clone(), message.clone()),
            Outcome::FellShort { shortfall, .. } => {
                (shortfall.code().into(), shortfall.to_string())
            }
            Outcome::BudgetSpent { resource } => {
                ("budget_spent".into(), format!("the budget of {resource} holds no further call"))
            }
            Outcome::Abandoned => ("abandoned".into(), "the holder was told to stop".into()),
            Outcome::Planned { .. }
            | Outcome::Stands
            | Outcome::Unreadable { .. }
            | Outcome::Verified { .. } => {
                ("protocol".into(), "the outcome is not one of a step".into())
            }
        };
        if let Some(state) = self.step_mut(round, step)
            && let StepState::Running { agent, failed, .. } = state
        {
            let mut failed = std::mem::take(failed);
            failed.push(agent.clone());
            let instead = instead(agent, outcome);
            let (code, message) = failure;
            let last = Some(Failure { code, message, instead });
            *state = StepState::Waiting { failed, last };
        }
    }

    /// Moves on from `Working` once every step is done.
    fn after_step(&mut self) {
        let Some(round) = self.rounds.last() else { return };
        let Some(plan) = &round.plan else { return };
        let done = |state: &StepState| matches!(state, StepState::Done { .. });
        if self.stage != Stage::Working || !round.steps.iter().all(done) {
            return;
        }
        match plan.selection {
            // The vote itself is a decision: it may be held without the leaves that failed.
            Selection::Majority => {}
            Selection::Last => {
                let last = StepId(round.steps.len().saturating_sub(1) as u16);
                if let Some(answer) = self.answer_of(self.current_round(), last) {
                    self.check_or_close(answer);
                }
            }
        }
    }

    fn check_or_close(&mut self, answer: Answer) {
        self.stage = match &self.spec.check {
            // What the tools will say is not known yet: the answer comes in another run.
            Some(_) | None if answer.tool_calls.is_some() => {
                Stage::Over(Closing::With(crate::Reason::ToolCalls, answer))
            }
            Some(_) => Stage::Checking(answer),
            None => Stage::Over(Closing::With(crate::Reason::Unchecked, answer)),
        };
    }

    fn conclude_verify(&mut self, round: u16, outcome: &Outcome) {
        let verdict = match outcome {
            Outcome::Verified { verdict, .. } => Some(verdict),
            Outcome::Failed { .. }
            | Outcome::BudgetSpent { .. }
            | Outcome::Abandoned
            | Outcome::Planned { .. }
            | Outcome::Stands
            | Outcome::Unreadable { .. }
            | Outcome::FellShort { .. }
            | Outcome::Worked { .. } => None,
        };
        match self.stage.clone() {
            Stage::Voting(candidates) => {
                let choice = verdict.and_then(|v| v.choice).map_or(0, usize::from);
                let chosen = candidates.get(choice).or(candidates.first()).copied();
                if let Some(answer) = chosen.and_then(|step| self.answer_of(round, step)) {
                    self.check_or_close(answer);
                }
            }
            Stage::Checking(answer) => self.judged(round, answer, verdict),
            Stage::Planning(_) | Stage::Working | Stage::Over(_) => {}
        }
    }

    fn judged(&mut self, round: u16, answer: Answer, verdict: Option<&Verdict>) {
        use baton_workflow::VerdictKind::{Abstain, Fail, Pass, Unavailable};
        if let Some(round) = self.rounds.get_mut(usize::from(round)) {
            round.verdict = verdict.cloned();
        }
        self.stage = match verdict.map(|v| (v.kind, v)) {
            Some((Pass, _)) => Stage::Over(Closing::With(crate::Reason::Accepted, answer)),
            Some((Fail, verdict)) => {
                let score = verdict.score.unwrap_or(0.0);
                // A later answer replaces an equal one: it was written knowing the earlier.
                if self.best.as_ref().is_none_or(|best| score >= best.score) {
                    self.best = Some(Scored { answer, score });
                }
                self.another_round(&verdict.feedback)
            }
            Some((Abstain | Unavailable, _)) | None => {
                Stage::Over(Closing::With(crate::Reason::Unchecked, answer))
            }
        };
    }

    fn another_round(&mut self, feedback: &str) -> Stage {
        let planned_by_policy = matches!(self.spec.planning, Planning::Policy { .. });
        if planned_by_policy && self.rounds.len() < usize::from(self.spec.limits.rounds_max) {
            self.rounds.push(Round::new());
            return Stage::Planning(PlanningState::Wanted);
        }
        Stage::Over(Closing::Best(crate::Reason::NotAccepted { feedback: feedback.to_owned() }))
    }

    /// The output of a step that is done, as an answer.
    pub(crate) fn answer_of(&self, round: u16, step: StepId) -> Option<Answer> {
        match self.rounds.get(usize::from(round))?.steps.get(step.index())? {
            StepState::Done { agent, output, truncated, tool_calls } => Some(Answer {
                output: output.clone(),
                round,
                step,
                agent: agent.clone(),
                truncated: *truncated,
                tool_calls: tool_calls.clone(),
                shortfall: None,
            }),
            StepState::Waiting { .. } | StepState::Running { .. } => None,
        }
    }
}

/// What an outcome gave instead of an answer, if it did.
fn instead(agent: &AgentId, outcome: &Outcome) -> Option<Instead> {
    match outcome {
        Outcome::FellShort { shortfall, text, .. } => {
            let (agent, shortfall, text) = (agent.clone(), shortfall.clone(), text.clone());
            Some(Instead { agent, shortfall, text })
        }
        Outcome::Planned { .. }
        | Outcome::Stands
        | Outcome::Unreadable { .. }
        | Outcome::Worked { .. }
        | Outcome::Verified { .. }
        | Outcome::Failed { .. }
        | Outcome::BudgetSpent { .. }
        | Outcome::Abandoned => None,
    }
}

impl Round {
    fn new() -> Self {
        Self { plan: None, steps: Vec::new(), verdict: None }
    }
}
