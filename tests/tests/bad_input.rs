//! What bad input gets: a precise refusal each, and nothing is left behind.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly, as tests may"
)]

use baton_testkit::baton::{Baton, command};
use baton_tests::{
    Client, Ended, Reply, ask, ask_of,
    config::{Config, agent, provider},
    ended, until,
};
use serde_json::{Value, json};
use std::{net::TcpListener, path::Path};

const QUICK: [&str; 3] = ["--simulated", "--sim-time-scale", "0"];

/// A refusal: status, code and param as expected, all four keys there, the message
/// holding all of the words.
fn refused(reply: &Reply, status: u16, code: &str, param: Value, words: &[&str]) {
    let kind = match status {
        401 => "authentication_error",
        402 => "insufficient_quota",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    let error = &reply.json["error"];
    let mut keys: Vec<_> = error.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["code", "message", "param", "type"], "{reply:?}");
    let found = (reply.status, &error["code"], &error["param"], &error["type"]);
    assert_eq!(found, (status, &json!(code), &param, &json!(kind)), "{reply:?}");
    let message = error["message"].as_str().unwrap();
    for word in words {
        assert!(message.contains(word), "no {word:?} in {message:?}");
    }
    assert!(reply.header("x-request-id").is_some(), "{reply:?}");
}

fn none_is_running(client: &Client) {
    until("no run to be running", || {
        let runs = client.get("/v1/runs?limit=100").json;
        let mut runs = runs["data"].as_array().unwrap().iter();
        (!runs.any(|run| run["status"] == "running")).then_some(())
    });
}

