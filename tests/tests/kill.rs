//! `kill -9` of the whole cluster in the middle of 500 runs, twice: nothing that was
//! acknowledged is lost, nothing ends twice, no outcome is recorded twice.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly, as tests may")]

use baton_testkit::baton::Baton;
use baton_tests::{Client, Journal, ask_of, until};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread::scope,
};

/// Runs that are submitted.
const RUNS: usize = 500;
/// Clients that submit them at the same time.
const CLIENTS: usize = 8;
/// Runs that have ended when the first process, then the second one is killed.
const ENDED_AT_KILLS: [usize; 2] = [60, 250];
/// Runs in one page.
const PAGE: usize = 100;
/// Ways to plan, in turn.
const MODELS: [&str; 4] =
    ["baton", "baton/plan_execute_verify", "baton/self_consistency", "baton/mixture_of_agents"];
/// A tenth of the speed at which models usually answer: enough to be caught at it.
const SIMULATED: [&str; 3] = ["--simulated", "--sim-time-scale", "0.1"];

fn body(number: usize) -> Value {
    let question = format!("What is the value of ({number} + 4) * 5?");
    let model = MODELS[number % MODELS.len()];
    ask_of(model, &question, json!({ "stream": true, "baton": { "background": true } }))
}

/// The run of an acknowledged submission: its id is in the head of the reply.
fn submit(client: &Client, number: usize) -> Option<String> {
    let client = client.with("idempotency-key", &format!("run-{number}"));
    let events = client.try_stream("/v1/chat/completions", &body(number))?;
    assert_eq!(events.status, 200, "run {number}");
    events.header("x-request-id").map(str::to_owned)
}

/// Submits from several threads what is not acknowledged yet, until all is or the server
/// is gone.
fn submit_all(client: &Client, acknowledged: &Mutex<BTreeMap<usize, String>>) {
    let known = acknowledged.lock().unwrap().clone();
    let missing: Vec<_> = (0..RUNS).filter(|number| !known.contains_key(number)).collect();
    let next = AtomicUsize::new(0);
    scope(|threads| {
        for _ in 0..CLIENTS {
            threads.spawn(|| {
                while let Some(number) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Some(run) = submit(client, *number) else { return };
                    acknowledged.lock().unwrap().insert(*number, run);
                }
            });
        }
    });
}

/// All runs by their status, newest first.
fn statuses(client: &Client) -> BTreeMap<String, String> {
    let mut runs = BTreeMap::new();
    let mut before = String::new();
    loop {
        let page = client.get(&format!("/v1/runs?limit={PAGE}{before}")).json;
        let lines = page["data"].as_array().unwrap();
        for line in lines {
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            assert_eq!(runs.insert(text("id"), text("status")), None, "listed twice");
        }
        if page["has_more"] != true {
            return runs;
        }
        before = format!("&before={}", lines.last().unwrap()["id"].as_str().unwrap());
    }
}

fn ended(client: &Client) -> usize {
    statuses(client).values().filter(|status| *status != "running").count()
}

#[test]
fn every_acknowledged_run_ends_once() {
    let data = tempfile::tempdir().unwrap();
    let acknowledged = Mutex::new(BTreeMap::new());
    for kill_at in ENDED_AT_KILLS {
        let baton = Baton::up(data.path(), &SIMULATED).unwrap();
        let client = Client::new(baton.url());
        scope(|threads| {
            threads.spawn(|| submit_all(&client, &acknowledged));
            until("enough runs to end", || (ended(&client) >= kill_at).then_some(()));
            let listed = statuses(&client);
            let running = listed.values().filter(|status| *status == "running").count();
            baton.kill().unwrap();
            println!("killed: {} ended, {running} running", listed.len() - running);
            assert!(running > 0, "killed too late to prove anything");
        });
    }
    println!("acknowledged before the last start: {}", acknowledged.lock().unwrap().len());

    let baton = Baton::up(data.path(), &SIMULATED).unwrap();
    let client = Client::new(baton.url());
    submit_all(&client, &acknowledged);
    let acknowledged = acknowledged.into_inner().unwrap();
    assert_eq!(acknowledged.len(), RUNS);
    let all = until("every run to end", || {
        let all = statuses(&client);
        (!all.values().any(|status| status == "running")).then_some(all)
    });
    // What was submitted again under its key is the same run, so there are no others.
    assert_eq!(all.len(), RUNS);
    let mut counts = BTreeMap::<&str, usize>::new();
    let faults = Mutex::new(Vec::new());
    scope(|threads| {
        let runs: Vec<_> = acknowledged.values().collect();
        for part in runs.chunks(RUNS.div_ceil(CLIENTS)) {
            let (client, faults, part) = (&client, &faults, part.to_vec());
            threads.spawn(move || {
                for run in part {
                    let fault = Journal::read(client, run, 0).fault();
                    faults.lock().unwrap().extend(fault.map(|fault| format!("{run}: {fault}")));
                }
            });
        }
    });
    assert_eq!(faults.into_inner().unwrap(), Vec::<String>::new());
    for run in acknowledged.values() {
        *counts.entry(all[run].as_str()).or_default() += 1;
    }
    println!("ended: {counts:?}");
    for (number, run) in acknowledged.iter().step_by(RUNS / 20) {
        assert_eq!(submit(&client, *number).as_ref(), Some(run));
    }
    assert_eq!(statuses(&client).len(), RUNS);
}
