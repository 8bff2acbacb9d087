//! Whatever happens, in whatever order, however often: a run ends at most once, within
//! its budget, and every step is done by one task at a time, after what it sees. The same
//! holds of every run below it, and of all of them together.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what should be there is there, or the test fails"
)]

use baton_engine::{
    AgentTerms, Assignment, Check, Decision, End, Event, Input, Outcome, Plan, Planning, Run,
    RunSpec, Shortfall, Status, StepShape,
};
use baton_workflow::{
    Abilities, AgentId, BodyRef, Budget, Limits, Price, Selection, Spend, StepId, Timestamp, Usd,
    Verdict, VerdictKind,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicUsize, Ordering},
};

/// Child runs that were begun in this process.
static BEGUN: AtomicUsize = AtomicUsize::new(0);
/// Ends that were compared with a first answer that had a score.
static COMPARED: AtomicUsize = AtomicUsize::new(0);
/// Moments at which a run awaited results.
static AWAITED: AtomicUsize = AtomicUsize::new(0);

fn body(name: &str, len: u32) -> BodyRef {
    BodyRef { hash: name.into(), len }
}

fn agent(name: &str, price: u64) -> AgentTerms {
    AgentTerms {
        id: AgentId::new(name).unwrap(),
        price: Price { input: price, output: price * 4, ..Price::default() },
        context_tokens: 32_768,
        output_tokens: 4096,
        images: false,
        abilities: Abilities { tools: name != "a", ..Abilities::default() },
    }
}

/// An agent of the pool, or the Conductor itself behind them.
fn named(place: usize) -> AgentId {
    agents().get(place).map_or_else(AgentId::itself, |agent| agent.id.clone())
}

fn agents() -> Vec<AgentTerms> {
    vec![agent("a", 100_000), agent("b", 1_000_000), agent("c", 3_000_000)]
}

prop_compose! {
    fn any_plan()(
        shapes in prop::collection::vec((0..4_usize, any::<u8>()), 1..=5),
        majority in any::<bool>(),
    ) -> Plan {
        let steps = shapes.iter().enumerate().map(|(place, (agent, mask))| StepShape {
            agent: named(*agent),
            sees: (0..place as u16).filter(|step| mask >> step & 1 == 1).map(StepId).collect(),
            sees_rounds: mask & 1 == 1,
            kept: (mask >> 6 == 3).then_some(StepId(u16::from(mask & 3))),
        });
        Plan {
            workflow: body("flow", 300),
            pool_version: "v1".into(),
            steps: steps.collect(),
            selection: if majority { Selection::Majority } else { Selection::Last },
        }
    }
}

prop_compose! {
    fn any_spec()(
        plan in any_plan(),
        by_policy in any::<bool>(),
        check in 0..5_u8,
        calls in 1..40_u32,
        tokens in 3_000..400_000_u64,
        cents in 1..40_u64,
        rounds_max in 1..4_u16,
        tools in any::<bool>(),
        depth in 0..4_u8,
        awaits in prop::bool::weighted(0.8),
        recursion in prop::bool::weighted(0.8),
        (review, worth) in any::<(bool, bool)>(),
    ) -> RunSpec {
        let planning = if by_policy {
            Planning::Policy { model: agent("p", 500_000), fallback: plan, fallback_name: "direct".into() }
        } else {
            Planning::Strategy { name: "any".into(), plan }
        };
        RunSpec {
            request: body("ask", 200),
            budget: Budget { usd: Usd::from_pico(cents * 10_000_000_000), tokens, calls, seconds: 60, depth },
            limits: Limits { rounds_max, ..Limits::default() },
            agents: agents(),
            planning,
            check: match check {
                0 => None,
                1 => Some(Check::Answer { expected: "42".into() }),
                2 => Some(Check::Judge { model: agent("j", 200_000) }),
                3 => Some(Check::Judged { check: "{}".into(), judges: agents(), calls: 2 }),
                _ => Some(Check::Compared { check: "{}".into(), judges: agents() }),
            },
            images: false,
            needs: Abilities { tools, structured_output: false },
            recursion,
            awaits: awaits && tools,
            review,
            worth: worth.then(|| Usd::from_pico(cents * 1_000_000_000)),
        }
    }
}

