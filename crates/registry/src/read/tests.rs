//! Text in, complaints out.

use super::*;
use crate::{Auth, KeySettings, ProviderKind, SecretRef};
use baton_workflow::{Abilities, Limits, TenantId};
use proptest::prelude::{Strategy, prop, proptest};

/// A provider and an agent, for texts that are about something else. 15 lines.
const BASE: &str = r#"[providers.openai]
base_url = "https://api.openai.com/v1"
key_env = "OPENAI_API_KEY"

[[agents]]
id = "gpt"
provider = "openai"
model = "gpt-5-mini"
price = { input = 0.25, output = 2.0 }
context_tokens = 128000
output_tokens = 16384

# What follows is what the test is about.

"#;

fn env(name: &str) -> Option<String> {
    match name {
        "OPENAI_API_KEY" => Some("sk-1".into()),
        "BATON_KEY_ACME" => Some("acme-key".into()),
        "EMPTY" => Some("  ".into()),
        _ => None,
    }
}

fn read_text(text: &str) -> Result<Settings, SettingsFaults> {
    read_settings(text, Path::new("baton.toml"), &env)
}

fn complaints(text: &str) -> String {
    read_text(text).map_or_else(|faults| faults.to_string(), |_| "fine".to_owned())
}

/// The whole text, and what is said about it.
fn check_whole(text: &str, expected: &str) {
    assert_eq!(complaints(text), expected, "about\n{text}");
}

/// What is said about this after [`BASE`]; its first line is line 16.
fn check(text: &str, expected: &str) {
    check_whole(&format!("{BASE}{text}"), expected);
}

#[test]
fn the_least_configuration_has_documented_defaults() {
    let settings = read_text(BASE).unwrap();
    assert_eq!(settings.policy, PolicySettings::Strategy(StrategySettings::direct()));
    assert_eq!(settings.fallback, StrategySettings::direct());
    assert_eq!(settings.judge, None);
    assert_eq!(settings.limits, Limits::default());
    assert_eq!(settings.budget, crate::BUDGET_DEFAULT);
    assert_eq!(settings.auth, Auth::Open(TenantId::new("default").unwrap()));
    let [agent] = settings.pool.agents() else { panic!("one agent") };
    assert_eq!((agent.concurrency, agent.images, agent.tags.len()), (8, false, 0));
    let provider = &settings.providers["openai"];
    assert!(provider.stream);
    assert_eq!(provider.timeouts, crate::TimeoutSettings::default());
    assert_eq!(provider.key, Some(SecretRef::Env("OPENAI_API_KEY".into())));
}

#[test]
fn all_faults_are_said_at_once() {
    check_whole(
        r#"surprise = 1
[providers.local]
base_url = "localhost:8000"
stream = "yes"
timeouts = { connect = 5 }
[[agents]]
id = "a b"
provider = "locl"
model = ""
price = { input = -1, output = 1e9, cached = 1 }
context_tokens = 4096.5
output_tokens = 0
[[agents]]
id = "b"
"#,
        "\
baton.toml:1: unknown key \"surprise\": expected one of server, providers, agents, policy, limits, budget, retention, tenants, judging, keys, sandbox
baton.toml:3: providers.local.base_url is \"localhost:8000\": expected a URL such as https://api.openai.com/v1
baton.toml:4: providers.local.stream is \"yes\": expected true or false
baton.toml:5: unknown key \"connect\" in providers.local.timeouts: did you mean connect_ms?
baton.toml:7: agents[0].id: \"a b\" is not an agent id: expected 1 to 128 characters out of a-z, A-Z, 0-9, '.', '_', '-'/:@+
baton.toml:8: agents[0].provider is \"locl\", which is not configured: did you mean local?
baton.toml:9: agents[0].model is \"\": expected a text that is not empty
baton.toml:10: unknown key \"cached\" in agents[0].price: did you mean cached_input?
baton.toml:10: agents[0].price.input is -1: expected dollars per million tokens, from 0 to 1000000
baton.toml:10: agents[0].price.output is 1e9: expected dollars per million tokens, from 0 to 1000000
baton.toml:11: agents[0].context_tokens is 4096.5: expected a whole number from 1 to 100000000
baton.toml:12: agents[0].output_tokens is 0: expected a whole number from 1 to 100000000
baton.toml:13: agents.b.provider is missing: add it
baton.toml:13: agents.b.model is missing: add it
baton.toml:13: agents.b.price is missing: add it
baton.toml:13: agents.b.context_tokens is missing: add it
baton.toml:13: agents.b.output_tokens is missing: add it",
    );
}

