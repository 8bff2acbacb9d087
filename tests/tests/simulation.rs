//! Thousands of schedules in virtual time; see `baton_tests::simulation`.
//!
//! `BATON_SCHEDULES` says how many (2,000 by night, say), `BATON_SEED` where they begin. A
//! schedule that goes wrong is repeated with `BATON_SEED=N BATON_SCHEDULES=1`.

#![allow(clippy::unwrap_used, reason = "a number that is none may fail loudly")]

use baton_tests::simulation::{Faults, Sabotage, simulate};

/// Schedules of a plain test run: half a minute or so.
const SCHEDULES: u64 = 300;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

#[test]
fn no_schedule_loses_or_doubles_anything() {
    let (first, count) = (number("BATON_SEED", 1), number("BATON_SCHEDULES", SCHEDULES));
    let (mut calls, mut struck, mut reaped, mut runs) = (0, 0, 0, 0);
    for seed in first..first + count {
        let simulated = simulate(seed, Faults::All, Sabotage::None);
        assert!(simulated.violations.is_empty(), "{simulated}");
        calls += simulated.calls;
        struck += simulated.struck;
        reaped += simulated.reaped;
        runs += simulated.runs;
    }
    println!(
        "{count} schedules from seed {first}: {runs} runs, {calls} calls, {struck} struck, \
         {reaped} leases taken back"
    );
    assert!(struck > count, "faults are rare: {struck}");
    assert!(reaped > 0 || count < SCHEDULES, "nothing was taken back from the dead");
}

#[test]
fn without_faults_nothing_is_done_twice() {
    for seed in 1..=20 {
        let simulated = simulate(seed, Faults::None, Sabotage::None);
        assert!(simulated.violations.is_empty(), "{simulated}");
    }
}

#[test]
fn the_same_seed_is_the_same_schedule() {
    for seed in 1..=10 {
        let [one, other] = [(); 2].map(|()| simulate(seed, Faults::All, Sabotage::None));
        assert_eq!((one.trace, one.calls), (other.trace, other.calls), "seed {seed}");
    }
    let other = simulate(11, Faults::All, Sabotage::None);
    assert_ne!(other.trace, simulate(12, Faults::All, Sabotage::None).trace);
}

/// What is switched off has to be found within so many schedules.
fn is_found(sabotage: Sabotage, words: &str) {
    let found = (1..=60).map(|seed| simulate(seed, Faults::All, sabotage));
    let mut found = found.flat_map(|simulated| simulated.violations);
    assert!(found.any(|violation| violation.contains(words)), "{sabotage:?} was not found");
}

#[test]
fn tokens_that_are_not_compared_are_found() {
    is_found(Sabotage::AnyToken, "was written by");
}

#[test]
fn keys_that_do_not_repeat_are_found() {
    is_found(Sabotage::FreshKeys, "became 2 runs");
}

#[test]
fn forgotten_submissions_are_found() {
    is_found(Sabotage::Forgetful, "which is not there");
}
