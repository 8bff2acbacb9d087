//! The state machine of a run.
//!
//! Pure: no IO, no clock, no async, no randomness, and no text: prompts and answers
//! are names of bodies. A run is a fold of its journal ([`Run::apply`]); what happens
//! next is a function of that fold and the time ([`Run::decide`]). Recovery after a
//! crash is the same fold.
//!
//! # Transition table
//!
//! | stage | leaves when | for |
//! | --- | --- | --- |
//! | `Planning` | the policy's workflow was read, or a strategy was adopted | `Working` |
//! | | the policy says that the answer stands, or fails in a later round | `Over` |
//! | `Working` | every step is done and the workflow votes | `Voting` |
//! | | every step is done and the run is checked | `Checking` |
//! | | the answer calls tools, and their results can be awaited | `Awaiting` |
//! | | every step is done, nothing checks, and the policy shall look at the answer | `Planning` |
//! | | every step is done and nothing checks, or the answer calls tools | `Over` |
//! | | nothing is done yet of a workflow that only repeats one | `Over` |
//! | | a step failed for good or asks for another plan, and another round is allowed | `Planning` |
//! | | a step failed for good (and no other can answer in its place) | `Over` |
//! | `Voting` | the vote is known or cannot be had, and the run is checked | `Checking` |
//! | | the answer chosen calls tools, and their results can be awaited | `Awaiting` |
//! | | the vote is known or cannot be had, and nothing checks | `Over` |
//! | `Awaiting` | the results of the tools came: the step goes on with them | `Working` |
//! | | they did not come in time, or the budget holds no further call | `Over` |
//! | `Checking` | the check failed, another round is allowed and worth its price | `Planning` |
//! | | the check abstained or cannot be had, and the policy shall look at the answer | `Planning` |
//! | | the check passed, abstained, or cannot be had; or no round is left, or worth it | `Over` |
//! | | the check failed on an answer that says what one that failed says | `Over` |
//! | any but `Over` | cancellation, deadline, a budget that holds no further call | `Over` |
//!
//! Whatever else arrives in whatever stage changes nothing but the bill.
//!
//! A step is carried out by an agent's task, or, where it names the Conductor itself, by a
//! child run, which is a run like any other: it is begun with a part of what is left, and
//! its end is the step's outcome. In a later round a step may be kept from the one before.

mod afford;
mod again;
mod assign;
mod checking;
mod children;
mod closing;
mod decide;
mod end;
mod event;
mod fold;
mod judges;
mod planning;
mod run;
mod shortfall;
mod spec;
mod turns;
pub mod version;
mod working;

pub use assign::{
    Assignment, PlanAssignment, PreviousAnswer, PreviousRound, VerifyAssignment, WorkAssignment,
};
pub use children::ChildAssignment;
pub use decide::Decision;
pub use end::{Answer, End, Reason, Status};
pub use event::{Cause, Event, Input, Outcome, PlanSource, Reported};
pub use run::{Closing, PlanningState, Run, Stage, StepState};
pub use shortfall::{Failure, Instead, Shortfall};
pub use spec::{AgentTerms, Check, Plan, Planning, RunSpec, StepShape};
pub use turns::{AWAIT_MS, Exchange, TURNS_MAX, Turn};
