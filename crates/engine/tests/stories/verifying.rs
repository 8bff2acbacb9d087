//! The verifier as a step of a plan.

use crate::telling::{agent, check, input, plan, policy, told};
use baton_engine::{Assignment, Check, Event, Run, RunSpec, VerifierTerms};
use baton_workflow::{Abilities, BodyRef, Selection, Timestamp};

/// A policy's run that may name the verifier, who has a judge.
fn verified() -> RunSpec {
    let verifier = Some(VerifierTerms { judge: Some(agent("j", 100)) });
    RunSpec { verifier, ..policy("a") }
}

/// The same with a check of its own.
fn checked() -> RunSpec {
    RunSpec { check: Some(Check::Answer { expected: "1".into() }), ..verified() }
}

#[test]
fn a_last_verifier_says_what_a_check_would_of_the_candidate() {
    for how in ["verifier", "verifier{}", "verifier?"] {
        let begin = format!(
            "begin              | 1=plan round 0
             1 plan a {how}:0   | 2=0→a
             2 done             | 3=verify 0 in 1"
        );
        check(verified(), &format!("{begin}\n 3 pass | end completed accepted out2"));
        check(verified(), &format!("{begin}\n 3 abstain | end completed unchecked out2"));
        let corrected = "3 reject 0.5 | 4=plan round 1
             4 plan b     | 5=0→b
             5 done       | end completed unchecked out5";
        // Nothing checks the second answer, and the first had a part of what was asked.
        let corrected =
            corrected.replace("completed unchecked out5", "incomplete not_accepted out2 0.5");
        check(verified(), &format!("{begin}\n {corrected}"));
        check(
            verified(),
            &format!("{begin}\n 3 reject | 4=plan round 1\n 4 stands | end completed stands out2"),
        );
    }
}

#[test]
fn the_requests_check_goes_before_the_policys() {
    // The policy had the run's own check made: it is not made twice.
    check(
        checked(),
        "begin               | 1=plan round 0
         1 plan a verifier:0 | 2=0→a
         2 done              | 3=verify 0 in 1
         3 pass              | end completed accepted out2",
    );
    let begin = "begin                 | 1=plan round 0
         1 plan a verifier{}:0 | 2=0→a
         2 done                | 3=verify 0 in 1";
    check(
        checked(),
        &format!("{begin}\n 3 pass | 4=verify 0\n 4 pass | end completed accepted out2"),
    );
    // What the policy itself refutes is planned again, as long as that can be.
    check(checked(), &format!("{begin}\n 3 reject | round 1; 4=plan round 1"));
    let mut last = checked();
    last.limits.rounds_max = 1;
    check(last, &format!("{begin}\n 3 reject | 4=verify 0\n 4 pass | end completed accepted out2"));
}

#[test]
fn what_a_verifier_refutes_on_the_way_is_planned_again() {
    let begin = "begin                     | 1=plan round 0
         1 plan a verifier:0 b:0,1 | 2=0→a
         2 done                    | 3=verify 0 in 1";
    for goes_on in ["pass", "abstain"] {
        check(
            verified(),
            &format!("{begin}\n 3 {goes_on} | 4=2→b\n 4 done | end completed unchecked out4"),
        );
    }
    check(
        verified(),
        &format!(
            "{begin}
             3 reject      | round 1; 4=plan round 1
             4 plan a=0 c:0 | 5=1→c
             5 done        | end completed unchecked out5"
        ),
    );
    // The policy cannot say how: its stand-in does. And without a round left, it goes on.
    check(
        verified(),
        &format!("{begin}\n 3 reject | round 1; 4=plan round 1\n 4 fail | adopt; 5=0→a"),
    );
    let mut last = verified();
    last.limits.rounds_max = 1;
    check(last, &format!("{begin}\n 3 reject | 4=2→b\n 4 done | end completed unchecked out4"));
    // What the verifier said is no answer.
    check(verified(), &format!("{begin}\n 3 pass | 4=2→b\n cancel | end cancelled cancelled out2"));
}

#[test]
fn a_verifier_that_cannot_be_asked_says_nothing() {
    let mut run = begin(verified(), "a verifier:0 b:0,1");
    hear(&mut run, "2 done");
    let work = work_after(&mut run, "3 lost");
    let seen: Vec<_> = work.iter().map(|(step, body)| (step.0, &*body.hash)).collect();
    assert_eq!(seen, [(0, "out2")], "the step behind it is shown what there is");
    // By words, and nobody judges; by a check, and there is none.
    let nobody = RunSpec { verifier: Some(VerifierTerms::default()), ..policy("a") };
    for how in ["verifier?", "verifier"] {
        check(
            nobody.clone(),
            &format!(
                "begin            | 1=plan round 0
                 1 plan a {how}:0 | 2=0→a
                 2 done           | end completed unchecked out2"
            ),
        );
    }
    let mut poor = verified();
    poor.budget.calls = 2;
    check(
        poor,
        "begin               | 1=plan round 0
         1 plan a verifier:0 | 2=0→a
         2 done              | end incomplete budget_spent out2",
    );
}