/// One thing the world does; numbers choose among what is possible at that moment.
#[derive(Debug, Clone)]
enum Act {
    Finish { pick: usize, luck: u8, share: u8, plan: Plan },
    Repeat { pick: usize },
    Lose { pick: usize },
    Interrupt { pick: usize },
    Answer { pick: usize, late: bool, comes: bool },
    Nonsense { task: u32 },
    Cancel { pick: usize },
    Late { pick: usize },
    Wait { ms: u64 },
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        20 => (any::<usize>(), any::<u8>(), any::<u8>(), any_plan())
            .prop_map(|(pick, luck, share, plan)| Act::Finish { pick, luck, share, plan }),
        3 => any::<usize>().prop_map(|pick| Act::Repeat { pick }),
        2 => any::<usize>().prop_map(|pick| Act::Lose { pick }),
        1 => any::<usize>().prop_map(|pick| Act::Interrupt { pick }),
        8 => (any::<usize>(), prop::bool::weighted(0.2), prop::bool::weighted(0.9))
            .prop_map(|(pick, late, comes)| Act::Answer { pick, late, comes }),
        2 => (0..40_u32).prop_map(|task| Act::Nonsense { task }),
        1 => any::<usize>().prop_map(|pick| Act::Cancel { pick }),
        1 => any::<usize>().prop_map(|pick| Act::Late { pick }),
        2 => (0..3_000_u64).prop_map(|ms| Act::Wait { ms }),
    ]
}

/// A Conductor, a ledger and workers, reduced to what the state machine can notice, for a
/// run and the runs below it.
struct World {
    run: Run,
    /// Child runs that have not ended.
    below: BTreeMap<u32, World>,
    journal: Vec<(Event, Timestamp)>,
    now: Timestamp,
    pending: BTreeMap<u32, (Assignment, Spend)>,
    heard: Vec<Input>,
    ends: Vec<End>,
    withdrawn: BTreeSet<u32>,
    /// What was known of the first round's answer when the run ended.
    first: Option<Verdict>,
    budget: Budget,
    dispatched: BTreeSet<u32>,
    running_steps: BTreeMap<(u16, StepId), u32>,
    done_steps: BTreeSet<(u16, StepId)>,
}

impl World {
    fn new(spec: RunSpec) -> Self {
        Self::begin(spec, Timestamp(1_000))
    }

    fn begin(spec: RunSpec, now: Timestamp) -> Self {
        let budget = spec.budget;
        let first = Event::Submitted { spec: Box::new(spec) };
        let run = Run::begin(&first, now).unwrap();
        let mut world = Self {
            run,
            below: BTreeMap::new(),
            journal: vec![(first, now)],
            now,
            pending: BTreeMap::new(),
            heard: Vec::new(),
            ends: Vec::new(),
            withdrawn: BTreeSet::new(),
            first: None,
            budget,
            dispatched: BTreeSet::new(),
            running_steps: BTreeMap::new(),
            done_steps: BTreeSet::new(),
        };
        world.decide();
        world
    }

    fn bound_of(event: &Event) -> Option<(u32, Spend)> {
        match event {
            Event::PlanAsked { task, bound, .. }
            | Event::StepDispatched { task, bound, .. }
            | Event::VerifyAsked { task, bound, .. } => Some((*task, *bound)),
            Event::Submitted { .. }
            | Event::Heard { .. }
            | Event::Adopted { .. }
            | Event::RoundBegun { .. }
            | Event::Withdrawn { .. }
            | Event::ChildBegun { .. }
            | Event::ResultsAwaited { .. }
            | Event::Ended { .. } => None,
        }
    }

