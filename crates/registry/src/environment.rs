//! Settings without a file, out of the variables that the vendors' own clients read.

use crate::{
    AccountSettings, PolicySettings, ProviderKind, ProviderSettings, SecretRef, Settings,
    SettingsFaults, TimeoutSettings,
    read::{ANTHROPIC_KEY, ANTHROPIC_URL, CONCURRENCY, Faults, POLICY_AGENT, check_base_url},
    settings_for,
};
use baton_workflow::{Abilities, AgentCard, AgentId, Price};
use std::collections::{BTreeMap, BTreeSet};

/// The variables that are looked at: keys, addresses, models.
pub const VARIABLES: [&str; 5] =
    [OPENAI.key, OPENAI.base_url, ANTHROPIC.key, ANTHROPIC.base_url, MODELS];

/// Which models to use, and at what price.
const MODELS: &str = "BATON_MODELS";
/// Which models are Anthropic's, where both accounts are there.
const ANTHROPIC_PREFIX: &str = "claude";

/// An account that the environment may speak of.
struct Account {
    kind: ProviderKind,
    /// The provider's name.
    name: &'static str,
    /// The variable with the key.
    key: &'static str,
    /// The variable that says where models are served, if not at `url`.
    base_url: &'static str,
    /// The vendor itself.
    url: &'static str,
    /// What is used there where no model is named: inexpensive, good enough to plan, and
    /// priced as the vendor listed it in 2025.
    models: &'static str,
}

const OPENAI: Account = Account {
    kind: ProviderKind::OpenAi,
    name: "openai",
    key: "OPENAI_API_KEY",
    base_url: "OPENAI_BASE_URL",
    url: "https://api.openai.com/v1",
    models: "gpt-5-mini=0.25/2.00/0.025",
};
const ANTHROPIC: Account = Account {
    kind: ProviderKind::Anthropic,
    name: "anthropic",
    key: ANTHROPIC_KEY,
    base_url: "ANTHROPIC_BASE_URL",
    url: ANTHROPIC_URL,
    models: "claude-haiku-4-5=1.00/5.00/0.10",
};

/// Assumed of models that are named without a card.
const CONTEXT_TOKENS: u32 = 128_000;
/// Assumed of models that are named without a card.
const OUTPUT_TOKENS: u32 = 16_384;

/// What the environment says of an account.
struct Named {
    account: &'static Account,
    keyed: bool,
    base_url: Option<String>,
}

/// Settings out of `OPENAI_API_KEY` and `OPENAI_BASE_URL`, `ANTHROPIC_API_KEY` and
/// `ANTHROPIC_BASE_URL`, and `BATON_MODELS`; nothing if neither of the accounts is there.
/// The models are the agents, the first of them plans.
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
    let named = [&OPENAI, &ANTHROPIC].into_iter().filter_map(|account| {
        let (keyed, base_url) = (set(account.key).is_some(), set(account.base_url));
        (keyed || base_url.is_some()).then_some(Named { account, keyed, base_url })
    });
    let named: Vec<_> = named.collect();
    if named.is_empty() {
        return None;
    }
    let mut faults = Faults::new("");
    let settings = read(&named, set(MODELS).as_deref(), &mut faults);
    Some(match settings {
        Some(settings) if !faults.any() => Ok(settings),
        Some(_) | None => Err(faults.into_settings_faults("environment".to_owned())),
    })
}

/// Nothing only after a complaint.
fn read(named: &[Named], models: Option<&str>, faults: &mut Faults<'_>) -> Option<Settings> {
    let mut providers = BTreeMap::new();
    for Named { account, keyed, base_url } in named {
        let url = check_base_url(base_url.as_deref().unwrap_or(account.url));
        let url =
            url.map_err(|reason| faults.anywhere(format!("{}{reason}", account.base_url))).ok();
        let provider = ProviderSettings {
            kind: account.kind,
            base_url: url.unwrap_or_default(),
            key: keyed.then(|| SecretRef::Env(account.key.to_owned())),
            timeouts: TimeoutSettings::default(),
            stream: true,
            account: AccountSettings::default(),
        };
        providers.insert(account.name.to_owned(), provider);
    }
    let models = match models {
        Some(models) => models.to_owned(),
        None if named.iter().all(|named| named.base_url.is_none()) => {
            named.iter().map(|named| named.account.models).collect::<Vec<_>>().join(",")
        }
        None => {
            let reason = format!(
                "{MODELS} is not set: name the models to use with their dollars per million \
                 tokens read and written, such as llama3=0/0,{}",
                OPENAI.models
            );
            faults.anywhere(reason);
            return None;
        }
    };
    let cards = cards(&models, named, faults);
    let mut planner = cards.first()?.clone();
    planner.id = AgentId::new(POLICY_AGENT).ok()?;
    let settings = settings_for(cards, providers, PolicySettings::Model(planner));
    settings.map_err(|error| faults.anywhere(format!("{MODELS}: {error}"))).ok()
}

/// Whose a model is: by its name, where there are two who could serve it.
fn provider_of(model: &str, named: &[Named]) -> &'static str {
    let claude = model.starts_with(ANTHROPIC_PREFIX);
    let wanted = if claude { ProviderKind::Anthropic } else { ProviderKind::OpenAi };
    let found = named.iter().find(|named| named.account.kind == wanted).or(named.first());
    found.map_or(OPENAI.name, |named| named.account.name)
}

fn cards(models: &str, named: &[Named], faults: &mut Faults<'_>) -> Vec<AgentCard> {
    let mut cards = Vec::new();
    for entry in models.split(',').map(str::trim) {
        match card(entry, named) {
            Ok(card) => cards.push(card),
            Err(reason) => faults.anywhere(format!("{MODELS}: {reason}")),
        }
    }
    cards
}

