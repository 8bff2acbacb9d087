//! A strategy's workflow over a pool.
//!
//! Every subtask begins with the verb of its kind (Solve, Plan, Check, Correct, Merge):
//! agents read it as their role.

use super::Strategy;
use baton_workflow::{Access, AgentCard, AgentId, Limits, Pool, Selection, Step, StepId, Workflow};
use std::cmp::Reverse;

/// Proposers of `mixture_of_agents` where none are named.
pub(super) const PROPOSERS_DEFAULT: usize = 3;

const ANSWER: &str = "Solve the user's request completely. Give the finished answer in exactly \
    the form that the request asks for.";
const PLAN: &str = "Plan how to fulfil the user's request: list the steps in order, what each \
    must achieve, and the mistakes to avoid. Do not carry them out and give no final answer.";
const EXECUTE: &str = "Solve the user's request by following the plan you are shown; where the \
    plan is wrong, do what is right and say so. Give the complete result.";
const VERIFY: &str = "Check the result you are shown against the user's request and the plan, \
    part by part, and put right whatever is wrong. Your reply is what the user receives: give \
    the complete final answer in exactly the form that the request asks for.";
const CRITICISE: &str = "Check the latest answer you are shown against the user's request. Name \
    every error and omission, where it is and how to put it right; if there is none, say that \
    the answer is right. Do not rewrite the answer.";
const CORRECT: &str = "Correct the latest answer you are shown with the help of the criticism, \
    as far as the criticism is right. Your reply is what the user receives: give the complete \
    final answer in exactly the form that the request asks for.";
const MERGE: &str = "Merge the answers you are shown into one. They may be wrong and may \
    disagree: weigh them against each other and against the user's request, and keep only what \
    holds. Your reply is what the user receives: give the complete final answer in exactly the \
    form that the request asks for.";

pub(super) fn workflow(
    strategy: &Strategy,
    pool: &Pool,
    limits: &Limits,
) -> Result<Workflow, Vec<String>> {
    let mut team = Team { name: strategy.name(), pool, ranked: ranked(pool), wrong: Vec::new() };
    if let Some(wrong) = too_long(strategy, limits) {
        team.wrong.push(wrong);
    }
    let (steps, selection) = match strategy {
        Strategy::Direct { agent } => {
            (vec![step(team.of("agent", agent, 0), ANSWER, Access::None)], Selection::Last)
        }
        Strategy::SelfConsistency { agent, samples } => {
            (team.self_consistency(agent, *samples, limits), Selection::Majority)
        }
        Strategy::MixtureOfAgents { proposers, aggregator } => {
            (team.mixture(proposers, aggregator), Selection::Last)
        }
        Strategy::PlanExecuteVerify { planner, executor, verifier } => {
            let steps = vec![
                step(team.of("planner", planner, 0), PLAN, Access::None),
                step(team.of("executor", executor, 1), EXECUTE, Access::All),
                step(team.of("verifier", verifier, 0), VERIFY, Access::All),
            ];
            (steps, Selection::Last)
        }
        Strategy::Reflect { author, critic, rounds } => {
            (team.reflect(author, critic, *rounds, limits), Selection::Last)
        }
    };
    if !team.wrong.is_empty() {
        return Err(team.wrong);
    }
    Workflow::new(steps.into_iter().flatten().collect(), selection, pool, limits)
        .map_err(|wrong| wrong.iter().map(ToString::to_string).collect())
}

/// What to change if the strategy needs more steps than a workflow may have, or has
/// too few of something to be itself.
fn too_long(strategy: &Strategy, limits: &Limits) -> Option<String> {
    let (name, needs, max) = (strategy.name(), strategy.steps(), limits.steps_max);
    let (with, change) = match strategy {
        Strategy::SelfConsistency { samples, .. } if *samples < 2 => {
            return Some(format!(
                "{name} with {samples} samples has no majority: ask for 2 or more"
            ));
        }
        Strategy::Reflect { rounds: 0, .. } => {
            return Some(format!("{name} with 0 rounds corrects nothing: ask for 1 or more"));
        }
        Strategy::SelfConsistency { samples, .. } => {
            (format!(" with {samples} samples"), format!("ask for at most {max} samples"))
        }
        Strategy::MixtureOfAgents { .. } => {
            let most = max.saturating_sub(1);
            (format!(" with {} proposers", needs - 1), format!("name at most {most} proposers"))
        }
        Strategy::Reflect { rounds, .. } => {
            let most = max.saturating_sub(1) / 2;
            (format!(" with {rounds} rounds"), format!("ask for at most {most} rounds"))
        }
        Strategy::Direct { .. } | Strategy::PlanExecuteVerify { .. } => {
            (String::new(), "choose another strategy".into())
        }
    };
    let too_long = needs > usize::from(max);
    too_long.then(|| {
        format!("{name}{with} needs {needs} steps, but steps_max is {max}: {change}, or raise steps_max to {needs}")
    })
}

