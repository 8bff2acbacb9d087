//! Steps: who carries them out, what they see, and how a run ends.

use crate::telling::{check, input, policy, strategy, told};
use baton_engine::{Assignment, Check, Event, Planning, Run, RunSpec};
use baton_workflow::{Abilities, Limits, Selection, Timestamp};

#[test]
fn independent_steps_run_in_parallel_and_others_as_soon_as_they_can() {
    check(
        strategy("a b c:0 a:1,2"),
        "begin  | adopt; 1=0→a; 2=1→b
         1 done | 3=2→c
         3 done |
         2 done | 4=3→a
         4 done | end completed unchecked out4",
    );
}

#[test]
fn a_failed_step_goes_to_the_agent_nearest_in_price_until_none_is_left() {
    check(
        strategy("a"),
        "begin  | adopt; 1=0→a
         1 fail | 2=0→b
         1 done |
         2 lost | 3=0→c
         3 fail | end failed step_failed no answer",
    );
    check(
        strategy("b c:0"),
        "begin  | adopt; 1=0→b
         1 done | 2=1→c
         2 fail | 3=1→b
         3 fail | 4=1→a
         4 fail | end incomplete step_failed out1",
    );
}

#[test]
fn a_refusal_goes_to_another_agent_and_is_told_if_all_refuse() {
    check(
        strategy("a"),
        "begin     | adopt; 1=0→a
         1 refuses | 2=0→b
         2 done    | end completed unchecked out2",
    );
    check(
        strategy("b c:0"),
        "begin     | adopt; 1=0→b
         1 done    | 2=1→c
         2 refuses | 3=1→b
         3 fail    | 4=1→a
         4 refuses | end incomplete fell_short no4",
    );
    // Whose last agent merely failed has nothing to say.
    check(
        strategy("a"),
        "begin     | adopt; 1=0→a
         1 refuses | 2=0→b
         2 refuses | 3=0→c
         3 fail    | end failed step_failed no answer",
    );
    // An answer that was checked, and not accepted, is still one.
    let checked = RunSpec { check: Some(Check::Answer { expected: "1".into() }), ..policy("a") };
    let once = Limits { failovers_max: 0, ..checked.limits };
    check(
        RunSpec { limits: once, ..checked },
        "begin     | 1=plan round 0
         1 plan a  | 2=0→a
         2 done    | 3=verify 0
         3 reject  | 4=plan round 1
         4 plan b  | 5=0→b
         5 refuses | end incomplete fell_short out2",
    );
}

#[test]
fn an_answer_that_calls_tools_is_not_checked() {
    let checked = RunSpec { check: Some(Check::Answer { expected: "1".into() }), ..strategy("a") };
    check(
        checked,
        "begin   | adopt; 1=0→a
         1 calls | end completed tool_calls out1",
    );
    let mut votes = strategy("a b");
    let Planning::Strategy { plan, .. } = &mut votes.planning else { panic!() };
    plan.selection = Selection::Majority;
    check(
        votes,
        "begin    | adopt; 1=0→a; 2=1→b
         1 done   |
         2 calls  | 3=verify 0,1
         3 choose 1 | end completed tool_calls out2",
    );
}

#[test]
fn the_answer_is_left_to_an_agent_that_can_call_tools() {
    let mut spec = strategy("a a:0");
    spec.needs = Abilities { tools: true, structured_output: false };
    spec.agents[0].abilities = Abilities::NONE;
    check(
        spec,
        "begin  | adopt; 1=0→a
         1 done | 2=1→b
         2 done | end completed unchecked out2",
    );
}