#[test]
fn a_sandbox_has_a_level() {
    let check = |line: &str, expected: &str| {
        let said = complaints(&format!("{BASE}[sandbox]\n{line}"));
        assert!(said.contains(expected), "{line}: {said}");
    };
    check("at_least = \"none\"", "sandbox.at_least is \"none\": expected lsm or ns; there is no");
    let weaker = "sandbox.at_most is \"lsm\": expected at_least, which is ns, or above";
    check("at_least = \"ns\"\nat_most = \"lsm\"", weaker);
    check("python = \"python3\"", "sandbox.python is \"python3\": expected an absolute path");
    check("uid = 0", "sandbox.uid is 0: expected a whole number from 1");
    check("slots = 0", "sandbox.slots is 0: expected a whole number from 1 to 1024");
    check("at_least = \"ns\"\nfolder = \"/tmp\"", "fine");
}

#[test]
fn what_is_not_toml_is_said_and_nothing_else() {
    check(
        "a = \n[b\n",
        "baton.toml:15: not TOML: string values must be quoted, expected literal string\n\
         baton.toml:16: not TOML: unclosed table, expected `]`",
    );
    check("[limits]\nsteps_max = 3\nsteps_max = 4\n", "baton.toml:17: not TOML: duplicate key");
}

#[test]
fn there_must_be_agents() {
    let none = "there is no agent: add one with [[agents]], and [providers.NAME] for it";
    check_whole("", &format!("baton.toml:1: {none}"));
    check_whole("agents = []", "baton.toml:1: agents is a list: expected at least one table");
    check_whole("agents = 3", "baton.toml:1: agents is 3: expected a list of tables");
}

#[test]
fn an_agent_must_be_possible() {
    check(
        r#"[[agents]]
id = "gpt"
provider = "openai"
model = "m"
price = { input = 0, output = 0 }
context_tokens = 10
output_tokens = 20
tags = [1, ""]
images = 1
concurrency = 0
[[agents]]
id = "policy"
provider = "openai"
model = 3
price = 7
context_tokens = []
output_tokens = {}
"#,
        "\
baton.toml:16: agent gpt is on line 6 already: give each agent its own id
baton.toml:21: agents.gpt.output_tokens is 20: expected at most its context_tokens, 10
baton.toml:22: agents.gpt.tags has the entry 1: expected a text that is not empty
baton.toml:22: agents.gpt.tags has the entry \"\": expected a text that is not empty
baton.toml:23: agents.gpt.images is 1: expected true or false
baton.toml:24: agents.gpt.concurrency is 0: expected a whole number from 1 to 10000
baton.toml:26: agent id \"policy\" means the model that plans: choose another id
baton.toml:28: agents.policy.model is 3: expected a text that is not empty
baton.toml:29: agents.policy.price is 7: expected a table
baton.toml:30: agents.policy.context_tokens is a list: expected a whole number from 1 to 100000000
baton.toml:31: agents.policy.output_tokens is a table: expected a whole number from 1 to 100000000",
    );
}

#[test]
fn a_strategy_must_be_known_and_fit() {
    check(
        "[policy]\nstrategy = \"chaos\"\n",
        "baton.toml:16: policy.strategy: there is no strategy \"chaos\": expected one of direct, \
         self_consistency, mixture_of_agents, plan_execute_verify, reflect",
    );
    check(
        "[policy]\nstrategy = \"plan_execute_verify\"\nparameters = { planer = \"gpt\" }\n",
        "baton.toml:17: policy.parameters: plan_execute_verify has no parameter \"planer\": \
         expected one of planner, executor, verifier",
    );
    check(
        "[policy]\nfallback = \"direct\"\nfallback_parameters = { agent = \"nobody\" }\njudge = \"gtp\"\n",
        "baton.toml:17: policy.fallback_parameters: agent of direct is nobody, which is not in \
         the pool or was denied: expected one of gpt\n\
         baton.toml:18: policy.judge is \"gtp\": expected an agent's id, gpt perhaps",
    );
    check(
        "[policy]\nstrategy = \"self_consistency\"\nparameters = { samples = 9 }\n[limits]\nsteps_max = 4\n",
        "baton.toml:17: policy.parameters: self_consistency with 9 samples needs 9 steps, but \
         steps_max is 4: ask for at most 4 samples, or raise steps_max to 9",
    );
    check(
        "[policy]\nparameters = { rounds = inf }\n",
        "baton.toml:16: policy.parameters is given without policy.strategy: add it",
    );
    check(
        "[policy]\nstrategy = \"reflect\"\nparameters = { rounds = inf }\n",
        "baton.toml:17: policy.parameters has a number that is not finite or not within 64 bits: \
         expected one that is",
    );
}