#[test]
fn a_bad_request_is_refused_with_status_code_and_param() {
    let baton = Baton::up_anew(&QUICK).unwrap();
    let client = Client::new(baton.url());
    let no = |body: Value, status, code: &str, param: &str, words: &[&str]| {
        refused(&client.chat(&body), status, code, json!(param), words);
    };
    let told = |more: Value| ask("baton", json!({ "baton": more }));

    no(ask("gpt-9", json!({})), 404, "model_not_found", "model", &["\"gpt-9\"", "baton/direct"]);
    let empty = json!({ "model": "baton", "messages": [] });
    no(empty, 400, "invalid_value", "messages", &["messages has 0 entries: expected 1 to 4096"]);
    let wrong = json!({
        "model": "baton",
        "messages": "hello",
        "stream": "yes",
        "temperature": "hot",
        "max_tokens": -3,
    });
    let all = [
        "messages is \"hello\": expected an array of messages",
        "temperature is \"hot\": expected a number from 0 to 2",
        "stream is \"yes\": expected true or false",
        "max_tokens is -3",
    ];
    no(wrong, 400, "invalid_value", "messages", &all);
    let content = json!({ "model": "baton", "messages": [{ "role": "user", "content": 7 }] });
    no(content, 400, "invalid_value", "messages[0].content", &["messages[0].content"]);
    let role = json!({ "model": "baton", "messages": [{ "role": "boss", "content": "x" }] });
    no(role, 400, "invalid_value", "messages[0].role", &["\"boss\""]);
    let unknown = ["unknown parameter baton.speed", "budget, deadline"];
    no(told(json!({ "speed": 9 })), 400, "unknown_parameter", "baton.speed", &unknown);
    let unknown = ["unknown parameter baton.budget.euro"];
    no(
        told(json!({ "budget": { "euro": 1 } })),
        400,
        "unknown_parameter",
        "baton.budget.euro",
        &unknown,
    );
    no(
        ask("baton", json!({ "tools": [{}] })),
        400,
        "unsupported_parameter",
        "tools[0].type",
        &["tools"],
    );
    no(told(json!({ "deny": ["nobody"] })), 400, "unknown_agent", "baton.deny", &["\"nobody\""]);
    no(
        told(json!({ "strategy": "guess" })),
        400,
        "invalid_value",
        "baton.strategy",
        &["\"guess\""],
    );

    for (name, value) in [
        ("usd", json!(0)),
        ("usd", json!(-0.5)),
        ("tokens", json!(0)),
        ("calls", json!(-1)),
        ("seconds", json!(0)),
        ("depth", json!(-1)),
    ] {
        let param = format!("baton.budget.{name}");
        let said = format!("{param} is {value}: expected");
        let mut budget = json!({});
        budget[name] = value;
        no(told(json!({ "budget": budget })), 400, "invalid_value", &param, &[&said]);
    }
    let deadline = ["baton.deadline is 0: expected"];
    no(told(json!({ "deadline": 0 })), 400, "invalid_value", "baton.deadline", &deadline);
    let beyond = told(json!({ "budget": { "usd": 50.0 } }));
    no(beyond, 400, "invalid_budget", "baton.budget.usd", &["baton.budget.usd is 50", "at most 1"]);
    let small = told(json!({ "budget": { "usd": 1e-9 } }));
    no(small, 400, "budget_too_small", "baton.budget", &["raise baton.budget"]);

    let needed = json!({ "baton": {
        "strategy_parameters": { "agent": "sim-sage" },
        "deny": ["sim-sage"],
    }});
    let words = ["agent of direct is sim-sage", "denied", "sim-swift"];
    no(ask("baton/direct", needed), 400, "invalid_strategy", "baton.strategy", &words);
    let everybody = client.get("/v1/models").json;
    let everybody: Vec<_> = everybody["data"].as_array().unwrap().iter().collect();
    let agents = everybody.iter().filter_map(|model| model["id"].as_str());
    let agents: Vec<_> = agents.filter(|id| id.starts_with("sim-")).collect();
    no(told(json!({ "deny": agents })), 400, "no_agent_left", "baton.deny", &["no agent is left"]);

    let long = ask_of("baton", &"x".repeat(10 * 1024 * 1024), json!({}));
    let words = ["the body has more than 8388608 bytes: send less"];
    refused(&client.chat(&long), 413, "body_too_large", Value::Null, &words);
    let bytes = |body: &[u8], code: &str, words: &[&str]| {
        let reply = client.post_bytes("/v1/chat/completions", body);
        refused(&reply, 400, code, Value::Null, words);
    };
    bytes(b"{\"model\": \"ba\xff\xfeton\"}", "invalid_utf8", &["not UTF-8: byte 13"]);
    bytes(b"{\"model\": ", "invalid_json", &["not JSON", "line 1"]);
    bytes(b"[]", "invalid_json", &["an array of 0: expected a JSON object"]);
    bytes(b"", "invalid_json", &["not JSON"]);

    let key = client.with("idempotency-key", "the-same");
    assert_eq!(key.chat(&ask("baton/direct", json!({}))).status, 200);
    let other = key.chat(&ask_of("baton/direct", "Something else?", json!({})));
    refused(&other, 400, "idempotency_key_reused", json!("Idempotency-Key"), &[]);

    for path in ["/v1/runs/run_0", "/v1/runs/run_0/events"] {
        refused(&client.get(path), 404, "run_not_found", json!("run"), &["run_0"]);
    }
    let cancel = client.post("/v1/runs/run_0/cancel", &json!({}));
    refused(&cancel, 404, "run_not_found", json!("run"), &["run_0"]);
    refused(&client.get("/v1/runs/a%20b"), 400, "invalid_value", json!("id"), &["\"a b\""]);
    refused(&client.get("/v1/runs?limit=0"), 400, "invalid_value", json!("limit"), &["1 to 100"]);
    refused(&client.get("/v1/runs?size=3"), 400, "invalid_value", json!("size"), &["limit"]);
    refused(&client.get("/v2/chat"), 404, "unknown_url", Value::Null, &["/v2/chat"]);
    let method = client.get("/v1/chat/completions");
    refused(&method, 405, "method_not_allowed", Value::Null, &["does not take GET"]);
    let plan = client.post("/v1/plan", &ask("sim-swift", json!({})));
    refused(&plan, 400, "invalid_value", json!("model"), &["only runs have a plan"]);

    let good = client.chat(&ask("baton", json!({})));
    assert_eq!(good.status, 200, "{good:?}");
    none_is_running(&client);
    let runs = client.get("/v1/runs?limit=100").json;
    assert_eq!(runs["data"].as_array().unwrap().len(), 2, "a refused request became a run");
}

#[test]
fn a_client_that_hangs_up_cancels_its_run() {
    let baton = Baton::up_anew(&["--simulated", "--sim-time-scale", "20"]).unwrap();
    let client = Client::new(baton.url());
    let mut stream =
        client.stream("/v1/chat/completions", &ask("baton/direct", json!({ "stream": true })));
    assert_eq!(stream.status, 200);
    let run = stream.header("x-request-id").unwrap().to_owned();
    assert_eq!(stream.next().unwrap().json()["choices"][0]["delta"]["role"], "assistant");
    let get = || client.get(&format!("/v1/runs/{run}")).json;
    until("the step to begin", || {
        (get()["rounds"][0]["steps"][0]["status"] == "running").then_some(())
    });
    drop(stream);
    let report =
        until("the run to be cancelled", || Some(get()).filter(|r| r["status"] != "running"));
    assert_eq!(report["status"], "cancelled", "{report}");
    assert_eq!(report["reason"]["code"], "cancelled");
    assert_eq!(report["reason"]["reason"], "the client left");
    none_is_running(&client);
}