/// A card out of `MODEL=INPUT/OUTPUT` or `MODEL=INPUT/OUTPUT/CACHED_INPUT`. The price is not optional: a price that is
/// assumed to be nothing would take the budget's teeth.
fn card(entry: &str, named: &[Named]) -> Result<AgentCard, String> {
    let example = OPENAI.models;
    let wrong = || format!("{entry:?}: expected MODEL=INPUT/OUTPUT, such as {example}");
    let (model, price) = entry.rsplit_once('=').ok_or_else(wrong)?;
    let dollars = |text: &str| text.trim().parse::<f64>().map_err(|_| wrong());
    let prices = price.split('/').map(dollars).collect::<Result<Vec<_>, _>>()?;
    let price = match *prices.as_slice() {
        [input, output] => Price::from_dollars(input, output),
        [input, output, cached] => Price::from_dollars(input, output)
            .and_then(|price| price.with_cache(Some(cached), None)),
        _ => return Err(wrong()),
    };
    let id = AgentId::new(model.trim()).map_err(|error| error.to_string())?;
    if id.as_str() == POLICY_AGENT {
        return Err(format!("{entry:?}: a model of that name needs a configuration file"));
    }
    Ok(AgentCard {
        provider: provider_of(id.as_str(), named).to_owned(),
        model: id.as_str().to_owned(),
        id,
        strengths: String::new(),
        price: price.map_err(|error| format!("{entry:?}: {error}"))?,
        context_tokens: CONTEXT_TOKENS,
        output_tokens: OUTPUT_TOKENS,
        concurrency: CONCURRENCY,
        images: false,
        abilities: Abilities::default(),
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
                let agents: Vec<_> = settings.pool.agents().iter().map(|a| a.id.as_str()).collect();
                let servers: Vec<_> = settings.pool.agents().iter().map(|a| &*a.provider).collect();
                let PolicySettings::Model(planner) = &settings.policy else { panic!("no model") };
                let providers = settings.providers.values().map(|provider| {
                    format!("{} key:{} ", provider.base_url, provider.key.is_some())
                });
                let providers: String = providers.collect();
                format!("{providers}{agents:?} at {servers:?} planned by {}", planner.model)
            }
        };
        assert_eq!(seen, expected, "{variables:?}");
    }

    #[test]
    fn a_key_is_enough() {
        check(&[], "nothing");
        check(&[(OPENAI.key, " "), (MODELS, "a=0/0")], "nothing");
        check(
            &[(OPENAI.key, "sk-1")],
            r#"https://api.openai.com/v1 key:true ["gpt-5-mini"] at ["openai"] planned by gpt-5-mini"#,
        );
        check(
            &[
                (OPENAI.base_url, "http://localhost:11434/v1/"),
                (MODELS, "qwen3:8b=0/0, llama3=0/0"),
            ],
            r#"http://localhost:11434/v1 key:false ["qwen3:8b", "llama3"] at ["openai", "openai"] planned by qwen3:8b"#,
        );
        check(
            &[(ANTHROPIC.key, "sk-2")],
            r#"https://api.anthropic.com/v1 key:true ["claude-haiku-4-5"] at ["anthropic"] planned by claude-haiku-4-5"#,
        );
        check(
            &[(ANTHROPIC.key, "sk-2"), (OPENAI.key, "sk-1")],
            r#"https://api.anthropic.com/v1 key:true https://api.openai.com/v1 key:true ["gpt-5-mini", "claude-haiku-4-5"] at ["openai", "anthropic"] planned by gpt-5-mini"#,
        );
        check(
            &[(ANTHROPIC.base_url, "http://localhost:8080"), (MODELS, "tiny=0/0/0")],
            r#"http://localhost:8080 key:false ["tiny"] at ["anthropic"] planned by tiny"#,
        );
    }

    #[test]
    fn everything_wrong_is_said() {
        check(
            &[(OPENAI.base_url, "localhost:11434")],
            "environment: OPENAI_BASE_URL is \"localhost:11434\": expected a URL such as \
             https://api.openai.com/v1\n\
             environment: BATON_MODELS is not set: name the models to use with their dollars \
             per million tokens read and written, such as llama3=0/0,gpt-5-mini=0.25/2.00/0.025",
        );
        check(
            &[(OPENAI.key, "k"), (MODELS, "gpt,a=-1/0,b=x/0,c c=1/1,policy=0/0,,d=0/0,d=0/0")],
            "environment: BATON_MODELS: \"gpt\": expected MODEL=INPUT/OUTPUT, such as gpt-5-mini=0.25/2.00/0.025\n\
             environment: BATON_MODELS: \"a=-1/0\": -1 is not an amount in dollars: expected a finite number from 0 to 1000000\n\
             environment: BATON_MODELS: \"b=x/0\": expected MODEL=INPUT/OUTPUT, such as gpt-5-mini=0.25/2.00/0.025\n\
             environment: BATON_MODELS: \"c c\" is not an agent id: expected 1 to 128 characters out of a-z, A-Z, 0-9, '.', '_', '-'/:@+\n\
             environment: BATON_MODELS: \"policy=0/0\": a model of that name needs a configuration file\n\
             environment: BATON_MODELS: \"\": expected MODEL=INPUT/OUTPUT, such as gpt-5-mini=0.25/2.00/0.025\n\
             environment: BATON_MODELS: agent d is in the pool twice: expected every id once",
        );
    }
}
