//! The HTTP surface: OpenAI's Chat Completions in front of runs and agents.
//!
//! A request is read once, at the edge (`request`), into what cannot be wrong. A model
//! named `baton…` is a run (`run`): submitted to a Conductor, followed over its journal,
//! answered when it has ended, or while its last step still writes. Any other model is an
//! agent, called directly (`agent`). The gateway keeps nothing that must survive it:
//! whichever gateway is asked, a run is found again by its id or its idempotency key.
//!
//! What a run cannot honour is refused with `unsupported_parameter`. Accepted, and
//! changing nothing: `user`, `safety_identifier`, `prompt_cache_key`,
//! `prompt_cache_retention`, `service_tier`, `verbosity`, `store`,
//! `parallel_tool_calls`, `metadata`, `stream_options.include_obfuscation`.

mod agent;
mod auth;
mod configuration;
mod edge;
mod error;
mod gateway;
mod limits;
mod metrics;
mod models;
mod outgoing;
mod peers;
mod reply;
mod request;
mod run;
mod runs;
#[cfg(test)]
mod sample;
mod serve;
mod span;
mod status;

pub use auth::{KeyError, check_keys};
pub use gateway::Gateway;
pub use metrics::METRICS;