    fn decide(&mut self) {
        let Decision { events, tasks, children, withdraw, withdraw_children, end } =
            self.run.decide(self.now);
        let mut tasks: BTreeMap<_, _> = tasks.into_iter().collect();
        let mut children: BTreeMap<_, _> = children.into_iter().collect();
        for event in events {
            if let Event::StepDispatched { task, round, step, .. }
            | Event::ChildBegun { child: task, round, step, .. } = &event
            {
                let (plan, _) = self.run.round(*round).unwrap();
                for seen in &plan.steps[step.index()].sees {
                    assert!(self.is_done(*round, *seen), "step before its input");
                }
                let twice = self.running_steps.insert((*round, *step), *task);
                assert_eq!(twice, None, "a step given out twice");
            }
            if let Some((task, bound)) = Self::bound_of(&event) {
                assert!(self.dispatched.insert(task), "task number {task} used twice");
                let assignment = tasks.remove(&task).expect("an assignment for each task");
                self.pending.insert(task, (assignment, bound));
            }
            if let Event::ChildBegun { child, budget, .. } = &event {
                assert!(self.dispatched.insert(*child), "number {child} used twice");
                let spec = children.remove(child).expect("an assignment for each child");
                let spec = spec.spec(body("told", 900));
                assert_eq!(spec.budget, *budget);
                assert_eq!(budget.depth + 1, self.budget.depth, "depth is not one less");
                BEGUN.fetch_add(1, Ordering::Relaxed);
                self.below.insert(*child, Self::begin(spec, self.now));
            }
            self.run.apply(&event);
            self.journal.push((event, self.now));
            let most = self.run.spent().plus(self.run.reserved());
            assert_eq!(self.budget.exceeded_by(&most), None, "more promised than there is");
        }
        assert!(tasks.is_empty(), "a task that no event speaks of");
        for child in withdraw_children {
            let child = self.below.get_mut(&child).expect("withdrew what is not there");
            child.hear(Input::CancelAsked { reason: "withdrawn".into() });
        }
        for task in withdraw {
            assert!(self.pending.contains_key(&task), "withdrew what is not there");
            self.withdrawn.insert(task);
        }
        assert!(children.is_empty(), "a child that no event speaks of");
        if end.is_some() {
            self.first = self.run.verdict(0).cloned();
        }
        self.ends.extend(end);
        if !self.ends.is_empty() {
            // What the ledger does: nobody goes on below a run that has ended.
            for child in self.below.values_mut() {
                child.hear(Input::CancelAsked { reason: "the run above ended".into() });
                assert!(!child.ends.is_empty(), "goes on below a run that has ended");
            }
        }
        assert!(self.run.decide(self.now) == Decision::default(), "a decision decides once");
    }

    /// Whether a step was done, in its round or in the one that it is kept from.
    fn is_done(&self, round: u16, step: StepId) -> bool {
        let kept = self.run.round(round).and_then(|(plan, _)| plan.steps[step.index()].kept);
        let before = kept.zip(round.checked_sub(1));
        self.done_steps.contains(&(round, step))
            || before.is_some_and(|(kept, round)| {
                let steps = self.run.round(round).map_or(0, |(_, steps)| steps.len());
                kept.index() < steps && self.is_done(round, kept)
            })
    }

    fn hear(&mut self, input: Input) {
        self.heard.push(input.clone());
        let event = Event::Heard { input };
        self.run.apply(&event);
        self.journal.push((event, self.now));
        self.decide();
        self.check();
    }

    fn check(&self) {
        assert!(self.ends.len() <= 1, "ended twice");
        assert_eq!(self.budget.exceeded_by(&self.run.spent()), None, "budget exceeded");
        let mut again = Run::begin(&self.journal[0].0, self.journal[0].1).unwrap();
        self.journal[1..].iter().for_each(|(event, _)| again.apply(event));
        assert_eq!(again, self.run, "replay differs");
        let text = serde_json::to_string(&self.journal.last().unwrap().0).unwrap();
        let back: Event = serde_json::from_str(&text).unwrap();
        assert_eq!(back, self.journal.last().unwrap().0, "an event does not read back");
        let below = self.below.values().map(|child| child.run.spent());
        let tree = self.run.spent().plus(below.sum());
        assert_eq!(self.budget.exceeded_by(&tree), None, "the tree exceeds its budget");
        if self.ends.is_empty() {
            let awaits = self.run.awaited().is_some();
            let waits = !self.pending.is_empty() || !self.below.is_empty() || awaits;
            assert!(waits, "neither ended nor waiting for anything");
            if awaits {
                AWAITED.fetch_add(1, Ordering::Relaxed);
                let unwanted = |task| self.withdrawn.contains(task);
                assert!(self.pending.keys().all(unwanted), "a wait that costs");
            }
        }
    }

    /// Hears of the child runs that have ended.
    fn collect(&mut self) {
        let ended = self.below.iter().find(|(_, child)| !child.ends.is_empty());
        let Some(child) = ended.map(|(child, _)| *child) else { return };
        let Some(below) = self.below.remove(&child) else { return };
        let (end, spend) = (below.ends[0].clone(), below.run.spent());
        self.running_steps.retain(|_, number| *number != child);
        if matches!(end.for_step(), Outcome::Worked { .. }) {
            let steps = self.journal.iter().filter_map(|(event, _)| match event {
                Event::ChildBegun { child: begun, round, step, .. } if *begun == child => {
                    Some((*round, *step))
                }
                _other => None,
            });
            self.done_steps.extend(steps);
        }
        self.hear(Input::ChildEnded { child, end: Box::new(end), spend });
        self.collect();
    }

