//! A step that is a workflow: child runs, from the policy's plan to the report, under one
//! process on one ledger.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly, as tests may"
)]

use baton_testkit::baton::Baton;
use baton_tests::{
    Client, Journal, ask, begin,
    config::{Config, agent, parameters, policy, provider},
    end_of, report, rounds, spent, until,
};
use serde_json::{Value, json};

/// A simulated pool, and a Baton whose policy names the Conductor itself whenever it may.
struct Recursive {
    _sim: Baton,
    baton: Baton,
}

fn recursive(time_scale: &str, more: &str) -> Recursive {
    over(Baton::sim(&["--time-scale", time_scale]).unwrap(), more)
}

/// One whose policy has its one step checked by the verifier, by this, and whose judge is the
/// agent that writes.
fn verified(by: &str) -> Recursive {
    let file = parameters(|parameters| {
        parameters["recursive"].as_table_mut().unwrap().insert("verified".into(), by.into());
    });
    let words = ["--time-scale", "0", "--parameters", file.path().to_str().unwrap()];
    over(Baton::sim(&words).unwrap(), "judge = \"sage\"\n")
}

fn over(sim: Baton, more: &str) -> Recursive {
    let agents = [agent("arith", "sim", "sim-arith"), agent("sage", "sim", "sim-sage")].concat();
    let policy = policy("sim").replace("sim-conductor", "sim-recursive");
    let parts = [
        provider("sim", &sim.url()),
        agents,
        policy + more,
        "[budget]\ndepth = 4\ntokens = 1000000\ncalls = 100\n".into(),
    ];
    let baton = Config::new(&parts).up();
    Recursive { _sim: sim, baton }
}

fn depth(levels: u8) -> Value {
    json!({ "baton": { "budget": { "depth": levels } } })
}

/// The child runs of a report's last step.
fn below(report: &Value) -> &[Value] {
    let steps = rounds(report).last().and_then(|round| round["steps"].as_array()?.last());
    steps.and_then(|step| step["runs"].as_array()).map_or(&[], Vec::as_slice)
}

/// All runs of a report's tree, level by level: each has at most one child here.
fn levels(report: &Value) -> Vec<&Value> {
    let mut levels = vec![report];
    while let [child] = below(levels.last().unwrap()) {
        levels.push(child);
    }
    levels
}

#[test]
fn a_recursion_three_deep_ends_into_its_root() {
    let recursive = recursive("0", "");
    let client = Client::new(recursive.baton.url());
    let reply = client.chat(&ask("baton", depth(3)));
    assert_eq!(reply.status, 200, "{reply:?}");
    let root = &reply.json["baton"];
    assert_eq!(root["status"], "completed");
    assert_eq!(root["answer"], reply.json["choices"][0]["message"]["content"]);
    assert!(root["answer"].as_str().unwrap().contains("35"), "{root}");
    let levels = levels(root);
    assert_eq!(levels.len(), 4, "{root}");
    for (place, level) in levels.iter().enumerate() {
        let id = level["id"].as_str().unwrap();
        let step = rounds(level)[0]["steps"].as_array().unwrap().last().unwrap();
        match place {
            0 => assert!(level["parent"].is_null()),
            _ => assert_eq!(level["parent"], levels[place - 1]["id"]),
        }
        assert_eq!(level["status"], "completed", "{id}");
        // What the step below gave is its answer: nothing is lost on the way up.
        assert_eq!(level["answer"], root["answer"]);
        match levels.get(place + 1) {
            None => assert_eq!(step["agent"], "sage", "the deepest is offered no recursion"),
            Some(child) => {
                assert_eq!(step["agent"], "baton");
                assert_eq!(step["tasks"][0]["run"], child["id"]);
                // The child's bill, and all below it, is the step's.
                assert_eq!(spent(step), spent(&child["usage"]), "{step}");
            }
        }
        // A child can be asked for by itself.
        assert_eq!(report(&client, id)["usage"], level["usage"]);
        assert_eq!(Journal::read(&client, id, 0).fault(), None);
    }
    // A plan for each run, a plan of the solution for three of them, and the answer.
    assert_eq!(root["usage"]["calls"], 4 + 3 + 1);
    assert_eq!(root["orchestration"]["calls"], 4, "the children's plans are planning as well");
    // Only the root is listed.
    let listed = client.get("/v1/runs?limit=100").json;
    let listed = listed["data"].as_array().unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["id"], root["id"]);
}

