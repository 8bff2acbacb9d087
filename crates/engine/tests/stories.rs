//! Runs told as text: what comes in on the left, what is decided on the right.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what should be there is there, or the test fails"
)]

use baton_engine::{
    AgentTerms, Answer, Assignment, Check, End, Event, Exchange, Input, Outcome, Plan, Planning,
    Reason, Run, RunSpec, Shortfall, Status, StepShape,
};
use baton_workflow::{
    Abilities, AgentId, BodyRef, Budget, Limits, Price, Resource, Selection, Spend, StepId,
    Timestamp, Usd, Verdict, VerdictKind,
};

#[path = "golden/mod.rs"]
mod golden;

fn agent(name: &str, price: u64) -> AgentTerms {
    AgentTerms {
        id: AgentId::new(name).unwrap(),
        price: Price { input: price, output: price, ..Price::default() },
        context_tokens: 32_768,
        output_tokens: 1_000,
        images: false,
        abilities: Abilities::default(),
    }
}

/// `a b:0 a:0,1 c=2`: agents, each with the steps it sees, or the step it is kept from.
fn plan(text: &str, selection: Selection) -> Plan {
    let steps = text.split_whitespace().map(|step| {
        let (step, kept) = step
            .split_once('=')
            .map_or((step, None), |(step, kept)| (step, Some(StepId(kept.parse().unwrap()))));
        let (agent, sees) = step.split_once(':').unwrap_or((step, ""));
        let sees = sees.split(',').filter(|s| !s.is_empty());
        StepShape {
            agent: AgentId::new(agent).unwrap(),
            sees: sees.map(|s| StepId(s.parse().unwrap())).collect(),
            sees_rounds: step.contains(':'),
            kept,
        }
    });
    let workflow = BodyRef { hash: "flow".into(), len: 10 };
    Plan { workflow, pool_version: "v".into(), steps: steps.collect(), selection }
}

fn spec(planning: Planning) -> RunSpec {
    RunSpec {
        request: BodyRef { hash: "ask".into(), len: 10 },
        budget: Budget {
            usd: Usd::from_dollars(1.0).unwrap(),
            tokens: 1_000_000,
            calls: 20,
            seconds: 60,
            depth: 0,
        },
        limits: Limits::default(),
        agents: vec![agent("a", 100), agent("b", 200), agent("c", 900)],
        planning,
        check: None,
        images: false,
        needs: Abilities::NONE,
        recursion: false,
        awaits: false,
    }
}

fn strategy(text: &str) -> RunSpec {
    let plan = plan(text, Selection::Last);
    spec(Planning::Strategy { name: "test".into(), plan })
}

fn policy(fallback: &str) -> RunSpec {
    let fallback = plan(fallback, Selection::Last);
    spec(Planning::Policy { model: agent("p", 100), fallback, fallback_name: "direct".into() })
}

/// One line of what comes in: `TASK done`, `TASK fail`, `TASK plan a b:0`, `TASK stands`,
/// `TASK unreadable`, `TASK broke`, `TASK lost`, `TASK interrupted`,
/// `TASK pass|reject|abstain`, `TASK choose N`, `cancel`, `late`, `word TEXT`, `wait MS`,
/// `removed AGENT AGENT`, `results TURN`, `unanswered TURN`.
fn input(line: &str, now: &mut Timestamp) -> Option<Input> {
    let (head, rest) = line.split_once(' ').unwrap_or((line, ""));
    match head {
        "cancel" => return Some(Input::CancelAsked { reason: "asked".into() }),
        "late" => return Some(Input::DeadlinePassed),
        "word" => {
            let (key, event) = ("k".into(), Some(rest.into()));
            return Some(Input::Signalled { key, event });
        }
        "results" => {
            let results = Some(BodyRef { hash: format!("results{rest}").into(), len: 5 });
            return Some(Input::Results { turn: rest.parse().unwrap(), results });
        }
        "unanswered" => {
            return Some(Input::Results { turn: rest.parse().unwrap(), results: None });
        }
        "removed" => {
            let agents = rest.split_whitespace().map(|id| AgentId::new(id).unwrap()).collect();
            return Some(Input::AgentsRemoved { agents });
        }
        "wait" => {
            *now = now.plus_ms(rest.parse().unwrap());
            return None;
        }
        _ => {}
    }
    let task = head.parse().unwrap();
    let (what, argument) = rest.split_once(' ').unwrap_or((rest, ""));
    let verdict = |kind, choice| {
        let (feedback, verifier) = ("off by one".into(), "t/1".into());
        let verdict = Verdict { kind, score: Some(0.0), choice, feedback, verifier };
        Outcome::Verified { verdict, ms: 1 }
    };
    let outcome = match what {
        "ended" => {
            let end = child_end(argument, task);
            let spend = Spend { calls: 3, tokens_out: 30, ..Spend::ZERO };
            return Some(Input::ChildEnded { child: task, end: Box::new(end), spend });
        }
        "interrupted" => return Some(Input::Interrupted { task, spend: Spend::ZERO }),
        "lost" => return Some(Input::Lost { task, spend: Spend::ZERO }),
        "done" => Outcome::Worked {
            output: BodyRef { hash: format!("out{task}").into(), len: 5 },
            truncated: false,
            ms: 1,
            tool_calls: None,
            replan: None,
        },
        "asks" => Outcome::Worked {
            output: BodyRef { hash: format!("out{task}").into(), len: 5 },
            truncated: false,
            ms: 1,
            tool_calls: None,
            replan: Some("it cannot work".into()),
        },
        "calls" => Outcome::Worked {
            output: BodyRef { hash: format!("out{task}").into(), len: 5 },
            truncated: false,
            ms: 1,
            tool_calls: Some(BodyRef { hash: format!("calls{task}").into(), len: 5 }),
            replan: None,
        },
        "refuses" => Outcome::FellShort {
            shortfall: Shortfall::Refused,
            text: BodyRef { hash: format!("no{task}").into(), len: 5 },
            ms: 1,
        },
        "fail" => Outcome::Failed { code: "server_error".into(), message: "503".into() },
        "plan" => Outcome::Planned { plan: plan(argument, Selection::Last), repairs: 0, ms: 1 },
        "vote" => Outcome::Planned { plan: plan(argument, Selection::Majority), repairs: 0, ms: 1 },
        "stands" => Outcome::Stands,
        "unreadable" => Outcome::Unreadable { complaints: vec!["no list".into()], repairs: 2 },
        "broke" => Outcome::BudgetSpent { resource: Resource::Usd },
        "pass" => verdict(VerdictKind::Pass, None),
        "reject" => verdict(VerdictKind::Fail, None),
        "abstain" => verdict(VerdictKind::Abstain, None),
        "choose" => verdict(VerdictKind::Pass, Some(argument.parse().unwrap())),
        other => panic!("{other}?"),
    };
    let spend = Spend { calls: 1, tokens_out: 10, ..Spend::ZERO };
    Some(Input::Outcome { task, outcome, spend, estimated: false, incidents: vec![] })
}

