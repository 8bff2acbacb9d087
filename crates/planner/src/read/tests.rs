//! Replies as text in, plans or complaints as text out.

use super::{Plan, REPLY_BYTES_MAX, read, read_after};
use crate::testing::{card, pool};
use crate::write::write_access;
use crate::{Earlier, EarlierOutput};
use baton_workflow::{Limits, Pool, Selection, StepId, Workflow};

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

/// Two agents, and the verifier behind them.
fn pool_with_verifier() -> Pool {
    let mut agents = pool(2).agents().to_vec();
    agents.push(card("verifier", 1.0));
    Pool::new("v1", agents).unwrap()
}

fn seen_with_verifier(reply: &str, earlier: Option<&Earlier<'_>>) -> String {
    let (pool, limits) = (pool_with_verifier(), Limits::default());
    let plan = match earlier {
        Some(earlier) => read_after(reply, &pool, &limits, earlier),
        None => read(reply, &pool, &limits),
    };
    match plan {
        Ok(Plan::Stands) => "STANDS".into(),
        Ok(Plan::Workflow(flow)) => lines(&flow),
        Err(wrong) => wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

#[test]
fn a_verifier_may_say_nothing_and_must_see_something() {
    for plan in [
        "model_id = [0, 2]\nsubtasks = [\"solve\", \"\"]\naccess_list = [[], [0]]",
        "{\"steps\": [{\"agent\": 0, \"subtask\": \"solve\", \"access\": []}, \
         {\"agent\": \"verifier\", \"subtask\": \"\", \"access\": [0]}]}",
    ] {
        assert_eq!(seen_with_verifier(plan, None), "small \"solve\" []\nverifier \"\" [0]");
    }
    // Its own kind is nothing to look at, and others must still be told what to do.
    assert_eq!(
        seen_with_verifier(
            "model_id = [0, 2, 2]\nsubtasks = [\"solve\", \"\", \"\"]\naccess_list = [[], [], [1]]",
            None
        ),
        "access_list, entry 1: found no step that an agent does, expected the positions of the \
         verifier's candidates: agents' steps\n\
         access_list, entry 2: found no step that an agent does, expected the positions of the \
         verifier's candidates: agents' steps"
    );
    assert_eq!(
        seen_with_verifier(
            "{\"steps\": [{\"agent\": 2, \"subtask\": \"\", \"access\": [\"all\"]}]}",
            None
        ),
        "steps, entry 0, access: found no step that an agent does, expected the positions of \
         the verifier's candidates: agents' steps"
    );
    assert_eq!(
        seen_with_verifier("model_id = [0]\nsubtasks = [\"\"]\naccess_list = [[]]", None),
        "subtasks, entry 0: found an empty text, expected an instruction"
    );
}

#[test]
fn what_the_verifier_said_is_not_kept() {
    let (pool, limits) = (pool_with_verifier(), Limits::default());
    let done = "model_id = [0, 2]\nsubtasks = [\"solve\", \"\"]\naccess_list = [[], [0]]";
    let Ok(Plan::Workflow(workflow)) = read(done, &pool, &limits) else { panic!("{done}") };
    let outputs = [EarlierOutput::Text("4"), EarlierOutput::Text("Verdict: fail")];
    let earlier = Earlier { workflow: &workflow, outputs: &outputs, answer: "4", feedback: "no" };
    assert_eq!(
        seen_with_verifier("{\"steps\": [{\"keep\": 1}]}", Some(&earlier)),
        "steps, entry 0, keep: found 1, expected the position of a step of the last round that \
         has an output: 0"
    );
}
