//! A ledger on disk, as its operator meets it: looked over, saved, brought back, full.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, its helpers too")]

use baton_ledger::{
    Body, Class, Commit, Damage, DiskTerms, EmbeddedLedger, Held, LeaseRequest, Leased, Ledger,
    LedgerError, Mail, NewChild, NewTask, NewTimer, Retention, Signal, Signalled, Submission,
    Submitted, backup_of, fsck, restore_backup, verify_backup,
};
use baton_workflow::{Budget, RunId, Spend, TenantId, Usd};
use bytes::Bytes;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(60);

fn tenant() -> TenantId {
    TenantId::new("t").unwrap()
}

fn run(number: usize) -> RunId {
    RunId::new(format!("run-{number}")).unwrap()
}

fn body(number: usize, bytes: usize) -> Body {
    Body::new(format!("{number} ").repeat(bytes / 4))
}

fn submission(number: usize, bytes: usize) -> Submission {
    let usd = Usd::from_pico(1_000_000);
    Submission {
        tenant: tenant(),
        run: run(number),
        key: Some(number.to_string()),
        digest: String::new(),
        budget: Budget { usd, tokens: 1000, calls: 100, seconds: 60, depth: 1 },
        events: vec![Bytes::from_static(b"submitted")],
        tasks: Vec::new(),
        timers: Vec::new(),
        bodies: vec![body(number, bytes)],
        traceparent: None,
        label: Bytes::new(),
    }
}

async fn lease(ledger: &EmbeddedLedger) -> Vec<Leased> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static REQUESTS: AtomicU64 = AtomicU64::new(1);
    let request = REQUESTS.fetch_add(1, Ordering::Relaxed);
    let classes = vec![Class::decide()];
    let (holder, max, ttl_ms, wait_ms) = ("holder".into(), 256, 600_000, 0);
    let request = LeaseRequest { holder, classes, max, ttl_ms, wait_ms, request };
    ledger.lease(request).await.unwrap()
}

fn decision(leased: &Leased, end: Option<&'static str>) -> Commit {
    Commit {
        task: leased.task.clone(),
        token: leased.token,
        journal_len: 1,
        mail_seen: 0,
        events: Vec::new(),
        tasks: Vec::new(),
        timers: Vec::new(),
        children: Vec::new(),
        withdraw: Vec::new(),
        withdraw_children: Vec::new(),
        end: end.map(|end| Bytes::from_static(end.as_bytes())),
        bodies: Vec::new(),
    }
}

/// Runs, of which the even ones are finished.
async fn some_runs(ledger: &EmbeddedLedger, numbers: std::ops::Range<usize>, bytes: usize) {
    for number in numbers {
        ledger.submit(submission(number, bytes)).await.unwrap();
        let leased = lease(ledger).await;
        if number % 2 == 0 {
            ledger.commit(decision(&leased[0], Some("done"))).await.unwrap();
        }
    }
}

fn damages(path: &Path) -> Vec<Damage> {
    fsck(path).unwrap().found.into_iter().map(|found| found.damage).collect()
}

fn refused<T>(result: Result<T, LedgerError>, word: &str) {
    match result {
        Err(LedgerError::Unusable(why)) => assert!(why.contains(word), "{why}"),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was done"),
    }
}

/// A writer whose bytes can be looked at afterwards.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Vec<u8>>>);

impl Write for Shelf {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Shelf {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn a_backup_of_a_running_ledger_is_restored_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let ledger = EmbeddedLedger::open(&path).unwrap();
    some_runs(&ledger, 0..10, 2000).await;
    refused(backup_of(&path, Shelf::default()), "in use by another process");
    let online = Shelf::default();
    let archived = ledger.backup(online.clone()).await.unwrap();
    // What comes later is not in it.
    ledger.submit(submission(10, 10)).await.unwrap();
    let held = lease(&ledger).await.remove(0);
    let stats = ledger.stats().await.unwrap();
    ledger.close().await;
    assert_eq!(verify_backup(&*online.bytes()).unwrap(), archived);
    assert_eq!(archived.bytes, online.bytes().len() as u64);