/// How a child run ends: `completed`, `calls`, `incomplete`, `partial`, `refused`, `failed`,
/// `cancelled`.
fn child_end(how: &str, child: u32) -> End {
    let answer = |partial, shortfall| {
        Some(Answer {
            output: BodyRef { hash: format!("out{child}").into(), len: 5 },
            round: 0,
            step: StepId(0),
            agent: AgentId::new("a").unwrap(),
            truncated: false,
            tool_calls: None,
            shortfall,
            partial,
        })
    };
    let calls = |answer: Option<Answer>| {
        let tool_calls = Some(BodyRef { hash: format!("calls{child}").into(), len: 5 });
        answer.map(|answer| Answer { tool_calls, ..answer })
    };
    let (status, reason, answer) = match how {
        "calls" => (Status::Completed, Reason::ToolCalls, calls(answer(false, None))),
        "completed" => (Status::Completed, Reason::Unchecked, answer(false, None)),
        "incomplete" => (Status::Incomplete, Reason::DeadlinePassed, answer(false, None)),
        "partial" => (Status::Incomplete, Reason::DeadlinePassed, answer(true, None)),
        "refused" => {
            let (step, shortfall) = (StepId(0), Shortfall::Refused);
            let reason = Reason::FellShort { step, shortfall: shortfall.clone() };
            (Status::Incomplete, reason, answer(false, Some(shortfall)))
        }
        "failed" => (Status::Failed, Reason::BudgetSpent { resource: Resource::Calls }, None),
        "cancelled" => {
            (Status::Cancelled, Reason::Cancelled { reason: "asked".into() }, answer(false, None))
        }
        other => panic!("{other}?"),
    };
    End { status, reason, answer, spend: Spend::ZERO, rounds: 1 }
}

fn told(run: &mut Run, now: Timestamp) -> String {
    let decision = run.decide(now);
    let mut words = Vec::new();
    for event in &decision.events {
        run.apply(event);
        words.extend(match event {
            Event::PlanAsked { task, round, .. } => Some(format!("{task}=plan round {round}")),
            Event::Adopted { .. } => Some("adopt".into()),
            Event::StepDispatched { task, step, agent, .. } => {
                Some(format!("{task}={step}→{agent}"))
            }
            Event::RoundBegun { round, .. } => Some(format!("round {round}")),
            Event::Withdrawn { tasks, children } => Some(format!("not {tasks:?} {children:?}")),
            Event::ChildBegun { child, step, budget, .. } => {
                Some(format!("{child}={step}→run of {} calls", budget.calls))
            }
            Event::VerifyAsked { task, candidates, .. } => {
                let steps: Vec<_> = candidates.iter().map(ToString::to_string).collect();
                Some(format!("{task}=verify {}", steps.join(",")))
            }
            Event::Ended { end } => {
                let answer =
                    end.answer.as_ref().map_or("no answer".into(), |a| a.output.hash.to_string());
                let reason = serde_json::to_value(&end.reason).unwrap();
                let status = serde_json::to_value(end.status).unwrap();
                let (status, reason) = (status.as_str().unwrap(), reason["code"].as_str().unwrap());
                Some(format!("end {status} {reason} {answer}"))
            }
            Event::ResultsAwaited { turn, step, .. } => Some(format!("await {turn} of {step}")),
            Event::Submitted { .. } | Event::Heard { .. } => None,
        });
    }
    words.join("; ")
}

/// Tells the story of a run; each line of `story` is `what comes in | what is decided`.
fn check(spec: RunSpec, story: &str) {
    let mut now = Timestamp(0);
    let mut run = Run::begin(&Event::Submitted { spec: Box::new(spec) }, now).unwrap();
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (left, right) = line.split_once('|').unwrap();
        let (left, right) = (left.trim(), right.trim());
        if left != "begin"
            && let Some(input) = input(left, &mut now)
        {
            run.apply(&Event::Heard { input });
        }
        assert_eq!(told(&mut run, now), right, "after {left:?} in {story}");
    }
}

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

/// A policy's run that may recurse so deep.
fn deep(depth: u8) -> RunSpec {
    let mut spec = policy("a");
    spec.recursion = true;
    spec.budget.depth = depth;
    spec
}

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
