//! The same random calls get the same answers from the embedded ledger and from Redis.
//!
//! Tokens and times differ between the two, so tasks are named by their place among the
//! leases given so far, and times are left out. Leases either outlast the test or end at
//! once, and a tick follows whatever is due, so that no answer depends on the clock.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly, also outside of its function"
)]

use baton_ledger::{
    Body, Class, Commit, Completion, EmbeddedLedger, Held, LeaseRequest, Leased, Ledger,
    LedgerError, MailEntry, NewChild, NewTask, NewTimer, QueueStats, Retention, RunView, Signal,
    Stats, Submission, TenantTerms, Token,
};
use baton_ledger_redis::{RedisLedger, RedisOptions};
use baton_testkit::redis::RedisServer;
use baton_workflow::{Budget, RunId, Spend, TaskId, TenantId, Timestamp, Usd};
use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::fmt::Debug;

/// Sequences of calls, and calls in each.
const SEQUENCES: u64 = 24;
const CALLS: usize = 150;
/// A lease or timer that does not end while the test runs.
const LONG_MS: u64 = 3_600_000;

/// Two ledgers, and the leases that both have given, in order.
struct Pair {
    embedded: EmbeddedLedger,
    redis: RedisLedger,
    leases: Vec<(Leased, Leased)>,
    runs: Vec<RunId>,
    random: StdRng,
    requests: u64,
}

/// A token that nobody was given.
fn no_token() -> Token {
    Token { epoch: 0, attempt: 0, nonce: 0 }
}

fn timeless(mut view: RunView) -> RunView {
    (view.now, view.submitted_at) = (Timestamp(0), Timestamp(0));
    view.entries.iter_mut().for_each(|entry| entry.at = Timestamp(0));
    view.mails.iter_mut().for_each(|mail| mail.at = Timestamp(0));
    view
}

/// What two answers must have in common: everything, but the words of a refusal.
fn same<T: Debug + PartialEq>(
    what: &str,
    embedded: Result<T, LedgerError>,
    redis: Result<T, LedgerError>,
) -> Option<T> {
    match (&embedded, &redis) {
        (Err(LedgerError::Invalid(_)), Err(LedgerError::Invalid(_))) => {}
        _ => assert_eq!(embedded, redis, "{what}: the embedded ledger's answer, that of Redis"),
    }
    redis.ok()
}

impl Pair {
    fn one_in(&mut self, count: u32) -> bool {
        self.random.random_ratio(1, count)
    }

    fn below(&mut self, count: usize) -> usize {
        self.random.random_range(0..count)
    }

    fn tenant(&mut self) -> TenantId {
        TenantId::new(["a", "b", "c"][self.below(3)]).unwrap()
    }

    fn spend(&mut self) -> Spend {
        let usd = match self.below(3) {
            0 => 0,
            1 => self.random.random_range(0..1000),
            _ => self.random.random_range(0..(1 << 58)),
        };
        Spend {
            usd: Usd::from_pico(usd),
            tokens_in: self.random.random_range(0..50),
            tokens_out: self.random.random_range(0..50),
            calls: self.random.random_range(0..3),
        }
    }

    fn tasks(&mut self, from: u32) -> Vec<NewTask> {
        let count = self.below(4) as u32;
        let mut task = |number| NewTask {
            number,
            class: Class::from_text(["work/x", "verify"][self.random.random_range(0..2)]),
            priority: self.random.random_range(0..3),
            cost: self.random.random_range(1..100),
            reserve: if self.one_in(3) { self.spend() } else { Spend::ZERO },
            payload: Bytes::from(vec![self.random.random(); 3]),
        };
        (from..from + count).map(&mut task).collect()
    }

    fn timers(&mut self) -> Vec<NewTimer> {
        let count = self.below(3);
        let timer = |_| NewTimer {
            name: format!(
                "{} {}",
                ["timer", "await"][self.random.random_range(0..2)],
                self.random.random_range(0..3)
            ),
            after_ms: if self.random.random_ratio(1, 2) { 0 } else { LONG_MS },
        };
        (0..count).map(timer).collect()
    }

    fn events(&mut self, least: usize) -> Vec<Bytes> {
        (0..least + self.below(3)).map(|_| Bytes::from(vec![self.random.random(); 4])).collect()
    }

