//! What the cases start from, in few words.

use crate::{
    Class, Commit, Completion, Held, LeaseRequest, Leased, Ledger, Mail, NewChild, NewTask,
    NewTimer, Submission, Submitted, Ticked, Token,
};
use baton_workflow::{Budget, RunId, Spend, TaskId, TenantId, Usd};
use bytes::Bytes;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub(super) type L = Arc<dyn Ledger>;

/// A lease that does not expire while a case runs, in milliseconds.
pub(super) const LONG_MS: u64 = 600_000;
/// A lease that expires soon, in milliseconds.
pub(super) const SHORT_MS: u64 = 30;
/// Most looks for something that must come.
const LOOKS_MAX: u32 = 1000;
/// Between two looks, in milliseconds.
const LOOK_MS: u64 = 5;

pub(super) fn run(id: &str) -> RunId {
    RunId::new(id).unwrap()
}

pub(super) fn tenant(id: &str) -> TenantId {
    TenantId::new(id).unwrap()
}

pub(super) fn work() -> Class {
    Class::from_text("work/agent")
}

pub(super) fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// So many tokens, in one call, for as many micro-dollars.
pub(super) fn tokens(tokens_in: u64) -> Spend {
    Spend { usd: Usd::from_pico(tokens_in * 1_000_000), tokens_in, tokens_out: 0, calls: 1 }
}

pub(super) fn submission(id: &str) -> Submission {
    Submission {
        tenant: tenant("t"),
        run: run(id),
        key: None,
        digest: "d".into(),
        budget: Budget {
            usd: Usd::from_pico(1_000_000_000_000),
            tokens: 1_000_000,
            calls: 1000,
            seconds: 600,
            depth: 2,
        },
        events: vec![text("submitted")],
        tasks: Vec::new(),
        timers: Vec::new(),
        bodies: Vec::new(),
        traceparent: Some(format!("trace-{id}")),
        label: text(&format!("label-{id}")),
    }
}

/// A submission with one task for each number, in class [`work`].
pub(super) fn with_tasks(id: &str, numbers: impl IntoIterator<Item = u32>) -> Submission {
    Submission { tasks: numbers.into_iter().map(task).collect(), ..submission(id) }
}

pub(super) fn task(number: u32) -> NewTask {
    let payload = text(&format!("payload-{number}"));
    NewTask { number, class: work(), priority: 5, cost: 10, reserve: Spend::ZERO, payload }
}

pub(super) fn timer(name: &str, after_ms: u64) -> NewTimer {
    NewTimer { name: name.into(), after_ms }
}

pub(super) fn child(number: u32) -> NewChild {
    NewChild { number, events: vec![text("born")], tasks: Vec::new(), timers: Vec::new() }
}

pub(super) async fn submit(l: &L, submission: Submission) -> RunId {
    match l.submit(submission).await.unwrap() {
        Submitted::New(run) => run,
        Submitted::Known(run) => panic!("{run} was there"),
    }
}

/// The number of a reservation or settlement: above all before.
pub(super) fn next_call() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(1);
    CALLS.fetch_add(1, Ordering::Relaxed)
}

pub(super) fn request(class: Class, max: usize, ttl_ms: u64) -> LeaseRequest {
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    let request = REQUESTS.fetch_add(1, Ordering::Relaxed);
    LeaseRequest { holder: "holder".into(), classes: vec![class], max, ttl_ms, wait_ms: 0, request }
}

pub(super) async fn lease_many(l: &L, class: Class, max: usize) -> Vec<Leased> {
    l.lease(request(class, max, LONG_MS)).await.unwrap()
}

/// The one task that must wait in a class.
pub(super) async fn lease(l: &L, class: Class) -> Leased {
    let mut leased = lease_many(l, class.clone(), 1).await;
    leased.pop().unwrap_or_else(|| panic!("nothing in {class:?}"))
}

pub(super) async fn lease_work(l: &L) -> Leased {
    lease(l, work()).await
}

pub(super) async fn lease_decide(l: &L) -> Leased {
    lease(l, Class::decide()).await
}

/// The `decide` task of this run, out of all that wait; the others stay leased.
pub(super) async fn lease_decide_of(l: &L, run: &RunId) -> Leased {
    let all = lease_many(l, Class::decide(), 256).await;
    let found = all.into_iter().find(|leased| leased.task.run == *run);
    found.unwrap_or_else(|| panic!("no decision waits for {run}"))
}

pub(super) async fn waits_nothing(l: &L, class: Class) {
    assert_eq!(lease_many(l, class, 256).await, Vec::new());
}

pub(super) fn held(leased: &Leased) -> Held {
    Held { task: leased.task.clone(), token: leased.token }
}

pub(super) fn completion(outcome: &str, spend: Spend) -> Completion {
    Completion { outcome: text(outcome), spend, estimated: false, bodies: Vec::new() }
}

/// A commit that does nothing at all.
pub(super) fn commit(task: &TaskId, token: Token) -> Commit {
    Commit {
        task: task.clone(),
        token,
        journal_len: 0,
        mail_seen: 0,
        events: Vec::new(),
        tasks: Vec::new(),
        timers: Vec::new(),
        children: Vec::new(),
        withdraw: Vec::new(),
        withdraw_children: Vec::new(),
        end: None,
        bodies: Vec::new(),
    }
}

/// A commit that takes note of everything and does nothing yet.
pub(super) async fn seen(l: &L, leased: &Leased) -> Commit {
    let view = l.read(&leased.task.run, 0).await.unwrap();
    let mail_seen = view.mails.last().map_or(0, |mail| mail.number);
    Commit { journal_len: view.journal_len, mail_seen, ..commit(&leased.task, leased.token) }
}

/// Leases the waiting decision and commits that everything is noted.
pub(super) async fn note_all(l: &L) {
    let decide = lease_decide(l).await;
    l.commit(seen(l, &decide).await).await.unwrap();
}

/// Has a run decide to end, once its decision waits.
pub(super) async fn end(l: &L, run: &RunId, end: &str) {
    let decide = lease_decide_of(l, run).await;
    let commit = Commit { end: Some(text(end)), ..seen(l, &decide).await };
    l.commit(commit).await.unwrap();
}

pub(super) async fn mails(l: &L, run: &RunId) -> Vec<Mail> {
    let view = l.read(run, 0).await.unwrap();
    view.mails.into_iter().map(|entry| entry.mail).collect()
}

/// Ticks until `enough` is true of the sums of what was done.
pub(super) async fn tick_until(l: &L, enough: impl Fn(&Ticked) -> bool) -> Ticked {
    let mut sum = Ticked::default();
    for _ in 0..LOOKS_MAX {
        let done = l.tick(256).await.unwrap();
        sum.timers += done.timers;
        sum.leases += done.leases;
        sum.next_ms = done.next_ms;
        if enough(&sum) {
            return sum;
        }
        tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
    }
    panic!("it never came about; so far {sum:?}");
}

/// Waits until something is due, without delivering it.
pub(super) async fn until_due(l: &L) {
    for _ in 0..LOOKS_MAX {
        if l.tick(0).await.unwrap().next_ms == Some(0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
    }
    panic!("nothing ever came due");
}

/// Leases the waiting task of a class for a moment, and lets the lease expire.
pub(super) async fn lease_and_lose(l: &L, class: Class) -> Leased {
    let leased = l.lease(request(class, 1, SHORT_MS)).await.unwrap().pop().unwrap();
    tick_until(l, |sum| sum.leases == 1).await;
    leased
}
