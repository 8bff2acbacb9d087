//! What stands in a journal: what came in, and what was decided.

use crate::{End, Plan, RunSpec, Shortfall};
use baton_workflow::{AgentId, BodyRef, Budget, Incident, Resource, Spend, StepId, Verdict};
use serde::{Deserialize, Serialize};

/// One entry of a run's journal. Adding a variant or an optional field keeps old
/// journals readable; nothing else does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first entry.
    Submitted {
        /// What is asked.
        spec: Box<RunSpec>,
    },
    /// Something came in.
    Heard {
        /// What.
        input: Input,
    },
    /// The policy was asked for a workflow.
    PlanAsked {
        /// The task created.
        task: u32,
        /// For this round, from 0.
        round: u16,
        /// The most that one call can consume.
        bound: Spend,
    },
    /// A workflow was taken that no policy wrote.
    Adopted {
        /// For this round.
        round: u16,
        /// The workflow.
        plan: Plan,
        /// Where it comes from.
        source: PlanSource,
    },
    /// Another workflow is wanted in place of the rest of this one.
    RoundBegun {
        /// The new round.
        round: u16,
        /// Why.
        cause: Cause,
    },
    /// Of a workflow that was replaced, this is not wanted any more.
    Withdrawn {
        /// Tasks.
        tasks: Vec<u32>,
        /// Child runs.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        children: Vec<u32>,
    },
    /// A step was given to an agent.
    StepDispatched {
        /// The task created.
        task: u32,
        /// Of this round.
        round: u16,
        /// The step.
        step: StepId,
        /// Who has to do it.
        agent: AgentId,
        /// Tokens it may write: bounded by limit, agent and budget.
        output_tokens_max: u32,
        /// The most that one call can consume.
        bound: Spend,
    },
    /// A step was given to the Conductor itself: a child run carries it out.
    ChildBegun {
        /// The child's number, out of the same count as the tasks'.
        child: u32,
        /// Of this round.
        round: u16,
        /// The step.
        step: StepId,
        /// The child's part of what is left.
        budget: Budget,
    },
    /// A vote or a check was asked for.
    VerifyAsked {
        /// The task created.
        task: u32,
        /// Of this round.
        round: u16,
        /// The steps whose outputs are the candidates.
        candidates: Vec<StepId>,
        /// Tokens that a judge may write.
        output_tokens_max: u32,
        /// The most that one call can consume; nothing for checks that call no model.
        bound: Spend,
    },
    /// The answer's step calls tools: the client is told, and their results are awaited.
    ResultsAwaited {
        /// Counts these waits of the run, from 0.
        turn: u32,
        /// Of this round.
        round: u16,
        /// The step.
        step: StepId,
        /// For how long, in milliseconds.
        ms: u64,
    },
    /// The last entry.
    Ended {
        /// How.
        end: End,
    },
}

impl Event {
    /// The task that this event creates, and the most that its first call can consume.
    pub fn asks(&self) -> Option<(u32, Spend)> {
        match self {
            Self::PlanAsked { task, bound, .. }
            | Self::StepDispatched { task, bound, .. }
            | Self::VerifyAsked { task, bound, .. } => Some((*task, *bound)),
            Self::Submitted { .. }
            | Self::Heard { .. }
            | Self::Adopted { .. }
            | Self::RoundBegun { .. }
            | Self::Withdrawn { .. }
            | Self::ChildBegun { .. }
            | Self::ResultsAwaited { .. }
            | Self::Ended { .. } => None,
        }
    }
}

/// Why the rest of a workflow is replaced before it is through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// A step failed with every agent that it was given to.
    StepFailed {
        /// Which.
        step: StepId,
    },
    /// A step says that the plan does not work.
    Asked {
        /// Which.
        step: StepId,
        /// Why, in its words.
        why: String,
    },
}

