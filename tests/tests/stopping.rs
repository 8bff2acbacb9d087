//! Stopping when told: in time, with a word to whoever waits, and with nothing lost.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests may fail loudly and say what they saw, as tests may"
)]

use baton_testkit::baton::Baton;
use baton_tests::{Client, Journal, ask, ask_of, begin, end_of, report, rounds, until};
use serde_json::json;
use std::{
    thread::scope,
    time::{Duration, Instant},
};

fn simulated(time_scale: &str) -> Baton {
    Baton::up_anew(&["--simulated", "--sim-time-scale", time_scale]).unwrap()
}

fn client(baton: &Baton) -> Client {
    Client::new(baton.url())
}

#[test]
fn an_interrupt_stops_cleanly() {
    for signal in ["INT", "TERM"] {
        let baton = simulated("0");
        assert_eq!(client(&baton).chat(&ask("baton", json!({}))).status, 200);
        stops_within(baton, signal, 10);
    }
}

#[test]
fn runs_in_flight_at_a_stop_go_on_after_the_restart() {
    let data = tempfile::tempdir().unwrap();
    let up = || Baton::up(data.path(), &["--simulated", "--sim-time-scale", "4"]).unwrap();
    let baton = up();
    let models = ["baton/plan_execute_verify", "baton/reflect", "baton/mixture_of_agents"];
    let question = |n: usize| format!("What is the value of ({n} + 4) * 5?");
    let runs: Vec<_> = (0..12)
        .map(|n| begin(&client(&baton), &ask_of(models[n % 3], &question(n), json!({}))))
        .collect();
    let running = |client: &Client| {
        runs.iter().filter(|run| report(client, run)["status"] == "running").count()
    };
    until("a step to be under way", || {
        let report = report(&client(&baton), &runs[1]);
        (rounds(&report)[0]["steps"][0]["status"] == "running").then_some(())
    });
    stops_within(baton, "INT", 15);

    let baton = up();
    let client = client(&baton);
    let left = running(&client);
    println!("{left} of {} runs were left for the next process", runs.len());
    assert!(left > 6, "most ended before the stop: nothing was shown");
    for run in &runs {
        assert_eq!(end_of(&client, run)["status"], "completed");
        assert_eq!(Journal::read(&client, run, 0).fault(), None);
    }
}

/// A step that takes longer than anybody waits at a stop is left where it stands, and the
/// next process makes the call again.
#[test]
fn a_step_that_outlasts_the_stop_is_taken_up_again() {
    let data = tempfile::tempdir().unwrap();
    let up = |scale| Baton::up(data.path(), &["--simulated", "--sim-time-scale", scale]).unwrap();
    let baton = up("1000");
    let run = begin(&client(&baton), &ask("baton/direct", json!({})));
    until("the step to begin", || {
        let report = report(&client(&baton), &run);
        (rounds(&report)[0]["steps"][0]["status"] == "running").then_some(())
    });
    stops_within(baton, "TERM", 25);
    let baton = up("0");
    assert_eq!(end_of(&client(&baton), &run)["status"], "completed");
    assert_eq!(Journal::read(&client(&baton), &run, 0).fault(), None);
}

/// Nobody is left without a word: the clients that still wait at a stop learn that their
/// runs go on, and under which names.
#[test]
fn clients_that_wait_at_a_stop_are_told_where_their_runs_are() {
    let baton = simulated("1000");
    let client = client(&baton);
    scope(|threads| {
        let whole = threads.spawn(|| client.chat(&ask("baton/direct", json!({}))));
        let streamed = threads.spawn(|| {
            let body = ask("baton/direct", json!({ "stream": true }));
            client.stream("/v1/chat/completions", &body).last().unwrap()
        });
        until("both runs to begin", || {
            let runs = client.get("/v1/runs").json;
            (runs["data"].as_array().unwrap().len() == 2).then_some(())
        });
        // Within the time that Kubernetes gives.
        stops_within(baton, "TERM", 29);
        let reply = whole.join().unwrap();
        assert_eq!((reply.status, &reply.json["error"]["code"]), (503, &json!("unavailable")));
        let message = reply.json["error"]["message"].as_str().unwrap();
        assert!(message.contains(reply.header("x-request-id").unwrap()), "{message}");
        let last = streamed.join().unwrap().json();
        assert_eq!(last["error"]["code"], "unavailable", "{last}");
    });
}

fn stops_within(baton: Baton, signal: &str, seconds: u64) {
    let began = Instant::now();
    baton.signal(signal).unwrap();
    let (status, stderr) = baton.wait(Duration::from_secs(seconds)).unwrap();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("stopping"), "{stderr}");
    println!("{signal}: stopped after {:?}", began.elapsed());
}