/// What came of a stream: the report at its end, its pieces of text, and the report when the
/// first of them was there.
fn streamed(client: &Client, more: Value) -> (Value, Vec<String>, Value) {
    let mut body = ask("baton", more);
    body["stream"] = true.into();
    let events = client.stream("/v1/chat/completions", &body);
    let run = events.header("x-request-id").unwrap().to_owned();
    let (mut pieces, mut at_first, mut last) = (Vec::new(), Value::Null, Value::Null);
    for event in events.take_while(|event| event.data != "[DONE]") {
        last = event.json();
        let text = last["choices"][0]["delta"]["content"].as_str().unwrap_or("");
        if text.is_empty() {
            continue;
        }
        if pieces.is_empty() {
            at_first = report(client, &run);
        }
        pieces.push(text.to_owned());
    }
    (last["baton"].clone(), pieces, at_first)
}

#[test]
fn the_deepest_runs_words_reach_the_client_while_they_are_written() {
    let recursive = recursive("2", "");
    let client = Client::new(recursive.baton.url());
    let (ended, pieces, at_first) = streamed(&client, depth(2));
    // Whoever wrote them was at it still, and so were all above.
    let running = levels(&at_first);
    assert_eq!(running.len(), 3, "{at_first}");
    assert!(running.iter().all(|run| run["status"] == "running"), "{at_first}");
    assert!(pieces.len() > 2, "{pieces:?}");
    assert_eq!(ended["status"], "completed", "{ended}");
    assert_eq!(ended["answer"], pieces.concat(), "{pieces:?}");
}

#[test]
fn what_a_deeper_run_writes_of_a_checked_answer_is_not_streamed_before_it_stands() {
    let recursive = recursive("0.5", "");
    let client = Client::new(recursive.baton.url());
    let mut wrong = depth(1);
    wrong["baton"]["verify"] = json!({ "expected": "no such answer" });
    wrong["baton"]["rounds"] = 2.into();
    let (ended, pieces, at_first) = streamed(&client, wrong);
    assert_eq!(at_first["status"], "incomplete", "{at_first}");
    assert_eq!(levels(&json!({ "rounds": [rounds(&ended)[0]] })).len(), 2, "{ended}");
    assert_eq!(ended["answer"], pieces.concat(), "{pieces:?}");
}

#[test]
fn depth_is_what_the_request_and_the_operator_give() {
    let recursive = recursive("0", "");
    let client = Client::new(recursive.baton.url());
    for (more, deep) in [
        (depth(0), 1),
        (depth(1), 2),
        (json!({ "baton": { "deny": ["baton"] } }), 1),
        (json!({ "baton": { "allow": ["arith", "sage"] } }), 1),
        (json!({ "baton": { "allow": ["sage", "baton"], "budget": { "depth": 2 } } }), 3),
    ] {
        let reply = client.chat(&ask("baton", more.clone()));
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(levels(&reply.json["baton"]).len(), deep, "{more}");
    }
    let off = self::recursive("0", "recursion = false\n");
    let reply = Client::new(off.baton.url()).chat(&ask("baton", depth(3)));
    assert_eq!(levels(&reply.json["baton"]).len(), 1, "{reply:?}");
}

#[test]
fn cancelling_the_root_reaches_the_deepest_run() {
    let recursive = recursive("4", "");
    let client = Client::new(recursive.baton.url());
    let root = begin(&client, &ask("baton", depth(2)));
    // Until the deepest has something under way.
    until("a run two levels down", || {
        let report = report(&client, &root);
        let levels = levels(&report);
        (levels.len() == 3).then_some(())
    });
    let reply = client.post(&format!("/v1/runs/{root}/cancel"), &json!({}));
    assert!(reply.status < 300, "{reply:?}");
    let ended = end_of(&client, &root);
    assert_eq!(ended["status"], "cancelled");
    let below = until("the runs below to end", || {
        let report = report(&client, &root);
        let levels = levels(&report);
        let over = levels.iter().all(|run| run["status"] == "cancelled");
        over.then(|| levels.iter().map(|run| run["id"].clone()).collect::<Vec<_>>())
    });
    assert_eq!(below.len(), 3);
    for run in &below {
        assert_eq!(Journal::read(&client, run.as_str().unwrap(), 0).fault(), None);
    }
}