    async fn step(&mut self) {
        match self.below(25) {
            0 => self.set_tenant().await,
            1..=3 => self.submit().await,
            4..=9 => self.lease().await,
            10..=11 => self.complete().await,
            12..=15 => self.commit().await,
            16 => self.money().await,
            17 => self.heartbeat().await,
            18 => self.cancel().await,
            19 => self.retain().await,
            20 => self.start().await,
            21 => self.signal().await,
            22 => self.reap().await,
            23 => self.park().await,
            _ => self.look().await,
        }
        self.tick().await;
    }

    async fn set_tenant(&mut self) {
        let tenant = self.tenant();
        let terms = TenantTerms {
            weight: self.random.random_range(1..10),
            leased_max: self.random.random_range(0..5),
            runs_max: self.random.random_range(1..8),
        };
        let embedded = self.embedded.set_tenant(&tenant, terms).await;
        same("set_tenant", embedded, self.redis.set_tenant(&tenant, terms).await);
    }

    async fn submit(&mut self) {
        let id = if self.one_in(8) { 0 } else { self.runs.len() };
        let submission = Submission {
            tenant: self.tenant(),
            run: RunId::new(format!("r{id}")).unwrap(),
            key: self.one_in(3).then(|| format!("key {}", self.random.random_range(0..4))),
            digest: ["one", "two"][usize::from(self.one_in(6))].into(),
            budget: Budget {
                usd: Usd::from_pico(1 << 59),
                tokens: 150,
                calls: 6,
                seconds: 1,
                depth: 3,
            },
            events: self.events(1),
            tasks: self.tasks(1),
            timers: self.timers(),
            bodies: vec![Body::new(Bytes::from(vec![id as u8]))],
            traceparent: self.one_in(2).then(|| "trace".into()),
            label: Bytes::from(vec![0, 255, id as u8]),
        };
        let embedded = self.embedded.submit(submission.clone()).await;
        let answer = same("submit", embedded, self.redis.submit(submission.clone()).await);
        if answer == Some(baton_ledger::Submitted::New(submission.run.clone())) {
            self.runs.push(submission.run);
        }
    }

    async fn lease(&mut self) {
        let all = [Class::decide(), Class::from_text("work/x"), Class::from_text("verify")];
        let from = self.below(3);
        let lost = self.one_in(4);
        self.requests += u64::from(!self.one_in(10));
        let request = LeaseRequest {
            holder: ["one", "other"][self.below(2)].into(),
            classes: all[from..].to_vec(),
            max: 1 + self.below(4),
            ttl_ms: if lost { 0 } else { LONG_MS },
            wait_ms: 0,
            request: self.requests,
        };
        let embedded = self.embedded.lease(request.clone()).await.unwrap();
        let redis = self.redis.lease(request).await.unwrap();
        let plain = |leased: &Leased| {
            let attempt = leased.token.attempt;
            let reading = leased.reading.clone().map(|view| Box::new(timeless(*view)));
            (Leased { token: Token { attempt, ..no_token() }, reading, ..leased.clone() }, attempt)
        };
        let plain = |leased: &[Leased]| leased.iter().map(plain).collect::<Vec<_>>();
        assert_eq!(plain(&embedded), plain(&redis), "lease");
        self.leases.extend(embedded.into_iter().zip(redis));
    }

    /// One of the leases given so far, rather a late one; as both know it.
    fn some_lease(&mut self, of: impl Fn(&Leased) -> bool) -> Option<(Leased, Leased)> {
        let fitting: Vec<_> = self.leases.iter().filter(|(leased, _)| of(leased)).collect();
        let from = fitting.len().saturating_sub(6);
        (!fitting.is_empty())
            .then(|| fitting[self.random.random_range(from..fitting.len())].clone())
    }

    async fn complete(&mut self) {
        let Some((embedded, redis)) = self.some_lease(|leased| leased.task.number != 0) else {
            return;
        };
        let completion = Completion {
            outcome: Bytes::from(vec![self.random.random(), b'\n', 0]),
            spend: self.spend(),
            estimated: self.one_in(3),
            bodies: vec![],
        };
        let held = |leased: Leased| Held { task: leased.task, token: leased.token };
        let embedded = self.embedded.complete(&held(embedded), completion.clone()).await;
        same("complete", embedded, self.redis.complete(&held(redis), completion).await);
    }

