//! Everything an operator decides, as values that were checked.

use baton_workflow::{
    AccountTerms, AgentCard, AgentId, BreakerTerms, Budget, HedgeTerms, Limits, Pool, PoolError,
    TenantId, Usd,
};
use serde::Serialize;
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

/// Everything an operator decides. Serialised, it has the names of the configuration file;
/// [`Settings::document`] gives it the file's shape.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// Where the process listens and keeps its data: what only a restart can change.
    pub server: ServerSettings,
    /// Where models are served, by name.
    pub providers: BTreeMap<String, ProviderSettings>,
    /// The agents that steps can be given to.
    #[serde(rename = "agents", serialize_with = "crate::document::agents")]
    pub pool: Pool,
    /// Who plans.
    pub policy: PolicySettings,
    /// The strategy that stands in for a policy that fails.
    pub fallback: StrategySettings,
    /// The agent that judges answers where a request asks for a judge and names none.
    pub judge: Option<AgentId>,
    /// When a slow call gets a second one beside it, if it does.
    pub hedge: Option<HedgeTerms>,
    /// Whether identical calls of a tenant to the policy, under way at the same time in
    /// one process, are made once.
    pub single_flight: bool,
    /// Whether a policy that is a model may name the Conductor itself as an agent, as far
    /// as the budget's depth goes.
    pub recursion: bool,
    /// Whether a policy that is a model may name the verifier as an agent, where there is a
    /// check or a judge.
    pub verifier: bool,
    /// Whether a policy that is a model looks at an answer that nothing decides on.
    pub review: bool,
    /// Bounds on plans.
    pub limits: Limits,
    /// What a run may consume if its request says nothing; also the most it may ask for.
    pub budget: Budget,
    /// How long finished runs are kept.
    pub retention: RetentionSettings,
    /// What tenants are entitled to, where it is not the default.
    pub tenants: BTreeMap<TenantId, TenantSettings>,
    /// What was measured of agents' judgements.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub judging: BTreeMap<AgentId, JudgingSettings>,
    /// Where programs out of answers are run.
    pub sandbox: SandboxSettings,
    /// Who may call.
    #[serde(rename = "keys", serialize_with = "crate::document::keys")]
    pub auth: Auth,
}

/// What only a restart can change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerSettings {
    /// Address of the HTTP endpoint.
    pub listen: SocketAddr,
    /// Folder of the ledger.
    pub data: PathBuf,
    /// Where the process shows its metrics, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_listen: Option<SocketAddr>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        // Loopback: whoever opens it further has to say so.
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8484)),
            data: PathBuf::from("baton-data"),
            metrics_listen: None,
        }
    }
}

/// What a tenant is entitled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TenantSettings {
    /// Share of the cluster in relation to other tenants, 1 to 1000.
    pub weight: u32,
    /// Tasks worked on at the same time; above it the tenant waits.
    pub leased_max: u32,
    /// Runs that have not ended; above it requests are refused.
    pub runs_max: u64,
    /// What a right answer is worth to it, where its requests do not say.
    #[serde(rename = "worth_usd", skip_serializing_if = "Option::is_none")]
    pub worth: Option<Usd>,
}

impl Default for TenantSettings {
    fn default() -> Self {
        // What the ledger gives to tenants of whom it was told nothing.
        Self { weight: 100, leased_max: 1024, runs_max: 100_000, worth: None }
    }
}

/// How long finished runs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RetentionSettings {
    /// Days after its end; none: for ever.
    #[serde(serialize_with = "crate::document::or_zero")]
    pub days: Option<u32>,
    /// Finished runs of one tenant, above which its oldest go; none: any number.
    #[serde(serialize_with = "crate::document::or_zero")]
    pub runs_max: Option<u64>,
    /// Hours after its end for which a run that has an idempotency key is kept anyway.
    pub keys_hours: u32,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self { days: Some(30), runs_max: None, keys_hours: 24 }
    }
}

/// How far a program is kept from the machine. The order is the order of strength; below
/// the first, programs are not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IsolationLevel {
    /// The kernel's own access control, which needs no privilege.
    Lsm,
    /// The same in namespaces of its own.
    Ns,
}

impl IsolationLevel {
    /// Every level there is.
    pub const ALL: [Self; 2] = [Self::Lsm, Self::Ns];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lsm => "lsm",
            Self::Ns => "ns",
        }
    }
}

