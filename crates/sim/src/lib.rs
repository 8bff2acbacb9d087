//! The SIMULATED pool of models, behind an OpenAI-compatible server.

mod draw;
mod expr;
mod family;
pub mod tasks;

pub use family::{Family, FamilyError, Output};
pub use tasks::{Check, Difficulty, DifficultyError, Example, Task};
