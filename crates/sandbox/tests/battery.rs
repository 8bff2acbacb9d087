//! The sandbox holds, whoever starts it; and the battery sees when it does not.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests may fail loudly, as tests may"
)]

use baton_sandbox::{Cgroup, IsolationReport, Level};
use std::process::Command;

/// What a process of its own says of its probe, as text.
fn probe(words: &str) -> String {
    let mut host = Command::new(env!("CARGO_BIN_EXE_baton-sandbox-host"));
    let output = host.args(words.split_whitespace()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn holds(words: &str, level: Level) -> IsolationReport {
    let said = probe(words);
    let report: IsolationReport = serde_json::from_str(&said).expect(&said);
    assert_eq!(report.level, level, "{words}");
    assert_eq!(report.battery_held, report.battery_total);
    assert!(report.battery_total > 170, "{report:?}");
    assert!(report.landlock_abi >= 3, "{report:?}");
    report
}

#[test]
fn it_holds_for_root() {
    holds("ns", Level::Ns);
    holds("lsm", Level::Lsm);
}

/// Where this machine gives control groups: the report says whether.
#[test]
fn it_holds_in_control_groups() {
    holds("ns groups", Level::Ns);
    holds("lsm groups", Level::Lsm);
    assert_eq!(holds("ns groups user", Level::Ns).cgroup, Cgroup::None);
}

#[test]
fn it_holds_for_an_ordinary_user() {
    holds("ns user", Level::Ns);
    holds("lsm user", Level::Lsm);
}

#[test]
fn it_holds_in_a_restricted_pod() {
    holds("lsm pod", Level::Lsm);
    holds("lsm best pod", Level::Lsm);
}

#[test]
fn the_best_level_is_taken() {
    holds("lsm best", Level::Ns);
}

#[test]
fn what_is_missing_is_said() {
    let said = probe("ns pod");
    let expected = "no sandbox of level ns or above: level ns needs to make namespaces: EPERM";
    assert!(said.starts_with(expected), "{said}");
    assert!(said.contains("or ask for level lsm"), "{said}");
}

/// Without a layer the battery must be red, and say what got through.
fn is_red(words: &str, through: &[&str]) {
    let said = probe(words);
    assert!(said.contains("does not hold"), "{words}: {said}");
    for attempt in through {
        assert!(said.contains(attempt), "{words}: {attempt}: {said}");
    }
}

#[test]
#[cfg(debug_assertions)]
fn without_landlock_it_is_red() {
    is_red("lsm without landlock", &["read a file outside", "read /etc/passwd", "list /proc"]);
}

#[test]
#[cfg(debug_assertions)]
fn without_the_list_of_system_calls_it_is_red() {
    let through = ["a socket of any family", "fork", "memfd_create", "io_uring_setup"];
    is_red("lsm without seccomp", &through);
    is_red("ns without seccomp", &through);
}

#[test]
#[cfg(debug_assertions)]
fn without_resource_limits_it_is_red() {
    let through = ["to reserve more memory", "a file beyond its limit", "descriptors beyond"];
    is_red("lsm without rlimits", &through);
    is_red("ns without rlimits", &through);
}