#[test]
fn a_policy_is_a_model_or_a_strategy() {
    check(
        "[policy]\nstrategy = \"direct\"\nmodel = \"m\"\n",
        "baton.toml:17: policy.strategy and policy.model are both given: a strategy plans \
         without a model, remove one",
    );
    check(
        "[policy]\nmodel = \"m\"\n",
        "baton.toml:15: policy.provider is missing: add it\n\
         baton.toml:15: policy.price is missing: add it\n\
         baton.toml:15: policy.context_tokens is missing: add it\n\
         baton.toml:15: policy.output_tokens is missing: add it",
    );
}

#[test]
fn bounds_must_bound() {
    check(
        "[limits]\nsteps_max = 0\nrepairs_max = -1\nfailovers_max = 99999999999999999999\n",
        "\
baton.toml:16: limits.steps_max is 0: expected a whole number from 1 to 64
baton.toml:17: limits.repairs_max is -1: expected a whole number from 0 to 16
baton.toml:18: limits.failovers_max is 99999999999999999999: expected a whole number from 0 to 16",
    );
    check(
        "[budget]\nusd = 0\ntokens = 0\ncalls = 9999999999\nseconds = 1.5\ndepth = 9\n",
        "\
baton.toml:16: budget.usd is 0: expected more than 0, at most 1000000
baton.toml:17: budget.tokens is 0: expected 1 or more, at most 1000000000
baton.toml:18: budget.calls is 9999999999: expected 1 or more, at most 10000
baton.toml:19: budget.seconds is 1.5: expected a whole number
baton.toml:20: budget.depth is 9: expected 0 or more, at most 8",
    );
    check(
        "[budget]\nusd = -3\n",
        "baton.toml:16: budget.usd: -3 is not an amount in dollars: expected a finite number \
         from 0 to 1000000",
    );
}

#[test]
fn keys_must_be_there_and_are_never_shown() {
    check(
        r#"[[keys]]
env = "BATON_KEY_NOBODY"
tenant = "a b"
[[keys]]
tenant = "acme"
[[keys]]
env = "sk-secret"
tenant = "acme"
[[keys]]
env = "EMPTY"
file = "nowhere"
tenant = "acme"
[[keys]]
env = "BATON_KEY_ACME"
tenant = "acme"
[[keys]]
env = "BATON_KEY_ACME"
tenant = "other"
[providers.rogue]
base_url = "https://me:sk-secret@host/v1"
key_file = "nowhere"
"#,
        "\
baton.toml:16: keys[0].env: the environment variable BATON_KEY_NOBODY is not set: set it to the key
baton.toml:17: keys[0].tenant: \"a b\" is not a tenant id: expected 1 to 128 characters out of a-z, A-Z, 0-9, '.', '_', '-'
baton.toml:18: keys[1] names no key: add env or file
baton.toml:21: keys[2].env is not the name of an environment variable: expected letters, digits and '_', and never the key itself
baton.toml:24: keys[3].env: the environment variable EMPTY is not set: set it to the key
baton.toml:25: keys[3].env and keys[3].file are both given: remove one
baton.toml:30: keys[5] names a key that is named before: remove one
baton.toml:34: providers.rogue.base_url holds '@': leave user name and password out, name a key instead
baton.toml:35: providers.rogue.key_file: nowhere cannot be read (No such file or directory (os error 2)): expected a file with a key",
    );
    // An empty list must not open the door.
    check_whole(
        &format!("keys = []\n{BASE}"),
        "baton.toml:1: keys is a list: expected at least one table",
    );
}

