//! Several processes of each service over real Redis and etcd.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests may fail loudly and say what they saw, as tests may"
)]

use baton_testkit::{
    baton::{Baton, command},
    cluster::{Cluster, SERVICES},
    redis::RedisServer,
    stores::LocalStores,
};
use baton_tests::{
    Client, Ended, Journal, ask, ask_of, begin,
    config::{Config, agent, policy, provider},
    end_of, ended, report, rounds, until,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    thread::scope,
    time::{Duration, Instant},
};

/// Redis and etcd of all clusters here.
static STORES: LazyLock<LocalStores> = LazyLock::new(|| LocalStores::start().unwrap());

/// A call of the ledger is given up after five seconds.
const LEDGER_AWAY: Duration = Duration::from_secs(6);

/// One cluster at a time: each has a dozen processes, and times are looked at.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cluster(time_scale: &str) -> Cluster<'static> {
    Cluster::start(&STORES, 2, time_scale).unwrap()
}

fn clients(cluster: &Cluster<'_>) -> Vec<Client> {
    cluster.gateways.iter().map(|gateway| Client::new(gateway.url())).collect()
}

fn question(number: usize) -> String {
    format!("What is the value of ({number} + 4) * 5?")
}

/// The holders of a run's tasks, by class, as told while they held them; until its end.
fn holders(client: &Client, run: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut holders = BTreeMap::<_, BTreeSet<_>>::new();
    for event in client.events(&format!("/v1/runs/{run}/events")) {
        if event.name == "leased" {
            let told = event.json();
            let text = |name: &str| told[name].as_str().unwrap().to_owned();
            holders.entry(text("class")).or_default().insert(text("holder"));
        }
    }
    holders
}

/// The whole text of a stream, and its last report.
fn streamed(client: &Client, body: &Value) -> (String, Value) {
    let (mut text, mut last) = (String::new(), Value::Null);
    for event in client.stream("/v1/chat/completions", body) {
        if event.data == "[DONE]" {
            break;
        }
        let chunk = event.json();
        text.push_str(chunk["choices"][0]["delta"]["content"].as_str().unwrap_or(""));
        last = chunk;
    }
    (text, last)
}

fn config_of(cluster: &Cluster<'_>, args: &[&str]) -> Ended {
    let words = cluster.words();
    // Of the stores, `config` is told of etcd alone.
    let etcd = words.iter().skip_while(|word| *word != "--etcd").map(String::as_str);
    ended(command([&["config"], args].concat().into_iter().chain(etcd)).unwrap(), "")
}

/// `baton cluster WHAT`, as text.
fn look(cluster: &Cluster<'_>, gateway: usize, what: &str) -> String {
    let url = cluster.gateways[gateway].url();
    let shown = ended(command(["cluster", what, "--endpoint", &url]).unwrap(), "");
    assert_eq!(shown.code, Some(0), "{shown:?}");
    shown.stdout
}

#[test]
fn runs_complete_over_any_gateway_and_their_work_is_spread() {
    let _alone = alone();
    let cluster = cluster("0.05");
    let clients = clients(&cluster);
    let models = ["baton", "baton/plan_execute_verify", "baton/mixture_of_agents"];
    let all = Mutex::new(BTreeMap::<String, BTreeSet<String>>::new());
    scope(|threads| {
        for number in 0..24 {
            let (client, other) = (&clients[number % 2], &clients[(number + 1) % 2]);
            let (all, model) = (&all, models[number % models.len()]);
            threads.spawn(move || {
                let judged = json!({ "baton": { "verify": { "judge": true } } });
                let run = begin(client, &ask_of(model, &question(number), judged));
                let seen = holders(client, &run);
                // Any gateway knows every run.
                let report = end_of(other, &run);
                assert_eq!(report["status"], "completed", "{report}");
                assert_eq!(Journal::read(other, &run, 0).fault(), None);
                for (class, holders) in seen {
                    all.lock().unwrap().entry(class).or_default().extend(holders);
                }
            });
        }
    });
    let all = all.into_inner().unwrap();
    let of = |words: &str| {
        let those = all.iter().filter(|(class, _)| class.starts_with(words));
        those.flat_map(|(_, holders)| holders.clone()).collect::<BTreeSet<_>>()
    };
    println!("{all:#?}");
    for (class, service) in
        [("decide", "conductor"), ("work", "worker-agent"), ("verify", "verifier")]
    {
        let holders = of(class);
        assert_eq!(holders.len(), 2, "{class}: {holders:?}");
        assert!(holders.iter().all(|holder| holder.starts_with(service)), "{holders:?}");
    }
}