/// Strongest first; the rule stands at [`Strategy`].
fn ranked(pool: &Pool) -> Vec<&AgentCard> {
    let mut ranked: Vec<_> = pool.agents().iter().collect();
    // The sort is stable, so that equal prices keep the pool's order.
    ranked.sort_by_key(|agent| Reverse(agent.price.output));
    ranked
}

fn step(agent: Option<AgentId>, subtask: &str, access: Access) -> Option<Step> {
    Some(Step { agent: agent?, subtask: subtask.to_owned(), access })
}

/// Chooses the agents and remembers which cannot be had.
struct Team<'a> {
    name: &'static str,
    pool: &'a Pool,
    ranked: Vec<&'a AgentCard>,
    wrong: Vec<String>,
}

impl Team<'_> {
    /// The agent that was named for the role, or the one of that rank (0 is the
    /// strongest), over again where the pool has fewer.
    fn of(&mut self, role: &str, named: &Option<AgentId>, rank: usize) -> Option<AgentId> {
        let Some(named) = named else { return self.ranked_at(rank) };
        if self.pool.get(named).is_some() {
            return Some(named.clone());
        }
        let known: Vec<_> = self.pool.agents().iter().map(|agent| agent.id.as_str()).collect();
        self.wrong.push(format!(
            "{role} of {} is {named}, which is not in the pool or was denied: expected one of {}",
            self.name,
            known.join(", ")
        ));
        None
    }

    fn ranked_at(&self, rank: usize) -> Option<AgentId> {
        let place = rank.checked_rem(self.ranked.len())?;
        self.ranked.get(place).map(|agent| agent.id.clone())
    }

    fn self_consistency(
        &mut self,
        agent: &Option<AgentId>,
        samples: u16,
        limits: &Limits,
    ) -> Vec<Option<Step>> {
        let agent = self.of("agent", agent, 0);
        // More than the limit was complained about; there is no need to build them.
        let built = samples.min(limits.steps_max);
        let sample = |number| {
            // The numbers keep the samples apart for providers that repeat an answer
            // to the same words.
            let own = format!("{ANSWER} This is independent attempt {number} of {samples}.");
            step(agent.clone(), &own, Access::None)
        };
        (1..=built).map(sample).collect()
    }

    fn mixture(
        &mut self,
        proposers: &[AgentId],
        aggregator: &Option<AgentId>,
    ) -> Vec<Option<Step>> {
        let proposers: Vec<_> = if proposers.is_empty() {
            (0..PROPOSERS_DEFAULT).map(|rank| self.ranked_at(rank)).collect()
        } else {
            proposers.iter().map(|named| self.of("proposer", &Some(named.clone()), 0)).collect()
        };
        let count = proposers.len();
        let proposals = (1..).zip(proposers).map(|(number, agent)| {
            let own = format!("{ANSWER} This is independent attempt {number} of {count}.");
            step(agent, &own, Access::None)
        });
        let mut steps: Vec<_> = proposals.collect();
        steps.push(step(self.of("aggregator", aggregator, 0), MERGE, Access::All));
        steps
    }

    fn reflect(
        &mut self,
        author: &Option<AgentId>,
        critic: &Option<AgentId>,
        rounds: u16,
        limits: &Limits,
    ) -> Vec<Option<Step>> {
        let author = self.of("author", author, 0);
        let critic = self.of("critic", critic, 1);
        let mut steps = vec![step(author.clone(), ANSWER, Access::None)];
        for round in 0..rounds.min(limits.steps_max) {
            // A critic sees the latest answer alone; the author also what was said of it.
            let answer = StepId(round.saturating_mul(2));
            let criticism = StepId(answer.0.saturating_add(1));
            steps.push(step(critic.clone(), CRITICISE, Access::Some([answer].into())));
            let both = Access::Some([answer, criticism].into());
            steps.push(step(author.clone(), CORRECT, both));
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use crate::Strategy;
    use crate::testing::pool;
    use crate::write::write_access;
    use baton_workflow::{Limits, Selection};
    use serde_json::{Value, json};

    /// One line per step: agent, first word, access; then the selection if not the last.
    fn check(name: &str, params: Value, agents: usize, expected: &str) {
        let strategy = Strategy::parse(name, &params).unwrap();
        let seen = match strategy.workflow(&pool(agents), &Limits::default()) {
            Err(wrong) => wrong.join("\n"),
            Ok(flow) => {
                let mut lines: Vec<_> = flow
                    .steps()
                    .iter()
                    .map(|step| {
                        let verb = step.subtask.split(' ').next().unwrap();
                        format!("{} {verb} {}", step.agent, write_access(&step.access))
                    })
                    .collect();
                if flow.selection() == Selection::Majority {
                    lines.push("majority".into());
                }
                assert_eq!(flow.steps().len(), strategy.steps());
                lines.join("\n")
            }
        };
        assert_eq!(seen, expected, "{name} {params} {agents}");
    }

    #[test]
    fn agents_are_chosen_by_price() {
        check("direct", json!({}), 3, "large Solve []");
        check(
            "self_consistency",
            json!({}),
            3,
            "large Solve []\nlarge Solve []\nlarge Solve []\nmajority",
        );
        check(
            "mixture_of_agents",
            json!({}),
            4,
            "large Solve []\nmedium Solve []\nsmall Solve []\nlarge Merge [\"all\"]",
        );
        check(
            "plan_execute_verify",
            json!({}),
            3,
            "large Plan []\nmedium Solve [\"all\"]\nlarge Check [\"all\"]",
        );
        check(
            "reflect",
            json!({"rounds": 2}),
            3,
            "large Solve []\nmedium Check [0]\nlarge Correct [0, 1]\n\
             medium Check [2]\nlarge Correct [2, 3]",
        );
    }

    #[test]
    fn one_agent_is_team_enough() {
        check("reflect", json!({}), 1, "small Solve []\nsmall Check [0]\nsmall Correct [0, 1]");
        let both = "small Solve []\nsmall Solve []\nsmall Solve []\nsmall Merge [\"all\"]";
        check("mixture_of_agents", json!({}), 1, both);
    }

    #[test]
    fn who_is_named_does_it_or_it_is_refused() {
        check("direct", json!({"agent": "small"}), 3, "small Solve []");
        check(
            "mixture_of_agents",
            json!({"proposers": ["small", "gone"], "aggregator": "denied"}),
            2,
            "proposer of mixture_of_agents is gone, which is not in the pool or was denied: \
             expected one of small, large\n\
             aggregator of mixture_of_agents is denied, which is not in the pool or was denied: \
             expected one of small, large",
        );
    }

    #[test]
    fn too_many_steps_say_what_to_change() {
        check(
            "self_consistency",
            json!({"samples": 7}),
            3,
            "self_consistency with 7 samples needs 7 steps, but steps_max is 5: \
             ask for at most 5 samples, or raise steps_max to 7",
        );
        check(
            "reflect",
            json!({"rounds": 3}),
            3,
            "reflect with 3 rounds needs 7 steps, but steps_max is 5: \
             ask for at most 2 rounds, or raise steps_max to 7",
        );
        let limits = Limits { steps_max: 2, ..Limits::default() };
        let strategy = Strategy::parse("plan_execute_verify", &Value::Null).unwrap();
        assert_eq!(
            strategy.workflow(&pool(3), &limits).unwrap_err(),
            ["plan_execute_verify needs 3 steps, but steps_max is 2: \
              choose another strategy, or raise steps_max to 3"]
        );
    }

    #[test]
    fn every_strategy_fits_the_default_limits() {
        for name in Strategy::NAMES {
            let strategy = Strategy::parse(name, &Value::Null).unwrap();
            for agents in 1..=4 {
                strategy.workflow(&pool(agents), &Limits::default()).unwrap();
            }
        }
    }

    #[test]
    fn no_two_samples_are_asked_in_the_same_words() {
        let strategy = Strategy::parse("self_consistency", &Value::Null).unwrap();
        let flow = strategy.workflow(&pool(1), &Limits::default()).unwrap();
        let words: std::collections::BTreeSet<_> =
            flow.steps().iter().map(|step| &step.subtask).collect();
        assert_eq!(words.len(), flow.steps().len());
        assert_eq!(flow.leaves().len(), flow.steps().len());
    }
}