#[test]
fn key_files_are_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("acme.key"), "acme-key\n").unwrap();
    let text = format!("{BASE}[[keys]]\nfile = \"acme.key\"\ntenant = \"acme\"\n");
    let settings = read_settings(&text, &folder.path().join("baton.toml"), &env).unwrap();
    let key = SecretRef::File(folder.path().join("acme.key"));
    let tenant = TenantId::new("acme").unwrap();
    assert_eq!(settings.auth, Auth::Keys(vec![KeySettings { key, tenant, operator: false }]));

    std::fs::write(folder.path().join("acme.key"), "\n").unwrap();
    let faults = read_settings(&text, &folder.path().join("baton.toml"), &env).unwrap_err();
    assert!(faults.to_string().ends_with("acme.key is empty: expected a key"), "{faults}");
}

#[test]
fn a_configuration_without_agents_can_stand_on_a_base() {
    let base = read_text(BASE).unwrap();
    let over = |text| read_settings_over(&base, text, Path::new("baton.toml"), &env);

    let settings = over("[limits]\nsteps_max = 3\n[policy]\njudge = \"gpt\"\n").unwrap();
    assert_eq!((&settings.pool, &settings.providers), (&base.pool, &base.providers));
    assert_eq!(settings.limits.steps_max, 3);
    assert_eq!(settings.judge.unwrap().as_str(), "gpt");

    let faults = over("[policy]\njudge = \"x\"\n").unwrap_err();
    let expected = "baton.toml:2: policy.judge is \"x\": expected the id of an agent";
    assert_eq!(faults.to_string(), expected);

    // Half a replacement is none: whose provider would the agent use?
    assert!(over("[providers]\n").is_err());
}

/// Pieces that TOML is made of, so that random texts get past the parser.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "[providers.a]",
        "[[agents]]",
        "[policy]",
        "[limits]",
        "[budget]",
        "[[keys]]",
        "keys",
        "agents",
        "providers",
        "policy",
        "id",
        "provider",
        "model",
        "price",
        "strategy",
        "judge",
        "parameters",
        "fallback",
        "env",
        "file",
        "tenant",
        "usd",
        "tokens",
        "steps_max",
        "=",
        "=",
        "=",
        "\"a\"",
        "\"direct\"",
        "\"\"",
        "3",
        "-1",
        "0xff",
        "1e400",
        "nan",
        "true",
        "{",
        "}",
        "[",
        "]",
        ",",
        ".",
        "\n",
        "\n",
        "\n",
        "\r\n",
        "1979-05-27",
        "'",
        "\"\"\"",
        "#",
        "\u{feff}",
        "ü",
        "\0",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.join(" "))
}

