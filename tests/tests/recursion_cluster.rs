//! A recursion over the processes of a cluster: one whole trace, decided everywhere, and ended
//! everywhere once its root is cancelled.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests may fail loudly and say what they saw, as tests may"
)]

use baton_testkit::{
    baton::Baton,
    cluster::Cluster,
    otlp::{Collector, Span},
    stores::LocalStores,
};
use baton_tests::{
    Client, Journal, ask, begin, calls,
    config::{Config, agent, parameters, policy, provider},
    end_of, report, rounds,
    trace::{Trace, is_whole},
    until, worker_of,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{SystemTime, UNIX_EPOCH},
};

/// Processes of each service.
const NODES: usize = 3;
/// Runs of each level below the root: all but the deepest give three of their steps to the
/// Conductor itself.
const LEVELS: [usize; 3] = [3, 9, 27];
/// Within which a process hears of a cancellation, in milliseconds.
const HEARTBEAT_MS: u64 = 1_000;
/// For a busy machine to do what was heard.
const SLACK_MS: u64 = 1_000;

/// A simulated pool whose policy plans recursions at once, wide or narrow, and its
/// configuration.
fn pool(wide: bool, time_scale: &str) -> (Baton, Config) {
    let file = parameters(|parameters| {
        parameters["recursive"].as_table_mut().unwrap().insert("wide".into(), wide.into());
        let mut models = parameters["model"].as_array_mut().unwrap().iter_mut();
        let policys = models.find(|model| model["name"].as_str() == Some("sim-recursive"));
        let policys = policys.unwrap();
        policys["first_token_ms"] = 0.into();
        policys["tokens_per_second"] = 0.into();
    });
    let path = file.path().to_str().unwrap();
    let sim = Baton::sim(&["--time-scale", time_scale, "--parameters", path]).unwrap();
    let config = Config::new(&[
        provider("sim", &sim.url()),
        agent("arith", "sim", "sim-arith"),
        agent("sage", "sim", "sim-sage"),
        policy("sim").replace("sim-conductor", "sim-recursive"),
        "[budget]\nusd = 100.0\ndepth = 4\ntokens = 10000000\ncalls = 1000\n".into(),
    ]);
    (sim, config)
}

fn deep(levels: usize) -> Value {
    ask("baton", json!({ "baton": { "budget": { "depth": levels } } }))
}

#[test]
fn a_recursion_is_one_whole_trace_and_decided_by_every_conductor() {
    let (stores, collector) = (LocalStores::start().unwrap(), Collector::grpc().unwrap());
    let (_sim, config) = pool(true, "0");
    let path = config.path();
    let (endpoint, words) = (collector.endpoint(), ["--config", path.to_str().unwrap()]);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ];
    let cluster = Cluster::start_in(&stores, NODES, "0", &words, &variables).unwrap();
    let client = Client::new(cluster.gateways[0].url());
    let reply = client.chat(&deep(LEVELS.len()));
    assert_eq!(reply.status, 200, "{reply:?}");
    let run = reply.header("x-request-id").unwrap();
    let trace = Trace::of(&collector, run, is_whole);
    trace.check(None);
    let workflows = trace.doing("invoke_workflow");
    assert_eq!(workflows.len(), 1 + LEVELS.iter().sum::<usize>());
    let mut deciders = BTreeMap::<_, usize>::new();
    for workflow in &workflows {
        let parent = trace.parent(workflow);
        if workflow.fact("baton.run") == run {
            assert_eq!(parent.kind, "server");
            continue;
        }
        let (child, above) = (workflow.fact("baton.run"), parent.fact("baton.run"));
        let above = above.as_str().unwrap();
        assert!(child.as_str().unwrap().starts_with(&format!("{above}-")), "{child} under {above}");
        assert_eq!(workflow.fact("baton.root"), run);
        let decider = workflow.resource["service.instance.id"].as_str().unwrap();
        *deciders.entry(decider).or_default() += 1;
    }
    // Each was drawn by whichever Conductor was free first: that one of three ends none of 39
    // runs by chance does not happen in a million.
    println!("child runs by who decided their end: {deciders:#?}");
    assert!(deciders.len() >= 3, "{deciders:?}");
    let services: BTreeSet<_> = trace.spans.iter().map(Span::service).collect();
    for service in ["baton-conductor", "baton-gateway", "baton-worker-agent"] {
        assert!(services.contains(service), "{services:?}");
    }
    // The whole tree's calls are on the root's bill.
    let calls = reply.json["baton"]["usage"]["calls"].as_u64().unwrap();
    assert_eq!(trace.doing("chat").len() as u64, calls);
}

