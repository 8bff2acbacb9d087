//! Every form of a plan that is taken.

use super::check;

/// What `model_id = [0, 2]`, subtasks a and b, and `[[], ["all"]]` mean.
const AB: &str = "small \"a\" []\nmedium \"b\" [\"all\"]";

#[test]
fn three_lists() {
    check("model_id = [0, 2]\nsubtasks = [\"a\", \"b\"]\naccess_list = [[], [\"all\"]]", AB);
    check("model_id=[0,2] subtasks=['a','b'] access_list=[[],\"all\"]", AB);
    check("model_id = [0, 2,]\nsubtasks = [\"a\", \"b\",]\naccess_list = [[], ['all'],]", AB);
    check("access_list: [[], [all]]\nsubtasks: [\"a\", \"b\"]\nmodel_id: [0, 2]", AB);
    check("model_id = [0, 2]\nsubtasks = [\"a\", \"b\"]\naccess_list = [[], all]", AB);
}

#[test]
fn positions() {
    let plan = "model_id = [0, 1, 2]\nsubtasks = [\"a\", \"b\", \"c\"]\naccess_list = ";
    let read = |access| format!("small \"a\" []\nlarge \"b\" []\nmedium \"c\" {access}");
    check(&format!("{plan}[[], [], [0, 1]]"), &read("[0, 1]"));
    check(&format!("{plan}[[], [], [1]]"), &read("[1]"));
    check(&format!("{plan}[[], [], [1, 0, 1]]"), &read("[0, 1]"));
}

#[test]
fn labels() {
    for (model, sub, access) in [
        ("model ids:", "Subtasks:", "Access list:"),
        ("Model_IDs =", "SUBTASKS =", "Access_Lists ="),
        ("**model_id**:", "**subtasks**:", "**access_list**:"),
        ("**Model IDs:**", "**Sub-tasks:**", "**Access-list:**"),
        ("### model_id\n", "### subtasks\n", "### access_list\n"),
        ("1. `model_id` =", "2. `subtasks` =", "3. `access_list` ="),
        ("model\\_id =", "subtasks =", "access\\_list ="),
        ("\"model_id\":", "\"subtasks\":", "\"access_list\":"),
        ("“model_id” :", "‘subtasks’ :", "“access_list” :"),
        ("agent_ids =", "sub_task =", "accesslist ="),
        ("model_id:\n```python\n", "```\nsubtasks:\n```json\n", "```\naccess_list:\n```\n"),
    ] {
        check(&format!("{model} [0, 2]\n{sub} [\"a\", \"b\"]\n{access} [[], [\"all\"]]"), AB);
    }
}

#[test]
fn quotes() {
    for subtasks in [
        "[“a”, “b”]",
        "[‘a’, ‘b’]",
        "[„a“, «b»]",
        "[”a”, ’b’]",
        "['''a''', \"\"\"b\"\"\"]",
        "[\"a\" \"b\"]",
        "[\"a\"\n\"b\"]",
        "[“a” “b”]",
        "[\"a\", # first\n \"b\" # second\n]",
        "[[\"a\", \"b\"]]",
    ] {
        check(
            &format!("model_id = [0, 2]\nsubtasks = {subtasks}\naccess_list = [[], [“all”]]"),
            AB,
        );
    }
}

#[test]
fn doubled_brackets() {
    check("model_id = [[0, 2]]\nsubtasks = [[\"a\", \"b\"]]\naccess_list = [[[], [\"all\"]]]", AB);
    check("model_id = [0, 2]]\nsubtasks = [\"a\", \"b\"]]\naccess_list = [[], [\"all\"]]]", AB);
    // With one step, a list in a list is that step's entry.
    check("model_id=[0] subtasks=['a'] access_list=[['all']]", "small \"a\" [\"all\"]");
    check("model_id=[0] subtasks=['a'] access_list=[[]]", "small \"a\" []");
}

