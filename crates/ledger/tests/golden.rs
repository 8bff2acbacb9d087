//! Files of ledgers as every released version left them, read by the present one.
//!
//! A folder for each version: what a killed process left (the sorted file, in pieces
//! without its empty pages, and a log beside it), a backup, and in words what they hold.
//! They are never changed once their version is released. Those of a version that is not
//! released are written anew by
//! `BATON_GOLDEN=write cargo test -p baton-ledger --test golden`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, its helpers too")]

use baton_ledger::{
    Body, Class, Commit, Completion, EmbeddedLedger, Held, LeaseRequest, Leased, Ledger, NewChild,
    NewTask, NewTimer, Submission, Submitted, TenantTerms, backup_of, fsck, restore_backup,
    verify_backup,
};
use baton_workflow::{Budget, RunId, Spend, TenantId, Usd};
use bytes::Bytes;
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// The folder of the version that is not released yet.
const PRESENT: &str = "0.1";
/// What a golden folder may hold, in bytes.
const FOLDER_BYTES_MAX: u64 = 100 * 1024;
/// Pages of the sorted file, in bytes; those of zeros are left out.
const PAGE_BYTES: usize = 4096;

/// Runs of the story, and in what state it leaves them.
const ENDED: &str = "ended";
const PARENT: &str = "parent";
const CANCELLED: &str = "cancelled";
const LATE: &str = "late";

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn tenant() -> TenantId {
    TenantId::new("tenant").unwrap()
}

fn run(id: &str) -> RunId {
    RunId::new(id).unwrap()
}

fn text(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Two runs have this one.
fn shared() -> Body {
    Body::new("a text that two runs have")
}

fn spend(tokens_in: u64) -> Spend {
    Spend { usd: Usd::from_pico(tokens_in * 7), tokens_in, tokens_out: 3, calls: 1 }
}

fn task(number: u32) -> NewTask {
    let class = Class::from_text("work/agent");
    let payload = text(&format!("payload {number}"));
    NewTask { number, class, priority: 4, cost: 10, reserve: spend(50), payload }
}

fn submission(id: &str) -> Submission {
    let usd = Usd::from_pico(1_000_000);
    Submission {
        tenant: tenant(),
        run: run(id),
        key: Some(format!("key of {id}")),
        digest: "digest".into(),
        budget: Budget { usd, tokens: 10_000, calls: 100, seconds: 60, depth: 2 },
        events: vec![text("submitted"), text("planned")],
        tasks: vec![task(1)],
        timers: vec![NewTimer { name: "deadline".into(), after_ms: 1_000_000_000_000 }],
        bodies: vec![shared(), Body::new(format!("text of {id}"))],
        traceparent: Some("00-trace".into()),
        label: text(&format!("label of {id}")),
    }
}

async fn lease(ledger: &EmbeddedLedger, class: Class, request: u64) -> Leased {
    let (holder, max, ttl_ms, wait_ms) = ("holder".into(), 1, 600_000, 0);
    let asked = LeaseRequest { holder, classes: vec![class], max, ttl_ms, wait_ms, request };
    let mut leased = ledger.lease(asked).await.unwrap();
    leased.pop().unwrap_or_else(|| panic!("nothing waits for request {request}"))
}

/// The run's work is done: the outcome waits for a decision.
async fn work(ledger: &EmbeddedLedger, request: u64) -> Leased {
    let leased = lease(ledger, Class::from_text("work/agent"), request).await;
    let outcome = text(&format!("outcome of {}", leased.task.run));
    let bodies = vec![Body::new(format!("output of {}", leased.task.run))];
    let completion = Completion { outcome, spend: spend(40), estimated: true, bodies };
    let held = Held { task: leased.task.clone(), token: leased.token };
    ledger.complete(&held, completion).await.unwrap();
    leased
}

async fn decision(ledger: &EmbeddedLedger, request: u64) -> Commit {
    let leased = lease(ledger, Class::decide(), request).await;
    let view = ledger.read(&leased.task.run, 0).await.unwrap();
    Commit {
        task: leased.task,
        token: leased.token,
        journal_len: view.journal_len,
        mail_seen: view.mails.last().map_or(0, |mail| mail.number),
        events: vec![text("heard")],
        tasks: Vec::new(),
        timers: Vec::new(),
        children: Vec::new(),
        withdraw: Vec::new(),
        withdraw_children: Vec::new(),
        end: None,
        bodies: Vec::new(),
    }
}

/// Every kind of row, in the sorted file and in the log.
async fn story(path: &Path, killed: &Path) {
    let ledger = EmbeddedLedger::open(path).unwrap();
    let terms = TenantTerms { weight: 7, leased_max: 9, runs_max: 11 };
    ledger.set_tenant(&tenant(), terms).await.unwrap();
    ledger.submit(submission(ENDED)).await.unwrap();
    work(&ledger, 1).await;
    let end = Commit { end: Some(text("its end")), ..decision(&ledger, 2).await };
    ledger.commit(end).await.unwrap();
    ledger.submit(submission(PARENT)).await.unwrap();
    work(&ledger, 3).await;
    let child = NewChild { number: 5, events: vec![text("born")], tasks: vec![], timers: vec![] };
    let more = Commit { tasks: vec![task(2)], children: vec![child], ..decision(&ledger, 4).await };
    ledger.commit(more).await.unwrap();
    ledger.close().await;
    // Closed, all of that is in the sorted file, and what follows in a log.
    let ledger = EmbeddedLedger::open(path).unwrap();
    ledger.submit(submission(CANCELLED)).await.unwrap();
    ledger.cancel(&run(CANCELLED), "a reason").await.unwrap();
    ledger.submit(submission(LATE)).await.unwrap();
    // Held when the process is killed.
    lease(&ledger, Class::from_text("work/agent"), 5).await;
    for entry in fs::read_dir(path.parent().unwrap()).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), killed.join(entry.file_name())).unwrap();
    }
    ledger.close().await;
}