/// A run's id and status, and those of all below it.
fn tree(run: &Value) -> Vec<(String, String)> {
    let text = |name: &str| run[name].as_str().unwrap().to_owned();
    let steps = rounds(run).iter().flat_map(|round| round["steps"].as_array().unwrap());
    let below = steps.flat_map(|step| step["runs"].as_array().into_iter().flatten());
    [(text("id"), text("status"))].into_iter().chain(below.flat_map(tree)).collect()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

#[test]
fn cancelling_the_root_ends_every_run_below_it_within_a_heartbeat() {
    let stores = LocalStores::start().unwrap();
    // Long enough that nothing is answered before it is cancelled.
    let (sim, config) = pool(true, "200");
    let path = config.path();
    let words = ["--config", path.to_str().unwrap()];
    let cluster = Cluster::start_in(&stores, NODES, "0", &words, &[]).unwrap();
    let clients: Vec<_> = cluster.gateways.iter().map(|one| Client::new(one.url())).collect();
    let sim = Client::new(sim.url());
    let run = begin(&clients[0], &deep(2));
    until("all of the deepest runs to be asking", || {
        let running = calls(&sim).iter().filter(|call| call["outcome"] == "running").count();
        (running == LEVELS[1]).then_some(())
    });
    let reply = clients[1].post(&format!("/v1/runs/{run}/cancel"), &json!({}));
    let asked_ms = now_ms();
    assert!(reply.status < 300, "{reply:?}");
    let ended = until("every run to be over", || {
        let report = report(&clients[2], &run);
        let over = tree(&report).iter().all(|(_, status)| status == "cancelled");
        over.then_some(report)
    });
    let runs = tree(&ended);
    assert_eq!(runs.len(), 1 + LEVELS[0] + LEVELS[1], "{runs:?}");
    // The pool's own record is the judge: nothing was asked any more, and whoever was being
    // answered hung up.
    let of_pool = until("the pool to have seen all off", || {
        let calls = calls(&sim);
        calls.iter().all(|call| call["outcome"] != "running").then_some(calls)
    });
    let cut: Vec<_> = of_pool.iter().filter(|call| call["outcome"] == "gone").collect();
    assert_eq!(cut.len(), LEVELS[1], "{of_pool:?}");
    let begun = of_pool.iter().map(|call| call["begun_ms"].as_u64().unwrap()).max().unwrap();
    let last = cut.iter().map(|call| call["ended_ms"].as_u64().unwrap()).max().unwrap();
    println!("the last call hung up {} ms after the cancellation", last.saturating_sub(asked_ms));
    assert!(begun <= asked_ms, "a call began {} ms later", begun - asked_ms);
    assert!(last <= asked_ms + HEARTBEAT_MS + SLACK_MS, "{} ms", last - asked_ms);
    for (run, _) in &runs {
        assert_eq!(Journal::read(&clients[0], run, 0).fault(), None);
    }
    // What was cut off is on the root's bill too, once those who were cut off have said so.
    let billed = until("all calls to be on the bill", || {
        let usage = report(&clients[1], &run)["usage"].clone();
        (usage["calls"].as_u64().unwrap() == of_pool.len() as u64).then_some(usage)
    });
    until("the processes to hold nothing", || {
        let members = clients[0].get("/v1/status?runs=0").json["members"].clone();
        let held = |member: &Value| member["load"].as_u64().unwrap();
        members.as_array().unwrap().iter().all(|member| held(member) == 0).then_some(())
    });
    assert_eq!(calls(&sim).len(), of_pool.len(), "nothing was asked afterwards");
    assert_eq!(report(&clients[2], &run)["usage"], billed, "nothing was spent afterwards");
}

#[test]
fn the_stream_of_a_deeper_run_outlives_who_writes_it_and_repeats_nothing() {
    let stores = LocalStores::start().unwrap();
    let (sim, config) = pool(false, "4");
    let path = config.path();
    let words = ["--config", path.to_str().unwrap(), "--notice-seconds", "1"];
    let mut cluster = Cluster::start_in(&stores, 2, "0", &words, &[]).unwrap();
    let client = Client::new(cluster.gateways[0].url());
    let mut body = deep(1);
    body["stream"] = true.into();
    let events = client.stream("/v1/chat/completions", &body);
    let run = events.header("x-request-id").unwrap().to_owned();
    let (mut text, mut killed) = (String::new(), false);
    for event in events.take_while(|event| event.data != "[DONE]") {
        let chunk = event.json();
        text.push_str(chunk["choices"][0]["delta"]["content"].as_str().unwrap_or(""));
        if !text.is_empty() && !killed {
            let (writing, status) = tree(&report(&client, &run)).pop().unwrap();
            assert_eq!((writing.as_str(), status.as_str()), (&*format!("{run}-3"), "running"));
            let address = worker_of(&client, &writing);
            let place = cluster.workers.iter().position(|worker| worker.url() == address);
            cluster.workers.remove(place.unwrap()).kill().unwrap();
            killed = true;
        }
        assert!(chunk["error"].is_null(), "{chunk}");
    }
    // The model says the same again to whoever takes over.
    let ended = end_of(&client, &run);
    assert!(killed);
    assert_eq!((&ended["status"], &ended["answer"]), (&json!("completed"), &json!(text)));
    let calls = calls(&Client::new(sim.url()));
    let cut = calls.iter().filter(|call| call["outcome"] == "gone").count();
    assert_eq!(cut, 1, "who wrote it died before it was done: {calls:?}");
}