    /// The run that an act is about: this one, or one below it.
    fn act(&mut self, act: Act) {
        let number = match &act {
            Act::Finish { pick, .. }
            | Act::Repeat { pick }
            | Act::Lose { pick }
            | Act::Interrupt { pick }
            | Act::Cancel { pick }
            | Act::Late { pick } => *pick,
            Act::Nonsense { .. } | Act::Answer { .. } | Act::Wait { .. } => 0,
        };
        let nobody_here = matches!(act, Act::Finish { .. }) && self.pending.is_empty();
        if let Act::Wait { ms } = act {
            self.below.values_mut().for_each(|child| child.act(Act::Wait { ms }));
        }
        let below = number % (self.below.len() + 1);
        let below = if nobody_here { below.max(1) } else { below };
        match below.checked_sub(1).and_then(|place| self.below.values_mut().nth(place)) {
            Some(child) => child.act(act),
            None => self.act_here(act),
        }
        self.collect();
    }

    fn take(&mut self, pick: usize) -> Option<(u32, Assignment, Spend)> {
        let task = *self.pending.keys().nth(pick % self.pending.len().max(1))?;
        let (assignment, bound) = self.pending.remove(&task)?;
        if let Assignment::Work(work) = &assignment {
            self.running_steps.remove(&(work.round, work.step));
        }
        Some((task, assignment, bound))
    }

    fn act_here(&mut self, act: Act) {
        match act {
            Act::Finish { pick, luck, share, plan } => {
                let Some((task, assignment, bound)) = self.take(pick) else { return };
                let outcome = outcome_of(&assignment, luck, plan);
                if let (Assignment::Work(work), Outcome::Worked { .. }) = (&assignment, &outcome) {
                    self.done_steps.insert((work.round, work.step));
                }
                let part = |whole: u64| whole * u64::from(share) / 255;
                let spend = Spend {
                    usd: Usd::from_pico(part(bound.usd.pico())),
                    tokens_in: part(bound.tokens_in),
                    tokens_out: part(bound.tokens_out),
                    calls: bound.calls,
                };
                self.hear(Input::Outcome {
                    task,
                    outcome,
                    spend,
                    estimated: false,
                    incidents: vec![],
                });
            }
            Act::Repeat { pick } => {
                let Some(input) = self.heard.get(pick % self.heard.len().max(1)).cloned() else {
                    return;
                };
                // What was nonsense once may name a task that is open by now: that would be
                // another outcome, not the same one twice.
                let open = match &input {
                    Input::Outcome { task, .. }
                    | Input::Lost { task, .. }
                    | Input::Interrupted { task, .. } => self.pending.contains_key(task),
                    Input::ChildEnded { .. }
                    | Input::DeadlinePassed
                    | Input::CancelAsked { .. }
                    | Input::AgentsRemoved { .. }
                    | Input::Results { .. }
                    | Input::Signalled { .. } => false,
                };
                if !open {
                    self.hear(input);
                }
            }
            Act::Interrupt { pick } => {
                if let Some((task, _, bound)) = self.take(pick) {
                    self.hear(Input::Interrupted { task, spend: bound });
                }
            }
            Act::Answer { pick, late, comes } => {
                self.hear(Input::Signalled { key: "k".into(), event: Some("yes".into()) });
                let turn = match (self.run.awaited(), late) {
                    (Some(turn), false) => turn,
                    (_, _) => (pick % 5) as u32,
                };
                let results = comes.then(|| body("results", 60));
                self.hear(Input::Results { turn, results });
            }
            Act::Lose { pick } => {
                if let Some((task, _, bound)) = self.take(pick) {
                    self.hear(Input::Lost { task, spend: bound });
                }
            }
            Act::Nonsense { task } if !self.pending.contains_key(&task) => {
                self.hear(Input::Outcome {
                    task,
                    outcome: Outcome::Stands,
                    spend: Spend { calls: 99, ..Spend::ZERO },
                    estimated: true,
                    incidents: vec![],
                });
            }
            Act::Nonsense { .. } => {}
            Act::Cancel { .. } => self.hear(Input::CancelAsked { reason: "test".into() }),
            Act::Late { .. } => self.hear(Input::DeadlinePassed),
            Act::Wait { ms } => {
                self.now = self.now.plus_ms(ms);
                self.decide();
            }
        }
    }
}

