//! The one door from Baton to models served over HTTP.
//!
//! It speaks Chat Completions as OpenAI defined them and as vLLM, Ollama, llama.cpp and the
//! routers really answer them, and Messages as Anthropic defined them. It makes one call and reports precisely how that went:
//! retries and failover belong to the caller. No other crate names `reqwest`.

mod api;
mod body;
mod chat;
mod clock;
mod date;
mod failure;
mod messages;
mod options;
mod provider;
mod reader;
mod said;
mod secret;

pub use api::{Api, ApiError, ApiEvent};
pub use date::{Skew, date_at};
pub use options::{
    HttpProviderOptions, MaxTokensField, OptionsError, Protocol, ReplyLimits, Timeouts,
};
pub use provider::HttpProvider;
pub use secret::{Secret, SecretError};