    let again = folder.path().join("again");
    assert_eq!(restore_backup(&*online.bytes(), &again).unwrap(), archived);
    refused(restore_backup(&*online.bytes(), &again), "there is a ledger");
    assert_eq!(damages(&again), []);
    let restored = EmbeddedLedger::open(&again).unwrap();
    for number in 0..10 {
        let view = restored.read(&run(number), 0).await.unwrap();
        assert_eq!((view.journal_len, view.end.is_some()), (1, number % 2 == 0));
        let text = body(number, 2000);
        assert_eq!(restored.body(&tenant(), &text.name).await.unwrap(), text.bytes);
        let known = restored.submit(submission(number, 2000)).await;
        assert_eq!(known, Ok(Submitted::Known(run(number))));
    }
    assert!(matches!(restored.read(&run(10), 0).await, Err(LedgerError::NoSuchRun(_))));
    assert!(restored.stats().await.unwrap().epoch > stats.epoch + 1000, "no stale lease fits");
    // The run that came after the backup, done over: its old holder has lost it.
    restored.submit(submission(10, 10)).await.unwrap();
    lease(&restored).await;
    assert_eq!(restored.commit(decision(&held, None)).await, Err(LedgerError::LeaseLost));
    restored.close().await;

    // Offline, and without changing a file.
    let before = fs::read_dir(folder.path()).unwrap().count();
    let offline = Shelf::default();
    let archived = backup_of(&path, offline.clone()).unwrap();
    assert_eq!(verify_backup(&*offline.bytes()).unwrap(), archived);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), before);
}

#[tokio::test]
async fn a_damaged_archive_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = EmbeddedLedger::in_memory().unwrap();
    some_runs(&ledger, 0..3, 100).await;
    let shelf = Shelf::default();
    ledger.backup(shelf.clone()).await.unwrap();
    let whole = shelf.bytes();
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        assert!(verify_backup(&*bytes).is_err(), "byte {at}");
        assert!(verify_backup(&whole[..at]).is_err(), "cut at {at}");
    }
    let path = folder.path().join("ledger");
    refused(restore_backup(&whole[..whole.len() - 1], &path), "cut off");
    refused(restore_backup(&b"something else entirely, and long enough for it"[..], &path), "");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_stands_still_decides_when_the_ledger_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    refused(fsck(&path), "there is no ledger");
    let ledger = EmbeddedLedger::open(&path).unwrap();
    some_runs(&ledger, 0..5, 500).await;
    refused(fsck(&path), "in use by another process");
    let retention = Retention { finished_ms: None, runs_max: Some(1), keys_ms: 0 };
    assert_eq!(ledger.retain(&retention, 256).await.unwrap().deleted, 2);
    ledger.close().await;
    let looked = fsck(&path).unwrap();
    assert_eq!((looked.runs, looked.unfinished, looked.bodies), (3, 2, 3), "{looked:?}");
    assert_eq!(looked.found, []);

    // A decision that leaves its run with nothing to wait for: opening the ledger has it
    // decide again.
    let ledger = EmbeddedLedger::open(&path).unwrap();
    let leased = lease(&ledger).await;
    ledger.commit(decision(&leased[0], None)).await.unwrap();
    ledger.close().await;
    assert_eq!(damages(&path), []);

    // One that leaves its run with nothing but a child that has ended.
    let ledger = EmbeddedLedger::open(&path).unwrap();
    let leased = lease(&ledger).await;
    let events = vec![Bytes::from_static(b"submitted")];
    let child = NewChild { number: 1, events, tasks: Vec::new(), timers: Vec::new() };
    let commit = Commit { children: vec![child], ..decision(&leased[0], None) };
    ledger.commit(commit).await.unwrap();
    let below = lease(&ledger).await;
    assert_eq!(below.len(), 1);
    ledger.commit(decision(&below[0], Some("end"))).await.unwrap();
    let above = lease(&ledger).await;
    ledger.commit(Commit { mail_seen: 1, ..decision(&above[0], None) }).await.unwrap();
    ledger.close().await;
    assert_eq!(damages(&path), []);
    let ledger = EmbeddedLedger::open(&path).unwrap();
    let decides: Vec<_> = lease(&ledger).await.into_iter().map(|it| it.task.run).collect();
    assert!(decides.contains(&above[0].task.run), "{decides:?}");
    ledger.close().await;
}