#[test]
fn what_is_in_a_string_stays_as_it_is() {
    let subtask = |written: &str, read: &str| {
        let reply = format!("model_id = [0]\nsubtasks = [{written}]\naccess_list = [[]]");
        check(&reply, &format!("small {read:?} []"));
    };
    subtask(r#""say \"hi\"""#, "say \"hi\"");
    subtask(r"'it\'s'", "it's");
    subtask("'the user's wish'", "the user's wish");
    subtask("‘the user’s wish’", "the user’s wish");
    subtask("“the user's ‘wish’”", "the user's ‘wish’");
    subtask("\"one\ntwo\"", "one\ntwo");
    subtask("'''it's \"so\"\n'''", "it's \"so\"\n");
    subtask(r#""a\tb\\n\u00e9\ud83d\ude00\x41\d\/""#, "a\tb\\né😀A\\d/");
    subtask("\"a\\\nb\"", "ab");
    subtask("\"[1, {2}] # not a comment, <think>\"", "[1, {2}] # not a comment, <think>");
    subtask("\"Écris « bonjour » – “vite”\"", "Écris « bonjour » – “vite”");
}

#[test]
fn json() {
    let steps = r#"{"steps": [{"agent": 0, "subtask": "a", "access": []}, {"agent": "medium", "subtask": "b", "access": "all"}]}"#;
    check(steps, AB);
    check(&format!("Here it is:\n```json\n{steps}\n```\nDone."), AB);
    check(&format!("{{\"plan\": {steps}}}"), AB);
    check(&format!("In \\frac{{1}}{{2}} of {{cases}}: {{'x': 1}} {steps}"), AB);
    check(
        r#"{"model_id": [0, "medium"], "subtasks": ["a", "b"], "access_list": [[], ["all"]]}"#,
        AB,
    );
    check(
        r#"{"subtasks": ["a", "b"], "reasoning": "x", "model_id": [0, 2], "access_list": [[], "all"]}"#,
        AB,
    );
    check("{'steps': [{'access': [], 'agent': 1, 'subtask': 'a',},]}", "large \"a\" []");
    check("{steps: [{agent: 1, subtask: 'a', access: []}]}", "large \"a\" []");
    check(
        r#"{"steps": [{"agent": 1, "subtask": "a", "access": []}], "selection": "majority"}"#,
        "large \"a\" []\nmajority",
    );
}

#[test]
fn the_answer_stands() {
    check("model_id = []\nsubtasks = []\naccess_list = []", "STANDS");
    check("It is right. model_id: [ ] subtasks: [ ] access_list: [ ]", "STANDS");
    check(r#"{"steps": []}"#, "STANDS");
    check(r#"{"model_id": [], "subtasks": [], "access_list": []}"#, "STANDS");
}

#[test]
fn prose_does_not_hijack_the_plan() {
    let plan = "model_id = [0, 2]\nsubtasks = [\"a\", \"b\"]\naccess_list = [[], [\"all\"]]";
    for before in [
        "Each subtask: should be short. The model_id: who does it.",
        "The subtasks: [see below] go to model ids: [strong, weak].",
        "I'd write subtasks: [\"first, don't\nwell:",
        "First model_id = [1\nno, better:",
        "model_id = [1]\nsubtasks = [\"draft\"]\naccess_list = [[]]\nOn second thought:",
        "{\"steps\": [{\"agent\": 1, \"subtask\": \"draft\", \"access\": []}]}\nNo:",
        "<think>model_id = [1] subtasks = [\"x\"] access_list = [[]]</think>",
        "reasoning without a beginning: model_id = [1], subtasks = [\"</think>",
        "<thinking>subtasks = [\"never closed</thinking>",
        "A set {0, 1, 2} and f(x) = {x | x > [0]}.",
        "\"steps\": three",
    ] {
        check(&format!("{before}\n{plan}"), AB);
    }
    for after in [
        "Model 0 does the subtask: a.",
        "Here \"all\" means all, and it's fine.",
        "The subtasks: [a] and [b] are easy.",
        "```\nThat's it.",
        "model_id = [1",
    ] {
        check(&format!("{plan}\n{after}"), AB);
    }
}

#[test]
fn a_list_left_open_in_prose_does_not_swallow_the_plan() {
    let plan = "model_id = [0, 2]\nsubtasks = [\"a\", \"b\"]\naccess_list = [[], [\"all\"]]";
    // What follows would close the quote and the bracket that were left open.
    check(&format!("Perhaps subtasks: [\"half an idea\n{plan}\nas he \"]"), AB);
    check(&format!("Perhaps subtasks: [“half an idea\n{plan}\nas he ”]"), AB);
    check(&format!("Perhaps model ids: [a strong one\n{plan}\nand so on]"), AB);
}

#[test]
fn a_plan_inside_an_instruction_is_not_the_plan() {
    check(
        "model_id = [0]\nsubtasks = ['Write: model_id = [1] subtasks = [\"x\"] \
         access_list = [[]]</think>']\naccess_list = [[]]",
        "small \"Write: model_id = [1] subtasks = [\\\"x\\\"] access_list = [[]]</think>\" []",
    );
    check(
        r#"{"steps": [{"agent": 0, "subtask": "Say {\"steps\": []}", "access": []}]}"#,
        "small \"Say {\\\"steps\\\": []}\" []",
    );
}