/// Where programs out of answers are run: what only a restart can change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SandboxSettings {
    /// Below this no program is run.
    pub at_least: IsolationLevel,
    /// Above this is not tried.
    pub at_most: IsolationLevel,
    /// The interpreter; none: the system's.
    pub python: Option<PathBuf>,
    /// Folders of Python modules that programs may read besides.
    pub libraries: Vec<PathBuf>,
    /// Where level `lsm` keeps private folders; none: the temporary folder.
    pub folder: Option<PathBuf>,
    /// Whom programs run as where the service is root.
    pub uid: u32,
    /// Whether each program is put into a control group too.
    pub control_groups: bool,
    /// Programs at the same time; none: as many as there are processors.
    pub slots: Option<u32>,
}

/// The uid `nobody`.
const NOBODY: u32 = 65_534;

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            at_least: IsolationLevel::Lsm,
            at_most: IsolationLevel::Ns,
            python: None,
            libraries: Vec::new(),
            folder: None,
            uid: NOBODY,
            control_groups: false,
            slots: None,
        }
    }
}

/// What was measured of an agent's judgements, on answers of which it was known whether they
/// are right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct JudgingSettings {
    /// Answers that it passed.
    pub passed: u32,
    /// How many of those were right.
    pub passed_right: u32,
    /// Answers that it failed.
    pub failed: u32,
    /// How many of those were right.
    pub failed_right: u32,
    /// A pass counts where the answer is right with at least this probability.
    pub accept: f64,
    /// A fail counts where the answer is right with at most this probability.
    pub reject: f64,
}

impl JudgingSettings {
    /// How probable it is that an answer is right which it passes, or fails: by Laplace's rule
    /// of succession, (right + 1) / (all + 2).
    pub fn probability(&self, passes: bool) -> f64 {
        let (right, all) = match passes {
            true => (self.passed_right, self.passed),
            false => (self.failed_right, self.failed),
        };
        (f64::from(right) + 1.0) / (f64::from(all) + 2.0)
    }

    /// Whether its word decides.
    pub fn decides(&self, passes: bool) -> bool {
        let probability = self.probability(passes);
        if passes { probability >= self.accept } else { probability <= self.reject }
    }
}

/// Who plans.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum PolicySettings {
    /// A language model. Its card is not part of the pool.
    Model(AgentCard),
    /// A named strategy.
    Strategy(StrategySettings),
}

/// A named strategy with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StrategySettings {
    /// One of the planner's names.
    #[serde(rename = "strategy")]
    pub name: String,
    /// A JSON object.
    pub parameters: Value,
}

/// What a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// OpenAI's Chat Completions, as most servers do.
    #[default]
    OpenAi,
    /// Anthropic's Messages.
    Anthropic,
}

/// One account at one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProviderSettings {
    /// What it speaks.
    pub kind: ProviderKind,
    /// Up to and including the version, such as `https://api.openai.com/v1`.
    pub base_url: String,
    /// Where the key is, if it takes one.
    #[serde(flatten, serialize_with = "crate::document::provider_key")]
    pub key: Option<SecretRef>,
    /// How long to wait for what.
    pub timeouts: TimeoutSettings,
    /// Whether to ask for streams.
    pub stream: bool,
    /// What its account allows.
    #[serde(flatten, serialize_with = "crate::document::account")]
    pub account: AccountSettings,
}

/// What one account allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountSettings {
    /// The quotas, and when it is left alone.
    pub terms: AccountTerms,
    /// Whether all processes share it, by way of the ledger: where anything of it is
    /// configured. Else each process looks after it by itself, which costs nothing.
    pub shared: bool,
}

impl Default for AccountSettings {
    fn default() -> Self {
        let breaker = Some(BreakerTerms::default());
        Self { terms: AccountTerms { breaker, ..AccountTerms::default() }, shared: false }
    }
}

/// Where a secret is: never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretRef {
    /// In this environment variable.
    Env(String),
    /// In this file, white space around it ignored.
    File(PathBuf),
}

/// How long to wait, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TimeoutSettings {
    /// For a connection.
    pub connect_ms: u64,
    /// For the first token.
    pub first_token_ms: u64,
    /// For another token.
    pub between_tokens_ms: u64,
    /// For the whole call.
    pub total_ms: u64,
}

impl Default for TimeoutSettings {
    fn default() -> Self {
        // Reasoning models think for minutes before their first token.
        Self {
            connect_ms: 5_000,
            first_token_ms: 120_000,
            between_tokens_ms: 60_000,
            total_ms: 600_000,
        }
    }
}

/// Who may call the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Anybody who reaches it, as one tenant: for loopback only.
    Open(TenantId),
    /// Whoever shows one of these keys.
    Keys(Vec<KeySettings>),
}

