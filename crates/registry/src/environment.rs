//! Settings without a file, out of the variables that OpenAI's own clients read.

use crate::{
    AccountSettings, PolicySettings, ProviderSettings, SecretRef, Settings, SettingsFaults,
    TimeoutSettings,
    read::{CONCURRENCY, Faults, POLICY_AGENT, check_base_url},
    settings_for,
};
use baton_workflow::{AgentCard, AgentId, Price};
use std::collections::{BTreeMap, BTreeSet};

/// The account's key.
const KEY: &str = "OPENAI_API_KEY";
/// Where models are served.
const BASE_URL: &str = "OPENAI_BASE_URL";
/// Which models to use, and at what price.
const MODELS: &str = "BATON_MODELS";
/// OpenAI itself.
const OPENAI_URL: &str = "https://api.openai.com/v1";
/// What is used at OpenAI where no model is named: inexpensive, good enough to plan, and
/// priced as OpenAI listed it in 2025.
const OPENAI_MODELS: &str = "gpt-5-mini=0.25/2.00";
/// The one provider's name.
const PROVIDER: &str = "openai";
/// Assumed of models that are named without a card.
const CONTEXT_TOKENS: u32 = 128_000;
/// Assumed of models that are named without a card.
const OUTPUT_TOKENS: u32 = 16_384;

