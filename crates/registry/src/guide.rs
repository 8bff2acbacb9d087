//! The guide's examples are configurations.

use crate::{
    Auth, BUDGET_DEFAULT, PolicySettings, SandboxSettings, Settings, TimeoutSettings, read_settings,
};
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
    assert!(settings.recursion);
    let SandboxSettings { python, libraries, folder, slots, .. } = SandboxSettings::default();
    let usual = SandboxSettings { python, libraries, folder, slots, ..settings.sandbox };
    assert_eq!(usual, SandboxSettings::default());
    assert_eq!(settings.pool.agents()[1].concurrency, 8);
    assert_eq!(settings.fallback.name, "reflect");
    assert_eq!(settings.judge.unwrap().as_str(), "gpt-large");
    assert!(matches!(settings.policy, PolicySettings::Model(_)));
    assert!(matches!(settings.auth, Auth::Keys(keys) if keys.len() == 1));
}

/// Reads what the document of settings says as a file says it.
fn again(settings: &Settings) -> Settings {
    let toml: toml::Table = serde_json::from_value(settings.document()).unwrap();
    let env = |name: &str| Some(format!("the key in {name}"));
    let text = toml.to_string();
    read_settings(&text, Path::new("baton.toml"), &env)
        .unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

#[test]
fn the_document_of_settings_is_a_configuration_with_all_that_is_in_them() {
    for number in [0, 1] {
        let settings = example(number);
        assert_eq!(again(&settings), settings);
    }
    let document = example(1).document();
    assert_eq!(document["agents"][0]["price"]["input"], 0.25);
    assert_eq!(document["budget"]["usd"], 1.0);
    assert_eq!(document["providers"]["openai"]["key_env"], "OPENAI_API_KEY");
    assert_eq!(document["policy"]["judge"], "gpt-large");
}
