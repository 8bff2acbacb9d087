//! What happens next while a workflow is wanted.

use crate::afford::{Grant, tokens_in_max};
use crate::run::PlanningState;
use crate::{Event, PlanSource, Planning, Reason, Run, StepState};

impl Run {
    pub(crate) fn next_planning(&self, state: &PlanningState) -> Option<Event> {
        let round = self.current_round();
        match (state, &self.spec.planning) {
            (PlanningState::Asked, _) => None,
            (
                PlanningState::Wanted | PlanningState::Unplanned,
                Planning::Strategy { name, plan },
            ) => {
                let source = PlanSource::Strategy(name.clone());
                Some(Event::Adopted { round, plan: plan.clone(), source })
            }
            (PlanningState::Wanted, Planning::Policy { model, .. }) => {
                let tokens_in = self.tokens_to_plan();
                match self.afford(model, tokens_in, 2) {
                    Ok(Grant { bound, .. }) => {
                        Some(Event::PlanAsked { task: self.next_task, round, bound })
                    }
                    Err(_) if self.is_review(round) => Some(self.close(self.undecided_end())),
                    Err(resource) => Some(self.close_with_best(Reason::BudgetSpent { resource })),
                }
            }
            (PlanningState::Unplanned, Planning::Policy { fallback, fallback_name, .. }) => {
                if round > 0 && !self.was_asked(round) {
                    return Some(self.give_up(round));
                }
                let source = PlanSource::Fallback(fallback_name.clone());
                Some(Event::Adopted { round, plan: fallback.clone(), source })
            }
        }
    }

    /// Prompts of policies show the request, the agents and the last round.
    pub(crate) fn tokens_to_plan(&self) -> u64 {
        let agents = self.spec.agents.len() as u64 * 256;
        let shown = self.rounds.iter().flat_map(|round| &round.steps).map(|step| match step {
            StepState::Done { output, .. } => u64::from(output.len),
            StepState::Waiting { .. } | StepState::Running { .. } => 0,
        });
        let bytes = u64::from(self.spec.request.len) + shown.sum::<u64>();
        tokens_in_max(bytes.saturating_add(agents).saturating_add(8192), false)
    }
}