#[test]
fn answers_come_whole_and_streamed_with_checks_and_corrections() {
    let _alone = alone();
    let cluster = cluster("0.02");
    for (number, client) in clients(&cluster).iter().enumerate() {
        let whole = client.chat(&ask("baton", json!({})));
        assert_eq!(whole.json["baton"]["status"], "completed", "{whole:?}");
        assert!(whole.answer().ends_with("35"), "{whole:?}");

        let body = ask("baton/direct", json!({ "stream": true }));
        let (text, last) = streamed(client, &body);
        assert_eq!(last["baton"]["status"], "completed", "{last}");
        assert_eq!(last["baton"]["answer"].as_str().unwrap_or(&text), text);
        assert!(text.contains("35"), "{text}");

        let judged = json!({ "stream": true, "baton": { "verify": { "judge": true } } });
        let (text, last) = streamed(client, &ask_of("baton", &question(number), judged));
        assert!(!text.is_empty());
        let check = &rounds(&last["baton"])[0]["checks"][0];
        assert_eq!(check["verdict"]["kind"], "pass", "{last}");

        let wrong = json!({ "baton": { "verify": { "expected": "no such answer" }, "rounds": 3 } });
        let reply = client.chat(&ask("baton", wrong));
        // A third one is spared where the second says the same as the first.
        assert!((2..=3).contains(&rounds(&reply.json["baton"]).len()), "{reply:?}");
    }
}

#[test]
fn a_look_at_the_cluster_shows_what_is_there() {
    let _alone = alone();
    let cluster = cluster("20");
    let clients = clients(&cluster);
    for number in 0..6 {
        begin(&clients[number % 2], &ask_of("baton/direct", &question(number), json!({})));
    }
    let nodes = until("steps to be held, and told of", || {
        let nodes = look(&cluster, 0, "nodes");
        // By whom is left to chance: each worker-agent has room for all of them.
        let of_workers = nodes.lines().filter(|line| line.starts_with("worker-agent"));
        (of_workers.map(held).sum::<u32>() == 6).then_some(nodes)
    });
    println!("{nodes}");
    for (service, processes) in [
        ("gateway ", &cluster.gateways),
        ("conductor ", &cluster.conductors),
        ("worker-agent ", &cluster.workers),
        ("verifier ", &cluster.verifiers),
    ] {
        let lines: Vec<_> = nodes.lines().filter(|line| line.starts_with(service)).collect();
        assert_eq!(lines.len(), 2, "{service}: {nodes}");
        for process in processes {
            assert!(lines.iter().any(|line| line.contains(&process.url())), "{service}: {nodes}");
        }
    }

    let agents = look(&cluster, 1, "agents");
    assert!(agents.starts_with("AGENT ") && agents.contains("sim-arith "), "{agents}");
    let queues = look(&cluster, 1, "queues");
    assert!(queues.starts_with("QUEUE ") && queues.contains("work/"), "{queues}");
    let status = look(&cluster, 0, "status");
    for words in ["6 runs under way", "KIND ", "AGENT ", "QUEUE "] {
        assert!(status.contains(words), "no {words:?} in {status}");
    }
}

/// The tasks that a line of `baton cluster nodes` says are held.
fn held(line: &str) -> u32 {
    let busy = line.split_whitespace().nth(3).unwrap();
    busy.split_once('/').unwrap().0.parse().unwrap()
}

