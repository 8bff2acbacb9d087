//! Steps that are runs of their own.

use crate::telling::{check, deep, input, told};
use baton_engine::{Check, Event, Run, RunSpec};
use baton_workflow::{Abilities, BodyRef, Timestamp};

#[test]
fn a_step_of_the_conductor_itself_is_a_child_run() {
    check(
        deep(1),
        "begin             | 1=plan round 0
         1 plan a baton:0  | 2=0→a
         2 done            | 3=1→run of 9 calls
         3 done            |
         3 ended completed | end completed unchecked out3",
    );
    // Beside each other, and each with its part.
    check(
        deep(1),
        "begin               | 1=plan round 0
         1 plan baton baton a:0,1 | 2=0→run of 4 calls; 3=1→run of 5 calls
         3 ended incomplete  |
         2 ended completed   | 4=2→a
         2 ended completed   |
         4 done              | end completed unchecked out4",
    );
}

#[test]
fn a_child_run_that_fails_gives_way_to_the_strongest_agent() {
    for end in ["failed", "partial", "refused", "cancelled"] {
        check(
            deep(1),
            &format!(
                "begin        | 1=plan round 0
                 1 plan baton | 2=0→run of 9 calls
                 2 ended {end} | 3=0→c
                 3 done       | end completed unchecked out3"
            ),
        );
    }
    let mut once = deep(1);
    once.limits.failovers_max = 0;
    once.limits.rounds_max = 1;
    check(
        once,
        "begin          | 1=plan round 0
         1 plan baton   | 2=0→run of 9 calls
         2 ended failed | end failed step_failed no answer",
    );
}

#[test]
fn no_child_run_is_begun_without_depth_or_with_too_little_left() {
    let story = "begin        | 1=plan round 0
                 1 plan baton | 2=0→c
                 2 done       | end completed unchecked out2";
    check(deep(0), story);
    check(RunSpec { recursion: false, ..deep(3) }, story);
    let mut poor = deep(1);
    poor.budget.calls = 5;
    check(poor, story);
    let mut late = deep(1);
    late.budget.seconds = 1;
    check(late, story);
}

#[test]
fn a_child_run_is_told_what_its_step_sees_and_may_use_what_is_left() {
    let mut spec = deep(2);
    spec.check = Some(Check::Answer { expected: "1".into() });
    spec.needs = Abilities { tools: true, structured_output: false };
    let first = Event::Submitted { spec: Box::new(spec) };
    let mut run = Run::begin(&first, Timestamp(0)).unwrap();
    let mut now = Timestamp(0);
    told(&mut run, now);
    run.apply(&Event::Heard { input: input("1 plan a b baton:1 baton:0", &mut now).unwrap() });
    told(&mut run, now);
    for line in ["2 done", "3 done"] {
        run.apply(&Event::Heard { input: input(line, &mut now).unwrap() });
    }
    now = now.plus_ms(20_000);
    let decision = run.decide(now);
    let [(4, inner), (5, answer)] = decision.children.as_slice() else { panic!() };
    let seen: Vec<_> = inner.work.inputs.iter().map(|(step, body)| (step.0, &*body.hash)).collect();
    assert_eq!(seen, [(1, "out3")]);
    let request = BodyRef { hash: "told".into(), len: 7 };
    let (inner, answer) = (inner.spec(request.clone()), answer.spec(request.clone()));
    assert_eq!(inner.request, request);
    // What is said of the answer is said to whoever writes it.
    assert_eq!((inner.check.is_some(), inner.needs), (false, Abilities::NONE));
    assert!(answer.check.is_some() && answer.needs.tools);
    for spec in [&inner, &answer] {
        assert_eq!((spec.budget.depth, spec.budget.seconds), (1, 35));
        assert_eq!(spec.agents.len(), 3);
    }
    // A third for each, and one is kept.
    assert_eq!((inner.budget.calls, answer.budget.calls), (5, 6));
}

#[test]
fn a_run_that_ends_leaves_its_child_runs_to_the_ledger() {
    let first = Event::Submitted { spec: Box::new(deep(1)) };
    let mut run = Run::begin(&first, Timestamp(0)).unwrap();
    let mut now = Timestamp(0);
    told(&mut run, now);
    run.apply(&Event::Heard { input: input("1 plan baton a", &mut now).unwrap() });
    assert_eq!(told(&mut run, now), "2=0→run of 6 calls; 3=1→a");
    run.apply(&Event::Heard { input: input("cancel", &mut now).unwrap() });
    assert_eq!(run.decide(now).withdraw, [3]);
}
