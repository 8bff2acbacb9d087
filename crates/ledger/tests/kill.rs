//! `kill -9` under load: what was acknowledged is there, and nothing is there twice.
//!
//! The test starts itself as a child that works on a ledger in a file and notes every
//! acknowledgement in a side log, kills it at a moment of its own choosing, opens the
//! file, and compares.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, its helpers too")]

use baton_ledger::{
    Body, Class, Commit, Completion, EmbeddedLedger, Held, LeaseRequest, Leased, Ledger,
    LedgerError, Mail, NewTask, Submission, Submitted, TenantTerms,
};
use baton_workflow::{Budget, RunId, Spend, TenantId, Usd};
use bytes::Bytes;
use std::{
    collections::HashMap,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

/// Where the child finds its folder.
const FOLDER: &str = "BATON_LEDGER_KILL_FOLDER";
/// How much the child notes in each round before it is killed, in bytes.
const NOTED_BYTES: [u64; 6] = [1, 20_000, 2_000, 240_000, 10_000, 30_000];
/// Steps of a run.
const STEPS: u32 = 3;
/// Large enough that logs fill up and move to the sorted file while the killing goes on.
const BODY_BYTES: usize = 64 * 1024;
/// Runs that the child has under way at most, apart from those of the test.
const RUNS_OPEN: u64 = 256;
/// Submissions that the child waits for at the same time.
const SUBMITS_OPEN: usize = 16;
/// Between two looks at the side log, in milliseconds.
const LOOK_MS: u64 = 2;
const PATIENCE: Duration = Duration::from_secs(120);

fn class() -> Class {
    Class::from_text("work/agent")
}

fn tenant() -> TenantId {
    TenantId::new("t").unwrap()
}

fn text(text: impl AsRef<str>) -> Bytes {
    Bytes::copy_from_slice(text.as_ref().as_bytes())
}

fn task(number: u32) -> NewTask {
    NewTask {
        number,
        class: class(),
        priority: 5,
        cost: 1,
        reserve: Spend::ZERO,
        payload: Bytes::new(),
    }
}

fn spend() -> Spend {
    Spend { usd: Usd::from_pico(1), tokens_in: 1, tokens_out: 1, calls: 1 }
}

/// A text that belongs to this run alone.
fn body(run: &RunId) -> Body {
    Body::new(run.as_str().repeat(BODY_BYTES / run.as_str().len()))
}

fn submission(run: &RunId, class: Class) -> Submission {
    let usd = Usd::from_pico(1_000_000);
    Submission {
        tenant: tenant(),
        run: run.clone(),
        key: Some(run.to_string()),
        digest: String::new(),
        budget: Budget { usd, tokens: 1000, calls: 100, seconds: 60, depth: 0 },
        events: vec![text("submitted")],
        tasks: vec![NewTask { class, ..task(1) }],
        timers: Vec::new(),
        bodies: vec![body(run)],
        traceparent: None,
        label: Bytes::new(),
    }
}

fn request(class: Class, max: usize) -> LeaseRequest {
    use std::sync::atomic::{AtomicU64, Ordering};
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    let request = REQUESTS.fetch_add(1, Ordering::Relaxed);
    let (holder, ttl_ms, wait_ms) = ("holder".into(), 600_000, 20);
    LeaseRequest { holder, classes: vec![class], max, ttl_ms, wait_ms, request }
}

/// Lines that say what was acknowledged. The kernel keeps them when the child is killed.
#[derive(Clone)]
struct Notes(Arc<File>);

impl Notes {
    fn open(folder: &Path) -> Self {
        let file = File::options().append(true).create(true).open(folder.join("notes"));
        Self(Arc::new(file.unwrap()))
    }

    fn write(&self, line: &str) {
        (&*self.0).write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

async fn work(ledger: &dyn Ledger, notes: &Notes) -> usize {
    let leased = ledger.lease(request(class(), 8)).await.unwrap();
    for Leased { task, token, .. } in &leased {
        let outcome = format!("{}.{}.{}", token.epoch, token.attempt, token.nonce);
        let held = Held { task: task.clone(), token: *token };
        ledger.reserve(&held, 1, spend()).await.unwrap();
        let (bodies, estimated) = (Vec::new(), false);
        let done = Completion { outcome: text(&outcome), spend: spend(), estimated, bodies };
        ledger.complete(&held, done).await.unwrap();
        notes.write(&format!("outcome {} {} {outcome}", task.run, task.number));
    }
    leased.len()
}

/// Writes each outcome into the journal, asks for the next step, ends after the last.
async fn decide(ledger: &dyn Ledger, notes: &Notes) -> usize {
    let leased = ledger.lease(request(Class::decide(), 8)).await.unwrap();
    for decision in &leased {
        let run = &decision.task.run;
        let view = ledger.read(run, 0).await.unwrap();
        let mut commit = Commit {
            task: decision.task.clone(),
            token: decision.token,
            journal_len: view.journal_len,
            mail_seen: view.mails.last().map_or(0, |mail| mail.number),
            events: Vec::new(),
            tasks: Vec::new(),
            timers: Vec::new(),
            children: Vec::new(),
            withdraw: Vec::new(),
            withdraw_children: Vec::new(),
            end: None,
            bodies: Vec::new(),
        };
        for entry in view.mails {
            if let Mail::Outcome { task: number, outcome, .. } = entry.mail {
                let outcome = std::str::from_utf8(&outcome).unwrap();
                commit.events.push(text(format!("{number} {outcome}")));
                if number < STEPS {
                    commit.tasks.push(task(number + 1));
                } else {
                    commit.end = Some(text("done"));
                }
            }
        }
        let (len, end) = (view.journal_len + commit.events.len() as u64, commit.end.is_some());
        ledger.commit(commit).await.unwrap();
        notes.write(&format!("journal {run} {len}"));
        if end {
            notes.write(&format!("end {run}"));
        }
    }
    leased.len()
}

/// The child: works until it is killed.
#[test]
#[ignore = "started by the test below"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let ledger = Arc::new(EmbeddedLedger::open(folder.join("ledger")).unwrap());
        let notes = Notes::open(&folder);
        let terms = TenantTerms { runs_max: RUNS_OPEN, ..TenantTerms::default() };
        ledger.set_tenant(&tenant(), terms).await.unwrap();
        for _ in 0..4 {
            let (ledger, notes) = (ledger.clone(), notes.clone());
            tokio::spawn(async move {
                loop {
                    work(&*ledger, &notes).await;
                    decide(&*ledger, &notes).await;
                }
            });
        }
        let name = std::process::id();
        let mut open = tokio::task::JoinSet::new();
        for number in 0.. {
            let run = RunId::new(format!("run-{name}-{number}")).unwrap();
            let (ledger, notes) = (ledger.clone(), notes.clone());
            open.spawn(async move {
                match ledger.submit(submission(&run, class())).await {
                    Ok(submitted) => {
                        assert_eq!(submitted, Submitted::New(run.clone()));
                        notes.write(&format!("submit {run}"));
                    }
                    Err(LedgerError::QueueFull { .. }) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            });
            if open.len() >= SUBMITS_OPEN {
                open.join_next().await.unwrap().unwrap();
            }
        }
    });
}

fn start(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Lines so far; a last line cut short by the kill says nothing.
fn notes(folder: &Path) -> Vec<String> {
    let notes = std::fs::read_to_string(folder.join("notes")).unwrap_or_default();
    let whole = notes.rfind('\n').map_or("", |end| &notes[..end]);
    whole.lines().map(str::to_owned).collect()
}

/// What a run's journal and mail say came of each task.
async fn outcomes(ledger: &EmbeddedLedger, run: &RunId) -> HashMap<u32, String> {
    let view = ledger.read(run, 0).await.unwrap();
    let mut found = HashMap::new();
    let mut note = |task: u32, outcome: String| {
        let earlier = found.insert(task, outcome);
        assert_eq!(earlier, None, "the outcome of {run}:{task} is recorded twice");
    };
    for (place, entry) in view.entries.iter().enumerate() {
        assert_eq!(entry.seq, place as u64 + 1, "the journal of {run} has a gap");
        let event = std::str::from_utf8(&entry.event).unwrap();
        if let Some((task, outcome)) = event.split_once(' ') {
            note(task.parse().unwrap(), outcome.to_owned());
        }
    }
    for mail in view.mails {
        if let Mail::Outcome { task, outcome, .. } = mail.mail {
            note(task, String::from_utf8(outcome.to_vec()).unwrap());
        }
    }
    found
}

/// Everything noted is in the ledger.
async fn compare(ledger: &EmbeddedLedger, lines: &[String]) {
    for line in lines {
        let words: Vec<_> = line.split(' ').collect();
        let run = RunId::new(words[1]).unwrap();
        let view = ledger.read(&run, 0).await.unwrap();
        match words[0] {
            "submit" => {
                let known = ledger.submit(submission(&run, class())).await.unwrap();
                assert_eq!(known, Submitted::Known(run.clone()));
                let body = body(&run);
                assert_eq!(ledger.body(&tenant(), &body.name).await.unwrap(), body.bytes);
            }
            "outcome" => {
                let found = outcomes(ledger, &run).await;
                let task: u32 = words[2].parse().unwrap();
                assert_eq!(found.get(&task).map(String::as_str), Some(words[3]), "{line}");
            }
            "journal" => assert!(view.journal_len >= words[2].parse().unwrap(), "{line}"),
            "end" => assert_eq!(view.end, Some(text("done")), "{line}"),
            other => panic!("{other} is no note"),
        }
    }
}

/// The epoch of this opening, by a task of its own.
async fn epoch(ledger: &EmbeddedLedger, round: usize) -> u64 {
    let probe = Class::from_text("work/probe");
    let run = RunId::new(format!("probe-{round}")).unwrap();
    // Another tenant: the first one may be full.
    let tenant = TenantId::new("probe").unwrap();
    let submission = Submission { tenant, ..submission(&run, probe.clone()) };
    ledger.submit(submission).await.unwrap();
    ledger.lease(request(probe, 1)).await.unwrap()[0].token.epoch
}

#[test]
fn nothing_acknowledged_is_lost_or_done_twice() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (mut compared, mut last_epoch) = (0, 0);
    for (round, more) in NOTED_BYTES.into_iter().enumerate() {
        let mut child = start(folder.path());
        // Some rounds end while a lot is under way, others soon after the start.
        let size = || std::fs::metadata(folder.path().join("notes")).map_or(0, |file| file.len());
        let wanted = size() + more;
        let begun = Instant::now();
        while size() < wanted {
            assert!(begun.elapsed() < PATIENCE, "the child does not get on");
            assert_eq!(child.try_wait().unwrap(), None, "the child died by itself");
            std::thread::sleep(Duration::from_millis(LOOK_MS));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let lines = notes(folder.path());
        runtime.block_on(async {
            let ledger = EmbeddedLedger::open(folder.path().join("ledger")).unwrap();
            compare(&ledger, &lines[compared..]).await;
            let epoch = epoch(&ledger, round).await;
            assert!(epoch > last_epoch, "epoch {epoch} after {last_epoch}");
            last_epoch = epoch;
            ledger.close().await;
        });
        compared = lines.len();
    }
    runtime.block_on(async {
        let ledger = EmbeddedLedger::open(folder.path().join("ledger")).unwrap();
        let rest = Notes::open(folder.path());
        while work(&ledger, &rest).await + decide(&ledger, &rest).await > 0 {}
        let lines = notes(folder.path());
        compare(&ledger, &lines[compared..]).await;
        for line in lines.iter().filter_map(|line| line.strip_prefix("submit ")) {
            let run = RunId::new(line).unwrap();
            let view = ledger.read(&run, 0).await.unwrap();
            assert_eq!(view.end, Some(text("done")), "{run} is not carried to its end");
            assert_eq!(outcomes(&ledger, &run).await.len(), STEPS as usize);
        }
    });
}
