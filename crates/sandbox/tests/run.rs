//! Programs run, end, and are ended.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly, as tests may")]

mod common;

use baton_sandbox::{End, Execution, Level, Limit, Limits, Program, Sandbox, SandboxError, Warm};
use common::sandbox;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const LEVELS: [Level; 2] = [Level::Ns, Level::Lsm];

async fn run(sandbox: &Sandbox, source: &str, limits: Limits) -> Execution {
    sandbox.run(&Program::python(source), &limits).await.unwrap()
}

#[tokio::test]
async fn a_program_reads_writes_and_ends() {
    for level in LEVELS {
        let sandbox = sandbox(level).await;
        let source = "
import os, sys
print(input(), os.listdir('.'), os.getcwd().count('/') > 0)
with open('made', 'w') as file: file.write('ü')
os.write(int(sys.argv[-1]), open('made', 'rb').read())
print('oh', file=sys.stderr)
sys.exit(7)";
        let program = Program::python(source).with_stdin("hello");
        let execution = sandbox.run(&program, &Limits::default()).await.unwrap();
        assert_eq!(execution.end, End::Exited(7), "{execution:?}");
        assert_eq!(execution.stdout, b"hello ['main.py'] True\n");
        assert_eq!(execution.stderr, b"oh\n");
        assert_eq!(execution.control, "ü".as_bytes());
        assert!(execution.cpu > Duration::ZERO && execution.wall > Duration::ZERO);
        assert!(execution.peak_bytes > 1 << 20, "{execution:?}");
    }
}

#[tokio::test]
async fn every_limit_is_hit_by_its_name() {
    for level in LEVELS {
        let sandbox = sandbox(level).await;
        let all = Limits {
            wall_ms: 3_000,
            cpu_ms: 2_000,
            memory_bytes: 128 << 20,
            output_bytes: 1_000,
            error_bytes: 1_000,
            file_bytes: 1 << 20,
            folder_bytes: 2 << 20,
            files: 8,
            threads: 4,
        };
        let hit = async |source: &str, limits: Limits, limit: Limit| {
            let execution = run(&sandbox, source, limits).await;
            assert_eq!(execution.end, End::LimitHit(limit), "{level:?}: {source}: {execution:?}");
            execution
        };
        let wall = Limits { wall_ms: 100, ..all };
        let execution =
            hit("import time; print(1, flush=True); time.sleep(9)", wall, Limit::Wall).await;
        assert_eq!(execution.stdout, b"1\n", "what was written until then is there");
        let cpu = Limits { cpu_ms: 60, ..all };
        hit("while True: pass", cpu, Limit::Cpu).await;
        hit("try:\n  while True: pass\nexcept BaseException: pass", cpu, Limit::Cpu).await;
        hit("x = bytearray(1 << 30)", all, Limit::Memory).await;
        let execution = hit("while True: print('x' * 100)", all, Limit::Output).await;
        assert_eq!(execution.stdout.len(), 1_000);
        hit("import os\nos.write(2, b'x' * 1001)", all, Limit::Output).await;
        hit(
            "open('f', 'wb', 0).write(bytes(2 << 20)); open('f', 'ab', 0).write(b'x')",
            all,
            Limit::Files,
        )
        .await;
        hit("import time\nfor n in range(99): open(f'{n}', 'w')\ntime.sleep(9)", all, Limit::Files)
            .await;
        let threads = "import threading, time
for _ in range(99): threading.Thread(target=time.sleep, args=(1,)).start()";
        hit(threads, all, Limit::Threads).await;
        // What is within its limits is not bothered by them.
        let fine = "import threading\nt = threading.Thread(target=print, args=(1,))\nt.start(); t.join(); exit = 1";
        assert_eq!(run(&sandbox, fine, all).await.end, End::Exited(0));
        assert_eq!(
            run(&sandbox, "import os\nos.kill(os.getpid(), 9)", all).await.end,
            by_itself(level)
        );
    }
}

/// The first process of a namespace cannot kill itself; it goes on.
fn by_itself(level: Level) -> End {
    match level {
        Level::Ns => End::Exited(0),
        Level::Lsm => End::Signalled(9),
    }
}

#[tokio::test]
async fn programs_share_nothing_and_wait_for_a_slot() {
    for level in LEVELS {
        let config = baton_sandbox::Config { slots: 2, ..common::config(level) };
        let sandbox = Sandbox::probe(config).await.unwrap();
        let source = "
import os
assert os.listdir('.') == ['main.py']
open('mine', 'w').write('x')
print(input())";
        let mut running = tokio::task::JoinSet::new();
        for number in 0..12 {
            let sandbox = sandbox.clone();
            running.spawn(async move {
                let program = Program::python(source).with_stdin(format!("{number}"));
                let execution = sandbox.run(&program, &Limits::default()).await.unwrap();
                assert_eq!(String::from_utf8_lossy(&execution.stdout), format!("{number}\n"));
            });
        }
        while let Some(one) = running.join_next().await {
            one.unwrap();
        }
    }
}