#[test]
fn a_pushed_configuration_takes_effect_in_every_process_or_in_none() {
    let _alone = alone();
    let cluster = cluster("0");
    let clients = clients(&cluster);
    let provider = provider("sim", &cluster.sim.url());
    let parts = |agents: &[&str], more: &str| {
        let agents = agents.iter().map(|id| agent(id, "sim", "sim-arith"));
        let begin = [provider.clone(), policy("sim"), more.to_owned()];
        Config::new(&begin.into_iter().chain(agents).collect::<Vec<_>>())
    };
    let push = |config: &Config| {
        let path = config.path();
        config_of(&cluster, &["push", path.to_str().unwrap()])
    };
    let direct = |client: &Client, agent: &str| {
        let parameters = json!({ "baton": { "strategy_parameters": { "agent": agent } } });
        client.chat(&ask("baton/direct", parameters))
    };
    let pushed = push(&parts(&["ada", "bob"], ""));
    assert_eq!(pushed.code, Some(0), "{pushed:?}");
    for process in cluster.all() {
        until("the pushed configuration to be in force", || {
            process.stderr().contains("configuration in force").then_some(())
        });
    }
    for client in &clients {
        assert_eq!(client.get("/v1/models/bob").status, 200);
        assert_eq!(client.get("/v1/models/sim-arith").status, 404);
        for agent in ["ada", "bob"] {
            let reply = direct(client, agent);
            assert_eq!(reply.json["baton"]["status"], "completed", "{reply:?}");
        }
    }
    // Members say what they host now.
    until("both worker-agents to host bob", || {
        let nodes = look(&cluster, 0, "nodes");
        (nodes.lines().filter(|line| line.ends_with(" ada,bob")).count() == 2).then_some(())
    });

    let wrong = push(&parts(&["ada"], "[budget]\nusd = 0\n"));
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(wrong.stderr.contains("budget.usd is 0"), "{wrong:?}");
    // What the registry takes, and a process cannot use: a key that is not there.
    let keyless =
        "[providers.other]\nbase_url = \"http://127.0.0.1:9/v1\"\nkey_env = \"NOBODYS_KEY\"\n";
    let pushed = push(&parts(&["ada"], keyless));
    assert_eq!(pushed.code, Some(0), "{pushed:?}");
    for client in &clients {
        until("the refusal to be shown", || {
            let shown = client.get("/v1/config").json;
            let reason = shown["refusal"]["complaints"][0]["reason"].as_str()?.to_owned();
            reason.contains("NOBODYS_KEY").then_some(())
        });
        assert_eq!(client.get("/v1/models/bob").status, 200, "what was in force stays");
        assert_eq!(direct(client, "bob").status, 200);
    }
    let good = push(&parts(&["ada"], ""));
    assert_eq!(good.code, Some(0), "{good:?}");
    for client in &clients {
        until("bob to be gone", || (client.get("/v1/models/bob").status == 404).then_some(()));
        assert_eq!(direct(client, "ada").status, 200);
    }
}

#[test]
fn stores_that_are_missing_or_wrong_are_named_with_what_to_do() {
    let (redis, etcd) = (format!("redis://{}", STORES.redis()), STORES.etcd_url());
    let serve = |service: &str, more: &[&str]| {
        let args = ["serve", service, "--redis-prefix", "w", "--sim", "http://127.0.0.1:9/v1"];
        ended(command(args.iter().chain(more)).unwrap(), "")
    };
    let check = |more: &[&str], code: i32, said: &[&str]| {
        let ended = serve("worker-agent", more);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        for words in said {
            assert!(ended.stderr.contains(words), "no {words:?} in {ended:?}");
        }
    };
    let etcd = etcd.as_str();
    check(&["--redis", &redis], 2, &["--etcd URL", "BATON_ETCD"]);
    check(
        &["--redis", &redis, "--etcd", "http://127.0.0.1:9"],
        1,
        &["http://127.0.0.1:9", "refused", "baton explain registry_unavailable"],
    );
    check(
        &["--redis", "redis://127.0.0.1:9", "--etcd", etcd],
        1,
        &["127.0.0.1:9", "does Redis run at redis://127.0.0.1:9", "explain ledger_unusable"],
    );
    check(&["--redis", "127.0.0.1:6379", "--etcd", etcd], 1, &["127.0.0.1:6379"]);
    // etcd in the place of Redis, and the other way round.
    let swapped = etcd.replace("http", "redis");
    check(&["--redis", &swapped, "--etcd", etcd], 1, &["explain ledger_unusable"]);
    let swapped = redis.replace("redis", "http");
    check(&["--redis", &redis, "--etcd", &swapped], 1, &["explain registry_un"]);
    // The Redis of one cluster and the etcd of another, both in order.
    let other = LocalStores::start().unwrap();
    let pair = |redis: &str, etcd: &str| {
        let stores = ["--redis", redis, "--redis-prefix", "pair", "--etcd", etcd];
        let sim = ["--sim", "http://127.0.0.1:9/v1"];
        command(["serve", "verifier"].iter().chain(&stores).chain(&sim)).unwrap()
    };
    drop(Baton::serve(pair(&redis, etcd)).unwrap());
    drop(Baton::serve(pair(&format!("redis://{}", other.redis()), &other.etcd_url())).unwrap());
    let mixed = ended(pair(&redis, &other.etcd_url()), "");
    assert_eq!(mixed.code, Some(1), "{mixed:?}");
    for words in ["another cluster", "the ledger's is", "explain registry_unusable"] {
        assert!(mixed.stderr.contains(words), "no {words:?} in {mixed:?}");
    }
    drop(Baton::serve(pair(&redis, etcd)).unwrap());
    let none = ended(
        command(["serve", "conductor", "--redis", &redis, "--etcd", etcd, "--cluster", "none"])
            .unwrap(),
        "",
    );
    assert_eq!(none.code, Some(2), "{none:?}");
    assert!(none.stderr.contains("baton config push"), "{none:?}");
    let exposed = serve("gateway", &["--redis", &redis, "--etcd", etcd, "--listen", "0.0.0.0:0"]);
    assert!(exposed.code == Some(2) && exposed.stderr.contains("explain exposed"), "{exposed:?}");
    let everywhere =
        serve("verifier", &["--redis", &redis, "--etcd", etcd, "--grpc-listen", "0.0.0.0:0"]);
    assert!(everywhere.stderr.contains("--advertise"), "{everywhere:?}");
}