/// Where an adopted workflow comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanSource {
    /// The request or the configuration names this strategy.
    Strategy(String),
    /// The policy failed: the strategy that stands in for it.
    Fallback(String),
}

/// What can come in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "snake_case")]
pub enum Input {
    /// A task was completed.
    Outcome {
        /// Which.
        task: u32,
        /// With what.
        outcome: Outcome,
        /// All its attempts consumed.
        spend: Spend,
        /// Whether a part of `spend` is an upper bound.
        estimated: bool,
        /// What happened in the attempt that completed it. For readers: decides nothing.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        incidents: Vec<Incident>,
    },
    /// A task was never completed: its holders died, or it was dropped unworked.
    Lost {
        /// Which.
        task: u32,
        /// All its attempts may have consumed.
        spend: Spend,
    },
    /// A task that must not be done twice was begun, and then its holder died: it may or may
    /// not have been done, and is not done again by anybody.
    Interrupted {
        /// Which.
        task: u32,
        /// All its attempts may have consumed.
        spend: Spend,
    },
    /// The results of the tools that were called.
    Results {
        /// For which wait.
        turn: u32,
        /// A conversation of the results, one message for each call, with what the client
        /// says of the next answer; none where the wait is over without them.
        results: Option<BodyRef>,
    },
    /// The client said something else that nobody waits for.
    Signalled {
        /// What it answers.
        key: String,
        /// What was said; none where the wait is over without a word.
        event: Option<String>,
    },
    /// A child run ended.
    ChildEnded {
        /// Which.
        child: u32,
        /// How.
        end: Box<End>,
        /// It and all below it consumed.
        spend: Spend,
    },
    /// The run's time is over.
    DeadlinePassed,
    /// Somebody wants the run to end.
    CancelAsked {
        /// Why, in words.
        reason: String,
    },
    /// The configuration changed: these of the run's agents are not in the pool any more,
    /// and all others are (again).
    AgentsRemoved {
        /// Who, in the order of the run's agents.
        agents: Vec<AgentId>,
    },
}

/// What came of a task, in the words of the service that carried it out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The policy wrote a workflow.
    Planned {
        /// It.
        plan: Plan,
        /// How often it had to be sent back for repair.
        repairs: u16,
        /// From the first call to the last word, in milliseconds.
        ms: u64,
    },
    /// The policy wrote that the answer stands.
    Stands,
    /// The policy's replies could not be read.
    Unreadable {
        /// Complaints about the last reply.
        complaints: Vec<String>,
        /// How often it was sent back for repair.
        #[serde(default)]
        repairs: u16,
    },
    /// A step is done.
    Worked {
        /// Its output.
        output: BodyRef,
        /// Whether the agent stopped because it reached its limit of tokens.
        truncated: bool,
        /// From the call to the last token, in milliseconds.
        ms: u64,
        /// The calls of tools that it asks for, as a body of JSON.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tool_calls: Option<BodyRef>,
        /// Why the rest of the plan should be replaced, where it says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replan: Option<String>,
    },
    /// A step's call went well and gave no answer.
    FellShort {
        /// In which way.
        shortfall: Shortfall,
        /// The text there is.
        text: BodyRef,
        /// From the call to the last token, in milliseconds.
        ms: u64,
    },
    /// A vote or a check is done.
    Verified {
        /// What it says.
        verdict: Box<Verdict>,
        /// In milliseconds.
        ms: u64,
        /// Whether the same content was checked before, and this is that report.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cached: bool,
    },
    /// The infrastructure failed; says nothing about plan, step or answer.
    Failed {
        /// A stable name, such as `rate_limited`.
        code: String,
        /// In words.
        message: String,
    },
    /// The budget did not hold the call.
    BudgetSpent {
        /// What would have been exceeded.
        resource: Resource,
    },
    /// The holder was told to stop.
    Abandoned,
}

/// An outcome as a service reports it: with what happened on the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reported {
    /// The outcome.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What happened to its calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<Incident>,
}
