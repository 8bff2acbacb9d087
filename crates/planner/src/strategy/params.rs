//! A strategy out of a name and a JSON object of parameters.

use super::{ROUNDS_DEFAULT, SAMPLES_DEFAULT, Strategy};
use baton_workflow::AgentId;
use serde_json::{Map, Value};

/// The parameters of the strategy of that name.
fn known(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "direct" => &["agent"],
        "self_consistency" => &["agent", "samples"],
        "mixture_of_agents" => &["proposers", "aggregator"],
        "plan_execute_verify" => &["planner", "executor", "verifier"],
        "reflect" => &["author", "critic", "rounds"],
        _ => return None,
    })
}

pub(super) fn parse(name: &str, params: &Value) -> Result<Strategy, Vec<String>> {
    let none = Map::new();
    let mut wrong = Vec::new();
    let given = match params {
        Value::Null => &none,
        Value::Object(given) => given,
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            wrong.push(format!("the parameters are {}: expected an object", kind(params)));
            &none
        }
    };
    let Some(known) = known(name) else {
        let names = Strategy::NAMES.join(", ");
        wrong.push(format!("there is no strategy {name:?}: expected one of {names}"));
        return Err(wrong);
    };
    for unknown in given.keys().filter(|key| !known.contains(&key.as_str())) {
        let known = known.join(", ");
        wrong.push(format!("{name} has no parameter {unknown:?}: expected one of {known}"));
    }
    let mut params = Params { name, given, wrong };
    let strategy = params.strategy();
    match strategy {
        Some(strategy) if params.wrong.is_empty() => Ok(strategy),
        Some(_) | None => Err(params.wrong),
    }
}

struct Params<'a> {
    name: &'a str,
    given: &'a Map<String, Value>,
    wrong: Vec<String>,
}

impl Params<'_> {
    fn strategy(&mut self) -> Option<Strategy> {
        Some(match self.name {
            "direct" => Strategy::Direct { agent: self.agent("agent") },
            "self_consistency" => Strategy::SelfConsistency {
                agent: self.agent("agent"),
                samples: self.number("samples", 2, SAMPLES_DEFAULT),
            },
            "mixture_of_agents" => Strategy::MixtureOfAgents {
                proposers: self.agents("proposers"),
                aggregator: self.agent("aggregator"),
            },
            "plan_execute_verify" => Strategy::PlanExecuteVerify {
                planner: self.agent("planner"),
                executor: self.agent("executor"),
                verifier: self.agent("verifier"),
            },
            "reflect" => Strategy::Reflect {
                author: self.agent("author"),
                critic: self.agent("critic"),
                rounds: self.number("rounds", 1, ROUNDS_DEFAULT),
            },
            _ => return None,
        })
    }

    /// What was given; `null` is nothing given.
    fn given(&self, param: &str) -> Option<&Value> {
        self.given.get(param).filter(|value| !value.is_null())
    }

    fn refuse(&mut self, param: &str, found: &str, expected: &str) {
        let name = self.name;
        self.wrong.push(format!("parameter {param} of {name} is {found}: expected {expected}"));
    }

    fn agent(&mut self, param: &str) -> Option<AgentId> {
        let agent = id(self.given(param)?);
        match agent {
            Ok(agent) => Some(agent),
            Err(found) => {
                self.refuse(param, &found, "the id of an agent");
                None
            }
        }
    }

    fn agents(&mut self, param: &str) -> Vec<AgentId> {
        let agents: Vec<_> = match self.given(param) {
            None => return Vec::new(),
            Some(Value::Array(given)) if !given.is_empty() => given.iter().map(id).collect(),
            Some(other) => vec![Err(kind(other))],
        };
        let mut named = Vec::new();
        for agent in agents {
            match agent {
                Ok(agent) => named.push(agent),
                Err(found) => self.refuse(param, &found, "a list of one or more agents' ids"),
            }
        }
        named
    }

    fn number(&mut self, param: &str, min: u16, default: u16) -> u16 {
        let Some(given) = self.given(param) else { return default };
        let number = given.as_u64().and_then(|number| u16::try_from(number).ok());
        match number.filter(|number| *number >= min) {
            Some(number) => number,
            None => {
                let (found, max) = (kind(given), u16::MAX);
                self.refuse(param, &found, &format!("a whole number from {min} to {max}"));
                default
            }
        }
    }
}

fn id(value: &Value) -> Result<AgentId, String> {
    let text = value.as_str().ok_or_else(|| kind(value))?;
    AgentId::new(text).map_err(|_| format!("{:?}", text.chars().take(80).collect::<String>()))
}

/// What a value is, in words; numbers and truth values as they stand.
fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(_) => "a text".into(),
        Value::Array(entries) if entries.is_empty() => "an empty list".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, params: &str, expected: &str) {
        let params: Value = serde_json::from_str(params).unwrap();
        let seen = match parse(name, &params) {
            Ok(strategy) => format!("{strategy:?}"),
            Err(wrong) => wrong.join("\n"),
        };
        assert_eq!(seen, expected, "{name} {params}");
    }

    #[test]
    fn parameters_make_a_strategy() {
        check("direct", "null", "Direct { agent: None }");
        check("direct", r#"{"agent": "large"}"#, "Direct { agent: Some(large) }");
        check("self_consistency", "{}", "SelfConsistency { agent: None, samples: 3 }");
        check(
            "mixture_of_agents",
            r#"{"proposers": ["a", "b"], "aggregator": null}"#,
            "MixtureOfAgents { proposers: [a, b], aggregator: None }",
        );
        check(
            "reflect",
            r#"{"critic": "b", "rounds": 2}"#,
            "Reflect { author: None, critic: Some(b), rounds: 2 }",
        );
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        check(
            "magic",
            "[]",
            "the parameters are an empty list: expected an object\n\
             there is no strategy \"magic\": expected one of direct, self_consistency, \
             mixture_of_agents, plan_execute_verify, reflect",
        );
        check(
            "self_consistency",
            r#"{"agent": 3, "samples": 1.5, "temperature": 1}"#,
            "self_consistency has no parameter \"temperature\": expected one of agent, samples\n\
             parameter agent of self_consistency is 3: expected the id of an agent\n\
             parameter samples of self_consistency is 1.5: \
             expected a whole number from 2 to 65535",
        );
        check(
            "mixture_of_agents",
            r#"{"proposers": [], "aggregator": "a b"}"#,
            "parameter proposers of mixture_of_agents is an empty list: \
             expected a list of one or more agents' ids\n\
             parameter aggregator of mixture_of_agents is \"a b\": \
             expected the id of an agent",
        );
    }

    #[test]
    fn every_name_is_a_strategy_of_that_name() {
        for name in Strategy::NAMES {
            assert_eq!(parse(name, &Value::Null).unwrap().name(), name);
        }
    }
}
