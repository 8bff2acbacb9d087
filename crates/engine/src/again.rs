//! Whether another round is begun: where the policy plans, rounds are left, it may bring
//! something new, and that is worth its price.

use crate::run::{PlanningState, Round, Stage};
use crate::{Closing, Planning, Reason, Run, StepState};
use baton_workflow::{StepId, Usd};

/// What a round is expected to bring: what a right answer is worth, times the chance that one
/// more round gives it where so many answers have failed.
///
/// The chance is that of Laplace's rule of succession (Essai philosophique sur les
/// probabilités, 1814) for a thing that was tried `failed` times and never came: 1 in
/// `failed + 2`. It is the mean of what is believed of a question that nothing is known of
/// but those failures (a Beta(1, 1) before them, a Beta(1, 1 + failed) behind them).
fn gain(worth: Usd, failed: usize) -> Usd {
    Usd::from_pico(worth.pico() / (failed as u64 + 2))
}

impl Run {
    /// Whether the policy can be asked for another workflow.
    pub(crate) fn may_plan_again(&self) -> bool {
        let planned_by_policy = matches!(self.spec.planning, Planning::Policy { .. });
        planned_by_policy && self.rounds.len() < usize::from(self.spec.limits.rounds_max)
    }

    /// Another round after an answer that failed, or the end.
    pub(crate) fn correct(&mut self, feedback: String) -> Stage {
        if !self.may_plan_again() {
            return Stage::Over(Closing::Best(Reason::NotAccepted { feedback }));
        }
        if !self.pays() {
            return Stage::Over(Closing::Best(Reason::NotWorthIt { feedback }));
        }
        self.next_round()
    }

    /// Another round behind the answer of this one.
    pub(crate) fn next_round(&mut self) -> Stage {
        self.rounds.push(Round { shown: self.best_round(), ..Round::new() });
        Stage::Planning(PlanningState::Wanted)
    }

    /// The round of the answer that is shown to the steps of the next one.
    pub(crate) fn best_round(&self) -> Option<u16> {
        self.best.as_ref().map(|best| best.answer.round)
    }

    /// Whether a round's expected gain is no less than its price: what the rounds so far cost
    /// in the mean. Where nobody said what an answer is worth, it is.
    fn pays(&self) -> bool {
        let Some(worth) = self.spec.worth else { return true };
        let price = self.spent.usd.pico() / (self.rounds.len().max(1) as u64);
        gain(worth, self.failed.len()).pico() >= price
    }

    /// Whether a round was begun because nothing decided on the answer of the one before.
    pub(crate) fn is_review(&self, round: u16) -> bool {
        let fails = |before: u16| self.verdict(before).is_some_and(|verdict| verdict.is_fail());
        let begun = self.rounds.get(usize::from(round)).is_some_and(|r| r.cause.is_none());
        begun && round.checked_sub(1).is_some_and(|before| !fails(before))
    }

    /// An earlier round that the present one, of which nothing has been done yet, would only
    /// repeat: the same workflow with the same outputs kept, whose steps would be shown the
    /// same of earlier answers, and it came to an answer that was not good enough. Whoever
    /// wants the same done by the same agents once more knows nothing better.
    pub(crate) fn repeats(&self) -> Option<u16> {
        let present = self.rounds.last()?;
        let plan = present.plan.as_ref()?;
        let untouched = plan.steps.iter().zip(&present.steps).all(|(shape, state)| match state {
            StepState::Waiting { failed, .. } => failed.is_empty(),
            StepState::Done { .. } => shape.kept.is_some(),
            StepState::Running { .. } => false,
        });
        if !untouched || present.chosen.is_some() {
            return None;
        }
        let kept = |round: &Round| {
            let kept = (0..).map(StepId).zip(&plan.steps).filter(|(_, step)| step.kept.is_some());
            kept.map(|(step, _)| round.output(step).cloned()).collect::<Vec<_>>()
        };
        let sees_rounds = plan.steps.iter().any(|step| step.sees_rounds && step.kept.is_none());
        let same = |earlier: &Round| {
            earlier.plan.as_ref().is_some_and(|before| before == plan)
                && kept(earlier) == kept(present)
                && (!sees_rounds || earlier.shown == present.shown)
        };
        // A round that was broken off came to no answer: then the next one has a cause.
        let pairs = (0..).zip(self.rounds.iter().zip(self.rounds.iter().skip(1)));
        let mut answered = pairs.filter(|(_, (_, next))| next.cause.is_none());
        answered.find(|(_, (earlier, _))| same(earlier)).map(|(round, _)| round)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_makes_a_round_worth_less() {
        let worth = Usd::from_pico(1_200);
        let gains: Vec<_> = (0..4).map(|failed| gain(worth, failed).pico()).collect();
        assert_eq!(gains, [600, 400, 300, 240]);
    }
}