    async fn commit(&mut self) {
        let Some((embedded, redis)) = self.some_lease(|leased| leased.task.number == 0) else {
            return;
        };
        let run = &redis.task.run;
        // The run may have been deleted.
        let Ok(view) = self.redis.read(run, 0).await else { return };
        let last = self.leases.iter().map(|(leased, _)| &leased.task);
        let last = last.filter(|task| task.run == *run).map(|task| task.number).max().unwrap();
        let wrong = self.one_in(10);
        let next = last + if self.one_in(4) { 1 } else { 7 };
        let commit = Commit {
            task: redis.task.clone(),
            token: redis.token,
            journal_len: view.journal_len + u64::from(wrong),
            mail_seen: self.seen(&view.mails),
            events: self.events(0),
            tasks: self.tasks(next),
            timers: self.timers(),
            children: self.children(),
            withdraw: (1..=last).filter(|_| self.random.random_ratio(1, 4)).collect(),
            withdraw_children: self
                .one_in(5)
                .then(|| self.random.random_range(0..3))
                .into_iter()
                .collect(),
            end: self.one_in(4).then(|| Bytes::from_static(b"\x00end")),
            bodies: vec![],
        };
        let other = Commit { token: embedded.token, ..commit.clone() };
        let embedded = self.embedded.commit(other).await;
        same("commit", embedded, self.redis.commit(commit).await);
        for number in 0..3 {
            let child = redis.task.run.child(number).unwrap();
            if !self.runs.contains(&child) && self.redis.read(&child, 0).await.is_ok() {
                self.runs.push(child);
            }
        }
    }

    fn seen(&mut self, mails: &[MailEntry]) -> u64 {
        let last = mails.last().map_or(0, |mail| mail.number);
        if self.one_in(3) { last.saturating_sub(1) } else { last }
    }

    fn children(&mut self) -> Vec<NewChild> {
        if !self.one_in(3) {
            return Vec::new();
        }
        let number = self.random.random_range(0..3);
        vec![NewChild { number, events: self.events(0), tasks: self.tasks(1), timers: vec![] }]
    }

    async fn money(&mut self) {
        let Some((embedded, redis)) = self.some_lease(|_| true) else { return };
        let (first, second) = (self.spend(), self.spend());
        let held = |leased: Leased| Held { task: leased.task, token: leased.token };
        let (embedded, redis) = (held(embedded), held(redis));
        // Some repeat an earlier one, and some come late.
        let call = self.random.random_range(1..9);
        if self.one_in(2) {
            let answer = self.embedded.reserve(&embedded, call, first).await;
            same("reserve", answer, self.redis.reserve(&redis, call, first).await);
        } else {
            let answer = self.embedded.settle(&embedded, call, first, second).await;
            same("settle", answer, self.redis.settle(&redis, call, first, second).await);
        }
    }

    async fn heartbeat(&mut self) {
        let from = self.leases.len().saturating_sub(10);
        let held = |leased: &Leased| Held { task: leased.task.clone(), token: leased.token };
        let embedded: Vec<_> = self.leases[from..].iter().map(|(leased, _)| held(leased)).collect();
        let redis: Vec<_> = self.leases[from..].iter().map(|(_, leased)| held(leased)).collect();
        let ttl_ms = if self.one_in(4) { 0 } else { LONG_MS };
        let embedded = self.embedded.heartbeat(&embedded, ttl_ms).await;
        same("heartbeat", embedded, self.redis.heartbeat(&redis, ttl_ms).await);
    }

    async fn start(&mut self) {
        let Some((embedded, redis)) = self.some_lease(|_| true) else { return };
        let held = |leased: Leased| Held { task: leased.task, token: leased.token };
        let embedded = self.embedded.start(&held(embedded)).await;
        same("start", embedded, self.redis.start(&held(redis)).await);
    }

    async fn park(&mut self) {
        let Some((embedded, redis)) = self.some_lease(|leased| leased.task.number == 0) else {
            return;
        };
        let held = |leased: Leased| Held { task: leased.task, token: leased.token };
        let embedded = self.embedded.park(&held(embedded)).await;
        same("park", embedded, self.redis.park(&held(redis)).await);
    }

    async fn signal(&mut self) {
        let number = self.below(self.runs.len() + 1);
        let unknown = RunId::new("unknown").unwrap();
        let word = Signal {
            run: self.runs.get(number).unwrap_or(&unknown).clone(),
            key: self.random.random_range(0..3_u32).to_string(),
            event: Bytes::from(vec![self.random.random(), b'\n', 0]),
            bodies: vec![Body::new(Bytes::from(vec![self.random.random_range(0..9)]))],
        };
        let embedded = self.embedded.signal(word.clone()).await;
        same("signal", embedded, self.redis.signal(word).await);
    }

