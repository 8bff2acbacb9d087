//! A run's state, as the fold of its journal.

use crate::{Answer, Cause, Event, Failure, Plan, RunSpec, Turn};
use baton_workflow::{AgentId, BodyRef, Resource, Spend, StepId, Timestamp, Verdict};
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
    /// Answers that a check has failed.
    pub(crate) failed: Vec<Failed>,
    pub(crate) turns: Vec<Turn>,
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
    /// This answer calls tools, whose results are awaited.
    Awaiting(Answer),
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
    /// Why the round before it was broken off, if it was.
    pub(crate) cause: Option<Cause>,
    /// The round of the answer that its steps are shown, if any is.
    pub(crate) shown: Option<u16>,
    /// Why its plan does not work, as the first of its steps said.
    pub(crate) broken: Option<Cause>,
    /// What the verifier said in steps that name it.
    pub(crate) verdicts: BTreeMap<StepId, Verdict>,
    /// The step that goes on with results of tools: its output is the answer, whoever else
    /// could have given one.
    pub(crate) chosen: Option<StepId>,
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
    /// Given to an agent, or to a child run.
    Running {
        /// The task, or the child run.
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

/// A task whose outcome is awaited, or a child run whose end is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Open {
    pub(crate) work: Work,
    pub(crate) bound: Spend,
    /// Whether it is not wanted any more.
    pub(crate) withdrawn: bool,
}

/// What a task or a child run is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Work {
    Plan { round: u16 },
    Step { round: u16, step: StepId },
    Child { round: u16, step: StepId },
    Verify { round: u16, step: Option<StepId> },
}

impl Work {
    /// For which round it is.
    pub(crate) fn round(self) -> u16 {
        match self {
            Self::Plan { round }
            | Self::Step { round, .. }
            | Self::Child { round, .. }
            | Self::Verify { round, .. } => round,
        }
    }

    /// Whether a child run carries it out.
    pub(crate) fn is_child(self) -> bool {
        match self {
            Self::Child { .. } => true,
            Self::Plan { .. } | Self::Step { .. } | Self::Verify { .. } => false,
        }
    }
}

/// An answer that failed its check.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failed {
    pub(crate) output: BodyRef,
    /// What it says, as far as the check could tell.
    pub(crate) class: Option<String>,
}

impl Failed {
    /// Whether the two say the same: to their check, or, where that cannot tell, word for
    /// word.
    pub(crate) fn says_as(&self, other: &Self) -> bool {
        match (&self.class, &other.class) {
            (Some(class), Some(other)) => class == other,
            (_, _) => self.output == other.output,
        }
    }
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
            failed: Vec::new(),
            turns: Vec::new(),
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
                partial: false,
                score: None,
            }),
            StepState::Waiting { .. } | StepState::Running { .. } => None,
        }
    }
}

impl Round {
    /// What a step gave, once it is done.
    pub(crate) fn output(&self, step: StepId) -> Option<&BodyRef> {
        match self.steps.get(step.index())? {
            StepState::Done { output, .. } => Some(output),
            StepState::Waiting { .. } | StepState::Running { .. } => None,
        }
    }

    pub(crate) fn new() -> Self {
        Self {
            plan: None,
            steps: Vec::new(),
            verdict: None,
            cause: None,
            shown: None,
            broken: None,
            verdicts: BTreeMap::new(),
            chosen: None,
        }
    }
}
