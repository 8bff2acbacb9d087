//! Everything that is not a plan, and what is said of it.

use super::{REPLY_BYTES_MAX, check, seen};
use crate::testing::pool;
use crate::{Complaint, Plan, PlanPart, read};
use baton_workflow::Limits;

#[test]
fn nothing_is_cut_wrapped_or_left_out() {
    check(
        "model_id = [0, 3, -1, 1.0, \"gone\", 00]\nsubtasks = [\"a\", \"\", 7, ' ', [\"x\"], \"b\"]\n\
         access_list = [[0], [\"0\"], [0, \"all\"], 0, None, [[1]]]",
        "the plan: found 6 steps, expected 1 to 5\n\
         access_list, entry 0: found 0, expected [] or [\"all\"], because no step comes before step 0\n\
         model_id, entry 1: found 3, expected the number of an agent, 0 to 2\n\
         subtasks, entry 1: found an empty text, expected an instruction\n\
         access_list, entry 1: found \"0\", expected the position of an earlier step, which can only be 0\n\
         model_id, entry 2: found -1, expected the number of an agent, 0 to 2\n\
         subtasks, entry 2: found 7, expected an instruction in quotes\n\
         access_list, entry 2: found \"all\", expected the position of an earlier step, 0 to 1\n\
         model_id, entry 3: found 1.0, expected the number of an agent, 0 to 2\n\
         subtasks, entry 3: found an empty text, expected an instruction\n\
         access_list, entry 3: found 0, expected [], [\"all\"] or a list of earlier positions\n\
         model_id, entry 4: found \"gone\", expected the number of an agent, 0 to 2\n\
         subtasks, entry 4: found [\"x\"], expected an instruction in quotes\n\
         access_list, entry 4: found None, expected [], [\"all\"] or a list of earlier positions\n\
         model_id, entry 5: found 00, expected the number of an agent, 0 to 2\n\
         access_list, entry 5: found [1], expected the position of an earlier step, 0 to 4",
    );
}

#[test]
fn lengths_must_agree() {
    check(
        "model_id = [0, 1]\nsubtasks = [\"a\", \"b\", \"c\"]\naccess_list = [[]]",
        "the plan: found 2 entries in model_id, 3 in subtasks, 1 in access_list, \
         expected one entry for each step in every list",
    );
    check(
        "model_id = []\nsubtasks = []\naccess_list = [[]]",
        "the plan: found 0 entries in model_id, 0 in subtasks, 1 in access_list, \
         expected one entry for each step in every list",
    );
}

#[test]
fn steps_do_not_look_forward() {
    check(
        "model_id = [0, 0]\nsubtasks = [\"a\", \"b\"]\naccess_list = [[1], [1, 99999999999999999999]]",
        "access_list, entry 0: found 1, expected [] or [\"all\"], because no step comes before step 0\n\
         access_list, entry 1: found 1, expected the position of an earlier step, which can only be 0\n\
         access_list, entry 1: found 99999999999999999999, \
         expected the position of an earlier step, which can only be 0",
    );
}

#[test]
fn no_plan_or_half_a_plan() {
    let none = "the reply: found no plan, expected model_id = [...], subtasks = [\"...\"], \
                access_list = [...]";
    check("", none);
    check("The answer is 42.", none);
    check("my_model_id = [0] and model_idx = [1]", none);
    check(
        "model_id = [7]\nsubtasks = [\"a",
        "subtasks: found a list that does not end, expected a closing bracket\n\
         access_list: found no such list, expected access_list = [...]\n\
         model_id, entry 0: found 7, expected the number of an agent, 0 to 2",
    );
    check(
        "model_id = [0\nsubtasks = [\"a\"]\naccess_list = [[]]",
        "model_id: found a list that does not end, expected a closing bracket",
    );
    check(
        "model_id = [0]\nsubtasks = [\"a\"]\naccess_list = [[[[[[[[[[",
        "access_list: found too many opening brackets, expected brackets nested at most 8 deep",
    );
    check(
        "{\"steps\": [{\"agent\": 0, \"subtask\": \"a\", \"acc",
        "steps: found a list that cannot be read, \
         expected a JSON object that ends: {\"steps\": [...]}",
    );
    check(
        "<think>model_id = [0] subtasks = ['a'] access_list = [[]]",
        "the reply: found reasoning that does not end, expected </think> and the plan behind it",
    );
}

