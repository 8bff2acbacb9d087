//! The short form of `baton chaos`, and its negative controls: with a safeguard taken out, it
//! must find what that safeguard is there for.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly, as tests may")]

use baton_testkit::baton::command;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    process::Stdio,
    sync::{Mutex, PoisonError},
};

/// One cluster at a time: each is a dozen processes.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs it; gives its exit code and what it found.
fn chaos(args: &[&str]) -> (Option<i32>, Value) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut command = command(["chaos", "--nodes", "2", "-o", "json"]).unwrap();
    let ended = command.args(args).stderr(Stdio::inherit()).output().unwrap();
    let text = String::from_utf8(ended.stdout).unwrap();
    let found = serde_json::from_str(&text).unwrap_or_default();
    (ended.status.code(), found)
}

/// The rules that were broken.
fn broken(found: &Value) -> BTreeSet<&str> {
    let violations = found["violations"].as_array().unwrap();
    violations.iter().map(|violation| violation["rule"].as_str().unwrap()).collect()
}

#[test]
fn nothing_is_lost_or_done_twice_whatever_breaks() {
    let (code, found) = chaos(&["--seconds", "25", "--seed", "11", "--sim-time-scale", "1"]);
    assert_eq!((code, broken(&found)), (Some(0), BTreeSet::new()), "{found}");
    let count = |name: &str| found[name].as_u64().unwrap();
    assert!(count("requests") > 10 && count("runs") == count("requests"), "{found}");
    assert!(count("held_by_victims") > 0, "no fault struck anybody at work: {found}");
}

#[test]
fn without_faults_no_call_is_repeated() {
    let (code, found) = chaos(&["--seconds", "5", "--faults", "none"]);
    assert_eq!((code, broken(&found)), (Some(0), BTreeSet::new()), "{found}");
    assert_eq!(found["repeated_calls"], 0, "{found}");
    assert!(found["calls"].as_u64().unwrap() > 0, "{found}");
}

/// Only builds for tests can do without a safeguard.
#[cfg(debug_assertions)]
mod controls {
    use super::*;

    fn control(args: &[&str], expected: &[&str]) {
        // What is broken never comes to rest: nobody has to wait long for it.
        let (code, found) = chaos(&[args, &["--settle", "10"]].concat());
        assert_eq!(code, Some(1), "{found}");
        let broken = broken(&found);
        let expected: BTreeSet<_> = expected.iter().copied().collect();
        assert!(expected.is_subset(&broken), "{expected:?} must be among {broken:?}");
    }

    #[test]
    fn without_the_comparison_of_tokens_what_was_done_is_done_again() {
        control(
            &["--seconds", "15", "--seed", "5", "--faults", "stop", "--sabotage", "tokens"],
            &["nothing_left", "budget"],
        );
    }

    #[test]
    fn without_the_barrier_of_durability_acknowledged_runs_are_lost() {
        control(
            &["--seconds", "8", "--seed", "3", "--faults", "redis", "--sabotage", "durability"],
            &["ended_once"],
        );
    }

    #[test]
    fn without_idempotency_keys_a_request_has_two_runs() {
        control(&["--seconds", "4", "--faults", "none", "--sabotage", "keys"], &["one_run"]);
    }
}
