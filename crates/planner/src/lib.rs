//! Turns requests into plans in words, and words back into workflows.
//!
//! Pure: no IO, no clock, no async, no randomness. Whatever a model replies is either
//! a [`Workflow`](baton_workflow::Workflow), the statement that the answer stands, or
//! the full list of what is wrong with it; a plan is never changed to make it fit.
//!
//! ```
//! # use baton_workflow::*;
//! # fn pool() -> Pool {
//! #     let card = |id: &str| AgentCard {
//! #         id: AgentId::new(id).unwrap(), provider: "p".into(), model: id.into(),
//! #         strengths: String::new(), price: Price::default(), context_tokens: 8192,
//! #         output_tokens: 1024, concurrency: 1, images: false, abilities: Default::default(), tags: Default::default(),
//! #     };
//! #     Pool::new("v1", vec![card("small"), card("large")]).unwrap()
//! # }
//! let (pool, limits) = (pool(), Limits::default());
//! let reply = "Model IDs: [1, 2]  subtasks: ['Plan it' “Do it”]  access_list = [[], [all]]";
//! let complaints = baton_planner::read(reply, &pool, &limits).unwrap_err();
//! assert_eq!(
//!     complaints[0].to_string(),
//!     "model_id, entry 1: found 2, expected the number of an agent, 0 to 1"
//! );
//! let repaired = reply.replace("2", "0");
//! assert!(matches!(
//!     baton_planner::read(&repaired, &pool, &limits),
//!     Ok(baton_planner::Plan::Workflow(flow)) if flow.steps().len() == 2
//! ));
//! ```

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
pub use read::{Plan, REPLY_BYTES_MAX, read, read_after};
pub use schema::schema;
pub use strategy::Strategy;
pub use write::{NotInPool, WriteError, write_json, write_lists};
