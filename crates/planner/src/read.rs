//! Reads a Conductor's reply: three lists, or the same plan as JSON.

mod cursor;
mod judge;
mod label;
mod literal;
mod quote;
mod scan;
#[cfg(test)]
mod tests;

use crate::{Complaint, Earlier, PlanPart};
use baton_workflow::{Limits, Pool, Workflow};
use cursor::Cursor;

/// Longest reply that is read, in bytes: several times what a model writes at most.
pub const REPLY_BYTES_MAX: usize = 1024 * 1024;

/// What a Conductor wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Three empty lists: the earlier answer stands. Means something only where there
    /// is an earlier answer; elsewhere see [`Plan::into_workflow`].
    Stands,
    /// A workflow to run.
    Workflow(Workflow),
}

impl Plan {
    /// The workflow, where there is no earlier answer that could stand.
    pub fn into_workflow(self, limits: &Limits) -> Result<Workflow, Vec<Complaint>> {
        match self {
            Self::Workflow(workflow) => Ok(workflow),
            Self::Stands => Err(vec![Complaint {
                part: PlanPart::Plan,
                entry: None,
                found: "no step".into(),
                expected: format!(
                    "1 to {} steps: there is no earlier answer that could stand",
                    limits.steps_max
                ),
            }]),
        }
    }
}

/// Reads the last complete plan of `reply`, or says everything that is wrong with it.
///
/// Agents are named by their ordinal in `pool`, or as a string by id. Nothing is
/// guessed, cut off, wrapped around or left out: what is not understood is a
/// complaint. Lists of one list are unwrapped; positions named twice count once.
/// The work is linear in the length of the reply, whatever it holds.
pub fn read(reply: &str, pool: &Pool, limits: &Limits) -> Result<Plan, Vec<Complaint>> {
    read_counting(reply, pool, limits, None).0
}

/// The same where an earlier round is shown, the last one being `earlier`: a step may then
/// be one of its steps that have an output, kept as it is.
pub fn read_after(
    reply: &str,
    pool: &Pool,
    limits: &Limits,
    earlier: &Earlier<'_>,
) -> Result<Plan, Vec<Complaint>> {
    read_counting(reply, pool, limits, Some(earlier)).0
}

/// Also how many moves over the reply it took.
fn read_counting(
    reply: &str,
    pool: &Pool,
    limits: &Limits,
    earlier: Option<&Earlier<'_>>,
) -> (Result<Plan, Vec<Complaint>>, u64) {
    if reply.len() > REPLY_BYTES_MAX {
        let found = format!("{} bytes", reply.len());
        let expected = format!("at most {REPLY_BYTES_MAX}");
        return (Err(vec![about_reply(found, expected)]), 0);
    }
    let mut cursor = Cursor::new(reply);
    let found = scan::scan(&mut cursor);
    if cursor.is_spent() {
        let found = "too many lists that begin and do not end".to_owned();
        let expected = "the three lists once, each closed".to_owned();
        return (Err(vec![about_reply(found, expected)]), cursor.moves());
    }
    let plan = judge::judge(found, pool, limits, earlier);
    (plan, cursor.moves())
}

fn about_reply(found: String, expected: String) -> Complaint {
    Complaint { part: PlanPart::Reply, entry: None, found, expected }
}
