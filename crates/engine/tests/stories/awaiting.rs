//! Calls of the client's tools: awaited, answered, and in vain.

use crate::telling::{check, deep, input, policy, strategy};
use baton_engine::{Assignment, Check, Event, Exchange, Planning, Run, RunSpec};
use baton_workflow::{Abilities, BodyRef, Selection, StepId, Timestamp};

fn awaiting(spec: RunSpec) -> RunSpec {
    let needs = Abilities { tools: true, structured_output: false };
    RunSpec { awaits: true, needs, ..spec }
}

#[test]
fn calls_are_awaited_and_whoever_called_goes_on() {
    let checked = Some(Check::Answer { expected: "1".into() });
    check(
        RunSpec { check: checked, ..awaiting(strategy("b c:0")) },
        "begin     | adopt; 1=0→b
         1 done    | 2=1→c
         2 fail    | 3=1→b
         3 calls   | await 0 of 1
         results 7 |
         results 0 | 4=1→b
         results 0 |
         4 calls   | await 1 of 1
         results 0 |
         results 1 | 5=1→b
         5 done    | 6=verify 1
         6 pass    | end completed accepted out5",
    );
    // With the results the step is given to another agent as ever, if it must be.
    check(
        awaiting(strategy("a")),
        "begin     | adopt; 1=0→a
         1 calls   | await 0 of 0
         results 0 | 2=0→a
         2 fail    | 3=0→b
         3 done    | end completed unchecked out3",
    );
}

#[test]
fn a_corrective_round_may_call_tools_again() {
    let checked = Some(Check::Answer { expected: "1".into() });
    check(
        RunSpec { check: checked, ..awaiting(policy("a")) },
        "begin        | 1=plan round 0
         1 plan a     | 2=0→a
         2 calls      | await 0 of 0
         results 0    | 3=0→a
         3 done       | 4=verify 0
         4 reject     | 5=plan round 1
         5 plan b c:0 | 6=0→b
         6 done       | 7=1→c
         7 calls      | await 1 of 1
         results 1    | 8=1→c
         8 done       | 9=verify 1
         9 pass       | end completed accepted out8",
    );
}

#[test]
fn the_root_awaits_what_a_child_run_calls() {
    check(
        awaiting(deep(1)),
        "begin        | 1=plan round 0
         1 plan baton | 2=0→run of 9 calls
         2 ended calls | await 0 of 0
         results 0    | 3=0→run of 8 calls
         3 ended completed | end completed unchecked out3",
    );
}

#[test]
fn a_wait_has_an_end() {
    let begun = "begin | adopt; 1=0→a\n 1 calls | await 0 of 0\n";
    for (then, end) in [
        ("unanswered 0", "end incomplete unanswered out1"),
        ("late", "end incomplete deadline_passed out1"),
        ("wait 60000", "end incomplete deadline_passed out1"),
        ("cancel", "end cancelled cancelled out1"),
    ] {
        let late = "results 0 |\n unanswered 0 |";
        check(awaiting(strategy("a")), &format!("{begun}{then} | {end}\n{late}"));
    }
    // A better answer of an earlier round is not given up for calls.
    let checked = Some(Check::Answer { expected: "1".into() });
    check(
        RunSpec { check: checked, ..awaiting(policy("a")) },
        "begin        | 1=plan round 0
         1 plan a     | 2=0→a
         2 done       | 3=verify 0
         3 reject     | 4=plan round 1
         4 plan b     | 5=0→b
         5 calls      | await 0 of 0
         unanswered 0 | end incomplete unanswered out2",
    );
}

#[test]
fn calls_that_cannot_be_gone_on_with_are_the_end() {
    let mut poor = awaiting(strategy("a"));
    poor.budget.calls = 1;
    check(poor, "begin | adopt; 1=0→a\n 1 calls | end completed tool_calls out1");
    let mut story = "begin | adopt; 1=0→a\n".to_owned();
    for turn in 0..baton_engine::TURNS_MAX {
        let (task, next) = (turn + 1, turn + 2);
        story += &format!("{task} calls | await {turn} of 0\n results {turn} | {next}=0→a\n");
    }
    let last = baton_engine::TURNS_MAX + 1;
    story += &format!("{last} calls | end completed tool_calls out{last}");
    let mut rich = awaiting(strategy("a"));
    rich.budget.calls = 1000;
    check(rich, &story);
}

#[test]
fn a_vote_chooses_whose_calls_are_awaited() {
    let mut votes = awaiting(strategy("a b c"));
    let Planning::Strategy { plan, .. } = &mut votes.planning else { panic!() };
    plan.selection = Selection::Majority;
    votes.limits.failovers_max = 0;
    check(
        votes,
        "begin      | adopt; 1=0→a; 2=1→b; 3=2→c
         1 done     |
         3 fail     |
         2 calls    | 4=verify 0,1
         4 choose 1 | await 0 of 1
         results 0  | 5=1→b
         5 done     | end completed unchecked out5",
    );
}

#[test]
fn turns_are_told_to_their_step_and_to_whoever_may_see_it() {
    let spec = awaiting(policy("a"));
    let spec = RunSpec { check: Some(Check::Answer { expected: "1".into() }), ..spec };
    let mut now = Timestamp(0);
    let mut run = Run::begin(&Event::Submitted { spec: Box::new(spec) }, now).unwrap();
    let mut hear = |line: &str| {
        if let Some(input) = input(line, &mut now) {
            run.apply(&Event::Heard { input });
        }
        let decision = run.decide(now);
        decision.events.iter().for_each(|event| run.apply(event));
        decision.tasks.into_iter().map(|(_, assignment)| assignment).collect::<Vec<_>>()
    };
    hear("wait 0");
    hear("1 plan a b:0");
    hear("2 done");
    assert!(hear("3 calls").is_empty());
    let turn = |of: &str, results: &str| Exchange {
        output: BodyRef { hash: format!("out{of}").into(), len: 5 },
        calls: BodyRef { hash: format!("calls{of}").into(), len: 5 },
        results: BodyRef { hash: format!("results{results}").into(), len: 5 },
    };
    let went_on = hear("results 0");
    let Assignment::Work(work) = &went_on[0] else { panic!("{went_on:?}") };
    assert_eq!((work.turns.as_slice(), work.seen_turns.len()), (&[turn("3", "0")][..], 0));
    let asked = hear("4 done");
    let Assignment::Verify(verify) = &asked[0] else { panic!("{asked:?}") };
    assert_eq!(verify.turns, [turn("3", "0")]);
    let asked = hear("5 reject");
    let Assignment::Plan(planned) = &asked[0] else { panic!("{asked:?}") };
    let previous = planned.previous.as_ref().unwrap();
    assert_eq!(previous.turns, [(StepId(1), turn("3", "0"))]);
    // Of the new round, 0 is the answer with its turns, kept; 1 sees it, 2 sees nothing.
    let given = hear("6 plan a=1 b:0 c");
    let works: Vec<_> = given
        .iter()
        .map(|assignment| match assignment {
            Assignment::Work(work) => work,
            Assignment::Plan(_) | Assignment::Verify(_) => panic!("{assignment:?}"),
        })
        .collect();
    assert_eq!(works[0].seen_turns, [(StepId(0), turn("3", "0"))]);
    assert_eq!(works[0].previous.as_ref().unwrap().turns, [turn("3", "0")]);
    assert!(works[1].seen_turns.is_empty() && works[1].previous.is_none());
    assert!(works.iter().all(|work| work.turns.is_empty()));
}