#[test]
fn a_corrective_workflow_keeps_a_step_without_a_call() {
    let recursive = recursive("0", "");
    let client = Client::new(recursive.baton.url());
    let wrong = json!({ "baton": {
        "budget": { "depth": 0 }, "deny": ["baton"], "verify": { "expected": "36" }, "rounds": 3,
    } });
    // One step in the first round: it is kept, and another follows.
    let reply = client.chat(&ask("baton", wrong));
    assert_eq!(reply.status, 200, "{reply:?}");
    let report = &reply.json["baton"];
    let corrective = &rounds(report)[1];
    let kept = &corrective["steps"][0];
    assert_eq!((&kept["status"], &kept["kept"]), (&json!("kept"), &json!(0)), "{report}");
    assert_eq!(spent(kept), [0; 4], "it was paid for in the round before");
    assert_eq!(kept["output"], rounds(report)[0]["steps"][0]["output"]);
    assert_eq!(corrective["steps"][1]["sees"], json!([0]));
    assert_eq!(corrective["steps"][1]["status"], "done");
    // 35 stays 35 in whatever words.
    assert_eq!(report["status"], "incomplete");
    let reason = report["reason"]["code"].as_str().unwrap();
    assert!(["no_progress", "not_accepted"].contains(&reason), "{report}");
}

#[test]
fn effort_bounds_what_is_tried() {
    let recursive = recursive("0", "");
    let client = Client::new(recursive.baton.url());
    let effort = |effort: &str| {
        let mut more = depth(1);
        more["reasoning_effort"] = effort.into();
        client.chat(&ask("baton", more))
    };
    let low = effort("low");
    assert_eq!(low.status, 200, "{low:?}");
    let low = &low.json["baton"];
    assert_eq!((levels(low).len(), &low["usage"]["calls"]), (1, &json!(2)), "a plan and a step");
    let medium = effort("medium");
    assert_eq!(levels(&medium.json["baton"]).len(), 2, "{medium:?}");
    let unknown = effort("enormous");
    assert_eq!(unknown.status, 400, "{unknown:?}");
    assert!(unknown.json["error"]["message"].as_str().unwrap().contains("xhigh"), "{unknown:?}");
}

/// A run with these options, by the simulated Conductor that keeps a step in later rounds.
fn corrected(recursive: &Recursive, more: Value) -> Value {
    let mut options = json!({ "budget": { "depth": 0 }, "deny": ["baton"] });
    let more = more.as_object().unwrap().clone();
    options.as_object_mut().unwrap().extend(more);
    let reply = Client::new(recursive.baton.url()).chat(&ask("baton", json!({ "baton": options })));
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json["baton"].clone()
}

#[test]
fn an_answer_that_nothing_checks_is_looked_at_where_that_is_asked_for() {
    let recursive = recursive("0", "");
    let plain = corrected(&recursive, json!({}));
    assert_eq!((&plain["usage"]["calls"], rounds(&plain).len()), (&json!(2), 1), "{plain}");
    let looked_at = corrected(&recursive, json!({ "review": true }));
    assert_eq!(looked_at["reason"]["code"], "unchecked", "no round is left: {looked_at}");
    let [first, second] = rounds(&looked_at) else { panic!("{looked_at}") };
    assert_eq!(second["planning"]["status"], "done", "{second}");
    assert_eq!(second["steps"][0]["output"], first["steps"][0]["output"]);
    assert_eq!(looked_at["answer"], second["steps"][1]["output"], "the latest answer counts");
    // So it is with the greatest efforts, in a stream as well, which tells of no answer that
    // may still be replaced.
    let client = Client::new(recursive.baton.url());
    let mut body = ask("baton", json!({ "reasoning_effort": "xhigh", "stream": true }));
    body["baton"] = json!({ "budget": { "depth": 0 }, "rounds": 2, "deny": ["baton"] });
    let chunks: Vec<_> = client.stream("/v1/chat/completions", &body).map(|e| e.data).collect();
    let text = |chunk: &String| {
        let chunk: Value = serde_json::from_str(chunk).ok()?;
        Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned())
    };
    let streamed: String = chunks.iter().filter_map(text).collect();
    assert_eq!(streamed, looked_at["answer"], "{chunks:?}");
}