const KEYS: &str = "[[keys]]\nenv = \"BATON_TEST_KEY_ANN\"\ntenant = \"ann\"\n\
                    [[keys]]\nenv = \"BATON_TEST_KEY_BOB\"\ntenant = \"bob\"\n";

#[test]
fn a_key_opens_its_tenants_runs_alone() {
    let (config, data) = (Config::new(&[KEYS.into()]), tempfile::tempdir().unwrap());
    let mut up = command(["up", "--listen", "127.0.0.1:0", "--sim-time-scale", "0"]).unwrap();
    up.arg("--config").arg(config.path()).arg("--data").arg(data.path());
    up.env("BATON_TEST_KEY_ANN", "sk-ann").env("BATON_TEST_KEY_BOB", "sk-bob");
    let baton = Baton::start(up).unwrap();
    let nobody = Client::new(baton.url());
    let [ann, bob, eve] = ["sk-ann", "sk-bob", "sk-eve"]
        .map(|key| nobody.with("authorization", &format!("Bearer {key}")));

    let question = ask("baton/direct", json!({}));
    for stranger in [&nobody, &eve] {
        for reply in [
            stranger.chat(&question),
            stranger.get("/v1/runs"),
            stranger.get("/v1/models"),
            stranger.post("/v1/plan", &question),
        ] {
            refused(&reply, 401, "invalid_api_key", Value::Null, &["API key"]);
            assert_eq!(reply.header("x-should-retry"), Some("false"));
        }
    }
    assert_eq!(nobody.get("/readyz").status, 200);
    // A refusal is read even by whoever is still sending, and the connection stays good.
    let long = ask_of("baton", &"x".repeat(4 * 1024 * 1024), json!({}));
    for _ in 0..3 {
        refused(&eve.chat(&long), 401, "invalid_api_key", Value::Null, &["not known"]);
        refused(&ann.post("/v1/chat", &long), 404, "unknown_url", Value::Null, &["/v1/chat"]);
        refused(&ann.post("/v1/runs", &long), 405, "method_not_allowed", Value::Null, &["POST"]);
    }

    let run = ann.chat(&question).header("x-request-id").unwrap().to_owned();
    let path = format!("/v1/runs/{run}");
    assert_eq!(ann.get(&path).status, 200);
    for reply in [
        bob.get(&path),
        bob.get(&format!("{path}/events")),
        bob.post(&format!("{path}/cancel"), &json!({})),
    ] {
        refused(&reply, 404, "run_not_found", json!("run"), &[&run]);
    }
    let count = |client: &Client| client.get("/v1/runs").json["data"].as_array().unwrap().len();
    assert_eq!((count(&ann), count(&bob)), (1, 0));
    assert!(!baton.stderr().contains("sk-"), "a key was logged");
}

/// `baton up` that should not come up; its data folder is given where it matters.
fn up(args: &[&str], data: Option<&Path>) -> Ended {
    let anew = tempfile::tempdir().unwrap();
    let folder = data.map_or_else(|| anew.path().join("data"), Path::to_owned);
    let mut command = command(["up", "--data"]).unwrap();
    command.arg(&folder).args(args);
    if !args.contains(&"--listen") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    let ended = ended(command, "");
    assert_eq!(ended.stdout, "");
    if ended.code == Some(2) {
        assert!(!anew.path().join("data").exists(), "checked only after the ledger was made");
    }
    ended
}

/// The exit code, and these words on stderr, which names what to do and shows no trace.
fn fails(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "no {word:?} in {:?}", ended.stderr);
    }
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
}

fn bad_config(text: &str, words: &[&str]) -> Ended {
    let config = Config::new(&[text.into()]);
    let path = config.path();
    let ended = up(&["--config", path.to_str().unwrap()], None);
    fails(&ended, 2, words);
    ended
}