#[test]
fn results_of_tools_find_their_run_at_any_gateway_whoever_died() {
    let _alone = alone();
    let mut cluster = cluster("0");
    let [first, second] = [0, 1].map(|gateway| Client::new(cluster.gateways[gateway].url()));
    let (run, mut body) = calls_a_tool(&first);

    // Nobody holds anything of a run that waits: any of them may die.
    cluster.gateways.remove(0).kill().unwrap();
    cluster.conductors.remove(0).kill().unwrap();
    cluster.workers.remove(0).kill().unwrap();
    assert_eq!(report(&second, &run)["status"], "awaiting_tools");
    tools_are_answered(&second, &run, &mut body);
}

/// A run that awaits the result of its first tool, and what answers it.
fn calls_a_tool(client: &Client) -> (String, Value) {
    let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    let tools = ["weather", "clock"].map(
        |name| json!({ "type": "function", "function": { "name": name, "parameters": schema } }),
    );
    let question = "First say how the weather in \"Rome\" is, then ask the clock.";
    let mut body = ask_of("baton/plan_execute_verify", question, json!({ "tools": tools }));
    let run = answer_call(&client.chat(&body).json, &mut body, "weather", "18 degrees");
    (run, body)
}

/// Adds a call of this tool and its result to what is said; gives the run that called.
fn answer_call(calls: &Value, body: &mut Value, tool: &str, result: &str) -> String {
    let message = calls["choices"][0]["message"].clone();
    let call = message["tool_calls"][0].clone();
    assert_eq!(call["function"]["name"], tool, "{calls}");
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(message);
    messages.push(json!({ "role": "tool", "tool_call_id": call["id"], "content": result }));
    calls["baton"]["id"].as_str().unwrap().to_owned()
}

/// The run goes on with the results of both its tools, and nothing of it is done twice.
fn tools_are_answered(client: &Client, run: &str, body: &mut Value) {
    let calls = client.chat(body).json;
    assert_eq!(answer_call(&calls, body, "clock", "half past"), run);
    body["stream"] = true.into();
    let (text, last) = streamed(client, body);
    assert_eq!(last["baton"]["id"], json!(run), "{last}");
    assert!(text.contains("half past"), "{text}");
    assert_eq!(last["baton"]["status"], "completed");
    assert_eq!(last["baton"]["usage"]["calls"], 5, "{last}");
    assert_eq!(Journal::read(client, run, 0).fault(), None);
}

/// A process of each service over this Redis, under a name of its own: gateway, conductor,
/// worker-agent, verifier.
fn node(redis: &str, name: &str, sim: &Baton) -> Vec<Baton> {
    let (etcd, sim) = (STORES.etcd_url(), format!("{}/v1", sim.url()));
    let words = ["--redis", redis, "--redis-prefix", name, "--cluster", name, "--etcd", &etcd];
    let mut services: Vec<_> = SERVICES
        .iter()
        .map(|service| {
            let mut command = command(["serve", service]).unwrap();
            command.args(words).args(["--sim", &sim]);
            if *service == "gateway" {
                command.args(["--listen", "127.0.0.1:0"]);
            }
            Baton::serve(command).unwrap()
        })
        .collect();
    services.reverse();
    services[0].until_ready().unwrap();
    services
}