#[tokio::test]
async fn a_flipped_byte_anywhere_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let ledger = EmbeddedLedger::open(&path).unwrap();
    some_runs(&ledger, 0..4, 4000).await;
    ledger.close().await;
    // Everything into the sorted file.
    EmbeddedLedger::open(&path).unwrap().close().await;
    let whole = fs::read(&path).unwrap();
    let text = body(1, 4000).bytes;
    let at = whole.windows(64).position(|part| *part == text[..64]).unwrap();
    let mut bytes = whole;
    bytes[at + 10] ^= 1;
    fs::write(&path, bytes).unwrap();
    match fsck(&path) {
        Ok(looked) => assert!(!looked.found.is_empty(), "{looked:?}"),
        Err(LedgerError::Unusable(why)) => assert!(why.contains("corrupt"), "{why}"),
        Err(other) => panic!("{other}"),
    }
}

/// A small filesystem of its own, where this process may mount one.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o"]).arg(format!("size={size}")).arg("tmpfs").arg(at);
        let mounted = mount.output().is_ok_and(|done| done.status.success());
        mounted.then(|| Self(at.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

/// Takes all the room there is.
fn fill(at: &Path) {
    let mut file = fs::File::create(at).unwrap();
    for size in [65536, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_is_got_over() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_small) = Small::mount(folder.path(), "24m") else {
        eprintln!("skipped: only root may mount a small filesystem");
        return;
    };
    let path = folder.path().join("ledger");
    let terms = DiskTerms { reserve_bytes: 1024 * 1024, ..DiskTerms::default() };
    let ledger = EmbeddedLedger::open_with(&path, terms).unwrap();
    some_runs(&ledger, 0..4, 1000).await;
    let filler = folder.path().join("filler");
    fill(&filler);
    let begun = Instant::now();
    // The free bytes are not looked at all the time: some find no room in mid-write, and
    // wait for it. Then nothing new is taken.
    let mut number = 200;
    let refusal = loop {
        number += 1;
        let submitting = ledger.submit(submission(number, 4000));
        match tokio::time::timeout(Duration::from_millis(500), submitting).await {
            Ok(Err(refusal)) => break refusal,
            Ok(Ok(_)) | Err(_) => assert!(begun.elapsed() < PATIENCE, "everything is taken"),
        }
    };
    assert!(matches!(refusal, LedgerError::StorageFull { .. }) && refusal.is_retryable());
    // What is under way waits for room, and is lost for nobody.
    let waiting = {
        let ledger = ledger.clone();
        tokio::spawn(async move { ledger.cancel(&run(1), "why").await })
    };
    tokio::task::yield_now().await;
    let backup = ledger.backup(Shelf::default()).await;
    assert!(backup.is_ok(), "a full disk can still be saved elsewhere: {backup:?}");
    assert!(!waiting.is_finished(), "nothing is acknowledged that is not on disk");
    fs::remove_file(&filler).unwrap();
    let asked = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert_eq!(asked, Ok(baton_ledger::Cancelled::Asked));
    while let Err(error) = ledger.submit(submission(100, 10)).await {
        assert!(matches!(error, LedgerError::StorageFull { .. }), "{error}");
        assert!(begun.elapsed() < PATIENCE, "it does not recover");
        tokio::task::yield_now().await;
    }
    ledger.close().await;
    assert_eq!(damages(&path), []);
    let ledger = EmbeddedLedger::open(&path).unwrap();
    for number in [0, 1, 2, 3, 100] {
        assert!(ledger.read(&run(number), 0).await.is_ok(), "{number}");
    }
    ledger.close().await;
}

#[tokio::test]
async fn room_of_deleted_runs_is_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let mut sizes = Vec::new();
    for round in 0..6 {
        let ledger = EmbeddedLedger::open(&path).unwrap();
        let first = round * 1000;
        for number in first..first + 200 {
            ledger.submit(submission(number, 20_000)).await.unwrap();
            let leased = lease(&ledger).await;
            ledger.commit(decision(&leased[0], Some("done"))).await.unwrap();
        }
        let all = Retention { finished_ms: Some(0), runs_max: None, keys_ms: 0 };
        while ledger.retain(&all, 256).await.unwrap().more {}
        assert_eq!(ledger.stats().await.unwrap().bodies, 0);
        ledger.close().await;
        EmbeddedLedger::open(&path).unwrap().close().await;
        sizes.push(fs::metadata(&path).unwrap().len());
    }
    println!("bytes of the file after each 4 MB written and deleted: {sizes:?}");
    assert!(sizes[5] <= sizes[1] * 2, "the file grows without end: {sizes:?}");
}

/// The task is never leased: it is there to be seen by `fsck`.
#[tokio::test]
async fn a_waiting_task_is_something_to_wait_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let ledger = EmbeddedLedger::open(&path).unwrap();
    let (class, payload) = (Class::from_text("work/agent"), Bytes::new());
    let task = NewTask { number: 1, class, priority: 5, cost: 1, reserve: Spend::ZERO, payload };
    ledger.submit(Submission { tasks: vec![task], ..submission(0, 10) }).await.unwrap();
    ledger.close().await;
    assert_eq!(damages(&path), []);
}

