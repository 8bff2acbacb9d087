//! Plans: unreadable, corrected, and replaced in mid-flight.

use crate::telling::{agent, check, deep, policy};
use baton_engine::{Check, RunSpec};
use baton_workflow::{Limits, Usd};

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

#[test]
fn the_best_answer_is_given_with_its_score() {
    let mut checked =
        RunSpec { check: Some(Check::Answer { expected: "1".into() }), ..policy("a") };
    check(
        checked.clone(),
        "begin        | 1=plan round 0
         1 plan a     | 2=0→a
         2 done       | 3=verify 0
         3 reject 0.6 | 4=plan round 1
         4 plan b     | 5=0→b
         5 done       | 6=verify 0
         6 reject 0.5 | end incomplete not_accepted out2 0.6",
    );
    // Of an answer that the check cannot tell anything of, nothing good is known.
    check(
        checked.clone(),
        "begin        | 1=plan round 0
         1 plan a     | 2=0→a
         2 done       | 3=verify 0
         3 reject 0.6 | 4=plan round 1
         4 plan b     | 5=0→b
         5 done       | 6=verify 0
         6 abstain    | end incomplete not_accepted out2 0.6",
    );
    check(
        checked.clone(),
        "begin        | 1=plan round 0
         1 plan a     | 2=0→a
         2 done       | 3=verify 0
         3 reject     | 4=plan round 1
         4 plan b     | 5=0→b
         5 done       | 6=verify 0
         6 abstain    | end completed unchecked out5",
    );
    // Nor of one that cannot be checked any more.
    checked.check = Some(Check::Judge { model: agent("j", 100) });
    checked.budget.calls = 5;
    check(
        checked,
        "begin        | 1=plan round 0
         1 plan a     | 2=0→a
         2 done       | 3=verify 0
         3 reject 0.6 | 4=plan round 1
         4 plan b     | 5=0→b
         5 done       | end incomplete budget_spent out2 0.6",
    );
}

#[test]
fn an_answer_that_says_what_a_failed_one_says_is_no_progress() {
    let mut checked =
        RunSpec { check: Some(Check::Answer { expected: "1".into() }), ..policy("a") };
    checked.limits.rounds_max = 3;
    let story = |first: &str, second: &str, then: &str| {
        format!(
            "begin          | 1=plan round 0
             1 plan a       | 2=0→a
             2 done         | 3=verify 0
             3 reject {first} | 4=plan round 1
             4 plan b       | 5=0→b
             5 done         | 6=verify 0
             6 reject {second} | {then}"
        )
    };
    let ends = "end incomplete no_progress out5";
    check(checked.clone(), &story("five", "five", ends));
    // Other words count where the check cannot tell what one of them says.
    for (first, second) in [("five", "six"), ("five", ""), ("", "five"), ("", "")] {
        check(checked.clone(), &story(first, second, "7=plan round 2"));
    }
}

#[test]
fn a_workflow_that_only_repeats_one_is_a_loop() {
    let mut checked =
        RunSpec { check: Some(Check::Answer { expected: "1".into() }), ..policy("a") };
    checked.limits.rounds_max = 4;
    check(
        checked.clone(),
        "begin    | 1=plan round 0
         1 plan a | 2=0→a
         2 done   | 3=verify 0
         3 reject | 4=plan round 1
         4 plan a | end incomplete loop out2",
    );
    // Steps that see the answer that failed are told something new, until that is the same.
    check(
        checked.clone(),
        "begin        | 1=plan round 0
         1 plan a:    | 2=0→a
         2 done       | 3=verify 0
         3 reject 0.5 | 4=plan round 1
         4 plan a:    | 5=0→a
         5 done       | 6=verify 0
         6 reject 0.4 | 7=plan round 2
         7 plan a:    | end incomplete loop out2 0.5",
    );
    // The same kept is the same, and under the same words another output is another workflow.
    check(
        checked.clone(),
        "begin        | 1=plan round 0
         1 plan a b   | 2=0→a; 3=1→b
         2 done       |
         3 done       | 4=verify 1
         4 reject 0.5 | 5=plan round 1
         5 plan a=0 c | 6=1→c
         6 done       | 7=verify 1
         7 reject 0.4 | 8=plan round 2
         8 plan a=0 c | end incomplete loop out3 0.5",
    );
    check(
        checked.clone(),
        "begin        | 1=plan round 0
         1 plan a b   | 2=0→a; 3=1→b
         2 done       |
         3 done       | 4=verify 1
         4 reject 0.5 | 5=plan round 1
         5 plan a=0 c | 6=1→c
         6 done       | 7=verify 1
         7 reject 0.4 | 8=plan round 2
         8 plan a=1 c | 9=1→c
         9 done       | 10=verify 1
         10 reject 0.4 | 11=plan round 3
         11 plan a=0 c | 12=1→c",
    );
    // What was broken off came to nothing: it may be tried again.
    checked.limits.failovers_max = 0;
    check(
        checked,
        "begin    | 1=plan round 0
         1 plan a | 2=0→a
         2 fail   | round 1; 3=plan round 1
         3 plan a | 4=0→a
         4 done   | 5=verify 0
         5 pass   | end completed accepted out4",
    );
}

