//! The verifier as an agent in plans: how it is offered, and what it cannot be asked to do.

use baton_checks::{Check, Public};
use baton_engine::Offered;
use baton_planner::{Complaint, PlanPart};
use baton_workflow::{Abilities, AgentCard, AgentId, Pool, Workflow};
use std::collections::BTreeSet;

/// A pool with the verifier behind its agents, if it is offered. Its calls are its judge's; a
/// check that asks nobody costs nothing.
pub(crate) fn with_verifier(
    pool: &Pool,
    offered: Option<Offered>,
    judge: Option<&AgentCard>,
) -> Pool {
    let Some(offered) = offered else { return pool.clone() };
    let verifier = AgentCard {
        id: AgentId::verifier(),
        provider: AgentId::VERIFIER.into(),
        model: AgentId::VERIFIER.into(),
        strengths: strengths(offered),
        price: judge.map(|judge| judge.price).unwrap_or_default(),
        context_tokens: judge.map_or(0, |judge| judge.context_tokens),
        output_tokens: judge.map_or(0, |judge| judge.output_tokens),
        concurrency: 1,
        images: false,
        abilities: Abilities::default(),
        tags: BTreeSet::new(),
    };
    let agents = pool.agents().iter().cloned().chain([verifier]).collect();
    // No agent of a configuration has its id.
    Pool::new(pool.version(), agents).unwrap_or_else(|_| pool.clone())
}

/// What the policy is told of it.
fn strengths(offered: Offered) -> String {
    let mut by = vec![r#"a check as JSON such as {"type": "text.regex", "pattern": "^[0-9]+$"}"#];
    if offered.judge {
        by.push("criteria in words, for a judge");
    }
    if offered.check {
        by.push("\"\", for the request's own check");
    }
    format!(
        "no model: checks the steps in its access list, and does nothing else. Its subtask is {}. \
         Of several steps it chooses one. Where what it checks does not hold, the plan is broken \
         off and you plan again. As the last step it answers with the step that it checked",
        by.join(", or ")
    )
}

/// What the verifier is asked in a plan and cannot do.
pub(crate) fn unusable(workflow: &Workflow, offered: Option<Offered>) -> Vec<Complaint> {
    let Some(offered) = offered else { return Vec::new() };
    let steps = workflow.steps().iter().enumerate();
    let verifiers = steps.filter(|(_, step)| step.agent.is_verifier());
    let complaint = |(place, subtask): (usize, &str)| {
        let (found, expected) = match subtask {
            "" if !offered.check => ("no check".into(), "a check as JSON: the request has none"),
            "" => return None,
            json if json.starts_with('{') => {
                let error = Check::read(json).and_then(Public::of).err()?;
                (error.to_string(), "a check that can be made")
            }
            _words if !offered.judge => {
                ("criteria in words".into(), "a check as JSON: nobody judges")
            }
            _words => return None,
        };
        let expected = expected.to_owned();
        Some(Complaint { part: PlanPart::Subtasks, entry: Some(place), found, expected })
    };
    verifiers.filter_map(|(place, step)| complaint((place, step.subtask.trim()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_workflow::{Access, Limits, Price, Selection, Step};

    fn pool() -> Pool {
        let card = AgentCard {
            id: AgentId::new("a").unwrap(),
            provider: "p".into(),
            model: "m".into(),
            strengths: String::new(),
            price: Price::default(),
            context_tokens: 8192,
            output_tokens: 1024,
            concurrency: 1,
            images: false,
            abilities: Abilities::default(),
            tags: BTreeSet::new(),
        };
        Pool::new("v", vec![card]).unwrap()
    }

    #[test]
    fn what_the_verifier_cannot_do_is_complained_of() {
        let check = |subtask: &str, check, judge| {
            let offered = Some(Offered { check, judge });
            let step = |agent: AgentId, subtask: &str, access| Step {
                agent,
                subtask: subtask.into(),
                access,
            };
            let steps = vec![
                step(AgentId::new("a").unwrap(), "Solve it.", Access::None),
                step(AgentId::verifier(), subtask, Access::All),
            ];
            let pool = with_verifier(&pool(), offered, None);
            let flow = Workflow::new(steps, Selection::Last, &pool, &Limits::default()).unwrap();
            unusable(&flow, offered).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let none = Vec::<String>::new();
        assert_eq!(check("", true, false), none);
        assert_eq!(check("Is every sum right?", false, true), none);
        assert_eq!(check(r#"{"type": "text.numeric", "expected": "4"}"#, false, false), none);
        for (subtask, says) in [
            ("", "subtasks, entry 1: found no check, expected a check as JSON"),
            ("Is it right?", "found criteria in words, expected a check as JSON: nobody judges"),
            (r#"{"type": "text.magic"}"#, "expected a check that can be made"),
        ] {
            let complaints = check(subtask, false, false);
            assert!(complaints.len() == 1 && complaints[0].contains(says), "{complaints:?}");
        }
    }

    #[test]
    fn the_policy_is_told_of_nothing_that_is_not_there() {
        let told = |check, judge| strengths(Offered { check, judge });
        assert!(told(true, false).contains("own check") && !told(true, false).contains("judge"));
        assert!(told(true, true).contains("judge"));
        assert!(!told(false, false).contains("own check"));
        assert_eq!(with_verifier(&pool(), None, None).agents().len(), 1);
    }
}
