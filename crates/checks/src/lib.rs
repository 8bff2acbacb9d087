//! Deterministic judgement of answers: the same check and answer give the same report
//! anywhere.
//!
//! Nothing here does IO, reads a clock or draws lots, and no input is slow: every text,
//! number and recursion has a limit. What cannot be told is said to be so, and never
//! counts as right or wrong.

mod asked;
mod choice;
mod class;
mod code;
mod expression;
mod final_answer;
mod math;
mod numeric;
mod report;
mod schema;
mod sealed;
mod spec;
mod text;
mod trust;
mod vote;

pub use asked::{Effort, Judge, PARTS_MAX};
pub use class::Class;
pub use code::{CodeLimits, CodeTest, CodeTests, Comparator, Program, TESTS_MAX};
pub use expression::Uses;
pub use final_answer::shown;
pub use math::Doubt;
pub use report::{Code, Remainder, Report};
pub use schema::Schema;
pub use sealed::{Grade, Grader, Hidden, Public};
pub use spec::{CHECK_BYTES_MAX, Check, SpecError};
pub use trust::probability;
pub use vote::{Group, Tally, majority, weighted};