/// Processes whose arguments end in a mark, without their launchers' help.
fn marked(mark: &str) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let has = |pid: &i32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("main.py") && line.split('\0').any(|argument| argument == mark)
    };
    pids.filter(has).filter_map(Pid::from_raw).collect()
}

fn parent(pid: Pid) -> Pid {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    Pid::from_raw(line.trim().parse().unwrap()).unwrap()
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what} never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn waiting(mark: &str) -> Program {
    let mut program = Program::python("import time\ntime.sleep(600)");
    program.arguments.push(mark.into());
    program
}

const LONG: Limits = Limits {
    wall_ms: 600_000,
    cpu_ms: 600_000,
    memory_bytes: 1 << 30,
    output_bytes: 1,
    error_bytes: 1,
    file_bytes: 1,
    folder_bytes: 1 << 20,
    files: 9,
    threads: 9,
};

#[tokio::test(flavor = "multi_thread")]
async fn dropping_an_execution_ends_it_and_leaves_nothing() {
    for level in LEVELS {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(folder.path(), None, None).unwrap();
        fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let config =
            baton_sandbox::Config { folder: folder.path().into(), ..common::config(level) };
        let sandbox = Sandbox::probe(config).await.unwrap();
        let mark = format!("dropped-{}", level.name());
        let running = tokio::spawn({
            let (sandbox, mark) = (sandbox.clone(), mark.clone());
            async move { sandbox.run(&waiting(&mark), &LONG).await }
        });
        wait_until("the program", || marked(&mark).len() == 1);
        running.abort();
        wait_until("the end of the program", || marked(&mark).is_empty());
        let held = || fs::read_dir(folder.path()).unwrap().flatten().next().unwrap().path();
        let rooms =
            || fs::read_dir(held()).unwrap().flatten().filter(|e| e.path().is_dir()).count();
        wait_until("an empty folder", || rooms() == 0);
        // The slot is free again.
        assert_eq!(run(&sandbox, "", Limits::default()).await.end, End::Exited(0));
        drop(sandbox);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_launcher_takes_its_program_with_it() {
    for level in LEVELS {
        let sandbox = sandbox(level).await;
        let mark = format!("orphan-{}", level.name());
        let running = tokio::spawn({
            let (sandbox, mark) = (sandbox.clone(), mark.clone());
            async move { sandbox.run(&waiting(&mark), &LONG).await }
        });
        wait_until("the program", || marked(&mark).len() == 1);
        kill_process(parent(marked(&mark)[0]), Signal::KILL).unwrap();
        wait_until("the end of the program", || marked(&mark).is_empty());
        let error = running.await.unwrap().unwrap_err();
        assert!(error.is_retryable(), "{error}");
        assert_eq!(error.to_string(), "the launcher could not report: it died");
    }
}

#[test]
fn a_killed_service_takes_launchers_and_programs_with_it() {
    for level in LEVELS {
        let mark = format!("left-{}", level.name());
        let mut host = Command::new(env!("CARGO_BIN_EXE_baton-sandbox-host"));
        host.args([level.name(), "hold", &mark]).stdout(Stdio::piped());
        let mut host = host.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(host.stdout.take().unwrap()).read_line(&mut line).unwrap();
        wait_until("the program", || marked(&mark).len() == 1);
        let launcher = parent(marked(&mark)[0]);
        let service = host.id();
        host.kill().unwrap();
        host.wait().unwrap();
        wait_until("the end of the program", || marked(&mark).is_empty());
        let path = format!("/proc/{}/cmdline", launcher.as_raw_nonzero());
        // The next service there removes what this one left.
        let left = || {
            let folders = fs::read_dir(std::env::temp_dir()).unwrap().flatten();
            let name = format!("baton-sandbox-{service}-");
            folders.filter(|entry| entry.file_name().to_string_lossy().starts_with(&name)).count()
        };
        let mut next = Command::new(env!("CARGO_BIN_EXE_baton-sandbox-host"));
        next.arg(level.name()).stdout(Stdio::null()).status().unwrap();
        assert_eq!(left(), 0);
        // A zombie that nobody reaps has no arguments.
        wait_until("the end of its launcher", || fs::read(&path).map_or(true, |l| l.is_empty()));
    }
}

#[tokio::test]
async fn settings_that_cannot_work_say_so() {
    let config = || common::config(Level::Lsm);
    let said = async |config| Sandbox::probe(config).await.unwrap_err().to_string();
    let python = Some("/no/python".into());
    let missing = said(baton_sandbox::Config { python, ..config() }).await;
    assert!(missing.starts_with("/no/python is of no use: No such file"), "{missing}");
    assert!(missing.ends_with("install Debian's python3, or configure the path of another"));
    let root = said(baton_sandbox::Config { uid: 0, ..config() }).await;
    assert_eq!(root, "programs cannot run as uid 0; take another");
    let sandbox = sandbox(Level::Lsm).await;
    let refused = async |files: &[(&str, &str)], stdin: usize| {
        let files = files.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        let program = Program { files, arguments: vec![], stdin: vec![b'x'; stdin] };
        let limits = Limits { folder_bytes: 3, ..Limits::default() };
        sandbox.run(&program, &limits).await.unwrap_err().to_string()
    };
    let outside = refused(&[("../main.py", "")], 0).await;
    assert_eq!(outside, "`../main.py` is no name of a file in a private folder");
    let large = refused(&[("a", "12"), ("b", "34")], 0).await;
    assert_eq!(large, "2 files of 4 bytes; its folder holds 64 of 3");
    let long = refused(&[], (64 << 20) + 1).await;
    assert_eq!(long, "a standard input of 67108865 bytes; at most 67108864 can be given");
    let none = said(baton_sandbox::Config { slots: 0, ..config() }).await;
    assert_eq!(none, "0 slots, levels lsm to lsm: nothing could run");
}

#[tokio::test]
async fn a_warm_program_is_asked_once_and_ended_in_time() {
    for level in LEVELS {
        let sandbox = sandbox(level).await;
        let source = "
import sys
question = sys.stdin.read()
with open('seen', 'x') as file: file.write(question)
while question == 'for ever': pass
print(question.upper())";
        let warm = Warm::new(sandbox, Program::python(source), Limits::default(), 2).unwrap();
        let (patience, short) = (Duration::from_secs(10), Duration::from_millis(300));
        for question in ["one", "two", "three", "four"] {
            let execution = warm.ask(question.as_bytes(), patience).await.unwrap();
            assert_eq!(execution.end, End::Exited(0), "{execution:?}");
            assert_eq!(execution.stdout, format!("{}\n", question.to_uppercase()).as_bytes());
        }
        let execution = warm.ask(b"for ever", short).await.unwrap();
        assert_eq!(execution.end, End::LimitHit(Limit::Wall));
        let long = vec![b'x'; baton_sandbox::QUESTION_BYTES_MAX + 1];
        let refused = warm.ask(&long, patience).await.unwrap_err();
        assert!(matches!(refused, SandboxError::Config(_)), "{refused}");
    }
}

#[tokio::test]
async fn a_warm_program_that_has_waited_too_long_is_replaced() {
    let sandbox = sandbox(Level::Ns).await;
    let limits = Limits { wall_ms: 100, ..Limits::default() };
    let program = Program::python("import sys; print(sys.stdin.read())");
    let warm = Warm::new(sandbox, program, limits, 1).unwrap();
    warm.ask(b"first", Duration::from_secs(5)).await.unwrap();
    // The next one has been started, and its time runs out with nobody asking.
    let over = async {
        while warm.ready() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), over).await.unwrap();
    let execution = warm.ask(b"second", Duration::from_secs(5)).await.unwrap();
    assert_eq!(execution.stdout, b"second\n", "{execution:?}");
}

#[tokio::test]
async fn a_library_is_read_and_what_lies_beside_it_is_not() {
    for level in LEVELS {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("library");
        fs::create_dir(&library).unwrap();
        fs::write(library.join("something.py"), "said = 'something'").unwrap();
        fs::write(folder.path().join("beside.py"), "said = 'beside'").unwrap();
        let all = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), all).unwrap();
        let config =
            baton_sandbox::Config { libraries: vec![library.clone()], ..common::config(level) };
        let sandbox = Sandbox::probe(config).await.unwrap();
        let source = format!(
            "
import sys
sys.path.append({library:?})
import something
print(something.said)
try: open({beside:?})
except OSError: print('held')
try: open({new:?}, 'w')
except OSError: print('held')",
            library = library.display().to_string(),
            beside = folder.path().join("beside.py").display().to_string(),
            new = library.join("new.py").display().to_string(),
        );
        let execution = run(&sandbox, &source, Limits::default()).await;
        let said = String::from_utf8_lossy(&execution.stdout).into_owned();
        assert_eq!(said, "something\nheld\nheld\n", "{execution:?}");
    }
    let config =
        baton_sandbox::Config { libraries: vec!["/nowhere".into()], ..common::config(Level::Lsm) };
    let refused = Sandbox::probe(config).await.unwrap_err();
    assert_eq!(refused.to_string(), "/nowhere is no folder");
}
