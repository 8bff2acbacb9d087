//! One metered call to a model: admitted, reserved, retried, settled.
//!
//! Whoever asks a model on behalf of a run (a step, a plan, a judgement) asks here, so
//! that no call is made that the run's budget does not hold or the provider's account has
//! no room for, and none is forgotten on its bill.

mod bound;
mod caller;
mod chat_span;
mod figures;
mod flights;
mod gate;
mod latency;
mod line;
mod metrics;
mod purse;
mod race;
mod reply;
mod tries;

pub use caller::{Call, CallFailure, CallLimits, Called, Caller, Providers};
pub use figures::AgentFigures;
pub use flights::Flights;
pub use gate::AccountLimits;
pub use metrics::METRICS;
pub use purse::Purse;
pub use reply::{Delta, Reply};