#[test]
fn an_answer_that_says_the_same_again_and_a_round_that_does_not_pay_end_a_run() {
    let recursive = recursive("0", "");
    let wrong = |more: Value| {
        let mut options = json!({ "verify": { "expected": "36" }, "rounds": 3 });
        options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        corrected(&recursive, options)
    };
    // 35 stays 35, in other words.
    let again = wrong(json!({}));
    assert_eq!((&again["reason"]["code"], rounds(&again).len()), (&json!("no_progress"), 2));
    assert_eq!((&again["status"], &again["score"]), (&json!("incomplete"), &json!(0.0)), "{again}");
    // A round costs less than a cent, and more than a hundredth of one.
    let cheap = wrong(json!({ "worth_usd": 0.000001 }));
    assert_eq!((&cheap["reason"]["code"], rounds(&cheap).len()), (&json!("not_worth_it"), 1));
    let dear = wrong(json!({ "worth_usd": 1.0 }));
    assert_eq!((&dear["reason"]["code"], rounds(&dear).len()), (&json!("no_progress"), 2));
    let right = corrected(&recursive, json!({ "verify": { "expected": "35" } }));
    assert_eq!((&right["reason"]["code"], &right["score"]), (&json!("accepted"), &json!(1.0)));
}

#[test]
fn a_plan_that_ends_with_the_verifier_gives_what_that_accepted() {
    for by in ["", "Is every sum in it right?", r#"{"type": "text.numeric", "expected": "35"}"#] {
        let verified = verified(by);
        let report = corrected(&verified, json!({}));
        let [round] = rounds(&report) else { panic!("{report}") };
        let [solved, checked] = &round["steps"].as_array().unwrap()[..] else { panic!("{round}") };
        assert_eq!(report["reason"]["code"], "accepted", "{by}: {report}");
        assert_eq!((&report["answer"], &report["score"]), (&solved["output"], &json!(1.0)));
        assert_eq!((&checked["agent"], &checked["subtask"]), (&json!("verifier"), &json!(by)));
        assert_eq!(
            (&checked["status"], &checked["verdict"]["kind"]),
            (&json!("done"), &json!("pass"))
        );
        assert!(checked["output"].as_str().unwrap().starts_with("Verdict: pass"), "{checked}");
        // A judge is asked but where the plan states the check; and nobody is asked twice.
        let calls = u64::from(!by.starts_with('{'));
        assert_eq!(spent(checked)[2], calls, "{checked}");
        assert!(round["checks"].is_null(), "{round}");
        assert_eq!(report["orchestration"]["calls"], json!(1 + calls), "{report}");
        let run = report["id"].as_str().unwrap();
        assert_eq!(Journal::read(&Client::new(verified.baton.url()), run, 0).fault(), None);
        // Whoever does not want it is not offered it.
        let alone = corrected(&verified, json!({ "deny": ["baton", "verifier"] }));
        assert_eq!(rounds(&alone)[0]["steps"].as_array().unwrap().len(), 1, "{alone}");
    }
}

#[test]
fn the_requests_check_goes_before_the_plans_and_stays_unknown_to_it() {
    // The run's own check, as a step: it is the check, and what is right is told to nobody.
    let own = verified("");
    let expects = json!({ "verify": { "expected": "36" }, "rounds": 2 });
    let report = corrected(&own, expects.clone());
    assert_eq!(report["reason"]["code"], "no_progress", "{report}");
    let first = &rounds(&report)[0];
    assert_eq!(first["steps"][1]["verdict"]["kind"], "fail", "{first}");
    assert!(first["checks"].is_null(), "checked once: {first}");
    let told = |round: &Value| {
        let steps = round["steps"].as_array().unwrap().iter();
        steps.filter_map(|step| step["output"].as_str().map(str::to_owned)).collect::<String>()
    };
    assert!(!rounds(&report).iter().any(|round| told(round).contains("36")), "{report}");
    // What the plan's own check refutes is planned again; the request's check decides.
    let stated = verified(r#"{"type": "text.numeric", "expected": "36"}"#);
    let report = corrected(&stated, json!({ "verify": { "expected": "35" }, "rounds": 2 }));
    let [refuted, second] = rounds(&report) else { panic!("{report}") };
    assert_eq!(refuted["steps"][1]["verdict"]["kind"], "fail", "{report}");
    assert!(refuted["checks"].is_null(), "{report}");
    assert_eq!(second["checks"][0]["verdict"]["kind"], "pass", "{report}");
    assert_eq!(report["reason"]["code"], "accepted", "{report}");
}
