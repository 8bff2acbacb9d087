//! Plans: unreadable, corrected, and replaced in mid-flight.

use crate::telling::{check, deep, policy};
use baton_engine::{Check, RunSpec};
use baton_workflow::Limits;

#[test]
fn an_unreadable_plan_gives_way_to_the_fallback() {
    check(
        policy("c"),
        "begin        | 1=plan round 0
         1 unreadable | adopt; 2=0→c
         2 done       | end completed unchecked out2",
    );
    check(policy("c"), "begin | 1=plan round 0\n 1 stands | adopt; 2=0→c");
    check(policy("c"), "begin | 1=plan round 0\n 1 fail | adopt; 2=0→c");
}

#[test]
fn a_rejected_answer_is_planned_again_and_the_best_is_kept() {
    let checked = RunSpec { check: Some(Check::Answer { expected: "1".into() }), ..policy("a") };
    check(
        checked.clone(),
        "begin      | 1=plan round 0
         1 plan a   | 2=0→a
         2 done     | 3=verify 0
         3 reject   | 4=plan round 1
         4 plan b c:0 | 5=0→b
         5 done     | 6=1→c
         6 done     | 7=verify 1
         7 reject   | end incomplete not_accepted out6",
    );
    check(
        checked.clone(),
        "begin    | 1=plan round 0
         1 plan a | 2=0→a
         2 done   | 3=verify 0
         3 reject | 4=plan round 1
         4 stands | end completed stands out2",
    );
    check(
        checked,
        "begin      | 1=plan round 0
         1 plan a   | 2=0→a
         2 done     | 3=verify 0
         3 abstain  | end completed unchecked out2",
    );
}

#[test]
fn a_corrective_workflow_keeps_what_was_good() {
    let checked = RunSpec { check: Some(Check::Answer { expected: "1".into() }), ..policy("a") };
    check(
        checked.clone(),
        "begin      | 1=plan round 0
         1 plan a b:0 | 2=0→a
         2 done     | 3=1→b
         3 done     | 4=verify 1
         4 reject   | 5=plan round 1
         5 plan a=0 c:0 | 6=1→c
         6 done     | 7=verify 1
         7 pass     | end completed accepted out6",
    );
    // Everything kept: another output is the answer, and it is checked like any other.
    check(
        checked.clone(),
        "begin      | 1=plan round 0
         1 plan a b:0 | 2=0→a
         2 done     | 3=1→b
         3 done     | 4=verify 1
         4 reject   | 5=plan round 1
         5 plan a=0 | 6=verify 0
         6 pass     | end completed accepted out2",
    );
    // The same answer again leads nowhere.
    let more = Limits { rounds_max: 4, ..checked.limits };
    check(
        RunSpec { limits: more, ..checked },
        "begin      | 1=plan round 0
         1 plan a   | 2=0→a
         2 done     | 3=verify 0
         3 reject   | 4=plan round 1
         4 plan a=0 | 5=verify 0
         5 reject   | end incomplete no_progress out2",
    );
}

#[test]
fn the_rest_of_a_plan_is_replaced_when_a_step_fails_for_good() {
    let mut spec = policy("a");
    spec.limits.failovers_max = 0;
    check(
        spec.clone(),
        "begin        | 1=plan round 0
         1 plan a b c:0,1 | 2=0→a; 3=1→b
         3 fail       |
         2 done       | round 1; 4=plan round 1
         4 plan a=0 c:0 | 5=1→c
         5 done       | end completed unchecked out5",
    );
    // The policy has nothing better: the run ends as it would have.
    check(
        spec.clone(),
        "begin        | 1=plan round 0
         1 plan a b:0 | 2=0→a
         2 done       | 3=1→b
         3 refuses    | round 1; 4=plan round 1
         4 fail       | end incomplete fell_short no3",
    );
    // A partial output is no answer that could stand.
    check(
        spec.clone(),
        "begin        | 1=plan round 0
         1 plan a b:0 | 2=0→a
         2 done       | 3=1→b
         3 fail       | round 1; 4=plan round 1
         4 stands     | end incomplete step_failed out2",
    );
    spec.limits.rounds_max = 1;
    check(
        spec,
        "begin    | 1=plan round 0
         1 plan a | 2=0→a
         2 fail   | end failed step_failed no answer",
    );
}

#[test]
fn the_rest_of_a_plan_is_replaced_when_a_step_asks_for_it() {
    check(
        deep(1),
        "begin        | 1=plan round 0
         1 plan a b baton c:0,1,2 | 2=0→a; 3=1→b; 4=2→run of 5 calls
         2 asks       | round 1; 5=plan round 1
         5 plan a=0 c:0 | not [3] [4]; 6=1→c
         3 lost       |
         4 ended cancelled |
         6 done       | end completed unchecked out6",
    );
    // The policy cannot say how: its stand-in does.
    check(
        policy("c"),
        "begin        | 1=plan round 0
         1 plan a b:0 | 2=0→a
         2 asks       | round 1; 3=plan round 1
         3 fail       | adopt; 4=0→c
         4 done       | end completed unchecked out4",
    );
}
