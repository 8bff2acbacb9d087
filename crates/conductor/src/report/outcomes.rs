//! What came of tasks, and the plans that they follow.

use super::{
    Builder, Tried,
    document::{CheckReport, Cost, PlanningReport, StepReport, TaskReport},
    words::{failure_of, status_of},
};
use crate::known::FoldError;
use baton_engine::Outcome;
use baton_workflow::{AgentId, Incident, Spend, StepId, Verdict, Words};

impl Builder<'_> {
    pub(super) async fn planned(
        &mut self,
        round: usize,
        outcome: &Outcome,
        spend: Spend,
        incidents: Vec<Incident>,
    ) -> Result<(), FoldError> {
        let mut report = PlanningReport {
            status: status_of(outcome),
            repairs: 0,
            complaints: Vec::new(),
            failure: failure_of(outcome),
            incidents,
            ms: 0,
            cost: spend.into(),
        };
        match outcome {
            Outcome::Planned { plan, repairs, ms } => {
                (report.repairs, report.ms) = (*repairs, *ms);
                self.take_plan(round, plan).await?;
            }
            Outcome::Unreadable { complaints, repairs } => {
                (report.complaints, report.repairs) = (complaints.clone(), *repairs);
            }
            Outcome::Stands
            | Outcome::Worked { .. }
            | Outcome::FellShort { .. }
            | Outcome::Verified { .. }
            | Outcome::Failed { .. }
            | Outcome::BudgetSpent { .. }
            | Outcome::Abandoned => {}
        }
        self.rounds[round].planning = Some(report);
        Ok(())
    }

    pub(super) fn checked(
        &mut self,
        round: usize,
        kind: &'static str,
        outcome: Outcome,
        spend: Spend,
        incidents: Vec<Incident>,
    ) {
        let failure = failure_of(&outcome);
        let (verdict, ms, cached) = match outcome {
            Outcome::Verified { verdict, ms, cached, .. } => (Some(*verdict), ms, cached),
            Outcome::Planned { .. }
            | Outcome::Stands
            | Outcome::Unreadable { .. }
            | Outcome::Worked { .. }
            | Outcome::FellShort { .. }
            | Outcome::Failed { .. }
            | Outcome::BudgetSpent { .. }
            | Outcome::Abandoned => (None, 0, false),
        };
        let cost = spend.into();
        let report = CheckReport { kind, verdict, failure, incidents, ms, cached, cost };
        self.rounds[round].checks.push(report);
    }

    pub(super) async fn worked(
        &mut self,
        round: usize,
        step: StepId,
        agent: AgentId,
        tried: Tried,
        outcome: &Outcome,
    ) -> Result<(), FoldError> {
        let Tried { task, run, spend, incidents } = tried;
        let (mut worked, mut instead, mut said) = (None, None, None);
        match outcome {
            Outcome::Worked { output, truncated, ms, tool_calls, .. } => {
                let calls = self.calls(tool_calls.as_ref()).await?;
                worked = Some((self.text(output).await?, *truncated, *ms, calls));
            }
            Outcome::FellShort { text, .. } => instead = Some(self.text(text).await?),
            Outcome::Verified { verdict, ms, output, cached: _ } => {
                if let Some(output) = output {
                    worked = Some((self.text(output).await?, false, *ms, Vec::new()));
                }
                said = Some(Verdict::clone(verdict));
            }
            Outcome::Planned { .. }
            | Outcome::Stands
            | Outcome::Unreadable { .. }
            | Outcome::Failed { .. }
            | Outcome::BudgetSpent { .. }
            | Outcome::Abandoned => {}
        }
        let Some(report) = self.rounds[round].steps.get_mut(step.index()) else { return Ok(()) };
        report.status = status_of(outcome);
        report.verdict = said;
        report.cost.tokens_in += spend.tokens_in;
        report.cost.tokens_out += spend.tokens_out;
        report.cost.calls += spend.calls;
        report.cost.usd += spend.usd.dollars();
        if let Some((text, truncated, ms, calls)) = worked {
            report.output = Some(text);
            (report.truncated, report.tool_calls) = (truncated, calls);
            report.ms += ms;
        }
        report.tasks.push(TaskReport {
            task,
            run,
            agent,
            status: status_of(outcome).into(),
            failure: failure_of(outcome),
            incidents,
            instead: instead.filter(|text| !text.is_empty()),
            cost: spend.into(),
        });
        Ok(())
    }

    pub(super) async fn take_plan(
        &mut self,
        round: usize,
        plan: &baton_engine::Plan,
    ) -> Result<(), FoldError> {
        let words: Option<Words> = serde_json::from_str(&self.text(&plan.workflow).await?).ok();
        let subtask = |place: usize| {
            let step = words.as_ref().and_then(|words| words.steps.get(place));
            step.map(|step| step.subtask.clone()).unwrap_or_default()
        };
        let steps = plan.steps.iter().enumerate().map(|(place, shape)| StepReport {
            step: StepId(place as u16),
            agent: shape.agent.clone(),
            subtask: subtask(place),
            sees: shape.sees.clone(),
            status: "waiting",
            kept: None,
            verdict: None,
            output: None,
            tool_calls: Vec::new(),
            turns: Vec::new(),
            truncated: false,
            ms: 0,
            cost: Cost::default(),
            tasks: Vec::new(),
            runs: Vec::new(),
        });
        let mut steps: Vec<_> = steps.collect();
        let before = round.checked_sub(1).and_then(|before| self.rounds.get(before));
        for (step, shape) in steps.iter_mut().zip(&plan.steps) {
            let kept = shape.kept.and_then(|kept| before?.steps.get(kept.index()));
            if let Some(kept) = kept {
                step.keep(kept);
            }
        }
        self.rounds[round].steps = steps;
        self.rounds[round].selection = Some(plan.selection);
        Ok(())
    }
}