#[test]
fn the_policy_looks_at_an_answer_that_nothing_decides_on() {
    let mut spec = RunSpec { review: true, ..policy("a") };
    check(
        spec.clone(),
        "begin    | 1=plan round 0
         1 plan a | 2=0→a
         2 done   | 3=plan round 1
         3 stands | end completed stands out2",
    );
    // Without scores the latest answer counts, and no round is begun beyond the last one.
    check(
        spec.clone(),
        "begin      | 1=plan round 0
         1 plan a   | 2=0→a
         2 done     | 3=plan round 1
         3 plan b:  | 4=0→b
         4 done     | end completed unchecked out4",
    );
    // It cannot look: the answer is what it is. So it is while another is worked on.
    for unreadable in ["fail", "unreadable"] {
        let story = format!(
            "begin    | 1=plan round 0
             1 plan a | 2=0→a
             2 done   | 3=plan round 1
             3 {unreadable} | end completed unchecked out2"
        );
        check(spec.clone(), &story);
    }
    check(
        spec.clone(),
        "begin        | 1=plan round 0
         1 plan a     | 2=0→a
         2 done       | 3=plan round 1
         3 plan b c:0 | 4=0→b
         4 done       | 5=1→c
         cancel       | end cancelled cancelled out2",
    );
    // Two calls are all there is.
    let mut short = spec.clone();
    short.budget.calls = 2;
    check(
        short,
        "begin    | 1=plan round 0
         1 plan a | 2=0→a
         2 done   | end completed unchecked out2",
    );
    // A check that decides leaves nothing to look at; one that does not leaves all.
    spec.check = Some(Check::Answer { expected: "1".into() });
    check(
        spec.clone(),
        "begin    | 1=plan round 0
         1 plan a | 2=0→a
         2 done   | 3=verify 0
         3 pass   | end completed accepted out2",
    );
    for unsure in ["abstain", "fail"] {
        let story = format!(
            "begin    | 1=plan round 0
             1 plan a | 2=0→a
             2 done   | 3=verify 0
             3 {unsure} | 4=plan round 1
             4 stands | end completed stands out2"
        );
        check(spec.clone(), &story);
    }
    // What is not asked for is not paid for.
    spec.review = false;
    spec.check = None;
    check(
        spec,
        "begin | 1=plan round 0\n 1 plan a | 2=0→a\n 2 done | end completed unchecked out2",
    );
}

#[test]
fn a_round_that_costs_more_than_it_may_bring_is_not_begun() {
    let check_it = Some(Check::Answer { expected: "1".into() });
    let mut spec = RunSpec { check: check_it, ..policy("a") };
    spec.limits.rounds_max = 4;
    let story = |ends: &str| {
        format!(
            "begin        | 1=plan round 0
             1 plan a     | 2=0→a
             2 costs 30   | 3=verify 0
             3 reject 0.5 | {ends}"
        )
    };
    // A third of the worth, against the 30 that a round cost.
    for (worth, ends) in [
        (None, "4=plan round 1"),
        (Some(90), "4=plan round 1"),
        (Some(89), "end incomplete not_worth_it out2 0.5"),
    ] {
        spec.worth = worth.map(Usd::from_pico);
        check(spec.clone(), &story(ends));
    }
    // A quarter of it, after two: rounds so far cost 25 in the mean.
    for (worth, ends) in [(100, "7=plan round 2"), (99, "end incomplete not_worth_it out2 0.5")] {
        spec.worth = Some(Usd::from_pico(worth));
        let story = story("4=plan round 1");
        let story = format!(
            "{story}
             4 plan b     | 5=0→b
             5 costs 20   | 6=verify 0
             6 reject 0.4 | {ends}"
        );
        check(spec.clone(), &story);
    }
}
