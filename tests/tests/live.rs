//! The configuration of a running `baton up` changes under it: what is right comes into
//! force at once, what is wrong never, and no run fails for it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests may fail loudly and say what they saw, as tests may"
)]

use baton_testkit::baton::Baton;
use baton_tests::{
    Client, Journal, ask_of, begin,
    config::{Config, agent, provider},
    end_of, report, rounds, until,
};
use serde_json::{Value, json};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::scope,
};

/// Clients that ask all the time.
const CLIENTS: usize = 6;
/// Ways to plan, in turn.
const MODELS: [&str; 3] = ["baton/plan_execute_verify", "baton/self_consistency", "baton/reflect"];

fn client(baton: &Baton) -> Client {
    Client::new(baton.url())
}

/// What `GET /healthz` says of the configuration.
fn health(client: &Client) -> Value {
    client.get("/healthz").json["configuration"].clone()
}

fn until_version(client: &Client, version: u64) {
    until(&format!("version {version}"), || {
        let health = health(client);
        (health["version"] == version && health["refused"] == false).then_some(())
    });
}

fn until_refused(client: &Client) {
    until("a refusal", || (health(client)["refused"] == true).then_some(()));
}

/// An agent with other dollars per million tokens.
fn priced(id: &str, model: &str, input: f64, output: f64) -> String {
    let price = format!("price = {{ input = {input:?}, output = {output:?} }}");
    agent(id, "sim", model).replace("price = { input = 0.3, output = 1.2 }", &price)
}

/// The tasks of all steps.
fn tasks(report: &Value) -> Vec<Value> {
    let steps = rounds(report).iter().flat_map(|round| round["steps"].as_array().unwrap());
    steps.flat_map(|step| step["tasks"].as_array().unwrap().clone()).collect()
}

/// What an attempt costs at these dollars per million tokens.
fn costs(attempt: &Value, (input, output): (f64, f64)) -> bool {
    let count = |name: &str| attempt[name].as_f64().unwrap();
    let usd = (count("tokens_in") * input + count("tokens_out") * output) / 1e6;
    (attempt["usd"].as_f64().unwrap() - usd).abs() < 1e-9
}

/// Runs that clients asked for, each with the configuration's version before and after.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    asked: AtomicUsize,
    ended: Mutex<Vec<(u64, u64, Value)>>,
}

impl Load {
    fn ask(&self, client: &Client) {
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.asked.fetch_add(1, Ordering::Relaxed);
            let before = health(client)["version"].as_u64().unwrap();
            let question = format!("What is the value of ({number} + 4) * 5?");
            let body = ask_of(MODELS[number % MODELS.len()], &question, json!({}));
            let reply = client.chat(&body);
            assert_eq!(reply.status, 200, "{reply:?}");
            let after = health(client)["version"].as_u64().unwrap();
            let run = reply.json["baton"]["id"].as_str().unwrap();
            self.ended.lock().unwrap().push((before, after, report(client, run)));
        }
    }

    /// Waits until so many more runs have ended.
    fn more(&self, count: usize) {
        let ended = || self.ended.lock().unwrap().len();
        let goal = ended() + count;
        until("more runs to end", || (ended() >= goal).then_some(()));
    }
}