#[test]
fn later_steps_are_told_what_the_verifier_said() {
    let mut run = begin(verified(), "a verifier?:0 b:0,1");
    hear(&mut run, "2 done");
    let work = work_after(&mut run, "3 pass");
    let seen: Vec<_> = work.iter().map(|(step, body)| (step.0, &*body.hash)).collect();
    assert_eq!(seen, [(0, "out2"), (1, "said3")]);
}

#[test]
fn of_several_candidates_the_verifiers_choice_is_the_answer() {
    let story = |how: &str, ends: &str| {
        format!(
            "begin                | 1=plan round 0
             1 plan a b {how}:0,1 | 2=0→a; 3=1→b
             2 done               |
             3 done               | 4=verify 0,1 in 2
             4 choose 1           | {ends}"
        )
    };
    check(verified(), &story("verifier?", "end completed accepted out3"));
    // A vote says which, and not whether.
    check(verified(), &story("verifier", "end completed unchecked out3"));
    check(checked(), &story("verifier", "5=verify 1\n 5 pass | end completed accepted out3"));
    // What it sees of its own kind is no candidate, and it takes no vote away.
    check(
        verified(),
        "begin                            | 1=plan round 0
         1 plan a verifier:0 verifier:0,1 | 2=0→a
         2 done                           | 3=verify 0 in 1; 4=verify 0 in 2
         3 pass                           |
         4 pass                           | end completed accepted out2",
    );
    check(
        verified(),
        "begin               | 1=plan round 0
         1 vote a b verifier:0 | 2=0→a; 3=1→b
         2 done              | 4=verify 0 in 2
         4 pass              |
         3 done              | 5=verify 0,1
         5 choose 1          | end completed unchecked out3",
    );
}

#[test]
fn an_answer_that_calls_tools_is_verified_when_they_have_answered() {
    let needs = Abilities { tools: true, ..Abilities::NONE };
    let spec = RunSpec { needs, awaits: true, ..verified() };
    check(
        spec.clone(),
        "begin               | 1=plan round 0
         1 plan a verifier:0 | 2=0→a
         2 calls             | await 0 of 0
         results 0           | 3=0→a
         3 done              | 4=verify 0 in 1
         4 pass              | end completed accepted out3",
    );
    check(
        RunSpec { awaits: false, ..spec },
        "begin               | 1=plan round 0
         1 plan a verifier:0 | 2=0→a
         2 calls             | end completed tool_calls out2",
    );
}

#[test]
fn the_verifier_is_told_by_what_to_check_and_whose_step_it_is() {
    let asked = |how: &str, spec: RunSpec| {
        let mut run = begin(spec, &format!("a {how}:0"));
        let event = input("2 done", &mut Timestamp(1000)).unwrap();
        run.apply(&Event::Heard { input: event });
        match run.decide(Timestamp(1000)).tasks.pop() {
            Some((3, Assignment::Verify(asked))) => asked,
            other => panic!("{other:?}"),
        }
    };
    let own = asked("verifier", checked());
    assert_eq!((own.check, own.words), (checked().check, None));
    let stated = asked("verifier{}", checked());
    assert_eq!(stated.check, Some(Check::Stated { check: "{}".into(), votes: false }));
    let words = asked("verifier?", checked());
    assert_eq!(words.check, Some(Check::Judge { model: agent("j", 100) }));
    assert_eq!(words.words.map(|body| body.hash), Some("flow".into()));
    assert_eq!(words.step.map(|step| step.0), Some(1));
    assert_eq!(words.candidates, [BodyRef { hash: "out2".into(), len: 5 }]);
}

/// A run whose plan is this, with its first steps given out.
fn begin(spec: RunSpec, text: &str) -> Run {
    let first = Event::Submitted { spec: Box::new(spec) };
    let mut run = Run::begin(&first, Timestamp(1000)).unwrap();
    told(&mut run, Timestamp(1000));
    assert!(!plan(text, Selection::Last).steps.is_empty());
    hear(&mut run, &format!("1 plan {text}"));
    run
}

fn hear(run: &mut Run, line: &str) -> String {
    let mut now = Timestamp(1000);
    let input = input(line, &mut now).unwrap();
    run.apply(&Event::Heard { input });
    told(run, now)
}

/// What the step that is given out next is shown.
fn work_after(run: &mut Run, line: &str) -> Vec<(baton_workflow::StepId, BodyRef)> {
    let input = input(line, &mut Timestamp(1000)).unwrap();
    run.apply(&Event::Heard { input });
    match run.decide(Timestamp(1000)).tasks.pop() {
        Some((_, Assignment::Work(work))) => work.inputs,
        other => panic!("{other:?}"),
    }
}
