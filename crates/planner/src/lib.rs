//! Turns requests into plans in words, and words back into workflows.
//!
//! Pure: no IO, no clock, no async, no randomness. Whatever a model replies is either
//! a [`Workflow`](baton_workflow::Workflow), the statement that the answer stands, or
//! the full list of what is wrong with it; a plan is never changed to make it fit.

mod complaint;
mod estimate;
mod prompt;
mod read;
mod schema;
mod strategy;
#[cfg(test)]
mod testing;
mod write;

pub use complaint::{Complaint, PlanPart};
pub use estimate::{Estimate, StepEstimate, estimate};
pub use prompt::{Earlier, EarlierOutput, Form, Prompt, RenderOptions, render, repair};
pub use read::{Plan, REPLY_BYTES_MAX, read};
pub use schema::schema;
pub use strategy::Strategy;
pub use write::{NotInPool, WriteError, write_json, write_lists};