#[test]
fn an_object_that_does_not_end_may_have_said_more() {
    let lists = r#"{"model_id": [0], "subtasks": ["a"], "access_list": [[]]"#;
    let wrong = "the plan: found an object that does not end, expected a closing brace";
    check(lists, wrong);
    check(&format!("{lists}, \"selection\": \"majo"), wrong);
    // Said again in full, it counts.
    check(&format!("{lists}\n{lists}}}"), "small \"a\" []");
    check(&format!("{lists}\nmodel_id=[1] subtasks=['b'] access_list=[[]]"), "large \"b\" []");
}

#[test]
fn junk_between_the_commas() {
    check(
        "model_id = [0,,1 2, {}]\nsubtasks = [\"say \"hi\" now\"]\naccess_list = [[], [], [], []]",
        "the plan: found 4 entries in model_id, 3 in subtasks, 4 in access_list, \
         expected one entry for each step in every list\n\
         model_id, entry 1: found nothing, expected the number of an agent, 0 to 2\n\
         subtasks, entry 1: found hi, expected an instruction in quotes\n\
         model_id, entry 2: found 1 2, expected the number of an agent, 0 to 2\n\
         model_id, entry 3: found {}, expected the number of an agent, 0 to 2",
    );
    check(
        r#"model_id = [0] subtasks = ["half \ud800 pair"] access_list = [[]]"#,
        "subtasks, entry 0: found the escape \\ud800, expected an instruction in quotes",
    );
}

#[test]
fn json_is_held_to_its_schema() {
    check(
        r#"{"steps": [7, {"agent": 9, "subtask": ["a"]}, {"agent": 0, "agent": 1, "subtask": "a", "access": [2], "name": "x"}], "selection": "best", "title": 1}"#,
        "steps, entry 0: found 7, expected an object with agent, subtask and access\n\
         steps, entry 1, agent: found 9, expected the number of an agent, 0 to 2\n\
         steps, entry 1, subtask: found [\"a\"], expected an instruction in quotes\n\
         steps, entry 1, access: found nothing, expected [], [\"all\"] or a list of earlier positions\n\
         steps, entry 2: found the key agent twice, expected every key once\n\
         steps, entry 2: found the key \"name\", expected only agent, subtask and access, or keep alone\n\
         steps, entry 2, access: found 2, expected the position of an earlier step, 0 to 1\n\
         the plan: found the key \"title\" too much, expected either steps, or model_id, subtasks \
         and access_list, each once\n\
         selection: found \"best\", expected \"last\" or \"majority\"",
    );
}

#[test]
fn complaints_stay_short_and_few() {
    let junk = "é".repeat(5000);
    let reply = format!("model_id = [0]\nsubtasks = [{junk}]\naccess_list = [[]]");
    assert!(seen(&reply).len() < 200, "{}", seen(&reply));
    let reply = format!("model_id = [{}]\nsubtasks = []\naccess_list = []", "9,".repeat(5000));
    let wrong = read(&reply, &pool(3), &Limits::default()).unwrap_err();
    assert_eq!(wrong.len(), 51);
    let last = "the plan: found 4952 more faults, expected none";
    assert_eq!(wrong.last().unwrap().to_string(), last);
}

#[test]
fn limits_are_named_with_what_was_found() {
    let long = "x".repeat(8193);
    check(
        &format!("model_id = [0]\nsubtasks = [\"{long}\"]\naccess_list = [[]]"),
        "subtasks, entry 0: found 8193 bytes, expected at most 8192",
    );
    check(
        &"x".repeat(REPLY_BYTES_MAX + 1),
        "the reply: found 1048577 bytes, expected at most 1048576",
    );
}

#[test]
fn a_first_answer_cannot_stand() {
    let wrong = Plan::Stands.into_workflow(&Limits::default()).unwrap_err();
    assert_eq!(
        wrong,
        [Complaint {
            part: PlanPart::Plan,
            entry: None,
            found: "no step".into(),
            expected: "1 to 5 steps: there is no earlier answer that could stand".into(),
        }]
    );
}
