//! The SIMULATED pool of models, behind an OpenAI-compatible server.
//!
//! **This is a simulation.** Its models are not language models: they find a generated task
//! in their prompt, solve it with an ordinary solver, and are right or plausibly wrong by
//! lots drawn from a seed, at rates that stand in `parameters.toml` and are made up. It is
//! there so that Baton can be tried, tested, loaded and trained against something that
//! costs nothing, repeats exactly, and is spoken to over HTTP exactly as a provider is. A
//! score measured on it says something about Baton and nothing about any model.

mod answering;
mod anthropic;
mod call;
mod calls;
mod conductor;
mod draw;
mod expr;
mod family;
mod faults;
mod occasions;
mod openai;
mod pace;
mod parameters;
mod prefixes;
mod reading;
mod refused;
mod server;
mod sight;
mod simulator;
pub mod tasks;
mod tokens;
mod tooling;
mod wire;
mod wire_tools;
mod words;
mod worker;
mod workflows;

pub use family::{Family, FamilyError, Output};
pub use faults::{Fault, Faults, FaultsError};
pub use parameters::{Parameters, ParametersError};
pub use reading::{Said, Speaker};
pub use server::serve;
pub use simulator::{Ask, AskError, Control, ControlError, SimOptions, Simulator, Stop, Told};
pub use tasks::{Check, Difficulty, DifficultyError, Example, Task};

use baton_workflow::AgentCard;

/// The simulated workers, as agents of the provider `sim`.
pub fn cards() -> Vec<AgentCard> {
    Parameters::built_in().cards()
}

/// Every simulated model: the workers, the Conductor and the echo.
pub fn cards_all() -> Vec<AgentCard> {
    Parameters::built_in().cards_all()
}