#[test]
fn a_configuration_changes_under_load_and_no_run_fails_for_it() {
    let sim = Baton::sim(&["--time-scale", "0.2"]).unwrap();
    let (old, new) = ((0.3, 1.2), (0.6, 2.4));
    let provider = provider("sim", &sim.url());
    let swift = agent("swift", "sim", "sim-swift");
    let arith = |(input, output)| priced("arith", "sim-arith", input, output);
    let sage = agent("sage", "sim", "sim-sage");
    let limits = |tokens: u32| format!("[limits]\noutput_tokens_max = {tokens}\n");
    let first = [provider.clone(), swift.clone(), arith(old), limits(1000)];
    let config = Config::new(&first);
    let baton = config.up();
    let client = client(&baton);
    let load = Load::default();
    scope(|threads| {
        for _ in 0..CLIENTS {
            threads.spawn(|| load.ask(&client));
        }
        let _stops = Stops(&load);
        load.more(CLIENTS);

        // An agent is added, and can be called at once.
        config.replace(&[&first[..], std::slice::from_ref(&sage)].concat());
        until_version(&client, 2);
        assert_eq!(client.get("/v1/models/sage").status, 200);
        let direct = client.chat(&ask_of("sage", "What is the value of 1 + 1?", json!({})));
        assert_eq!(direct.status, 200, "{direct:?}");
        load.more(CLIENTS);

        // A price and a limit change.
        let third = [provider.clone(), swift.clone(), arith(new), sage.clone(), limits(900)];
        config.write(&third);
        until_version(&client, 3);
        load.more(2 * CLIENTS);

        // A file with a mistake changes nothing, and says where the mistake is.
        config.write(&[&third[..], &["[budget]\nusd = 0\n".to_owned()]].concat());
        until_refused(&client);
        assert_eq!(health(&client)["version"], 3);
        let refusal = client.get("/v1/config").json["refusal"].clone();
        let complaint = &refusal["complaints"][0];
        let reason = "budget.usd is 0: expected more than 0, at most 1000000";
        assert_eq!(complaint["reason"], reason);
        let said = format!("line={} ", complaint["line"]);
        let stderr = baton.stderr();
        let line = stderr.lines().find(|line| line.contains("configuration refused")).unwrap();
        assert!(line.contains(&said) && line.contains(reason), "{line}");
        load.more(CLIENTS);

        // Gone, empty: the same.
        std::fs::remove_file(config.path()).unwrap();
        until("the file to be missed", || {
            let refusal = client.get("/v1/config").json["refusal"].clone();
            refusal["complaints"][0]["reason"].as_str()?.contains("cannot read").then_some(())
        });
        assert_eq!(client.get("/v1/models/sage").status, 200);
        config.write(&third);
        until_version(&client, 3);

        // An agent is taken away from under the runs.
        config.replace(&[provider.clone(), swift.clone(), sage.clone(), limits(900)]);
        until_version(&client, 4);
        assert_eq!(client.get("/v1/models/arith").status, 404);
        load.more(2 * CLIENTS);
    });
    let stderr = baton.stderr();
    for words in [
        "version=2 changes=\"agents.sage added\"",
        "agents.arith.price.input 0.3 -> 0.6",
        "limits.output_tokens_max 1000 -> 900",
        "version=4 changes=\"agents.arith removed\"",
    ] {
        assert!(stderr.contains(words), "no {words:?} in {stderr}");
    }
    let ended = load.ended.lock().unwrap();
    println!("{} runs under four configurations", ended.len());
    for (before, after, report) in ended.iter() {
        assert_eq!(report["status"], "completed", "{report}");
        for task in tasks(report).iter().filter(|task| task["agent"] == "arith") {
            let (at_old, at_new) = (costs(task, old), costs(task, new));
            match (before, after) {
                (_, ..=2) => assert!(at_old, "{task}"),
                (3.., 3) => assert!(at_new, "{task}"),
                (4.., _) => panic!("an agent that is not there: {task}"),
                _ => assert!(at_old || at_new, "{task}"),
            }
        }
        let run = report["id"].as_str().unwrap();
        assert_eq!(Journal::read(&client, run, 0).fault(), None);
    }
    let priced = |price| {
        let tasks = ended.iter().flat_map(|(_, _, report)| tasks(report));
        tasks.filter(|a| a["agent"] == "arith" && costs(a, price)).count()
    };
    assert!(priced(old) > 0 && priced(new) > 0, "both prices were paid");
}

/// Ends the load however the test ends.
struct Stops<'a>(&'a Load);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// A slow agent that takes one call at a time, and a quick one.
fn slow_and_quick(slow: &Baton, quick: &Baton) -> [String; 4] {
    let one = agent("slow", "slow", "sim-arith") + "concurrency = 1\n";
    let other = agent("quick", "quick", "sim-arith");
    [provider("slow", &slow.url()), provider("quick", &quick.url()), one, other]
}

/// Runs that ask for the slow agent, the first of them at work.
fn queued(client: &Client) -> Vec<String> {
    let asked = json!({ "baton": { "strategy_parameters": { "agent": "slow" } } });
    let question = |n: usize| format!("What is the value of ({n} + 4) * 5?");
    let begin = |n| begin(client, &ask_of("baton/direct", &question(n), asked.clone()));
    let runs: Vec<_> = (0..4).map(begin).collect();
    until("a step to be under way", || {
        let under_way = |run: &String| {
            let report = report(client, run);
            let steps = rounds(&report)[0]["steps"].as_array().cloned().unwrap_or_default();
            steps.first().is_some_and(|step| step["status"] == "running")
        };
        runs.iter().any(under_way).then_some(())
    });
    runs
}

/// How the steps of a run that asked for the slow agent were done.
fn told(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    tasks(report).iter().map(|a| (text(&a["agent"]), text(&a["failure"]))).collect()
}