    /// With no silence at all: how long somebody was silent is not the same in both.
    async fn reap(&mut self) {
        let holder = ["one", "other"][self.below(2)];
        let embedded = self.embedded.reap(holder, 0).await;
        same("reap", embedded, self.redis.reap(holder, 0).await);
    }

    async fn cancel(&mut self) {
        let number = self.below(self.runs.len() + 1);
        let unknown = RunId::new("unknown").unwrap();
        let run = self.runs.get(number).unwrap_or(&unknown);
        let embedded = self.embedded.cancel(run, "why").await;
        same("cancel", embedded, self.redis.cancel(run, "why").await);
    }

    async fn tick(&mut self) {
        let embedded = self.embedded.tick(64).await.map(|done| (done.timers, done.leases));
        let redis = self.redis.tick(64).await.map(|done| (done.timers, done.leases));
        same("tick", embedded, redis);
        // In which order runs are looked at is nobody's business, so all of them are.
        let embedded = self.embedded.reconcile(256).await;
        same("reconcile", embedded, self.redis.reconcile(256).await);
    }

    /// By number alone: two runs that ended in one millisecond have no order.
    async fn retain(&mut self) {
        let runs_max = Some(self.random.random_range(1..5));
        let rules = Retention { runs_max, ..Retention::FOR_EVER };
        let embedded = self.embedded.retain(&rules, 256).await;
        same("retain", embedded, self.redis.retain(&rules, 256).await);
    }

    /// Every run, every list, and whether stale and made-up tokens are refused.
    async fn look(&mut self) {
        for run in &self.runs {
            let from = self.random.random_range(0..3);
            let embedded = self.embedded.read(run, from).await.map(timeless);
            same("read", embedded, self.redis.read(run, from).await.map(timeless));
        }
        for tenant in ["a", "b", "c"].map(|tenant| TenantId::new(tenant).unwrap()) {
            let before = self.runs.get(self.random.random_range(0..9));
            let timeless = |runs: Vec<baton_ledger::RunSummary>| {
                let timed = runs.into_iter().map(|mut run| {
                    run.submitted_at = Timestamp(0);
                    run.ended_at = run.ended_at.map(|_| Timestamp(0));
                    run
                });
                timed.collect::<Vec<_>>()
            };
            let embedded = self.embedded.list(&tenant, 5, before).await.map(timeless);
            same("list", embedded, self.redis.list(&tenant, 5, before).await.map(timeless));
            let body = Body::new(Bytes::from(vec![self.random.random_range(0..9)])).name;
            let embedded = self.embedded.body(&tenant, &body).await;
            same("body", embedded, self.redis.body(&tenant, &body).await);
        }
        let counts = |stats: Stats| Stats {
            now: Timestamp(0),
            epoch: 0,
            files: Vec::new(),
            queues: stats.queues.into_iter().map(|q| QueueStats { oldest_ms: 0, ..q }).collect(),
            ..stats
        };
        let embedded = self.embedded.stats().await.map(counts);
        same("stats", embedded, self.redis.stats().await.map(counts));
        let task = TaskId { run: RunId::new("r0").unwrap(), number: 1 };
        let made_up = Held { task, token: no_token() };
        let embedded = self.embedded.reserve(&made_up, 1, Spend::ZERO).await;
        same("made up", embedded, self.redis.reserve(&made_up, 1, Spend::ZERO).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_and_redis_answer_alike() {
    let server =
        RedisServer::start_with(&["appendonly yes", "appendfsync everysec"]).await.unwrap();
    let first = rand::random::<u32>().into();
    for seed in first..first + SEQUENCES {
        let options = RedisOptions {
            prefix: format!("seed{seed}"),
            durability: baton_ledger_redis::Durability::EverySecond,
            ..RedisOptions::new(server.url())
        };
        let mut pair = Pair {
            embedded: EmbeddedLedger::in_memory().unwrap(),
            redis: RedisLedger::connect(options).await.unwrap(),
            leases: Vec::new(),
            runs: Vec::new(),
            random: StdRng::seed_from_u64(seed),
            requests: 1,
        };
        for call in 0..CALLS {
            println!("seed {seed}, call {call}");
            pair.step().await;
        }
        pair.look().await;
    }
}
