//! Replies as text in, plans or complaints as text out.

use super::{Plan, REPLY_BYTES_MAX, read, read_after};
use crate::testing::pool;
use crate::write::write_access;
use crate::{Earlier, EarlierOutput};
use baton_workflow::{Limits, Selection, StepId, Workflow};

mod complaints;
mod dirt;
mod forms;
mod linear;

/// What is read from `reply` with three agents: one line for each step (agent, subtask,
/// access), `STANDS`, or one line for each complaint.
fn seen(reply: &str) -> String {
    match read(reply, &pool(3), &Limits::default()) {
        Ok(Plan::Stands) => "STANDS".into(),
        Ok(Plan::Workflow(flow)) => lines(&flow),
        Err(wrong) => wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

fn lines(flow: &Workflow) -> String {
    let mut lines: Vec<_> = flow
        .steps()
        .iter()
        .map(|s| format!("{} {:?} {}", s.agent, s.subtask, write_access(&s.access)))
        .collect();
    if flow.selection() == Selection::Majority {
        lines.push("majority".into());
    }
    lines.join("\n")
}

fn check(reply: &str, expected: &str) {
    assert_eq!(seen(reply), expected, "\n--- reply:\n{reply}\n---");
}

/// The same after a round of three steps, of which the middle one has no output.
fn seen_after(reply: &str) -> String {
    let (pool, limits) = (pool(3), Limits::default());
    let done = "model_id = [0, 1, 2]\nsubtasks = [\"plan\", \"try\", \"solve\"]\n\
                access_list = [[], [], [\"all\"]]";
    let Ok(Plan::Workflow(workflow)) = read(done, &pool, &limits) else { panic!("{done}") };
    let outputs = [EarlierOutput::Text("a"), EarlierOutput::Missing, EarlierOutput::Text("c")];
    let earlier = Earlier { workflow: &workflow, outputs: &outputs, answer: "c", feedback: "no" };
    match read_after(reply, &pool, &limits, &earlier) {
        Ok(Plan::Stands) => "STANDS".into(),
        Ok(Plan::Workflow(flow)) => {
            let kept = (0..flow.steps().len()).map(|place| flow.kept(StepId(place as u16)));
            let kept: Vec<_> = kept.map(|kept| kept.map(|step| step.0)).collect();
            format!("{}\n{kept:?}", lines(&flow))
        }
        Err(wrong) => wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

#[test]
fn steps_of_the_last_round_can_be_kept() {
    let amended = "small \"plan\" []\nlarge \"again\" [0]\n[Some(0), None]";
    for reply in [
        "model_id = [\"keep 0\", 1]\nsubtasks = [\"\", \"again\"]\naccess_list = [[], [0]]",
        "{\"steps\": [{\"keep\": 0}, {\"agent\": 1, \"subtask\": \"again\", \"access\": [0]}]}",
    ] {
        assert_eq!(seen_after(reply), amended, "{reply}");
    }
    assert_eq!(seen_after("{\"steps\": []}"), "STANDS");
}

#[test]
fn what_cannot_be_kept_is_complained_of() {
    assert_eq!(
        seen_after(
            "model_id = [\"keep 1\", \"keep 7\", \"keep 0\"]\nsubtasks = [\"\", \"\", \"plan\"]\n\
             access_list = [[], [], [0]]"
        ),
        "model_id, entry 0: found \"keep 1\", expected the position of a step of the last round \
         that has an output: 0, 2\n\
         model_id, entry 1: found \"keep 7\", expected the position of a step of the last round \
         that has an output: 0, 2\n\
         subtasks, entry 2: found \"plan\", expected \"\", because a kept step has its subtask\n\
         access_list, entry 2: found [0], expected [], because a kept step has seen what it saw"
    );
    assert_eq!(
        seen_after("{\"steps\": [{\"keep\": \"0\"}]}"),
        "steps, entry 0, keep: found \"0\", expected the position of a step of the last round \
         that has an output: 0, 2"
    );
    check(
        "model_id = [\"keep 0\"]\nsubtasks = [\"\"]\naccess_list = [[]]",
        "model_id, entry 0: found \"keep 0\", expected the number of an agent: there is no \
         earlier round to keep steps of",
    );
}
