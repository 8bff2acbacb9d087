//! The nouns of a run.
//!
//! Pure: no IO, no clock, no async, no randomness. Every other crate speaks in
//! these types, so each of them is valid by construction: what exists was checked.

mod access;
mod account;
mod agent;
mod budget;
mod conversation;
mod hedge;
mod id;
mod incident;
mod limits;
mod money;
mod plan;
mod time;
mod tools;
mod verdict;

pub use access::Access;
pub use account::{
    AccountTerms, BREAKER_MS_MAX, BreakerTerms, CALLS_AT_A_TIME_MAX, REQUESTS_PER_MINUTE_MAX,
    TOKENS_PER_MINUTE_MAX,
};
pub use agent::{AgentCard, Pool, PoolError};
pub use budget::{Budget, BudgetError, Resource, Spend};
pub use conversation::{Content, Conversation, ImageUrl, Message, Part, Role, in_words};
pub use hedge::HedgeTerms;
pub use id::{AgentId, BodyRef, IdError, RunId, StepId, TaskId, TenantId};
pub use incident::Incident;
pub use limits::Limits;
pub use money::{Price, TokensIn, Usd, UsdError};
pub use plan::{Selection, Step, Violation, Words, Workflow};
pub use time::Timestamp;
pub use tools::{Abilities, AnswerForm, Tool, ToolCall, ToolChoice, Tools};
pub use verdict::{Verdict, VerdictKind};