/// What is there, in words that outlive the program's own types; no moment among them.
async fn state(ledger: &EmbeddedLedger) -> String {
    let mut told = String::new();
    let said = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let runs = [run(ENDED), run(PARENT), run(PARENT).child(5).unwrap(), run(CANCELLED), run(LATE)];
    for id in runs {
        let view = ledger.read(&id, 0).await.unwrap();
        let events: Vec<_> = view
            .entries
            .iter()
            .map(|entry| format!("{} {}", entry.seq, said(&entry.event)))
            .collect();
        writeln!(told, "run {id} of {} in {}", view.tenant, view.root).unwrap();
        writeln!(told, "  journal {}: {}", view.journal_len, events.join(", ")).unwrap();
        for mail in &view.mails {
            writeln!(told, "  mail {}: {:?}", mail.number, mail.mail).unwrap();
        }
        let end = view.end.as_ref().map(&said);
        writeln!(told, "  cancelled {} end {end:?}", view.cancelled).unwrap();
        let Spend { usd, tokens_in, tokens_out, calls } = view.spent;
        let [usd, of] = [usd, view.budget.usd].map(Usd::pico);
        writeln!(told, "  spent {usd} of {of}, {tokens_in} in {tokens_out} out, {calls} calls")
            .unwrap();
        writeln!(told, "  label {} trace {:?}", said(&view.label), view.traceparent).unwrap();
    }
    for found in ledger.list(&tenant(), 10, None).await.unwrap() {
        writeln!(told, "listed {} ended {}", found.run, found.ended_at.is_some()).unwrap();
    }
    for body in [shared(), Body::new("text of late"), Body::new("output of parent")] {
        let bytes = ledger.body(&tenant(), &body.name).await.unwrap();
        writeln!(told, "body {} {}", body.name.hash, said(&bytes)).unwrap();
    }
    let inventory = ledger.inventory().await.unwrap();
    writeln!(told, "waiting {:?}", inventory.waiting).unwrap();
    for (tenant, TenantTerms { weight, leased_max, runs_max }) in inventory.terms {
        writeln!(told, "terms of {tenant}: {weight} {leased_max} {runs_max}").unwrap();
    }
    let stats = ledger.stats().await.unwrap();
    let (unfinished, finished) = (stats.unfinished, stats.finished);
    writeln!(told, "unfinished {unfinished} finished {finished} timers {}", stats.timers).unwrap();
    told
}

/// Keys still stand for their runs, and what was under way goes on to its end.
async fn goes_on(ledger: &EmbeddedLedger) {
    for id in [ENDED, LATE] {
        let again = Submission { run: run("another"), ..submission(id) };
        assert_eq!(ledger.submit(again).await.unwrap(), Submitted::Known(run(id)));
    }
    ledger.submit(submission("new")).await.unwrap();
    for request in 1000.. {
        let waiting = ledger.inventory().await.unwrap().waiting;
        if waiting.is_empty() {
            break;
        }
        if waiting.contains(&Class::decide()) {
            let end = Commit { end: Some(text("over")), ..decision(ledger, request).await };
            ledger.commit(end).await.unwrap();
        } else {
            work(ledger, request).await;
        }
    }
    for run in ledger.list(&tenant(), 10, None).await.unwrap() {
        assert!(run.ended_at.is_some(), "{} does not end", run.run);
    }
}