#[test]
fn steps_that_wait_for_a_removed_agent_go_to_another() {
    let (slow, quick) =
        (Baton::sim(&["--time-scale", "5"]).unwrap(), Baton::sim(&["--time-scale", "0"]).unwrap());
    let parts = slow_and_quick(&slow, &quick);
    let config = Config::new(&parts);
    let baton = config.up();
    let client = client(&baton);
    let runs = queued(&client);
    config.replace(&[parts[1].clone(), parts[3].clone()]);
    until_version(&client, 2);
    let mut moved = 0;
    for run in &runs {
        let report = end_of(&client, run);
        assert_eq!(report["status"], "completed", "{report}");
        let told = told(&report);
        // The one that was under way ends with the agent that it began with.
        if told.len() == 2 {
            moved += 1;
            assert_eq!((told[0].0.as_str(), told[1].0.as_str()), ("slow", "quick"));
            let words = "agent_removed: slow was removed from the configuration";
            assert_eq!(told[0].1, words);
        }
        assert_eq!(Journal::read(&client, run, 0).fault(), None);
    }
    assert!(moved >= 3, "{moved} of {} moved", runs.len());
}

#[test]
fn steps_that_wait_over_a_restart_for_a_removed_agent_go_to_another() {
    let (slow, quick) =
        (Baton::sim(&["--time-scale", "50"]).unwrap(), Baton::sim(&["--time-scale", "0"]).unwrap());
    let parts = slow_and_quick(&slow, &quick);
    let config = Config::new(&parts);
    let data = tempfile::tempdir().unwrap();
    let path = config.path();
    let up = || Baton::up(data.path(), &["--config", path.to_str().unwrap()]).unwrap();
    let baton = up();
    let runs = queued(&client(&baton));
    baton.kill().unwrap();
    config.write(&[parts[1].clone(), parts[3].clone()]);
    let baton = up();
    let client = client(&baton);
    for run in &runs {
        let report = end_of(&client, run);
        assert_eq!(report["status"], "completed", "{report}");
        assert_eq!(told(&report).last().unwrap().0, "quick");
        let heard = Journal::read(&client, run, 0).entries.iter().any(|(_, entry)| {
            entry["input"]["input"] == "agents_removed" && entry["input"]["agents"][0] == "slow"
        });
        assert!(heard, "{run} was not told");
    }
}

#[test]
fn keys_tenants_and_what_needs_a_restart() {
    let config = Config::new(&[]);
    let key = config.file("key");
    std::fs::write(&key, "sk-1\n").unwrap();
    let text = "[[keys]]\nfile = \"key\"\ntenant = \"acme\"\noperator = true\n".to_owned();
    config.write(std::slice::from_ref(&text));
    let path = config.path();
    let args = ["--config", path.to_str().unwrap()];
    let baton = Baton::up_anew(&args).unwrap();
    let client = client(&baton);
    let with = |key: &str| client.with("authorization", &format!("Bearer {key}"));
    assert_eq!(with("sk-1").get("/v1/models").status, 200);
    std::fs::write(&key, "sk-2\n").unwrap();
    until_version(&client, 2);
    assert_eq!(with("sk-1").get("/v1/models").status, 401);
    assert_eq!(with("sk-2").get("/v1/models").status, 200);
    assert!(!baton.stderr().contains("sk-"), "keys are not logged");

    let tenant = "[tenants.acme]\nruns_max = 1\n".to_owned();
    config.write(&[text.clone(), tenant.clone()]);
    until_version(&client, 3);
    let body = ask_of("baton/direct", "What is the value of 2 + 2?", json!({}));
    until("the cap to hold", || {
        let replies = [begun(&with("sk-2"), &body), begun(&with("sk-2"), &body)];
        replies.contains(&429).then_some(())
    });

    let server = "[server]\ndata = \"elsewhere\"\nlisten = \"127.0.0.1:1\"\n".to_owned();
    config.write(&[server, text, tenant]);
    // Address and folder were said on the command line, which goes before the file.
    baton.signal("HUP").unwrap();
    until("the file to be read", || {
        baton.stderr().contains("configuration read again, unchanged").then_some(())
    });
    assert_eq!(health(&client)["restart_needed"], false);
}

/// The status of the answer to a run that goes on by itself.
fn begun(client: &Client, body: &Value) -> u16 {
    let mut body = body.clone();
    body["stream"] = true.into();
    body["baton"]["background"] = true.into();
    client.stream("/v1/chat/completions", &body).status
}
