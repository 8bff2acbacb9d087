//! A thousand runs against a provider of which a third of the calls go wrong: they end
//! with answers, what went wrong is told and paid for, and no verdict comes of it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail loudly, and prints what it measured"
)]

use baton_testkit::baton::Baton;
use baton_tests::{
    Client, Journal, ask_of,
    config::{Config, agent, policy, provider},
    report, rounds, spent,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread::scope,
    time::Instant,
};

/// Runs that are asked for.
const RUNS: usize = 1_000;
/// Clients that ask at the same time.
const CLIENTS: usize = 24;
/// Of all calls, by what goes wrong with them.
const FAULTS: &str = "429=0.2,cut=0.05,stall=0.05,garbage=0.02";
/// Runs in a thousand that may end without an answer.
const UNANSWERED_MAX: usize = 10;
/// Ways to plan, in turn.
const MODELS: [&str; 4] = ["baton", "baton/direct", "baton/plan_execute_verify", "baton/reflect"];
/// Failures of a provider that cost nothing, so that they are on no bill.
const FREE: [&str; 3] = ["rate_limited", "server_error", "connect"];
/// What a run may spend: tokens, calls, dollars.
const BUDGET: (u64, u64, f64) = (100_000, 24, 0.25);
/// Journals that are read from beginning to end.
const JOURNALS: usize = 50;

/// Two accounts at the simulated provider, so that there is somewhere else to go.
fn config(sim: &Baton) -> Config {
    let account = "timeouts = { first_token_ms = 5000, between_tokens_ms = 400 }\n\
                   concurrency = 48\nrequests_per_minute = 1000000\n\
                   breaker = { failure_percent = 60, calls_min = 40, open_ms = 200 }\n";
    let provider = |name| provider(name, &sim.url()) + account;
    let agent = |id, of, model| agent(id, of, model) + "concurrency = 32\n";
    let policy = policy("north")
        + "concurrency = 32\njudge = \"critic\"\n\
           hedge = { percentile = 90, share_percent = 10, calls_min = 20 }\n";
    let (tokens, calls, usd) = BUDGET;
    Config::new(&[
        provider("north"),
        provider("south"),
        agent("swift", "north", "sim-swift"),
        agent("sage", "south", "sim-sage"),
        agent("critic", "south", "sim-critic"),
        policy,
        format!("[budget]\ntokens = {tokens}\ncalls = {calls}\nusd = {usd}\nseconds = 120\n"),
    ])
}

/// Asks for a run and waits for its end; gives its report.
fn carry_out(client: &Client, number: usize) -> Value {
    let question = format!("What is the value of ({} + 4) * {}?", number % 97, 2 + number % 5);
    let judged = json!({ "baton": { "verify": { "judge": true } } });
    let more = if number.is_multiple_of(2) { judged } else { json!({}) };
    let reply = client.chat(&ask_of(MODELS[number % MODELS.len()], &question, more));
    let run = reply.header("x-request-id").unwrap_or_else(|| panic!("{reply:?}"));
    let report = report(client, run);
    assert_eq!(reply.status == 200, report["answer"].is_string(), "{reply:?}\n{report}");
    report
}

fn all(client: &Client) -> Vec<Value> {
    let (next, reports) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    scope(|threads| {
        for _ in 0..CLIENTS {
            threads.spawn(|| {
                while let number @ 0..RUNS = next.fetch_add(1, Ordering::Relaxed) {
                    let report = carry_out(client, number);
                    reports.lock().unwrap().push(report);
                }
            });
        }
    });
    reports.into_inner().unwrap()
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of[name].as_array().map_or(&[], Vec::as_slice)
}

/// The incidents of one part of a report.
fn incidents(part: &Value) -> impl Iterator<Item = &Value> {
    list(part, "incidents").iter()
}

/// Whether the last call of a part failed.
fn failed_at_last(part: &Value) -> bool {
    incidents(part).last().is_some_and(|last| {
        last["incident"] == "refused"
            || (last["incident"] == "failed" && last["retry_ms"].is_null())
    })
}

#[derive(Default)]
struct Table {
    counts: BTreeMap<String, u64>,
}

