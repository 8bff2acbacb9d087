//! The language that the stories are told in.

use baton_engine::{
    AgentTerms, Answer, End, Event, Input, Outcome, Plan, Planning, Reason, Run, RunSpec,
    Shortfall, Status, StepShape,
};
use baton_workflow::{
    Abilities, AgentId, BodyRef, Budget, Limits, Price, Resource, Selection, Spend, StepId,
    Timestamp, Usd, Verdict, VerdictKind,
};

pub(crate) fn agent(name: &str, price: u64) -> AgentTerms {
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
pub(crate) fn plan(text: &str, selection: Selection) -> Plan {
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

pub(crate) fn spec(planning: Planning) -> RunSpec {
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
        review: false,
        worth: None,
    }
}

pub(crate) fn strategy(text: &str) -> RunSpec {
    let plan = plan(text, Selection::Last);
    spec(Planning::Strategy { name: "test".into(), plan })
}

pub(crate) fn policy(fallback: &str) -> RunSpec {
    let fallback = plan(fallback, Selection::Last);
    spec(Planning::Policy { model: agent("p", 100), fallback, fallback_name: "direct".into() })
}

/// A policy's run that may recurse so deep.
pub(crate) fn deep(depth: u8) -> RunSpec {
    let mut spec = policy("a");
    spec.recursion = true;
    spec.budget.depth = depth;
    spec
}

/// One line of what comes in: `TASK done`, `TASK costs PICODOLLARS`, `TASK fail`, `TASK plan a b:0`, `TASK stands`,
/// `TASK unreadable`, `TASK broke`, `TASK lost`, `TASK interrupted`,
/// `TASK pass|reject|abstain [SCORE] [CLASS]`, `TASK choose N`, `cancel`, `late`, `word TEXT`, `wait MS`,
/// `removed AGENT AGENT`, `results TURN`, `unanswered TURN`.
pub(crate) fn input(line: &str, now: &mut Timestamp) -> Option<Input> {
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
    let verdict = |kind, choice: Option<u16>| {
        let said = || argument.split_whitespace().filter(|_| choice.is_none());
        let score = said().find_map(|word| word.parse().ok()).unwrap_or(0.0);
        let class = said().find(|word| word.parse::<f64>().is_err()).map(str::to_owned);
        let verdict = Verdict::new("t/1", kind, "").saying("off by one");
        let verdict = Verdict { score: Some(score), class, choice, ..verdict };
        Outcome::Verified { verdict: verdict.into(), ms: 1, cached: false }
    };
    let outcome = match what {
        "ended" => {
            let end = child_end(argument, task);
            let spend = Spend { calls: 3, tokens_out: 30, ..Spend::ZERO };
            return Some(Input::ChildEnded { child: task, end: Box::new(end), spend });
        }
        "interrupted" => return Some(Input::Interrupted { task, spend: Spend::ZERO }),
        "lost" => return Some(Input::Lost { task, spend: Spend::ZERO }),
        "done" | "costs" => Outcome::Worked {
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
    let usd = if what == "costs" { argument.parse().unwrap() } else { 0 };
    let spend = Spend { calls: 1, tokens_out: 10, usd: Usd::from_pico(usd), ..Spend::ZERO };
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
            score: None,
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

pub(crate) fn told(run: &mut Run, now: Timestamp) -> String {
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
                let score = |score: f64| format!(" {score}");
                let told = |a: &Answer| {
                    let score = a.score.filter(|score| *score > 0.0).map(score);
                    format!("{}{}", a.output.hash, score.unwrap_or_default())
                };
                let answer = end.answer.as_ref().map_or("no answer".into(), told);
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
pub(crate) fn check(spec: RunSpec, story: &str) {
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