fn every_complaint_has_a_line(text: &str) {
    let Err(faults) = read_text(text) else { return };
    assert!(!faults.complaints().is_empty());
    for complaint in faults.complaints() {
        let line = complaint.line.unwrap();
        assert!((1..=text.lines().count().max(1)).contains(&line), "{complaint:?} in {text:?}");
        assert!(!complaint.reason.contains('\n'), "{complaint:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_settings_or_complaints_with_lines(text in "(?s).{0,200}") {
        every_complaint_has_a_line(&text);
    }

    #[test]
    fn any_near_miss_is_settings_or_complaints_with_lines(text in pieces()) {
        every_complaint_has_a_line(&text);
        every_complaint_has_a_line(&format!("{BASE}{text}"));
    }

    #[test]
    fn any_damage_is_settings_or_complaints_with_lines(at in 0..BASE.len(), cut in 0..20_usize, put in "\\PC{0,3}") {
        let end = (at + cut).min(BASE.len());
        every_complaint_has_a_line(&format!("{}{put}{}", &BASE[..at], &BASE[end..]));
    }
}

#[test]
fn an_account_with_any_key_is_shared() {
    let account = |keys: &str| {
        let text =
            BASE.replacen("[providers.openai]\n", &format!("[providers.openai]\n{keys}\n"), 1);
        read_text(&text).unwrap().providers["openai"].account
    };
    assert_eq!(account(""), crate::AccountSettings::default());
    let all = account("requests_per_minute = 5\ntokens_per_minute = 6\nconcurrency = 7");
    let terms = all.terms;
    assert_eq!((terms.requests_per_minute, terms.tokens_per_minute), (Some(5), Some(6)));
    assert_eq!((terms.concurrency, all.shared), (Some(7), true));
    let slow = account("breaker = { open_ms = 9 }");
    let breaker = slow.terms.breaker.unwrap();
    assert_eq!((breaker.open_ms, breaker.calls_min, slow.shared), (9, 20, true));
    assert_eq!(account("breaker = { enabled = false }").terms.breaker, None);
}

#[test]
fn hedging_and_sharing_are_off_unless_asked_for() {
    let settings = read_text(BASE).unwrap();
    assert_eq!((settings.hedge, settings.single_flight), (None, false));
    let asked = format!("{BASE}[policy]\nhedge = {{ percentile = 90 }}\nsingle_flight = true\n");
    let settings = read_text(&asked).unwrap();
    let usual = baton_workflow::HedgeTerms::default();
    let hedge = baton_workflow::HedgeTerms { percentile: 90, ..usual };
    assert_eq!((settings.hedge, settings.single_flight), (Some(hedge), true));
    check(
        "[policy]\nhedge = { percentile = 100, share = 5 }\n",
        "\
baton.toml:16: unknown key \"share\" in policy.hedge: did you mean share_percent?
baton.toml:16: policy.hedge.percentile is 100: expected a whole number from 50 to 99",
    );
}

#[test]
fn a_provider_may_speak_messages() {
    let read = |provider: &str, key: Option<&str>| {
        let text =
            BASE.replace("[providers.openai]\n", &format!("[providers.openai]\n{provider}\n"));
        let text = match provider.contains("base_url") {
            true => text.replacen("base_url = \"https://api.openai.com/v1\"\n", "", 1),
            false => text.replace(
                "base_url = \"https://api.openai.com/v1\"\nkey_env = \"OPENAI_API_KEY\"\n",
                "",
            ),
        };
        let key = key.map(str::to_owned);
        let env =
            move |name: &str| if name == "ANTHROPIC_API_KEY" { key.clone() } else { env(name) };
        read_settings(&text, Path::new("baton.toml"), &env).map(|settings| {
            let provider = settings.providers["openai"].clone();
            (provider.kind, provider.base_url, provider.key)
        })
    };
    let kind = ProviderKind::Anthropic;
    let own = Some(SecretRef::Env("ANTHROPIC_API_KEY".into()));
    assert_eq!(
        read("kind = \"anthropic\"", Some("sk")).unwrap(),
        (kind, "https://api.anthropic.com/v1".into(), own)
    );
    assert_eq!(
        read("kind = \"anthropic\"", None).unwrap_err().to_string(),
        "baton.toml:2: providers.openai.key_env is missing, and ANTHROPIC_API_KEY is not set: set it, or name where the key is"
    );
    let elsewhere =
        read("kind = \"anthropic\"\nbase_url = \"http://127.0.0.1:8080\"", None).unwrap();
    assert_eq!(elsewhere.1, "http://127.0.0.1:8080");
    assert!(
        read("kind = \"gemini\"", None)
            .unwrap_err()
            .to_string()
            .contains("openai (what most servers speak) or anthropic")
    );
}

#[test]
fn prices_of_caches_and_what_an_agent_cannot_do_are_optional() {
    let settings = read_text(BASE).unwrap();
    let [agent] = settings.pool.agents() else { panic!("one agent") };
    assert_eq!((agent.price.cached_input, agent.abilities), (None, Abilities::default()));
    let text =
        BASE.replace("output = 2.0 }", "output = 2.0, cached_input = 0.025, cache_write = 0.3 }");
    let settings = read_text(&format!("{text}\n")).unwrap();
    assert_eq!(settings.pool.agents()[0].price.cached_input, Some(25_000));
    assert_eq!(settings.pool.agents()[0].price.cache_write, Some(300_000));
    let settings =
        read_text(&BASE.replace("model = ", "tools = false\nstructured_output = false\nmodel = "))
            .unwrap();
    assert_eq!(settings.pool.agents()[0].abilities, Abilities::NONE);
}
