//! The guide's examples are configurations.

use crate::{Auth, BUDGET_DEFAULT, PolicySettings, Settings, TimeoutSettings, read_settings};
use baton_workflow::Limits;
use std::path::Path;

const GUIDE: &str = include_str!("../../../docs/guides/configuration.md");

fn example(number: usize) -> Settings {
    let block = GUIDE.split("```toml\n").nth(number + 1).unwrap();
    let text = block.split("```").next().unwrap();
    let env = |name: &str| Some(format!("the key in {name}"));
    read_settings(text, Path::new("baton.toml"), &env).unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn the_small_example_is_a_configuration() {
    assert_eq!(example(0).pool.agents().len(), 1);
}

#[test]
fn the_full_example_is_a_configuration_and_its_defaults_are_the_defaults() {
    let settings = example(1);
    assert_eq!(settings.limits, Limits::default());
    assert_eq!(settings.budget, BUDGET_DEFAULT);
    assert_eq!(settings.providers["openai"].timeouts, TimeoutSettings::default());
    let breaker = settings.providers["openai"].account.terms.breaker;
    assert_eq!(breaker, Some(baton_workflow::BreakerTerms::default()));
    assert_eq!(settings.hedge, Some(baton_workflow::HedgeTerms::default()));
    assert!(!settings.single_flight);
    assert_eq!(settings.pool.agents()[1].concurrency, 8);
    assert_eq!(settings.fallback.name, "reflect");
    assert_eq!(settings.judge.unwrap().as_str(), "gpt-large");
    assert!(matches!(settings.policy, PolicySettings::Model(_)));
    assert!(matches!(settings.auth, Auth::Keys(keys) if keys.len() == 1));
}