/// A key and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeySettings {
    /// Where it is.
    #[serde(flatten)]
    pub key: SecretRef,
    /// Whose it is.
    pub tenant: TenantId,
    /// Whether it opens what concerns all tenants, such as the configuration in force.
    pub operator: bool,
}

/// What a run may consume where the configuration says nothing: enough for a handful of
/// plans with good models, little enough to be no regret.
pub const BUDGET_DEFAULT: Budget = Budget {
    usd: Usd::from_pico(1_000_000_000_000),
    tokens: 200_000,
    calls: 32,
    seconds: 600,
    depth: 1,
};

/// The tenant of everybody where no keys are configured.
const TENANT_DEFAULT: &str = "default";

/// Characters of a pool's version.
const VERSION_CHARS: usize = 12;

impl StrategySettings {
    /// One agent answers: what is done where nothing is configured.
    pub fn direct() -> Self {
        let parameters = Value::Object(Map::new());
        Self { name: "direct".to_owned(), parameters }
    }
}

/// Settings out of their essentials, the rest at its defaults: `direct` stands in for the
/// policy, nobody judges, everybody may call. Fails if the cards do not make a pool.
pub fn settings_for(
    cards: Vec<AgentCard>,
    providers: BTreeMap<String, ProviderSettings>,
    policy: PolicySettings,
) -> Result<Settings, PoolError> {
    Ok(Settings {
        server: ServerSettings::default(),
        providers,
        pool: Pool::new(pool_version(&cards), cards)?,
        policy,
        fallback: StrategySettings::direct(),
        judge: None,
        hedge: None,
        single_flight: false,
        recursion: true,
        verifier: true,
        review: false,
        limits: Limits::default(),
        budget: BUDGET_DEFAULT,
        retention: RetentionSettings::default(),
        tenants: BTreeMap::new(),
        judging: BTreeMap::new(),
        sandbox: SandboxSettings::default(),
        auth: open_auth(),
    })
}

/// Everybody, as the default tenant.
pub(crate) fn open_auth() -> Auth {
    // The default is a constant, so the list of keys is for the type system only: it
    // lets nobody in.
    TenantId::new(TENANT_DEFAULT).map_or_else(|_| Auth::Keys(Vec::new()), Auth::Open)
}

/// The name of this state of a pool: the first 12 hexadecimal digits of the BLAKE3 of its
/// cards as JSON with sorted keys. The order of the cards counts, because plans are shown
/// agents in that order.
pub(crate) fn pool_version(cards: &[AgentCard]) -> String {
    // A card is plain data, which always has a JSON form.
    let cards = serde_json::to_value(cards).unwrap_or_default();
    let hash = blake3::hash(sorted(&cards).to_string().as_bytes());
    hash.to_hex().chars().take(VERSION_CHARS).collect()
}

/// The same with sorted keys, whatever order the fields of a type stand in and however
/// the JSON library was built.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().collect();
            fields.into_iter().map(|(name, field)| (name.clone(), sorted(field))).collect()
        }
        Value::Array(entries) => entries.iter().map(sorted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_workflow::Price;

    fn card(id: &str) -> AgentCard {
        AgentCard {
            id: AgentId::new(id).unwrap(),
            provider: "p".into(),
            model: "m".into(),
            strengths: String::new(),
            price: Price::default(),
            context_tokens: 8,
            output_tokens: 8,
            concurrency: 1,
            images: false,
            abilities: Default::default(),
            tags: ["b".to_owned(), "a".to_owned()].into(),
        }
    }

    #[test]
    fn a_pools_version_names_its_cards_and_their_order() {
        let version = pool_version(&[card("a"), card("b")]);
        // Fixed: plans in a ledger name it, so it must not change with the code.
        assert_eq!(version, "5db1a429180f");
        assert_eq!(version, pool_version(&[card("a"), card("b")]));
        assert_ne!(version, pool_version(&[card("b"), card("a")]));
        assert_ne!(version, pool_version(&[card("a")]));
    }

    #[test]
    fn settings_without_a_file_let_everybody_in_and_stay_within_the_default_budget() {
        let policy = PolicySettings::Strategy(StrategySettings::direct());
        let settings = settings_for(vec![card("a")], BTreeMap::new(), policy).unwrap();
        assert_eq!(settings.auth, Auth::Open(TenantId::new("default").unwrap()));
        assert!(settings.budget.check().is_ok());
        assert_eq!(settings.budget.usd.dollars(), 1.0);
        assert_eq!(settings.pool.version(), pool_version(&[card("a")]));
    }
}
