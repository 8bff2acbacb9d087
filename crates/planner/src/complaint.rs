//! What is wrong with a plan, precisely enough to be sent back for repair.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The part of a reply that a complaint is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanPart {
    /// The reply as a whole.
    Reply,
    /// The plan as a whole.
    Plan,
    /// The list of agents.
    ModelId,
    /// The list of instructions.
    Subtasks,
    /// The list of what each step sees.
    AccessList,
    /// The list of steps in the JSON form.
    Steps,
    /// A step's `agent` in the JSON form.
    StepAgent,
    /// A step's `subtask` in the JSON form.
    StepSubtask,
    /// A step's `access` in the JSON form.
    StepAccess,
    /// A step that is kept, in the JSON form.
    StepKeep,
    /// Where the answer comes from, in the JSON form.
    Selection,
}

impl PlanPart {
    /// The list, and inside an entry of it the key.
    fn names(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Reply => ("the reply", None),
            Self::Plan => ("the plan", None),
            Self::ModelId => ("model_id", None),
            Self::Subtasks => ("subtasks", None),
            Self::AccessList => ("access_list", None),
            Self::Steps => ("steps", None),
            Self::StepAgent => ("steps", Some("agent")),
            Self::StepSubtask => ("steps", Some("subtask")),
            Self::StepAccess => ("steps", Some("access")),
            Self::StepKeep => ("steps", Some("keep")),
            Self::Selection => ("selection", None),
        }
    }
}

impl fmt::Display for PlanPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.names().0)
    }
}

/// One thing that is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    /// Which list.
    pub part: PlanPart,
    /// Which entry of the list, from 0; none where the list itself is wrong.
    pub entry: Option<usize>,
    /// What is there, shortened.
    pub found: String,
    /// What should be there.
    pub expected: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (list, key) = self.part.names();
        f.write_str(list)?;
        if let Some(entry) = self.entry {
            write!(f, ", entry {entry}")?;
        }
        if let Some(key) = key {
            write!(f, ", {key}")?;
        }
        write!(f, ": found {}, expected {}", self.found, self.expected)
    }
}
