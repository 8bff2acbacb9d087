//! Reading takes work in proportion to the reply, whatever it holds: counted, not timed.

use super::super::read_counting;
use crate::testing::pool;
use baton_workflow::Limits;

/// What a reply of 40,000 bytes may take at most.
const MOVES_MAX: u64 = 16 * 40_000 + 1024 + 16;

/// Moves over `unit` repeated to that many bytes.
fn moves(unit: &str, bytes: usize) -> u64 {
    let reply = unit.repeat(bytes / unit.len());
    read_counting(&reply, &pool(3), &Limits::default(), None).1
}

/// Twice the reply is at most twice the work, and no byte is visited too often.
fn check(unit: &str) {
    let (half, whole) = (moves(unit, 20_000), moves(unit, 40_000));
    assert!(whole <= half * 21 / 10 + 100, "{unit:?}: {half} moves, then {whole}");
    assert!(whole <= MOVES_MAX, "{unit:?}: {whole} moves");
}

#[test]
fn work_is_linear_in_the_length() {
    for unit in [
        "x",
        " ",
        "\n",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "'",
        "“",
        "\\",
        "#",
        "<think>",
        "</think>",
        "<",
        "model_id = [",
        "subtasks: [\"",
        "subtasks: ['",
        "subtasks = [\"a\", ",
        "access_list = [[",
        "model_id",
        "model_id = ",
        "model_id = [0]\n",
        "model_id = [0] subtasks = ['a'] access_list = [[]] ",
        "model_id = [\"subtasks = ['access_list = [“",
        "model_id: [\"\"\"",
        "{\"a\":",
        "{\"a\": [",
        "{\"steps\": [",
        "{\"steps\": [{\"agent\": 0, ",
        "{a: '",
        "{\"a\": \"{'b': '",
        "\"steps\": [",
        "subtasks = [\"\\",
        "model_id = [#",
        "model_id = [[0], ",
        "{'{\"",
        "subtasks: [‘“'\"",
        "subtasks = ['''",
        "model_id =\n\n\n\n\n\n\n\n\n\n",
        "\" \" \" ",
        "a: [ # \n model ids `",
    ] {
        check(unit);
    }
}

#[test]
fn one_open_list_before_many_does_not_multiply() {
    for head in ["model_id = [", "subtasks = [\"", "{\"a\": [\"", "{\"steps\": ["] {
        let count = |bytes: usize| {
            let reply = format!("{head}{}", "0, {\"x\": ['y', ".repeat(bytes / 15));
            read_counting(&reply, &pool(3), &Limits::default(), None).1
        };
        let (half, whole) = (count(20_000), count(40_000));
        assert!(whole <= half * 21 / 10 + 100, "{head}: {half} moves, then {whole}");
    }
}
