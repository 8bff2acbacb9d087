//! One metered call to a model: reserved, retried, settled.
//!
//! Whoever asks a model on behalf of a run (a step, a plan, a judgement) asks here, so
//! that no call is made that the run's budget does not hold, and none is forgotten on
//! its bill.

mod bound;
mod caller;
mod reply;

pub use caller::{Call, CallFailure, Called, Caller, Providers, Purse};
pub use reply::{Delta, Reply};
