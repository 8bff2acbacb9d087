//! A workflow in the written forms that [`read`](crate::read) takes.

use baton_workflow::{Access, AgentId, Pool, Selection, Workflow};
use serde_json::{Value, json};

/// A workflow names an agent that the pool at hand does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("agent {0} is not in the pool: expected a workflow that was planned for this pool")]
pub struct NotInPool(pub AgentId);

/// Why a workflow cannot be written as three lists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// An agent has no ordinal here.
    #[error(transparent)]
    NotInPool(#[from] NotInPool),
    /// The three lists have no place for it.
    #[error("three lists cannot say that the majority answers: write the workflow as JSON")]
    Majority,
}

/// The plan as the three lists `model_id`, `subtasks` and `access_list`.
pub fn write_lists(workflow: &Workflow, pool: &Pool) -> Result<String, WriteError> {
    match workflow.selection() {
        Selection::Last => {}
        Selection::Majority => return Err(WriteError::Majority),
    }
    let mut agents = Vec::new();
    for step in workflow.steps() {
        let ordinal = pool.ordinal(&step.agent);
        agents.push(ordinal.ok_or_else(|| NotInPool(step.agent.clone()))?.to_string());
    }
    let subtasks = workflow.steps().iter().map(|step| Value::from(&*step.subtask).to_string());
    let access = workflow.steps().iter().map(|step| write_access(&step.access));
    Ok(format!(
        "model_id = [{}]\nsubtasks = [{}]\naccess_list = [{}]",
        agents.join(", "),
        subtasks.collect::<Vec<_>>().join(", "),
        access.collect::<Vec<_>>().join(", "),
    ))
}

/// The plan as a JSON object that names agents by id; see [`schema`](crate::schema).
pub fn write_json(workflow: &Workflow) -> String {
    let steps = workflow.steps().iter().map(|step| {
        json!({
            "agent": step.agent,
            "subtask": step.subtask,
            "access": access_value(&step.access),
        })
    });
    let mut plan = json!({ "steps": steps.collect::<Vec<_>>() });
    match workflow.selection() {
        Selection::Last => {}
        Selection::Majority => plan["selection"] = json!("majority"),
    }
    plan.to_string()
}

fn access_value(access: &Access) -> Value {
    match access {
        Access::None => json!([]),
        Access::All => json!(["all"]),
        Access::Some(steps) => json!(steps),
    }
}

/// As a list of a plan; spaced as in the examples that the Conductor is shown.
pub(crate) fn write_access(access: &Access) -> String {
    match access {
        Access::None => "[]".into(),
        Access::All => "[\"all\"]".into(),
        Access::Some(steps) => {
            let steps = steps.iter().map(ToString::to_string);
            format!("[{}]", steps.collect::<Vec<_>>().join(", "))
        }
    }
}