#[test]
fn a_bad_configuration_is_refused_before_anything_is_opened() {
    let typo = "unknown key \"step_max\" in limits: did you mean steps_max?";
    bad_config("[limits]\nstep_max = 3\n", &["baton.toml:2: ", typo]);
    let sim = provider("sim", "http://127.0.0.1:9");
    let twice = [sim, agent("a", "sim", "sim-swift"), agent("a", "sim", "sim-sage")].concat();
    bad_config(
        &twice,
        &["baton.toml:11: agent a is on line 4 already: give each agent its own id"],
    );
    let key = "[[keys]]\nenv = \"BATON_TEST_NOT_SET\"\ntenant = \"t\"\n";
    let words = "the environment variable BATON_TEST_NOT_SET is not set: set it to the key";
    bad_config(key, &["baton.toml:2: keys[0].env: ", words]);
    bad_config("[limits\n", &["baton.toml:1: not TOML"]);

    let several =
        "[limits]\nsteps_max = 0\nrounds = 1\n[budget]\nusd = -1\n[[keys]]\ntenant = \"t\"\n";
    let all = bad_config(
        several,
        &["baton.toml:2: ", "baton.toml:3: ", "baton.toml:5: ", "baton.toml:6: "],
    );
    let complaints = all.stderr.lines().filter(|line| line.contains("baton.toml:")).count();
    assert_eq!(complaints, 4, "{}", all.stderr);

    let missing = up(&["--config", "/no/such/baton.toml"], None);
    fails(&missing, 2, &["/no/such/baton.toml", "cannot read the configuration"]);
    fails(&up(&["--listen", "nowhere"], None), 2, &["--listen"]);
    fails(&up(&["--frobnicate"], None), 2, &["--frobnicate"]);
}

#[test]
fn listening_beyond_loopback_takes_keys() {
    let words = ["refusing to listen on 0.0.0.0:0 without keys", "127.0.0.1", "[[keys]]"];
    fails(&up(&["--simulated", "--listen", "0.0.0.0:0"], None), 2, &words);
}

#[test]
fn a_busy_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let words = [&format!("{address} is in use by another process"), "--listen"];
    fails(&up(&["--simulated", "--listen", &address], None), 1, &words);
}

#[test]
fn a_ledger_in_use_is_left_alone() {
    let data = tempfile::tempdir().unwrap();
    let first = Baton::up(data.path(), &QUICK).unwrap();
    let client = Client::new(first.url());
    let run =
        client.chat(&ask("baton/direct", json!({}))).header("x-request-id").unwrap().to_owned();
    let second = up(&QUICK, Some(data.path()));
    let words = ["ledger.redb is in use by another process: stop that process"];
    fails(&second, 1, &words);
    assert_eq!(client.get(&format!("/v1/runs/{run}")).json["status"], "completed");
    assert_eq!(client.chat(&ask("baton/direct", json!({}))).status, 200);
}

#[test]
fn a_corrupt_ledger_is_refused_and_not_overwritten() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("ledger.redb");
    let check = |what: &str| {
        let before = std::fs::read(&file).unwrap();
        let words = ["ledger.redb is no ledger or is corrupt", "restore it from a backup"];
        fails(&up(&QUICK, Some(data.path())), 1, &words);
        assert!(std::fs::read(&file).unwrap() == before, "{what} was overwritten");
    };
    std::fs::write(&file, "this is no ledger\n".repeat(1000)).unwrap();
    check("a text");
    std::fs::remove_file(&file).unwrap();
    let baton = Baton::up(data.path(), &QUICK).unwrap();
    assert_eq!(Client::new(baton.url()).chat(&ask("baton/direct", json!({}))).status, 200);
    baton.kill().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[..64].fill(0x5a);
    std::fs::write(&file, bytes).unwrap();
    check("a ledger with a broken head");
    for entry in std::fs::read_dir(data.path()).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }

    // A byte of what was acknowledged, with more of it behind.
    let baton = Baton::up(data.path(), &QUICK).unwrap();
    assert_eq!(Client::new(baton.url()).chat(&ask("baton/direct", json!({}))).status, 200);
    baton.kill().unwrap();
    let logs = std::fs::read_dir(data.path()).unwrap().map(|entry| entry.unwrap().path());
    let log = logs.filter(|path| path.to_string_lossy().contains(".log-")).max().unwrap();
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[30] ^= 1;
    std::fs::write(&log, &bytes).unwrap();
    let words = ["the ledger's file is corrupt", "is damaged", "restore it from a backup"];
    fails(&up(&QUICK, Some(data.path())), 1, &words);
    assert!(std::fs::read(&log).unwrap() == bytes, "the log was overwritten");

    let folder = data.path().join("a-file");
    std::fs::write(&folder, "").unwrap();
    fails(&up(&QUICK, Some(&folder)), 1, &["cannot make the folder", "a-file"]);
}
