//! The shape of the document.

use baton_engine::Reason;
use baton_workflow::{
    AgentId, Incident, RunId, Selection, Spend, StepId, Timestamp, ToolCall, Verdict,
};
use serde::Serialize;

/// Tokens, calls and dollars of one part of a run. The parts add up to the whole.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Cost {
    pub(super) tokens_in: u64,
    pub(super) tokens_out: u64,
    pub(super) calls: u32,
    pub(super) usd: f64,
}

impl From<Spend> for Cost {
    fn from(spend: Spend) -> Self {
        let Spend { usd, tokens_in, tokens_out, calls } = spend;
        Self { tokens_in, tokens_out, calls, usd: usd.dollars() }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) id: RunId,
    pub(super) object: &'static str,
    /// The run whose step this run carries out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<RunId>,
    pub(super) status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Reason>,
    pub(super) model: String,
    pub(super) submitted_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) answer: Option<String>,
    /// Whether a check accepted the answer; not before the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verified: Option<bool>,
    /// How sure the check is of the answer, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) score: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_calls: Vec<ToolCall>,
    /// In which way the answer is none: `refused`, `filtered` or `malformed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shortfall: Option<&'static str>,
    pub(super) rounds: Vec<Round>,
    pub(super) usage: Cost,
    pub(super) orchestration: Cost,
    /// Spent by what was still under way when the run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) late: Option<Cost>,
    pub(super) estimated: bool,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Round {
    pub(super) round: u16,
    /// `policy`, `strategy:NAME` or `fallback:NAME`.
    pub(super) source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) planning: Option<PlanningReport>,
    pub(super) selection: Option<Selection>,
    pub(super) steps: Vec<StepReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) checks: Vec<CheckReport>,
}

#[derive(Debug, Serialize)]
pub(super) struct PlanningReport {
    pub(super) status: &'static str,
    pub(super) repairs: u16,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) complaints: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) incidents: Vec<Incident>,
    pub(super) ms: u64,
    #[serde(flatten)]
    pub(super) cost: Cost,
}

#[derive(Debug, Serialize)]
pub(super) struct StepReport {
    pub(super) step: StepId,
    /// Who did it; who has to, as long as nobody did.
    pub(super) agent: AgentId,
    pub(super) subtask: String,
    pub(super) sees: Vec<StepId>,
    pub(super) status: &'static str,
    /// The step of the round before that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kept: Option<StepId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_calls: Vec<ToolCall>,
    /// Calls that were made before, and their results.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) turns: Vec<TurnReport>,
    /// Whether the agent ran into its limit of tokens.
    #[serde(skip_serializing_if = "is_false")]
    pub(super) truncated: bool,
    pub(super) ms: u64,
    #[serde(flatten)]
    pub(super) cost: Cost,
    /// One for each agent that it was given to and that has reported.
    pub(super) tasks: Vec<TaskReport>,
    /// The child runs that carried it out, or do; their cost is in the step's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) runs: Vec<Report>,
}

/// Tools that were called and have answered.
#[derive(Debug, Clone, Serialize)]
pub(super) struct TurnReport {
    /// What was said beside the calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output: Option<String>,
    pub(super) tool_calls: Vec<ToolCall>,
    /// In the order of the calls.
    pub(super) results: Vec<String>,
}

impl StepReport {
    /// Is the step of the round before that it names: paid for there.
    pub(super) fn keep(&mut self, kept: &Self) {
        self.status = "kept";
        self.kept = Some(kept.step);
        self.agent = kept.agent.clone();
        self.output.clone_from(&kept.output);
        self.tool_calls.clone_from(&kept.tool_calls);
        self.truncated = kept.truncated;
    }
}

#[derive(Debug, Serialize)]
pub(super) struct TaskReport {
    pub(super) task: u32,
    /// The child run, where the Conductor itself was the agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<RunId>,
    pub(super) agent: AgentId,
    pub(super) status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) incidents: Vec<Incident>,
    /// What the agent gave instead of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instead: Option<String>,
    #[serde(flatten)]
    pub(super) cost: Cost,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[derive(Debug, Serialize)]
pub(super) struct CheckReport {
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verdict: Option<Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) incidents: Vec<Incident>,
    pub(super) ms: u64,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) cached: bool,
    #[serde(flatten)]
    pub(super) cost: Cost,
}