/// Settings out of `OPENAI_API_KEY`, `OPENAI_BASE_URL` and `BATON_MODELS`; nothing if
/// neither of the first two is set. The models are the agents, the first of them plans.
///
/// # Errors
/// Everything that is wrong with the variables.
pub fn settings_from_env(
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<Result<Settings, SettingsFaults>> {
    let set = |name: &str| {
        let value = env(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    };
    let (key, base_url) = (set(KEY), set(BASE_URL));
    if key.is_none() && base_url.is_none() {
        return None;
    }
    let mut faults = Faults::new("");
    let settings = read(key.is_some(), base_url.as_deref(), set(MODELS).as_deref(), &mut faults);
    Some(match settings {
        Some(settings) if !faults.any() => Ok(settings),
        Some(_) | None => Err(faults.into_settings_faults("environment".to_owned())),
    })
}

/// Nothing only after a complaint.
fn read(
    keyed: bool,
    base_url: Option<&str>,
    models: Option<&str>,
    faults: &mut Faults<'_>,
) -> Option<Settings> {
    let url = check_base_url(base_url.unwrap_or(OPENAI_URL));
    let url = url.map_err(|reason| faults.anywhere(format!("{BASE_URL}{reason}"))).ok();
    let models = match (models, base_url) {
        (Some(models), _) => models,
        (None, None) => OPENAI_MODELS,
        (None, Some(_)) => {
            let reason = format!(
                "{MODELS} is not set: name the models to use with their dollars per million \
                 tokens read and written, such as llama3=0/0,{OPENAI_MODELS}"
            );
            faults.anywhere(reason);
            return None;
        }
    };
    let cards = cards(models, faults);
    let provider = ProviderSettings {
        base_url: url?,
        key: keyed.then(|| SecretRef::Env(KEY.to_owned())),
        timeouts: TimeoutSettings::default(),
        stream: true,
        account: AccountSettings::default(),
    };
    let mut planner = cards.first()?.clone();
    planner.id = AgentId::new(POLICY_AGENT).ok()?;
    let providers = BTreeMap::from([(PROVIDER.to_owned(), provider)]);
    let settings = settings_for(cards, providers, PolicySettings::Model(planner));
    settings.map_err(|error| faults.anywhere(format!("{MODELS}: {error}"))).ok()
}

fn cards(models: &str, faults: &mut Faults<'_>) -> Vec<AgentCard> {
    let mut cards = Vec::new();
    for entry in models.split(',').map(str::trim) {
        match card(entry) {
            Ok(card) => cards.push(card),
            Err(reason) => faults.anywhere(format!("{MODELS}: {reason}")),
        }
    }
    cards
}

/// A card out of `MODEL=INPUT/OUTPUT`. The price is not optional: a price that is
/// assumed to be nothing would take the budget's teeth.
fn card(entry: &str) -> Result<AgentCard, String> {
    let wrong = || format!("{entry:?}: expected MODEL=INPUT/OUTPUT, such as {OPENAI_MODELS}");
    let (model, price) = entry.rsplit_once('=').ok_or_else(wrong)?;
    let (input, output) = price.split_once('/').ok_or_else(wrong)?;
    let dollars = |text: &str| text.trim().parse::<f64>().map_err(|_| wrong());
    let price = Price::from_dollars(dollars(input)?, dollars(output)?);
    let id = AgentId::new(model.trim()).map_err(|error| error.to_string())?;
    if id.as_str() == POLICY_AGENT {
        return Err(format!("{entry:?}: a model of that name needs a configuration file"));
    }
    Ok(AgentCard {
        provider: PROVIDER.to_owned(),
        model: id.as_str().to_owned(),
        id,
        strengths: String::new(),
        price: price.map_err(|error| format!("{entry:?}: {error}"))?,
        context_tokens: CONTEXT_TOKENS,
        output_tokens: OUTPUT_TOKENS,
        concurrency: CONCURRENCY,
        images: false,
        tags: BTreeSet::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)], expected: &str) {
        let env = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let seen = match settings_from_env(&env) {
            None => "nothing".to_owned(),
            Some(Err(faults)) => faults.to_string(),
            Some(Ok(settings)) => {
                let provider = &settings.providers[PROVIDER];
                let agents: Vec<_> = settings.pool.agents().iter().map(|a| a.id.as_str()).collect();
                let PolicySettings::Model(planner) = &settings.policy else { panic!("no model") };
                let key = provider.key.is_some();
                format!("{} key:{key} {agents:?} planned by {}", provider.base_url, planner.model)
            }
        };
        assert_eq!(seen, expected, "{variables:?}");
    }

    #[test]
    fn a_key_is_enough() {
        check(&[], "nothing");
        check(&[(KEY, " "), (MODELS, "a=0/0")], "nothing");
        check(
            &[(KEY, "sk-1")],
            r#"https://api.openai.com/v1 key:true ["gpt-5-mini"] planned by gpt-5-mini"#,
        );
        check(
            &[(BASE_URL, "http://localhost:11434/v1/"), (MODELS, "qwen3:8b=0/0, llama3=0/0")],
            r#"http://localhost:11434/v1 key:false ["qwen3:8b", "llama3"] planned by qwen3:8b"#,
        );
    }

    #[test]
    fn everything_wrong_is_said() {
        check(
            &[(BASE_URL, "localhost:11434")],
            "environment: OPENAI_BASE_URL is \"localhost:11434\": expected a URL such as \
             https://api.openai.com/v1\n\
             environment: BATON_MODELS is not set: name the models to use with their dollars \
             per million tokens read and written, such as llama3=0/0,gpt-5-mini=0.25/2.00",
        );
        check(
            &[(KEY, "k"), (MODELS, "gpt,a=-1/0,b=x/0,c c=1/1,policy=0/0,,d=0/0,d=0/0")],
            "environment: BATON_MODELS: \"gpt\": expected MODEL=INPUT/OUTPUT, such as gpt-5-mini=0.25/2.00\n\
             environment: BATON_MODELS: \"a=-1/0\": -1 is not an amount in dollars: expected a finite number from 0 to 1000000\n\
             environment: BATON_MODELS: \"b=x/0\": expected MODEL=INPUT/OUTPUT, such as gpt-5-mini=0.25/2.00\n\
             environment: BATON_MODELS: \"c c\" is not an agent id: expected 1 to 128 characters out of a-z, A-Z, 0-9, '.', '_', '-'/:@+\n\
             environment: BATON_MODELS: \"policy=0/0\": a model of that name needs a configuration file\n\
             environment: BATON_MODELS: \"\": expected MODEL=INPUT/OUTPUT, such as gpt-5-mini=0.25/2.00\n\
             environment: BATON_MODELS: agent d is in the pool twice: expected every id once",
        );
    }
}
