//! Everything an operator decides, as values that were checked.

use baton_workflow::{AgentCard, AgentId, Budget, Limits, Pool, TenantId};
use std::{collections::BTreeMap, path::PathBuf};

/// The configuration in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where models are served, by name.
    pub providers: BTreeMap<String, ProviderSettings>,
    /// The agents that steps can be given to.
    pub pool: Pool,
    /// Who plans.
    pub policy: PolicySettings,
    /// The strategy that stands in for a policy that fails.
    pub fallback: StrategySettings,
    /// The agent that judges answers where a request asks for a judge and names none.
    pub judge: Option<AgentId>,
    /// Bounds on plans.
    pub limits: Limits,
    /// What a run may consume if its request says nothing; also the most it may ask for.
    pub budget: Budget,
    /// Who may call.
    pub auth: Auth,
}

/// Who plans.
#[derive(Debug, Clone, PartialEq)]
pub enum PolicySettings {
    /// A language model. Its card is not part of the pool.
    Model(AgentCard),
    /// A named strategy.
    Strategy(StrategySettings),
}

/// A named strategy with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct StrategySettings {
    /// One of the planner's names.
    pub name: String,
    /// A JSON object.
    pub parameters: serde_json::Value,
}

/// One account at one OpenAI-compatible endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSettings {
    /// Up to and including the version, such as `https://api.openai.com/v1`.
    pub base_url: String,
    /// Where the key is, if it takes one.
    pub key: Option<SecretRef>,
    /// How long to wait for what.
    pub timeouts: TimeoutSettings,
    /// Whether to ask for streams.
    pub stream: bool,
}

/// Where a secret is: never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// In this environment variable.
    Env(String),
    /// In this file, white space around it ignored.
    File(PathBuf),
}

/// How long to wait, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySettings {
    /// Where it is.
    pub key: SecretRef,
    /// Whose it is.
    pub tenant: TenantId,
}