fn outcome_of(assignment: &Assignment, luck: u8, plan: Plan) -> Outcome {
    let failed = || Outcome::Failed { code: "server_error".into(), message: "503".into() };
    let all_luck = luck;
    match (assignment, luck % 8) {
        (_, 0) => failed(),
        (_, 1) => Outcome::Abandoned,
        (Assignment::Plan(_), 2) => Outcome::Stands,
        (Assignment::Plan(_), 3) => {
            Outcome::Unreadable { complaints: vec!["no lists".into()], repairs: 2 }
        }
        (Assignment::Plan(_), _) => Outcome::Planned { plan, repairs: 0, ms: 5 },
        (Assignment::Work(_), 2) => {
            Outcome::FellShort { shortfall: Shortfall::Refused, text: body("no", 20), ms: 5 }
        }
        (Assignment::Work(work), luck) => Outcome::Worked {
            output: body(&format!("out-{}-{}", work.round, work.step), 80),
            truncated: false,
            ms: 5,
            tool_calls: (matches!(luck, 3 | 5 | 6) && work.is_answer).then(|| body("calls", 40)),
            replan: (luck == 4 && work.may_ask).then(|| "no".into()),
        },
        (Assignment::Verify(verify), luck) => {
            let kind = match luck {
                2 => VerdictKind::Abstain,
                3 => VerdictKind::Unavailable,
                4 | 5 => VerdictKind::Fail,
                _ => VerdictKind::Pass,
            };
            assert!(!verify.candidates.is_empty(), "a check of nothing");
            let choice = verify.is_vote().then_some(0);
            // What fails scores below what passes.
            let score = match kind {
                VerdictKind::Pass => 1.0,
                VerdictKind::Fail | VerdictKind::Abstain | VerdictKind::Unavailable => {
                    f64::from(all_luck / 8) / 64.0
                }
            };
            let verdict = Verdict::new("test/1", kind, "").saying("wrong");
            let verdict = Verdict { score: Some(score), choice, ..verdict };
            Outcome::Verified { verdict: verdict.into(), ms: 1, cached: false }
        }
    }
}

#[test]
fn any_order_of_anything() {
    let mut runner = TestRunner::new(ProptestConfig { cases: 600, ..ProptestConfig::default() });
    let lives = (any_spec(), prop::collection::vec(any_act(), 1..80));
    runner.run(&lives, |(spec, acts)| life(spec, acts)).unwrap();
    let begun = BEGUN.load(Ordering::Relaxed);
    assert!(begun > 100, "only {begun} child runs were begun: nothing is shown of them");
    let compared = COMPARED.load(Ordering::Relaxed);
    assert!(compared > 20, "only {compared} first answers had a score: nothing is shown of them");
    let awaited = AWAITED.load(Ordering::Relaxed);
    assert!(awaited > 100, "only {awaited} moments of waiting: nothing is shown of them");
}

/// A run's life: what happens, and what is still to be done.
fn life(spec: RunSpec, acts: Vec<Act>) -> Result<(), TestCaseError> {
    let mut world = World::new(spec);
    world.check();
    for act in acts {
        world.act(act);
    }
    // Every run can be brought to its end by doing what is still asked for.
    let step =
        StepShape { agent: agents()[0].id.clone(), sees: vec![], sees_rounds: false, kept: None };
    let good = Plan {
        workflow: body("flow", 1),
        pool_version: "v1".into(),
        steps: vec![step],
        selection: Selection::Last,
    };
    let mut turns = 0;
    while world.ends.is_empty() {
        turns += 1;
        prop_assert!(turns < 400, "does not end");
        match world.run.awaited() {
            Some(_) => world.act(Act::Answer { pick: 0, late: false, comes: turns % 3 > 0 }),
            None => {
                world.act(Act::Finish { pick: 0, luck: 7, share: 100, plan: good.clone() });
            }
        }
    }
    let end = &world.ends[0];
    prop_assert_eq!(
        end.answer.is_some(),
        matches!(end.status, Status::Completed | Status::Incomplete)
            || (end.status == Status::Cancelled && end.answer.is_some())
    );
    never_worse(&world)
}

/// By the check's own measure, no end gives a worse answer than the first round's. Of calls
/// of tools it says nothing.
fn never_worse(world: &World) -> Result<(), TestCaseError> {
    let first = world
        .first
        .as_ref()
        .filter(|verdict| matches!(verdict.kind, VerdictKind::Fail | VerdictKind::Pass));
    let Some(first) = first.and_then(|verdict| verdict.score) else { return Ok(()) };
    let answer = world.ends[0].answer.as_ref().expect("an answer was checked");
    if answer.tool_calls.is_none() {
        COMPARED.fetch_add(usize::from(first > 0.0), Ordering::Relaxed);
        prop_assert!(answer.score.unwrap_or(0.0) >= first, "{:?} after {first}", answer.score);
    }
    Ok(())
}
