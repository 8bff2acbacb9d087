//! A data folder in its operator's hands: looked over, saved, brought back, on a disk that
//! is full.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly, as tests may"
)]

use baton_testkit::baton::{Baton, command};
use baton_tests::{Client, Ended, ask, ended, report, until};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command, time::Duration};

const QUICK: [&str; 3] = ["--simulated", "--sim-time-scale", "0"];
const STOP_LIMIT: Duration = Duration::from_secs(30);

fn ledger(does: &str, data: &Path, file: Option<&Path>) -> Ended {
    let mut command = command(["ledger", does]).unwrap();
    command.args(file).arg("--data").arg(data);
    ended(command, "")
}

fn good(ended: &Ended, word: &str) {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains(word), "{ended:?}");
}

fn bad(ended: &Ended, code: i32, word: &str) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert!(ended.stderr.contains(word), "{ended:?}");
}

fn a_run(client: &Client) -> String {
    let reply = client.chat(&ask("baton/direct", json!({})));
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.header("x-request-id").unwrap().to_owned()
}

fn stop(server: Baton) {
    server.signal("TERM").unwrap();
    let (status, stderr) = server.wait(STOP_LIMIT).unwrap();
    assert!(status.success(), "{stderr}");
}

/// Changes a bit in the first of the ledger's files that holds this text.
fn damage(data: &Path, text: &str) {
    for entry in fs::read_dir(data).unwrap().map(Result::unwrap) {
        let mut bytes = fs::read(entry.path()).unwrap_or_default();
        let found = bytes.windows(text.len()).position(|part| part == text.as_bytes());
        if let Some(at) = found {
            bytes[at] ^= 1;
            fs::write(entry.path(), bytes).unwrap();
            return;
        }
    }
    panic!("{text:?} is in no file of {}", data.display());
}

#[test]
fn what_was_saved_is_brought_back_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let [data, restored, archive] =
        ["data", "restored", "backup"].map(|name| folder.path().join(name));
    let server = Baton::up(&data, &QUICK).unwrap();
    let client = Client::new(server.url());
    let runs: Vec<_> = (0..3).map(|_| a_run(&client)).collect();
    let reports: Vec<_> = runs.iter().map(|run| report(&client, run)).collect();

    // While the cluster goes on.
    let mut asked = command(["ledger", "stats", "-o", "json"]).unwrap();
    asked.arg("--data").arg(&data);
    let stats: Value = serde_json::from_str(&ended(asked, "").stdout).unwrap();
    assert_eq!((&stats["finished"], &stats["unfinished"]), (&json!(3), &json!(0)), "{stats}");
    good(&ledger("backup", &data, Some(&archive)), "read back");
    bad(&ledger("backup", &data, Some(&archive)), 2, "is there already");
    bad(&ledger("fsck", &data, None), 1, "in use");
    let later = a_run(&client);
    stop(server);
    good(&ledger("fsck", &data, None), "sound");
    good(&ledger("stats", &data, None), "4 finished");

    bad(&ledger("restore", &data, Some(&archive)), 1, "there is a ledger");
    let whole = fs::read(&archive).unwrap();
    let torn = folder.path().join("torn");
    fs::write(&torn, &whole[..whole.len() - 20]).unwrap();
    bad(&ledger("restore", &restored, Some(&torn)), 1, "cut off");
    good(&ledger("restore", &restored, Some(&archive)), "restored");
    good(&ledger("fsck", &restored, None), "3 runs");
    let server = Baton::up(&restored, &QUICK).unwrap();
    let client = Client::new(server.url());
    for (run, before) in runs.iter().zip(reports) {
        assert_eq!(report(&client, run), before);
    }
    assert_eq!(client.get(&format!("/v1/runs/{later}")).status, 404);
    a_run(&client);
    stop(server);

    damage(&restored, "Answer: 35");
    let damaged = ledger("fsck", &restored, None);
    assert_eq!(damaged.code, Some(1), "{damaged:?}");
    let said = damaged.stdout + &damaged.stderr;
    assert!(said.contains("damage") || said.contains("corrupt"), "{said}");
}

/// A small filesystem of its own, where this process may mount one.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(at: &'a Path, size: &str) -> Option<Self> {
        let mounted = mount(&["-t", "tmpfs", "-o", size, "tmpfs"], at);
        mounted.then_some(Self(at))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ended = Command::new("umount").arg("--lazy").arg(self.0).output();
    }
}

fn mount(args: &[&str], at: &Path) -> bool {
    Command::new("mount").args(args).arg(at).output().is_ok_and(|done| done.status.success())
}

#[test]
fn a_disk_that_is_nearly_full_takes_no_new_runs_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_small) = Small::mount(folder.path(), "size=600m") else {
        eprintln!("skipped: only root may mount a small filesystem");
        return;
    };
    let server = Baton::up(folder.path(), &QUICK).unwrap();
    let client = Client::new(server.url());
    let before = a_run(&client);
    // What is kept free for runs under way is 512 MiB.
    assert!(mount(&["-o", "remount,size=400m"], folder.path()));
    let body = ask("baton/direct", json!({}));
    let refusal = until("new runs to be refused", || {
        Some(client.chat(&body)).filter(|reply| reply.status != 200)
    });
    assert_eq!((refusal.status, &refusal.json["error"]["code"]), (507, &json!("storage_full")));
    assert_eq!(refusal.header("retry-after"), Some("10"));
    assert_eq!(client.get("/readyz").status, 200, "what is there can be read");
    assert_eq!(report(&client, &before)["status"], "completed");
    assert!(mount(&["-o", "remount,size=600m"], folder.path()));
    until("new runs to be taken", || Some(client.chat(&body)).filter(|reply| reply.status == 200));
    stop(server);
    good(&ledger("fsck", folder.path(), None), "sound");
}