#[test]
fn what_was_written_before_there_were_tools_is_read() {
    let first = serde_json::to_value(Event::Submitted { spec: Box::new(strategy("a")) }).unwrap();
    assert!(first["spec"].get("needs").is_none(), "nothing new in what needs nothing new");
    let worked = r#"{"event":"heard","input":{"input":"outcome","task":1,"outcome":
        {"outcome":"worked","output":{"hash":"o","len":1},"truncated":false,"ms":1},
        "spend":{"usd":0,"tokens_in":0,"tokens_out":0,"calls":1},"estimated":false}}"#;
    let event: Event = serde_json::from_str(worked).unwrap();
    assert_eq!(
        serde_json::to_value(&event).unwrap(),
        serde_json::from_str::<serde_json::Value>(worked).unwrap()
    );
}

#[test]
fn steps_of_a_removed_agent_go_to_others_and_use_up_no_failover() {
    let mut spec = strategy("a b:0");
    spec.limits.failovers_max = 0;
    check(
        spec,
        "begin     | adopt; 1=0→a
         removed b |
         1 done    | 2=1→a
         2 done    | end completed unchecked out2",
    );
    let mut spec = strategy("a");
    spec.limits.failovers_max = 0;
    check(
        spec,
        "begin       | adopt; 1=0→a
         removed a b |
         1 fail      | 2=0→c
         2 done      | end completed unchecked out2",
    );
    check(
        strategy("a b:0"),
        "begin     | adopt; 1=0→a
         removed b |
         removed   |
         1 done    | 2=1→b
         2 done    | end completed unchecked out2",
    );
    check(
        strategy("a b:0"),
        "begin         | adopt; 1=0→a
         removed a b c |
         1 done        | end incomplete step_failed out1",
    );
}

#[test]
fn begun_work_is_not_given_to_another() {
    check(
        strategy("a b:0"),
        "begin         | adopt; 1=0→a
         word yes      |
         1 interrupted | end failed step_failed no answer",
    );
    check(
        policy("a"),
        "begin         | 1=plan round 0
         1 interrupted | adopt; 2=0→a
         2 done        | end completed unchecked out2",
    );
}

#[test]
fn a_vote_is_held_without_those_who_failed() {
    let mut spec = strategy("a a b");
    spec.limits.failovers_max = 0;
    let Planning::Strategy { plan, .. } = &mut spec.planning else { panic!() };
    plan.selection = Selection::Majority;
    check(
        spec,
        "begin    | adopt; 1=0→a; 2=1→a; 3=2→b
         1 done   |
         2 fail   |
         3 done   | 4=verify 0,2
         4 choose 1 | end completed unchecked out3",
    );
}

#[test]
fn cancellation_deadline_and_budget_end_with_the_best_so_far() {
    check(strategy("a b:0"), "begin | adopt; 1=0→a\n cancel | end cancelled cancelled no answer");
    check(
        strategy("a b:0"),
        "begin      | adopt; 1=0→a
         1 done     | 2=1→b
         wait 60000 | end incomplete deadline_passed out1
         2 done     |
         cancel     |",
    );
    check(strategy("a"), "begin | adopt; 1=0→a\n late | end failed deadline_passed no answer");
    check(
        strategy("a b:0"),
        "begin   | adopt; 1=0→a
         1 done  | 2=1→b
         2 broke | end incomplete budget_spent out1",
    );
    let mut poor = strategy("a b:0");
    poor.budget.calls = 1;
    check(poor, "begin | adopt; 1=0→a\n 1 done | end incomplete budget_spent out1");
}

#[test]
fn a_worker_is_given_what_its_step_sees_and_nothing_else() {
    let first = Event::Submitted { spec: Box::new(strategy("a b c:1")) };
    let mut run = Run::begin(&first, Timestamp(0)).unwrap();
    told(&mut run, Timestamp(0));
    let mut now = Timestamp(0);
    for line in ["1 done", "2 done"] {
        run.apply(&Event::Heard { input: input(line, &mut now).unwrap() });
    }
    let decision = run.decide(now);
    let [(3, Assignment::Work(work))] = decision.tasks.as_slice() else { panic!() };
    let seen: Vec<_> = work.inputs.iter().map(|(step, body)| (step.0, &*body.hash)).collect();
    assert_eq!(seen, [(1, "out2")]);
    assert!(work.is_answer);
}