#[test]
fn results_of_tools_wait_for_a_ledger_that_is_away() {
    let _alone = alone();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut redis = runtime.block_on(RedisServer::start()).unwrap();
    let sim = Baton::sim(&["--time-scale", "0"]).unwrap();
    let node = node(&redis.url(), "away", &sim);
    let client = Client::new(node[0].url());
    let (run, mut body) = calls_a_tool(&client);
    redis.kill().unwrap();
    let killed = Instant::now();
    let calls = scope(|threads| {
        let answered = threads.spawn(|| client.chat(&body));
        // Longer than a conductor waits for the ledger: it has to be asked again.
        until("the ledger to be away for long", || {
            assert!(!answered.is_finished(), "answered without a ledger");
            (killed.elapsed() > LEDGER_AWAY).then_some(())
        });
        runtime.block_on(redis.restart()).unwrap();
        answered.join().unwrap()
    });
    println!("the ledger was away for {LEDGER_AWAY:?}; answered after {:?}", killed.elapsed());
    assert_eq!(calls.status, 200, "{calls:?}");
    // Whoever did not hear the answer asks again, and is told the same.
    assert_eq!(client.chat(&body).json["choices"], calls.json["choices"]);
    tools_are_answered(&client, &run, &mut body);
}

/// `baton ledger` on a cluster's Redis.
fn ledger(name: &str, args: &[&str], code: i32, said: &str) -> String {
    let redis = format!("redis://{}", STORES.redis());
    let words = ["--redis", &redis, "--redis-prefix", name, "--cluster", name];
    let ended = ended(command([&["ledger"], args, &words].concat()).unwrap(), "");
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert!((ended.stdout.clone() + &ended.stderr).contains(said), "no {said:?} in {ended:?}");
    ended.stdout
}

#[test]
fn what_a_cluster_saved_goes_on_in_another_one_and_in_a_folder() {
    let _alone = alone();
    let redis = format!("redis://{}", STORES.redis());
    let sim = Baton::sim(&["--time-scale", "0"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [file, data] = ["saved", "data"].map(|name| folder.path().join(name));
    let file = file.to_str().unwrap();
    let mut saved = node(&redis, "saved", &sim);
    let client = Client::new(saved[0].url());
    let over = begin(&client, &ask("baton/direct", json!({})));
    let over = end_of(&client, &over);
    let (awaiting, body) = calls_a_tool(&client);
    // Nobody carries out a step of the third one.
    saved.remove(2).kill().unwrap();
    let waiting = begin(&client, &ask("baton/direct", json!({})));

    let stats: Value =
        serde_json::from_str(&ledger("saved", &["stats", "-o", "json"], 0, "")).unwrap();
    assert_eq!((&stats["finished"], &stats["unfinished"]), (&json!(1), &json!(2)), "{stats}");
    ledger("saved", &["backup", file], 0, "read back");
    ledger("saved", &["backup", file], 2, "is there already");
    drop(saved);
    ledger("saved", &["fsck"], 0, "3 runs (2 unfinished)");
    ledger("saved", &["restore", file], 1, "already");
    ledger("restored", &["restore", file], 0, "restored");
    ledger("restored", &["fsck"], 0, "3 runs (2 unfinished)");
    let mut restore = command(["ledger", "restore", file, "--data"]).unwrap();
    restore.arg(&data);
    let restored = ended(restore, "");
    assert_eq!(restored.code, Some(0), "{restored:?}");

    let goes_on = |client: &Client| {
        assert_eq!(report(client, over["id"].as_str().unwrap()), over);
        assert_eq!(end_of(client, &waiting)["status"], "completed");
        tools_are_answered(client, &awaiting, &mut body.clone());
    };
    let restored = node(&redis, "restored", &sim);
    goes_on(&Client::new(restored[0].url()));
    drop(restored);
    ledger("restored", &["fsck"], 0, "3 runs (0 unfinished)");
    let up = Baton::up(&data, &["--simulated", "--sim-time-scale", "0"]).unwrap();
    goes_on(&Client::new(up.url()));
}