#[tokio::test]
async fn begun_work_and_words_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let ledger = EmbeddedLedger::open(&path).unwrap();
    let (class, payload) = (Class::from_text("work/a"), Bytes::new());
    let task = |number| NewTask {
        number,
        class: class.clone(),
        priority: 5,
        cost: 1,
        reserve: Spend::ZERO,
        payload: payload.clone(),
    };
    let timers = vec![NewTimer::awaiting("late", 0), NewTimer::awaiting("word", 0)];
    let tasks = vec![task(1), task(2)];
    ledger.submit(Submission { tasks, timers, ..submission(0, 8) }).await.unwrap();
    let (holder, classes, max) = ("holder".into(), vec![class], 2);
    let request = LeaseRequest { holder, classes, max, ttl_ms: 600_000, wait_ms: 0, request: 7 };
    let leased = ledger.lease(request).await.unwrap();
    let begun = Held { task: leased[0].task.clone(), token: leased[0].token };
    ledger.start(&begun).await.unwrap();
    let word = |key: &str| Signal {
        run: run(0),
        key: key.into(),
        event: Bytes::from_static(b"yes"),
        bodies: Vec::new(),
    };
    assert_eq!(ledger.signal(word("word")).await, Ok(Signalled::Delivered));
    ledger.tick(256).await.unwrap();
    ledger.close().await;
    assert_eq!(fsck(&path).unwrap().found, []);

    let ledger = EmbeddedLedger::open(&path).unwrap();
    assert_eq!(ledger.signal(word("word")).await, Ok(Signalled::AlreadyDelivered));
    assert_eq!(ledger.signal(word("late")).await, Ok(Signalled::Expired));
    let view = ledger.read(&run(0), 0).await.unwrap();
    let kinds = view.mails.iter().map(|entry| match &entry.mail {
        Mail::Signal { key, event } => format!("{key} {}", event.is_some()),
        Mail::Interrupted { task, .. } => format!("interrupted {task}"),
        other => panic!("{other:?}"),
    });
    assert_eq!(kinds.collect::<Vec<_>>(), ["word true", "late false", "interrupted 1"]);
}