/// Pages with their places, without those of zeros; the length of the whole at the end.
fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    for (place, page) in (0_u32..).zip(bytes.chunks(PAGE_BYTES)) {
        if page.iter().any(|byte| *byte != 0) {
            packed.extend_from_slice(&place.to_le_bytes());
            packed.extend_from_slice(page);
        }
    }
    packed.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    packed
}

fn unpacked(packed: &[u8]) -> Vec<u8> {
    let (pages, len) = packed.split_last_chunk::<8>().unwrap();
    let mut bytes = vec![0; usize::try_from(u64::from_le_bytes(*len)).unwrap()];
    for page in pages.chunks(4 + PAGE_BYTES) {
        let (place, page) = page.split_first_chunk::<4>().unwrap();
        let from = u32::from_le_bytes(*place) as usize * PAGE_BYTES;
        bytes[from..from + page.len()].copy_from_slice(page);
    }
    bytes
}

async fn write(folder: &Path) {
    let made = tempfile::tempdir().unwrap();
    let killed = tempfile::tempdir().unwrap();
    story(&made.path().join("ledger"), killed.path()).await;
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).unwrap();
    for entry in fs::read_dir(killed.path()).unwrap().map(Result::unwrap) {
        let bytes = fs::read(entry.path()).unwrap();
        let name = entry.file_name().into_string().unwrap();
        match name.as_str() {
            "ledger" => fs::write(folder.join("ledger.pages"), packed(&bytes)).unwrap(),
            log => fs::write(folder.join(log), bytes).unwrap(),
        }
    }
    let path = laid_out(folder, killed.path());
    let mut archive = Vec::new();
    backup_of(&path, &mut archive).unwrap();
    fs::write(folder.join("backup"), archive).unwrap();
    let ledger = EmbeddedLedger::open(&path).unwrap();
    fs::write(folder.join("state"), state(&ledger).await).unwrap();
    ledger.close().await;
}

/// The files as the killed process left them; where the ledger is.
fn laid_out(folder: &Path, into: &Path) -> PathBuf {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let bytes = fs::read(entry.path()).unwrap();
        match name.as_str() {
            "ledger.pages" => fs::write(into.join("ledger"), unpacked(&bytes)).unwrap(),
            log if log.starts_with("ledger.log-") => fs::write(into.join(log), bytes).unwrap(),
            _ => {}
        }
    }
    into.join("ledger")
}

async fn holds(path: &Path, expected: &str) {
    let looked = fsck(path).unwrap();
    assert_eq!((looked.found.as_slice(), looked.more), (&[][..], 0));
    let ledger = EmbeddedLedger::open(path).unwrap();
    assert_eq!(state(&ledger).await, expected, "{}", path.display());
    goes_on(&ledger).await;
    ledger.close().await;
    assert_eq!(fsck(path).unwrap().found, []);
}

#[tokio::test]
async fn ledgers_of_every_version_are_read_and_go_on() {
    if std::env::var_os("BATON_GOLDEN").is_some_and(|value| value == "write") {
        write(&golden().join(PRESENT)).await;
    }
    let mut read = 0;
    for version in fs::read_dir(golden()).unwrap().map(Result::unwrap) {
        let folder = version.path();
        let sizes = fs::read_dir(&folder).unwrap();
        let bytes: u64 = sizes.map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!(bytes <= FOLDER_BYTES_MAX, "{} bytes in {}", bytes, folder.display());
        let expected = fs::read_to_string(folder.join("state")).unwrap();

        let there = tempfile::tempdir().unwrap();
        let path = laid_out(&folder, there.path());
        assert!(fs::read_dir(there.path()).unwrap().count() > 1, "no log is left to be read");
        holds(&path, &expected).await;

        let archive = fs::read(folder.join("backup")).unwrap();
        verify_backup(archive.as_slice()).unwrap();
        let restored = there.path().join("restored");
        restore_backup(archive.as_slice(), &restored).unwrap();
        holds(&restored, &expected).await;
        read += 1;
    }
    assert!(read >= 1, "the ledgers of released versions are gone");
}
