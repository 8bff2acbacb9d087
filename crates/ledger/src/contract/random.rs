//! Random operations on a ledger, compared with the model after each of them.

mod decisions;
mod ops;

use super::{
    given::*,
    model::{Model, Task},
};
use crate::{
    Cancelled, Class, DECIDE_TASK, Heard, Held, LeaseRequest, LedgerError, Mail, NewTask, Recorded,
    Signal, Signalled, Submission, Token,
};
use baton_workflow::{Budget, RunId, Spend, TaskId};
use ops::{Op, op};
use proptest::{
    collection::vec,
    strategy::{Strategy as _, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use std::collections::{BTreeMap, HashMap};

/// Root runs that a sequence may make.
const ROOTS: u8 = 4;
/// Processes that lease in turn.
const HOLDERS: u64 = 3;
/// Tokens that a tree may consume.
const BUDGET_TOKENS: u64 = 60;

/// A task whose every third lease asks for a call of its own.
fn task(number: u32) -> NewTask {
    let reserve = if number.is_multiple_of(3) { tokens(15) } else { Spend::ZERO };
    NewTask { reserve, ..super::given::task(number) }
}

/// Carries out `cases` sequences of `ops` random operations, each on a fresh ledger, and
/// checks every answer and every run against the model. The same ones each time.
pub async fn random_ops(make: impl AsyncFn() -> L, cases: usize, ops: usize) {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    for case in 0..cases {
        let sequence = vec(op(), ops).new_tree(&mut runner).expect("a sequence").current();
        let mut driver = Driver::new(make().await);
        for (place, op) in sequence.into_iter().enumerate() {
            // Shown when a check fails.
            let told = format!("case {case}, operation {place}: {op:?}");
            driver.step(op, &told).await;
            driver.compare(&told).await;
        }
    }
}

struct Driver {
    l: L,
    model: Model,
    /// Every token ever given, present or stale.
    tokens: Vec<Held>,
    /// Who got it.
    holders: HashMap<Token, String>,
    leases: u64,
}

fn picked<T: Clone>(from: &[T], pick: u8) -> Option<T> {
    (!from.is_empty()).then(|| from[usize::from(pick) % from.len()].clone())
}

impl Driver {
    fn new(l: L) -> Self {
        let (model, tokens, holders) = (Model::default(), Vec::new(), HashMap::new());
        Self { l, model, tokens, holders, leases: 0 }
    }

    async fn step(&mut self, op: Op, told: &str) {
        match op {
            Op::Submit { root, tasks } => self.submit(root, tasks, told).await,
            Op::Lease { decide, max } => {
                let class = if decide { Class::decide() } else { work() };
                self.lease(class, max, LONG_MS, told).await;
            }
            Op::Heartbeat { pick } => self.heartbeat(pick, told).await,
            Op::Complete { pick, stale, spend } => self.complete(pick, stale, spend, told).await,
            Op::Commit { pick, stale, act } => self.commit(pick, stale, act, told).await,
            Op::Cancel { pick } => self.cancel(pick, told).await,
            Op::Reserve { pick, amount } => self.reserve(pick, amount, told).await,
            Op::Settle { pick, amount, spend } => self.settle(pick, amount, spend, told).await,
            Op::Lose { pick } => self.lose(pick, told).await,
            Op::Start { pick, stale } => self.start(pick, stale, told).await,
            Op::Signal { pick, key } => self.signal(pick, key, told).await,
            Op::Reap { pick } => self.reap(pick, told).await,
        }
    }

    async fn submit(&mut self, root: u8, tasks: u32, told: &str) {
        let id = run(&format!("r{root}"));
        let budget = Budget { tokens: BUDGET_TOKENS, ..submission("x").budget };
        let fresh = Submission { tasks: (1..=tasks).map(task).collect(), ..submission("a") };
        let fresh = Submission { run: id.clone(), ..fresh };
        let fresh = Submission { budget, events: vec![text("created")], ..fresh };
        let result = self.l.submit(fresh).await;
        if self.model.runs.contains_key(&id) {
            assert!(matches!(result, Err(LedgerError::Invalid(_))), "{told}: {result:?}");
        } else {
            assert!(result.is_ok(), "{told}: {result:?}");
            self.model.create(id, None, budget, tasks);
        }
    }

    fn queued(&self) -> Vec<(RunId, u32)> {
        let waits = |task: &Task| task.holder.is_none() && !task.over && task.finished.is_none();
        let runs = self.model.runs.iter();
        runs.flat_map(|(id, run)| {
            let waiting = run.tasks.iter().filter(move |(_, task)| waits(task));
            waiting.map(|(number, _)| (id.clone(), *number))
        })
        .collect()
    }

    async fn lease(&mut self, class: Class, max: usize, ttl_ms: u64, told: &str) {
        self.leases += 1;
        let holder = format!("holder {}", self.leases % HOLDERS);
        let asked = LeaseRequest { holder: holder.clone(), ..request(class.clone(), max, ttl_ms) };
        let leased = self.l.lease(asked).await.unwrap();
        for leased in &leased {
            let TaskId { run: id, number } = leased.task.clone();
            assert_eq!(leased.cancelled, self.model.is_cancelled(&id), "{told}");
            assert_eq!(leased.root, self.model.runs[&id].root, "{told}");
            let stopping = self.model.is_cancelled(&id) && self.model.runs[&id].parent.is_some();
            let run = self.model.run(&id);
            if stopping && run.end.is_none() {
                // A run below one that stops may be told at once, without mail.
                run.decide.get_or_insert_default();
            }
            if number == DECIDE_TASK {
                run.told_to_stop = leased.cancelled;
            }
            let task = match class == Class::decide() {
                true => run.decide.as_mut().expect(told),
                false => self.model.task(&id, number),
            };
            assert!(task.holder.is_none() && task.finished.is_none() && !task.over, "{told}");
            task.attempt += 1;
            assert_eq!(leased.token.attempt, task.attempt, "{told}");
            task.holder = Some(leased.token);
            if number != DECIDE_TASK {
                let reserved = self.model.set_aside(&id, number, self::task(number).reserve);
                assert_eq!(leased.reserved, reserved, "{told}");
            } else {
                let view = leased.reading.as_deref().expect(told);
                assert_eq!(view.entries, [], "{told}");
                assert_eq!(view.journal_len, self.model.runs[&id].journal.len() as u64, "{told}");
            }
            assert!(number == DECIDE_TASK || !leased.cancelled, "{told}: it is to be dropped");
            self.tokens.push(held(leased));
            self.holders.insert(leased.token, holder.clone());
        }
        if class != Class::decide() {
            self.follow_drops().await;
        }
        if leased.len() < max {
            let left = match class == Class::decide() {
                true => self.decisions(|task| task.holder.is_none()).len(),
                false => self.queued().len(),
            };
            assert_eq!(left, 0, "{told}: there was more to lease");
        }
    }

    /// Tasks of cancelled trees may be dropped whenever somebody looks at their queue.
    async fn follow_drops(&mut self) {
        for (id, number) in self.queued() {
            if !self.model.is_cancelled(&id) {
                continue;
            }
            let lost = |mail: &Mail| matches!(mail, Mail::Lost { task, .. } if *task == number);
            if mails(&self.l, &id).await.iter().any(lost) {
                self.model.drop_task(&id, number);
            }
        }
        self.reorder().await;
    }

    /// The order of mails that one operation brings is the ledger's to choose.
    async fn reorder(&mut self) {
        let ids: Vec<_> = self.model.runs.keys().cloned().collect();
        for id in ids {
            let theirs = mails(&self.l, &id).await;
            let run = self.model.run(&id);
            let mine = &mut run.mails[run.seen..];
            let sorted = |mails: &[Mail]| {
                let mut all: Vec<_> = mails.iter().map(|mail| format!("{mail:?}")).collect();
                all.sort();
                all
            };
            if sorted(mine) == sorted(&theirs) {
                mine.clone_from_slice(&theirs);
            }
        }
    }

    fn decisions(&self, is: impl Fn(&Task) -> bool) -> Vec<RunId> {
        let runs = self.model.runs.iter();
        let found = runs.filter(|(_, run)| run.decide.as_ref().is_some_and(&is));
        found.map(|(id, _)| id.clone()).collect()
    }

    /// Present holders of tasks, or any token that ever was.
    fn held(&self, pick: u8, stale: bool, decide: bool) -> Option<Held> {
        let all = self.tokens.iter().filter(|held| (held.task.number == DECIDE_TASK) == decide);
        let all: Vec<_> = all.filter(|held| stale || self.is_held(held)).cloned().collect();
        picked(&all, pick)
    }

    fn is_held(&self, held: &Held) -> bool {
        self.standing(held).0 == Some(held.token)
    }

    /// Who holds a task, and who finished it.
    fn standing(&self, held: &Held) -> (Option<Token>, Option<Token>) {
        let run = &self.model.runs[&held.task.run];
        if held.task.number == DECIDE_TASK {
            return (run.decide.as_ref().and_then(|task| task.holder), run.committed);
        }
        let task = &run.tasks[&held.task.number];
        (task.holder, task.finished)
    }

    async fn heartbeat(&mut self, pick: u8, told: &str) {
        let Some(held) = self.held(pick, true, false) else { return };
        let heard = self.l.heartbeat(std::slice::from_ref(&held), LONG_MS).await.unwrap();
        let id = &held.task.run;
        let task = &self.model.runs[id].tasks[&held.task.number];
        let unwanted =
            task.withdrawn || self.model.is_cancelled(id) || self.model.runs[id].end.is_some();
        let expected = match (self.is_held(&held), unwanted) {
            (false, _) => Heard::Lost,
            (true, true) => Heard::Abandon,
            (true, false) => Heard::Extended,
        };
        assert_eq!(heard, [expected], "{told}");
    }

    async fn complete(&mut self, pick: u8, stale: bool, spend: u64, told: &str) {
        let Some(held) = self.held(pick, stale, false) else { return };
        let (holder, finished) = self.standing(&held);
        let outcome = format!("o{}", held.token.nonce);
        let result = self.l.complete(&held, completion(&outcome, tokens(spend))).await;
        let (id, number) = (held.task.run.clone(), held.task.number);
        if finished == Some(held.token) {
            assert_eq!(result, Ok(Recorded::AlreadyDone), "{told}");
        } else if holder != Some(held.token) {
            assert_eq!(result, Err(LedgerError::LeaseLost), "{told}");
        } else {
            assert_eq!(result, Ok(Recorded::Now), "{told}");
            let task = self.model.task(&id, number);
            task.holder = None;
            task.finished = Some(held.token);
            task.started = false;
            task.reserved = Spend::ZERO;
            task.spent = task.spent.plus(tokens(spend));
            let (spend_all, estimated) = (task.spent, task.estimated);
            self.model.charge(&id, tokens(spend));
            let outcome = text(&outcome);
            let mail = Mail::Outcome { task: number, outcome, spend: spend_all, estimated };
            self.model.mail(&id, mail);
        }
    }

    async fn cancel(&mut self, pick: u8, told: &str) {
        let ids: Vec<_> = self.model.runs.keys().cloned().collect();
        let Some(id) = picked(&ids, pick) else { return };
        let run = self.model.run(&id);
        let expected = match (run.end.is_some(), run.cancelled) {
            (true, _) => Cancelled::AlreadyEnded,
            (false, true) => Cancelled::AlreadyAsked,
            (false, false) => Cancelled::Asked,
        };
        assert_eq!(self.l.cancel(&id, "why").await, Ok(expected), "{told}");
        if expected == Cancelled::Asked {
            self.model.cancel(&id, "why");
        }
    }

    async fn reserve(&mut self, pick: u8, amount: u64, told: &str) {
        let Some(held) = self.held(pick, pick.is_multiple_of(8), false) else { return };
        let result = self.l.reserve(&held, next_call(), tokens(amount)).await;
        if !self.is_held(&held) {
            assert_eq!(result, Err(LedgerError::LeaseLost), "{told}");
            return;
        }
        let root = self.model.runs[&held.task.run].root.clone();
        let (reserved, top) = (self.model.reserved(&root), &self.model.runs[&root]);
        let total = top.spent.plus(reserved).plus(tokens(amount));
        match top.budget.exceeded_by(&total) {
            Some(resource) => {
                assert_eq!(result, Err(LedgerError::BudgetSpent(resource)), "{told}");
            }
            None => {
                assert_eq!(result, Ok(()), "{told}");
                let task = self.model.task(&held.task.run, held.task.number);
                task.reserved = task.reserved.plus(tokens(amount));
            }
        }
    }

    async fn settle(&mut self, pick: u8, amount: u64, spend: u64, told: &str) {
        let Some(held) = self.held(pick, pick.is_multiple_of(8), false) else { return };
        let result = self.l.settle(&held, next_call(), tokens(amount), tokens(spend)).await;
        if !self.is_held(&held) {
            assert_eq!(result, Err(LedgerError::LeaseLost), "{told}");
            return;
        }
        assert_eq!(result, Ok(()), "{told}");
        let task = self.model.task(&held.task.run, held.task.number);
        task.reserved = task.reserved.minus(tokens(amount));
        task.spent = task.spent.plus(tokens(spend));
        self.model.charge(&held.task.run, tokens(spend));
    }

    async fn lose(&mut self, pick: u8, told: &str) {
        let Some(held) = self.held(pick, false, pick.is_multiple_of(3)) else { return };
        self.l.heartbeat(std::slice::from_ref(&held), 1).await.unwrap();
        let sum = tick_until(&self.l, |sum| sum.leases > 0).await;
        assert_eq!(sum.leases, 1, "{told}");
        self.model.expire(&held.task.run, held.task.number);
        self.follow_drops().await;
    }

    async fn start(&mut self, pick: u8, stale: bool, told: &str) {
        let Some(held) = self.held(pick, stale, false) else { return };
        let result = self.l.start(&held).await;
        if !self.is_held(&held) {
            assert_eq!(result, Err(LedgerError::LeaseLost), "{told}");
            return;
        }
        let task = self.model.task(&held.task.run, held.task.number);
        let again = std::mem::replace(&mut task.started, true);
        let expected = if again { Recorded::AlreadyDone } else { Recorded::Now };
        assert_eq!(result, Ok(expected), "{told}");
    }

    async fn signal(&mut self, pick: u8, key: u8, told: &str) {
        let ids: Vec<_> = self.model.runs.keys().cloned().collect();
        let Some(id) = picked(&ids, pick) else { return };
        let (key, event, bodies) = (format!("key {key}"), text("word"), Vec::new());
        let word = Signal { run: id.clone(), key: key.clone(), event: event.clone(), bodies };
        let result = self.l.signal(word).await;
        let run = self.model.run(&id);
        let expected = match (run.end.is_some(), run.words.contains(&key)) {
            (true, _) => Signalled::AlreadyEnded,
            (false, true) => Signalled::AlreadyDelivered,
            (false, false) => Signalled::Delivered,
        };
        assert_eq!(result, Ok(expected), "{told}");
        if expected == Signalled::Delivered {
            run.words.insert(key.clone());
            self.model.mail(&id, Mail::Signal { key, event: Some(event) });
        }
    }

    async fn reap(&mut self, pick: u8, told: &str) {
        let holder = format!("holder {}", u64::from(pick) % HOLDERS);
        let reaped = self.l.reap(&holder, 0).await.unwrap();
        let all = self.tokens.iter().filter(|held| self.is_held(held));
        let theirs = all.filter(|held| self.holders[&held.token] == holder);
        let theirs: Vec<Held> = theirs.cloned().collect();
        assert_eq!((reaped.leases, reaped.more), (theirs.len(), false), "{told}");
        for held in theirs {
            self.model.expire(&held.task.run, held.task.number);
        }
        self.follow_drops().await;
    }

    /// Every run is as the model says.
    async fn compare(&mut self, told: &str) {
        for (id, run) in &self.model.runs {
            let view = self.l.read(id, 0).await.unwrap();
            let told = format!("{told}: {id}");
            assert_eq!(view.entries.len() as u64, view.journal_len, "{told}");
            assert!((1..).zip(&view.entries).all(|(seq, entry)| entry.seq == seq), "{told}");
            let events = view.entries.iter().map(|e| String::from_utf8_lossy(&e.event));
            assert_eq!(events.collect::<Vec<_>>(), run.journal, "{told}");
            let end = view.end.map(|end| String::from_utf8_lossy(&end).into_owned());
            assert_eq!(end, run.end, "{told}");
            assert_eq!(view.spent, run.spent, "{told}");
            assert_eq!(view.root_reserved, self.model.reserved(&run.root), "{told}");
            assert_eq!(view.root_spent, self.model.runs[&run.root].spent, "{told}");
            assert_eq!(view.cancelled, self.model.is_cancelled(id), "{told}");
            if run.end.is_some() {
                assert_eq!(view.mails, [], "{told}");
                continue;
            }
            assert_eq!(view.mails.len(), run.mails.len() - run.seen, "{told}");
            for (place, entry) in view.mails.iter().enumerate() {
                let place = run.seen + place;
                assert_eq!(entry.number, place as u64 + 1, "{told}");
                match (&entry.mail, &run.mails[place]) {
                    (Mail::Cancel { .. }, Mail::Cancel { .. }) => {}
                    (theirs, mine) => assert_eq!(theirs, mine, "{told}"),
                }
            }
            once(&run.mails, &told);
        }
    }
}

/// What comes of a task comes once.
fn once(mails: &[Mail], told: &str) {
    let mut ends: BTreeMap<u32, usize> = BTreeMap::new();
    for mail in mails {
        if let Mail::Outcome { task, .. } | Mail::Lost { task, .. } | Mail::Interrupted { task, .. } =
            mail
            && *task != DECIDE_TASK
        {
            *ends.entry(*task).or_default() += 1;
        }
    }
    assert!(ends.values().all(|count| *count == 1), "{told}: {ends:?}");
}
