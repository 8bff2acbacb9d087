//! Runs carried out by workers that may be killed, and what must be true of them after.
//!
//! Each run plans two tasks, waits for both outcomes and ends. Every outcome is a text of
//! its own, so that it can be told which of several attempts was recorded.

use baton_ledger::{
    Class, Commit, Completion, Held, LeaseRequest, Leased, Ledger, LedgerError, Mail, NewTask,
    Submission, Watched,
};
use baton_ledger_redis::RedisLedger;
use baton_workflow::{Budget, RunId, Spend, TenantId, Usd};
use bytes::Bytes;
use futures::StreamExt;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// How long the whole of a test may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How long a lease lasts without a heartbeat: short, so that the dead are replaced soon.
const TTL_MS: u64 = 800;
/// One task in so many is put aside by its holder, and completed long after its lease.
const STALL_ONE_IN: u32 = 6;
/// For how long.
const STALL: Duration = Duration::from_millis(2 * TTL_MS);
/// Tasks of each run.
const TASKS: u32 = 2;

/// A write that was acknowledged: this outcome stands for this task.
pub(crate) type Acknowledged = (String, u32, String);

fn work() -> Class {
    Class::from_text("work/agent")
}

/// Repeats a call, as it was, until the ledger answers.
pub(crate) async fn answered<T, F>(mut call: impl FnMut() -> F) -> Result<T, LedgerError>
where
    F: Future<Output = Result<T, LedgerError>>,
{
    let until = Instant::now() + PATIENCE;
    loop {
        match call().await {
            Err(LedgerError::Unavailable(_)) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => return other,
        }
    }
}

/// Submits a run; returns once it is acknowledged.
pub(crate) async fn submit(ledger: &RedisLedger, number: usize) -> RunId {
    let run = RunId::new(format!("run{number}")).unwrap();
    let submission = Submission {
        tenant: TenantId::new(format!("tenant{}", number % 3)).unwrap(),
        run: run.clone(),
        key: Some(format!("key{number}")),
        digest: "the same".into(),
        budget: Budget {
            usd: Usd::from_pico(1_000),
            tokens: 1_000,
            calls: 100,
            seconds: 60,
            depth: 0,
        },
        events: vec![Bytes::from_static(b"submitted")],
        tasks: vec![],
        timers: vec![],
        bodies: vec![],
        traceparent: None,
        label: Bytes::new(),
    };
    answered(|| ledger.submit(submission.clone())).await.unwrap();
    run
}

/// Takes and does tasks for ever. Tells of every outcome after it is acknowledged.
pub(crate) async fn work_on(ledger: &RedisLedger, name: &str, mut told: impl FnMut(Acknowledged)) {
    let (mut asked, mut stalled) = (0, Vec::new());
    loop {
        asked += 1;
        let late = stalled.extract_if(.., |(since, _): &mut (Instant, _)| since.elapsed() > STALL);
        let late: Vec<Leased> = late.map(|(_, task)| task).collect();
        for task in late {
            if let Some(done) = complete(ledger, &task, &format!("{name}/{asked}/late")).await {
                told(done);
            }
        }
        let request = LeaseRequest {
            holder: name.into(),
            classes: vec![Class::decide(), work()],
            max: 4,
            ttl_ms: TTL_MS,
            wait_ms: 100,
            request: rand::random(),
        };
        let leased = answered(|| ledger.lease(request.clone())).await.unwrap();
        for task in leased {
            if task.class == Class::decide() {
                decide(ledger, &task).await;
            } else if rand::random_ratio(1, STALL_ONE_IN) {
                stalled.push((Instant::now(), task));
            } else if let Some(done) = complete(ledger, &task, &format!("{name}/{asked}")).await {
                told(done);
            }
        }
        answered(|| ledger.tick(16)).await.unwrap();
    }
}

