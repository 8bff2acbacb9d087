//! A configuration for tests.

use baton_registry::{
    Auth, PolicySettings, RetentionSettings, SandboxSettings, ServerSettings, Settings,
    StrategySettings,
};
use baton_workflow::{AgentCard, AgentId, Budget, Limits, Pool, Price, TenantId, Usd};
use std::collections::{BTreeMap, BTreeSet};

/// Open to everybody, with these agents.
pub(crate) fn settings(agents: &[&str]) -> Settings {
    let card = |id: &&str| AgentCard {
        id: AgentId::new(id).unwrap(),
        provider: "sim".into(),
        model: (*id).into(),
        strengths: String::new(),
        price: Price { input: 1, output: 2, ..Price::default() },
        context_tokens: 8192,
        output_tokens: 1024,
        concurrency: 1,
        images: false,
        abilities: Default::default(),
        tags: BTreeSet::new(),
    };
    let direct =
        StrategySettings { name: "direct".into(), parameters: serde_json::Value::default() };
    Settings {
        server: ServerSettings::default(),
        providers: BTreeMap::new(),
        pool: Pool::new("pool-1", agents.iter().map(card).collect()).unwrap(),
        policy: PolicySettings::Strategy(direct.clone()),
        fallback: direct,
        judge: None,
        hedge: None,
        single_flight: false,
        recursion: true,
        review: false,
        verifier: true,
        limits: Limits::default(),
        budget: Budget {
            usd: Usd::from_dollars(1.0).unwrap(),
            tokens: 100_000,
            calls: 50,
            seconds: 600,
            depth: 1,
        },
        retention: RetentionSettings::default(),
        tenants: BTreeMap::new(),
        judging: BTreeMap::new(),
        sandbox: SandboxSettings::default(),
        auth: Auth::Open(TenantId::new("local").unwrap()),
    }
}