impl Table {
    fn add(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    fn of(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or_default()
    }

    fn run(&mut self, report: &Value) {
        let code = report["reason"]["code"].as_str().unwrap_or_else(|| panic!("{report}"));
        let answered = report["answer"].is_string();
        self.add(format!("runs: {} ({code})", report["status"].as_str().unwrap()));
        self.add(if answered { "answered" } else { "unanswered" });
        if !answered {
            let named = code != "step_failed" || report["reason"]["failure"].is_string();
            assert!(named, "a failure without a name: {report}");
        }
        let [tokens_in, tokens_out, calls, pico] = spent(&report["usage"]);
        let (tokens_max, calls_max, usd_max) = BUDGET;
        let within = tokens_in + tokens_out <= tokens_max
            && calls <= calls_max
            && pico as f64 <= usd_max * 1e12;
        assert!(within, "beyond its budget: {report}");
        *self.counts.entry("calls booked".into()).or_default() += calls;
        let mut checked_before = None;
        for round in rounds(report) {
            assert_ne!(checked_before, Some(false), "corrected without a reason: {report}");
            self.round(round);
            let refuted = list(round, "checks").iter().any(|c| c["verdict"]["kind"] == "fail");
            checked_before = Some(refuted);
        }
    }

    fn round(&mut self, round: &Value) {
        self.incidents(&round["planning"]);
        if round["source"].as_str().unwrap().starts_with("fallback:") {
            self.add("plans that a strategy stood in for");
        }
        for step in list(round, "steps") {
            let tasks = list(step, "tasks");
            tasks.iter().for_each(|task| self.incidents(task));
            if tasks.len() > 1 {
                self.add("steps that went to another agent");
            }
        }
        for check in list(round, "checks") {
            self.incidents(check);
            // The weather is never a verdict, and no verdict comes of anything else.
            let scored = matches!(check["verdict"]["kind"].as_str(), Some("pass" | "fail"));
            assert!(!(scored && failed_at_last(check)), "scored by the weather: {check}");
            if check["verdict"]["kind"] == "unavailable" {
                assert!(failed_at_last(check) && check["verdict"]["score"].is_null(), "{check}");
                self.add("checks that could not be had");
            }
        }
    }

    fn incidents(&mut self, part: &Value) {
        for incident in incidents(part) {
            let name = |name: &str| incident[name].as_str().unwrap_or_default().to_owned();
            match incident["incident"].as_str().unwrap() {
                "failed" => {
                    self.add(format!("failed: {}", name("code")));
                    if FREE.contains(&name("code").as_str()) {
                        self.add("calls that cost nothing");
                    }
                }
                "hedged" => {
                    self.add("second calls");
                    if incident["won"] == true {
                        self.add("second calls that won");
                    }
                }
                kind @ ("waited" | "refused") => self.add(format!("{kind}: {}", name("cause"))),
                other => panic!("incident {other}: {part}"),
            }
        }
    }
}

#[test]
fn a_thousand_runs_in_bad_weather() {
    let sim = Baton::sim(&["--time-scale", "0.01", "--faults", FAULTS]).unwrap();
    let config = config(&sim);
    let baton = config.up();
    let client = Client::new(baton.url());
    let began = Instant::now();
    let reports = all(&client);
    let took = began.elapsed();
    let mut table = Table::default();
    reports.iter().for_each(|report| table.run(report));
    println!("{RUNS} runs with {FAULTS} in {:.1} s:", took.as_secs_f64());
    table.counts.iter().for_each(|(what, count)| println!("{count:>6}  {what}"));

    assert_eq!(reports.len(), RUNS);
    assert!(table.of("unanswered") <= UNANSWERED_MAX as u64, "see the table");
    for seen in [
        "failed: rate_limited",
        "failed: cut_stream",
        "failed: timeout_between_tokens",
        "failed: malformed",
        "steps that went to another agent",
        "second calls",
        "second calls that won",
        "waited: pause",
    ] {
        assert!(table.of(seen) > 0, "nobody saw {seen:?}");
    }
    // The reports are made of the journals, which say the same and hold together.
    for run in reports.iter().take(JOURNALS) {
        let id = run["id"].as_str().unwrap();
        assert_eq!(Journal::read(&client, id, 0).fault(), None, "{id}");
    }
    // Every call that the provider received is one that Baton knows of. The loser of a race
    // is on the bill even if it was called off before the provider saw it.
    let received = Client::new(sim.url()).get("/sim").json["calls"].as_u64();
    if let Some(received) = received {
        let known = table.of("calls booked") + table.of("calls that cost nothing");
        println!("{received:>6}  calls received, {known} known");
        assert!((received..=received + table.of("second calls")).contains(&known));
    }
}