async fn complete(ledger: &RedisLedger, task: &Leased, text: &str) -> Option<Acknowledged> {
    let held = Held { task: task.task.clone(), token: task.token };
    let spend = Spend { tokens_in: 1, calls: 1, ..Spend::ZERO };
    let outcome = Bytes::from(text.to_owned());
    let completion = Completion { outcome, spend, estimated: false, bodies: vec![] };
    match answered(|| ledger.complete(&held, completion.clone())).await {
        Ok(_) => Some((task.task.run.to_string(), task.task.number, text.to_owned())),
        Err(LedgerError::LeaseLost) => None,
        Err(other) => panic!("{other}"),
    }
}

async fn decide(ledger: &RedisLedger, task: &Leased) {
    let run = &task.task.run;
    let view = answered(|| ledger.read(run, 0)).await.unwrap();
    let mut known = view.entries.iter().filter(|entry| entry.event.starts_with(b"task ")).count();
    let planned = view.journal_len > 1;
    let mut events = Vec::new();
    for mail in &view.mails {
        let event = match &mail.mail {
            Mail::Outcome { task, outcome, .. } => {
                format!("task {task} {}", String::from_utf8_lossy(outcome))
            }
            Mail::Lost { task: 0, .. } => continue,
            Mail::Lost { task, .. } => format!("task {task} lost"),
            other => panic!("nobody sends {other:?}"),
        };
        known += 1;
        events.push(Bytes::from(event));
    }
    let new_task = |number| NewTask {
        number,
        class: work(),
        priority: 5,
        cost: 10,
        reserve: baton_workflow::Spend::ZERO,
        payload: Bytes::new(),
    };
    let mut tasks = Vec::new();
    if !planned {
        events.push(Bytes::from_static(b"planned"));
        tasks.extend((1..=TASKS).map(new_task));
    }
    let commit = Commit {
        task: task.task.clone(),
        token: task.token,
        journal_len: view.journal_len,
        mail_seen: view.mails.last().map_or(0, |mail| mail.number),
        events,
        tasks,
        timers: vec![],
        children: vec![],
        withdraw: vec![],
        withdraw_children: vec![],
        end: (known == TASKS as usize).then(|| Bytes::from_static(b"done")),
        bodies: vec![],
    };
    match answered(|| ledger.commit(commit.clone())).await {
        // Read before another decided under a later lease: the token had been refused, too.
        Ok(_) | Err(LedgerError::LeaseLost | LedgerError::JournalMoved { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}

/// Follows a run to its end, over any loss of the connection; gives its journal.
pub(crate) async fn followed(ledger: &RedisLedger, run: &RunId) -> Vec<String> {
    let mut journal = Vec::new();
    let following = async {
        loop {
            let from = journal.len() as u64;
            let mut news = answered(|| ledger.watch(run, from)).await.unwrap();
            while let Some(Ok(new)) = news.next().await {
                match new {
                    Watched::Entry(entry) => {
                        assert_eq!(entry.seq, journal.len() as u64 + 1, "a gap in {run}");
                        journal.push(String::from_utf8(entry.event.to_vec()).unwrap());
                    }
                    Watched::Observed(_) => {}
                    Watched::Ended(_) => return,
                }
            }
        }
    };
    let ended = tokio::time::timeout(PATIENCE, following).await;
    assert!(ended.is_ok(), "{run} did not end; its journal: {journal:?}");
    journal
}

/// Every run has the outcome of every task once, and what was acknowledged is what stands.
pub(crate) fn check(journals: &HashMap<RunId, Vec<String>>, acknowledged: &[Acknowledged]) {
    let mut recorded = HashMap::new();
    for (run, journal) in journals {
        for event in journal.iter().filter_map(|event| event.strip_prefix("task ")) {
            let (task, text) = event.split_once(' ').unwrap();
            let earlier = recorded.insert((run.to_string(), task.to_owned()), text.to_owned());
            assert_eq!(earlier, None, "two outcomes of task {task} of {run}");
        }
    }
    assert_eq!(recorded.len(), journals.len() * TASKS as usize, "every task has an outcome");
    for (run, task, text) in acknowledged {
        let stands = recorded.get(&(run.clone(), task.to_string()));
        assert_eq!(stands, Some(text), "an acknowledged outcome of {run}:{task} was lost");
    }
}
