//! What runs do, seen through the endpoint: streams, checks, budgets, deadlines,
//! cancellation, events, failover and plans.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests may fail loudly and say what they saw, as tests may"
)]

use baton_proto::v1;
use baton_testkit::baton::Baton;
use baton_tests::{
    Client, Event, Journal, ask, ask_of, begin,
    config::{Config, agent, policy, provider},
    end_of, report, rounds, spent, until,
};
use serde_json::{Value, json};
use std::{
    net::TcpListener,
    sync::LazyLock,
    thread::scope,
    time::{Duration, Instant},
};

/// Slow enough to be seen at work.
static PACED: LazyLock<Baton> = LazyLock::new(|| simulated("0.5"));
/// So slow that nothing ends by itself within a test.
static SLOW: LazyLock<Baton> = LazyLock::new(|| simulated("50"));
/// Without any waiting.
static QUICK: LazyLock<Baton> = LazyLock::new(|| simulated("0"));

fn simulated(time_scale: &str) -> Baton {
    Baton::up_anew(&["--simulated", "--sim-time-scale", time_scale]).unwrap()
}

fn client(baton: &Baton) -> Client {
    Client::new(baton.url())
}

/// Whether a run with this question is listed.
fn is_listed(client: &Client, title: &str) -> bool {
    let runs = client.get("/v1/runs?limit=100").json;
    runs["data"].as_array().unwrap().iter().any(|run| run["title"] == title)
}

fn steps(round: &Value) -> &[Value] {
    round["steps"].as_array().unwrap()
}

/// What a stream said, event by event.
#[derive(Default)]
struct Streamed {
    run: String,
    text: String,
    /// The run's status when the first text came.
    status_at_first_text: Value,
    chunks: Vec<Value>,
}

fn stream(client: &Client, body: &Value) -> Streamed {
    let mut body = body.clone();
    body["stream"] = true.into();
    body["stream_options"] = json!({ "include_usage": true });
    let mut events = client.stream("/v1/chat/completions", &body);
    assert_eq!(events.status, 200);
    let run = events.header("x-request-id").unwrap().to_owned();
    let mut streamed = Streamed { run, ..Streamed::default() };
    for event in &mut events {
        let Event { data, .. } = &event;
        if data == "[DONE]" {
            assert_eq!(events.next(), None, "something comes after [DONE]");
            return streamed;
        }
        let chunk = event.json();
        assert!(chunk["error"].is_null(), "{chunk}");
        if let Some(text) = chunk["choices"][0]["delta"]["content"].as_str()
            && !text.is_empty()
        {
            if streamed.text.is_empty() {
                streamed.status_at_first_text = report(client, &streamed.run)["status"].clone();
            }
            streamed.text += text;
        }
        streamed.chunks.push(chunk);
    }
    panic!("no [DONE] after {:?}", streamed.chunks);
}

/// The parts of a report add up to its whole, and to the usage that the client was told.
fn adds_up(report: &Value, usage: &Value) {
    let mut sum = [0; 4];
    let mut orchestration = [0; 4];
    let add = |sum: &mut [u64; 4], part: &Value| {
        sum.iter_mut().zip(spent(part)).for_each(|(sum, part)| *sum += part);
    };
    for round in rounds(report) {
        let planning = round.get("planning").into_iter();
        for part in planning.chain(round["checks"].as_array().into_iter().flatten()) {
            add(&mut sum, part);
            add(&mut orchestration, part);
        }
        for step in steps(round) {
            add(&mut sum, step);
            let mut tasks = [0; 4];
            step["tasks"].as_array().unwrap().iter().for_each(|task| add(&mut tasks, task));
            assert_eq!(tasks, spent(step), "{step}");
            // What a child run spent on planning and checks is orchestration as well.
            for run in step["runs"].as_array().into_iter().flatten() {
                add(&mut orchestration, &run["orchestration"]);
            }
        }
    }
    assert_eq!(sum, spent(&report["usage"]), "{report}");
    assert_eq!(orchestration, spent(&report["orchestration"]), "{report}");
    let told = |name: &str| usage[name].as_u64().unwrap();
    let usd = (usage["cost"].as_f64().unwrap() * 1e12).round() as u64;
    assert_eq!([told("prompt_tokens"), told("completion_tokens"), told("calls"), usd], sum);
    assert_eq!(told("total_tokens"), sum[0] + sum[1]);
    let orchestrated = |name: &str| usage[name]["orchestration_tokens"].as_u64().unwrap();
    let both = ["prompt_tokens_details", "completion_tokens_details"].map(orchestrated);
    assert_eq!(both, orchestration[..2]);
}

#[test]
fn a_stream_tells_the_answer_while_it_is_written() {
    let client = client(&PACED);
    for model in ["baton/direct", "baton/plan_execute_verify", "baton"] {
        let streamed = stream(&client, &ask(model, json!({})));
        let chunks = &streamed.chunks;
        assert_eq!(chunks[0]["choices"][0]["delta"], json!({ "role": "assistant", "content": "" }));
        let (last, before) = chunks.split_last().unwrap();
        assert_eq!(last["choices"], json!([]));
        assert_eq!(before.last().unwrap()["choices"][0]["finish_reason"], "stop");
        assert!(before.iter().all(|chunk| chunk["usage"].is_null()));
        assert!(chunks.iter().all(|chunk| chunk["id"] == format!("chatcmpl-{}", streamed.run)));
        let report = report(&client, &streamed.run);
        assert_eq!(report, last["baton"], "the stream's report is the run's");
        assert_eq!(report["status"], "completed");
        assert_eq!(report["answer"], streamed.text);
        adds_up(&report, &last["usage"]);
        // A policy may choose a vote, whose answer is known only at its end.
        if model != "baton" {
            assert_eq!(streamed.status_at_first_text, "running", "{model}");
            assert!(chunks.len() > 6, "{model} came in {} chunks", chunks.len());
        }
    }
}

#[test]
fn a_vote_is_not_streamed_before_it_is_held() {
    let client = client(&PACED);
    let streamed = stream(&client, &ask("baton/self_consistency", json!({})));
    assert_eq!(streamed.status_at_first_text, "completed");
    let report = report(&client, &streamed.run);
    assert_eq!(report["answer"], streamed.text);
    assert_eq!(rounds(&report)[0]["checks"][0]["kind"], "vote");
}

#[test]
fn a_whole_answer_is_metered_to_the_last_token() {
    let client = client(&QUICK);
    for model in ["baton", "baton/reflect", "baton/mixture_of_agents", "baton/self_consistency"] {
        let reply = client.chat(&ask(model, json!({})));
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.json["baton"]["answer"], reply.answer());
        adds_up(&reply.json["baton"], &reply.json["usage"]);
    }
}

#[test]
fn an_answer_that_fails_its_check_is_corrected_and_never_streamed_unaccepted() {
    let client = client(&PACED);
    let wrong = json!({ "baton": { "verify": { "expected": "no such answer" }, "rounds": 3 } });
    let streamed = stream(&client, &ask("baton", wrong));
    assert_eq!(streamed.status_at_first_text, "incomplete");
    let report = report(&client, &streamed.run);
    assert_eq!(report["status"], "incomplete");
    assert_eq!(report["answer"], streamed.text);
    let rounds = rounds(&report);
    // A round whose answer says what one that failed says is the last one, and only then are
    // there fewer than were asked for.
    let class = |round: &Value| {
        round["checks"].as_array().unwrap().last().unwrap()["verdict"]["class"].clone()
    };
    let classes: Vec<_> = rounds.iter().map(class).collect();
    let repeats = |place: &usize| classes[..*place].contains(&classes[*place]);
    let last = (0..classes.len()).find(repeats);
    let (code, count) = match last {
        Some(place) => ("no_progress", place + 1),
        None => ("not_accepted", 3),
    };
    assert_eq!((report["reason"]["code"].as_str(), rounds.len()), (Some(code), count), "{report}");
    for round in rounds {
        let checks = round["checks"].as_array().unwrap();
        assert_eq!(checks.last().unwrap()["verdict"]["kind"], "fail", "{round}");
    }
    adds_up(&report, &streamed.chunks.last().unwrap()["usage"]);
}

#[test]
fn an_answer_that_passes_its_check_is_accepted() {
    let client = client(&QUICK);
    let right = json!({ "baton": { "verify": { "expected": "35" } } });
    let reply = client.chat(&ask("baton/direct", right));
    assert_eq!(reply.json["baton"]["reason"], json!({ "code": "accepted" }));
    let check = &rounds(&reply.json["baton"])[0]["checks"][0]["verdict"];
    assert_eq!((&check["code"], &check["evidence"]), (&json!("accepted"), &json!("35")), "{check}");
    assert_eq!(check["class"].as_str().map(str::len), Some(32), "{check}");
    let judged =
        client.chat(&ask("baton/direct", json!({ "baton": { "verify": { "judge": true } } })));
    let report = &judged.json["baton"];
    let check = &rounds(report)[0]["checks"][0];
    assert!(["pass", "fail"].contains(&check["verdict"]["kind"].as_str().unwrap()), "{check}");
    let code = check["verdict"]["code"].as_str().unwrap();
    assert!(["accepted", "rejected"].contains(&code), "{check}");
    assert!(spent(check)[2] == 1 && spent(check)[3] > 0, "a judge costs: {check}");
    adds_up(report, &judged.json["usage"]);
}

#[test]
fn judges_are_of_another_family_and_compare_what_votes_do_not_settle() {
    let client = client(&QUICK);
    let asked = |model: &str, verify: Value| {
        let reply = client.chat(&ask(model, json!({ "baton": { "verify": verify } })));
        assert_eq!(reply.status, 200, "{reply:?}");
        adds_up(&reply.json["baton"], &reply.json["usage"]);
        reply.json["baton"].clone()
    };
    let judge = json!({ "type": "judge.binary", "criteria": "the number alone matters" });
    let report = asked("baton/direct", judge.clone());
    let round = &rounds(&report)[0];
    let check = &round["checks"][0];
    let verifier = check["verdict"]["verifier"].as_str().unwrap();
    let author = steps(round)[0]["agent"].as_str().unwrap();
    assert!(verifier.starts_with("judge.binary/1 ") && !verifier.ends_with(author), "{report}");
    assert_eq!((spent(check)[2], &check["cached"]), (1, &Value::Null), "{check}");
    // The same answer to the same question is not judged twice.
    let again = asked("baton/direct", judge.clone());
    let check = &rounds(&again)[0]["checks"][0];
    assert_eq!((spent(check)[2], &check["cached"]), (0, &json!(true)), "{check}");
    assert_eq!(check["verdict"]["verifier"], verifier);
    // The cheapest check comes first, and nobody is asked about what it refuses.
    let parts = json!([judge, { "type": "math.answer", "expected": "36" }]);
    let report = asked("baton/direct", json!({ "type": "composite", "checks": parts }));
    let check = &rounds(&report)[0]["checks"][0];
    assert_eq!(check["verdict"]["evidence"], "math.answer/1: fail (wrong)", "{check}");
    assert_eq!(spent(check)[2], 0, "{check}");
    // A vote is compared, and what it chooses is not called right for that.
    let report = asked("baton/self_consistency", json!({ "type": "judge.pairwise" }));
    let checks = rounds(&report)[0]["checks"].as_array().unwrap();
    assert_eq!((checks.len(), &checks[0]["kind"]), (1, &json!("vote")), "{report}");
    assert_eq!(report["reason"]["code"], "unchecked", "{report}");
}

#[test]
fn checks_that_a_request_states_tell_right_from_wrong() {
    let client = client(&QUICK);
    let accepted = |verify: Value| {
        let reply = client.chat(&ask("baton/direct", json!({ "baton": { "verify": verify } })));
        assert_eq!(reply.status, 200, "{reply:?}");
        let report = &reply.json["baton"];
        let verdict = &rounds(report)[0]["checks"][0]["verdict"];
        let kind = verdict["kind"].as_str().unwrap().to_owned();
        (kind, verdict["verifier"].as_str().unwrap().to_owned())
    };
    for (verify, kind) in [
        (json!({ "type": "math.answer", "expected": "\\frac{70}{2}" }), "pass"),
        (json!({ "type": "math.answer", "expected": "\\sqrt{35}^2 + 1" }), "fail"),
        (json!({ "type": "text.numeric", "expected": 34.9, "absolute": 0.1 }), "pass"),
        (json!({ "type": "text.numeric", "expected": 34.9 }), "fail"),
        (json!({ "type": "text.regex", "pattern": "(?m)^Answer: \\d+$" }), "pass"),
        (json!({ "type": "json.schema", "schema": { "type": "object" } }), "fail"),
        (json!({ "type": "expression.check", "numbers": [35], "target": 35 }), "pass"),
        (json!({ "type": "choice.letter", "expected": "B", "options": ["36", "35"] }), "pass"),
    ] {
        let verifier = format!("{}/1", verify["type"].as_str().unwrap());
        assert_eq!(accepted(verify.clone()), (kind.to_owned(), verifier), "{verify}");
    }
    for (verify, param) in [
        (json!({ "type": "text.regex", "pattern": "(" }), "baton.verify.pattern"),
        (json!({ "type": "math.answer", "expect": "4" }), "baton.verify"),
    ] {
        let reply = client.chat(&ask("baton/direct", json!({ "baton": { "verify": verify } })));
        assert_eq!(
            (reply.status, &reply.json["error"]["param"]),
            (400, &json!(param)),
            "{reply:?}"
        );
    }
}

#[test]
fn a_stated_check_that_fails_is_told_and_corrected_without_the_answer() {
    let client = client(&QUICK);
    let wrong = |verify: Value| {
        let more = json!({ "baton": { "verify": verify, "rounds": 2 } });
        client.chat(&ask("baton", more)).json["baton"].clone()
    };
    let report = wrong(json!({ "type": "math.answer", "expected": "\\frac{7919}{3}" }));
    let told = &rounds(&report)[0]["checks"].as_array().unwrap().last().unwrap()["verdict"];
    assert_eq!((&told["kind"], &told["verifier"]), (&json!("fail"), &json!("math.answer/1")));
    assert!(told["feedback"].as_str().unwrap().contains("is not right"), "{told}");
    assert_eq!(rounds(&report).len(), 2, "a corrective workflow follows: {report}");
    // Nobody who answers, plans or corrects is told what is right.
    assert!(!report.to_string().contains("7919"), "{report}");
    // Where the target is part of the question, it is told.
    let report = wrong(json!({ "type": "expression.check", "numbers": [3, 4, 5], "target": 35 }));
    let told = &rounds(&report)[0]["checks"].as_array().unwrap().last().unwrap()["verdict"];
    assert!(told["feedback"].as_str().unwrap().contains("does not use 3"), "{told}");
    assert_eq!(rounds(&report).len(), 2, "{report}");
}

/// A task whose program the simulated pool writes well, with tests that it passes.
fn doubling(more: Value) -> (String, Value) {
    let question = "Write a Python function `solve(xs)` that takes a list of integers and does \
                    these steps in order:\n1. multiply every number by 2\n2. return the list\n\
                    End with the whole function in a ```python block.";
    let mut verify = json!({
        "type": "code.tests", "function": "solve",
        "tests": [{"input": "[1, 2]", "expected": "[2, 4]"}, {"input": "[]", "expected": "[]"}],
    });
    let more = more.as_object().unwrap().clone();
    verify.as_object_mut().unwrap().extend(more);
    (question.into(), verify)
}

#[test]
fn programs_of_answers_are_held_against_tests_in_a_sandbox() {
    let client = client(&QUICK);
    let run = |model: &str, more: Value| {
        let (question, verify) = doubling(more);
        let mut options = json!({ "baton": { "verify": verify } });
        if model == "baton" {
            options["baton"]["rounds"] = 2.into();
        }
        client.chat(&ask_of(model, &question, options)).json["baton"].clone()
    };
    let verdict = |round: &Value| {
        let checks = round["checks"].as_array().unwrap();
        checks.last().unwrap()["verdict"].clone()
    };
    let report = run("baton/direct", json!({}));
    assert_eq!(report["reason"]["code"], "accepted", "{report}");
    let told = verdict(&rounds(&report)[0]);
    assert_eq!((&told["code"], &told["score"]), (&json!("accepted"), &json!(1.0)), "{told}");
    assert!(["lsm", "ns"].contains(&told["isolation"].as_str().unwrap()), "{told}");

    let wrong = json!([{"input": "[1]", "expected": "[2]"}, {"input": "[3]", "expected": "7919"}]);
    let report = run("baton", json!({ "tests": wrong }));
    assert_eq!(rounds(&report).len(), 2, "a corrective workflow follows: {report}");
    for round in rounds(&report) {
        let told = verdict(round);
        assert_eq!((&told["code"], &told["score"]), (&json!("wrong_answer"), &json!(0.5)));
        assert!(told["feedback"].as_str().unwrap().contains("its input is \"[3]\""), "{told}");
    }
    assert!(["not_accepted", "no_progress"].contains(&report["reason"]["code"].as_str().unwrap()));
    // Nobody who answers, plans or corrects is told what is right, unless the request says so.
    assert!(!report.to_string().contains("7919"), "{report}");
    let report = run("baton/direct", json!({ "tests": wrong, "tell": true }));
    let told = verdict(&rounds(&report)[0]);
    assert!(told["feedback"].as_str().unwrap().ends_with("and \"7919\" is expected"), "{told}");

    let (_, verify) = doubling(json!({}));
    let report = client.chat(&ask("baton/direct", json!({ "baton": { "verify": verify } })));
    assert_eq!(verdict(&rounds(&report.json["baton"])[0])["code"], "no_program", "{report:?}");
    let (_, verify) = doubling(json!({ "function": "a b" }));
    let refused = client.chat(&ask("baton/direct", json!({ "baton": { "verify": verify } })));
    assert_eq!(refused.json["error"]["param"], "baton.verify.function", "{refused:?}");
}

/// Asked directly, a verifier runs any program, and says at which limit it came to its end.
#[test]
fn what_a_program_does_instead_of_answering_is_named() {
    let members = client(&QUICK).get("/v1/status?runs=0").json["members"].clone();
    let member = members.as_array().unwrap().iter().find(|member| member["kind"] == "verifier");
    let address = member.unwrap()["address"].as_str().unwrap().to_owned();
    let asked = |program: &str, limits: Value| {
        let check = json!({
            "type": "code.tests", "tests": [{"input": "3 4", "expected": "7919"}],
            "limits": limits,
        });
        v1::VerifyRequest {
            candidates: vec![format!("So:\n```python\n{program}\n```\n")],
            check: Some(v1::verify_request::Check::CheckJson(check.to_string())),
            ..v1::VerifyRequest::default()
        }
    };
    let usual = json!({ "memory_bytes": 256 << 20 });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut verifier = v1::verifier_client::VerifierClient::connect(address).await.unwrap();
        for (program, said) in [
            ("print(7919)", ""),
            ("print(sum(map(int, input().split())))", "at line 1 there is \"7\""),
            ("while True: pass", "more than its 200 ms of the processor"),
            ("import time\ntime.sleep(9)", "longer than its 500 ms"),
            ("x = 'x' * (1 << 40)", "more than its 268435456 bytes of memory"),
            ("while True: print('x' * 100_000)", "writes more than it may"),
            ("1 / 0", "fails with \"ZeroDivisionError: division by zero\""),
            ("raise SystemExit(3)", "ends with code 3"),
            ("print(", "fails with \"SyntaxError: '(' was never closed\""),
            // What is expected is nowhere near it.
            (
                "import os, sys\nseen = repr((sys.argv, dict(os.environ)))\n\
                 seen += ''.join(open(name).read() for name in os.listdir())\n\
                 print('seen' if '79' + '19' in seen else 'not seen')",
                "there is \"not seen\"",
            ),
        ] {
            let limits = match program {
                "while True: pass" => json!({ "cpu_ms": 200 }),
                "import time\ntime.sleep(9)" => json!({ "cpu_ms": 500, "wall_ms": 500 }),
                _usual => usual.clone(),
            };
            let reply = verifier.verify(asked(program, limits)).await.unwrap().into_inner();
            let kind = if said.is_empty() { "Pass" } else { "Fail" };
            assert_eq!(format!("{:?}", reply.kind()), kind, "{program}: {reply:?}");
            assert!(reply.feedback.contains(said), "{program}: {reply:?}");
        }

        let check = json!({ "type": "code.generated_tests", "inputs": ["1", "2"] });
        let fenced = |program: &str| format!("```python\n{program}\n```");
        let vote = |programs: &[&str]| v1::VerifyRequest {
            candidates: programs.iter().map(|program| fenced(program)).collect(),
            check: Some(v1::verify_request::Check::CheckJson(check.to_string())),
            ..v1::VerifyRequest::default()
        };
        let (right, other) = ("print(int(input()) ** 2)", "print(2 * int(input()))");
        let same = "x = int(input())\nprint(x * x, end='')";
        for (programs, kind, choice, said) in [
            (&[other, right, same][..], "Pass", Some(1), "2 of 3 candidates do the same"),
            (&[other, right], "Abstain", Some(0), "1 of 2 candidates do the same"),
            (&["1 / 0", "1 / 0", right], "Pass", Some(2), "2 have no answer to some"),
            (&["print(6 // (int(input()) - 2))"], "Fail", None, "no answer to the input \"2\""),
            (&[right], "Abstain", None, "nobody says what is right"),
        ] {
            let reply = verifier.verify(vote(programs)).await.unwrap().into_inner();
            assert_eq!((format!("{:?}", reply.kind()).as_str(), reply.choice), (kind, choice));
            assert!(reply.feedback.contains(said), "{programs:?}: {reply:?}");
        }
    });
}

#[test]
fn programs_vote_by_what_they_do() {
    let client = client(&QUICK);
    let (question, _) = doubling(json!({}));
    let verify = json!({
        "type": "code.generated_tests", "function": "solve", "inputs": ["[1, 2]", "[]"],
    });
    let options = json!({ "baton": { "verify": verify } });
    let report = client.chat(&ask_of("baton/self_consistency", &question, options)).json;
    let report = &report["baton"];
    let checks = rounds(report)[0]["checks"].as_array().unwrap();
    let [vote, check] = checks.as_slice() else { panic!("a vote and a check: {report}") };
    assert_eq!((&vote["kind"], &check["kind"]), (&json!("vote"), &json!("check")), "{report}");
    for check in checks {
        assert_eq!(check["verdict"]["verifier"], "code.generated_tests/1", "{check}");
        assert!(check["verdict"]["isolation"].is_string(), "{check}");
    }
    assert_eq!(check["verdict"]["code"], "undecided", "{check}");
    let reason = &report["reason"]["code"];
    assert_eq!((reason, &report["verified"]), (&json!("unchecked"), &json!(false)), "{report}");
}

#[test]
fn a_budget_is_never_exceeded() {
    let client = client(&QUICK);
    let mut ends = Vec::new();
    for usd in [0.0001, 0.002, 0.003, 0.004, 0.005, 0.02, 0.1, 0.9] {
        let budget = json!({ "baton": { "budget": { "usd": usd } } });
        let reply = client.chat(&ask("baton/mixture_of_agents", budget));
        if reply.status == 400 {
            assert_eq!(reply.json["error"]["code"], "budget_too_small");
            ends.push("budget_too_small".to_owned());
            continue;
        }
        let report = report(&client, reply.header("x-request-id").unwrap());
        assert!(report["usage"]["usd"].as_f64().unwrap() <= usd, "{usd}: {report}");
        let reason = report["reason"]["code"].as_str().unwrap().to_owned();
        match reply.status {
            200 => assert_eq!(reply.json["baton"], report),
            402 => assert_eq!(reply.json["error"]["code"], "budget_exceeded"),
            other => panic!("{other}: {reply:?}"),
        }
        let incomplete = report["status"] == "incomplete" || report["status"] == "failed";
        assert_eq!(incomplete, reason == "budget_spent", "{report}");
        ends.push(reason);
    }
    println!("{ends:?}");
    assert_eq!(ends.first().unwrap(), "budget_too_small");
    assert!(ends.iter().any(|end| end == "budget_spent"), "{ends:?}");
    assert_eq!(ends.last().unwrap(), "unchecked");

    let calls = json!({ "baton": { "budget": { "calls": 2 } } });
    let reply = client.chat(&ask("baton/plan_execute_verify", calls));
    assert_eq!(reply.json["baton"]["status"], "incomplete");
    assert_eq!(
        reply.json["baton"]["reason"],
        json!({ "code": "budget_spent", "resource": "calls" })
    );
    assert_eq!(reply.json["baton"]["usage"]["calls"], 2);
}

#[test]
fn a_deadline_ends_a_run_soon() {
    let client = client(&SLOW);
    let began = Instant::now();
    let reply = client.chat(&ask("baton/direct", json!({ "baton": { "deadline": 1 } })));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!((reply.status, &reply.json["error"]["code"]), (504, &json!("deadline_exceeded")));
    let run = reply.header("x-request-id").unwrap();
    let report = report(&client, run);
    assert_eq!(
        (&report["status"], &report["reason"]["code"]),
        (&json!("failed"), &json!("deadline_passed"))
    );
    let ms = report["ms"].as_u64().unwrap();
    assert!((1000..5000).contains(&ms), "{ms} ms");
    assert_eq!(Journal::read(&client, run, 0).fault(), None);
}

#[test]
fn a_cancelled_run_ends_and_says_why() {
    let client = client(&SLOW);
    scope(|threads| {
        let waiting = threads
            .spawn(|| client.chat(&ask_of("baton/direct", "Whom do I wait for?", json!({}))));
        let run = until("the run to be listed", || {
            let runs = client.get("/v1/runs?limit=100").json;
            let mut runs = runs["data"].as_array().unwrap().iter();
            let run = runs.find(|run| run["title"] == "Whom do I wait for?")?;
            Some(run["id"].as_str().unwrap().to_owned())
        });
        let path = format!("/v1/runs/{run}/cancel");
        let cancel = |body: &Value| client.post(&path, body).json["state"].clone();
        assert_eq!(cancel(&json!({ "reason": "no longer needed" })), "asked");
        let report = end_of(&client, &run);
        assert_eq!(report["status"], "cancelled");
        assert_eq!(report["reason"]["reason"], "no longer needed");
        assert_eq!(cancel(&json!({})), "already_ended");
        let reply = waiting.join().unwrap();
        assert_eq!((reply.status, &reply.json["error"]["code"]), (409, &json!("run_cancelled")));
        assert_eq!(Journal::read(&client, &run, 0).fault(), None);
    });
}

#[test]
fn events_go_on_where_a_client_stopped_reading() {
    let client = client(&QUICK);
    let run = begin(&client, &ask("baton/plan_execute_verify", json!({})));
    let all = Journal::read(&client, &run, 0);
    assert_eq!(all.fault(), None);
    assert_eq!(all.count("step_dispatched"), 3);
    let seen = all.entries.len() as u64 - 3;
    assert_eq!(Journal::read(&client, &run, seen).entries, all.entries[seen as usize..]);
    let resumed = client.with("last-event-id", &seen.to_string());
    let rest = Journal::read(&resumed, &run, 0).entries;
    assert_eq!(rest, all.entries[seen as usize..]);
}

#[test]
fn events_are_told_while_they_happen() {
    let client = client(&PACED);
    let run = begin(&client, &ask("baton/plan_execute_verify", json!({})));
    let mut events = client.events(&format!("/v1/runs/{run}/events"));
    let leased = events.by_ref().find(|event| event.name == "leased").unwrap().json();
    assert_eq!(report(&client, &run)["status"], "running", "told only afterwards");
    assert!(leased["holder"].as_str().is_some_and(|holder| !holder.is_empty()), "{leased}");
    assert_eq!(events.last().unwrap().name, "end");
    assert_eq!(report(&client, &run)["status"], "completed");
}

#[test]
fn an_agent_is_called_directly_and_metered_and_no_run() {
    let client = client(&QUICK);
    let question = "What is the value of (90 + 1) * 3?";
    let reply = client.chat(&ask_of("sim-arith", question, json!({})));
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.answer().contains("Answer: "));
    let usage = &reply.json["usage"];
    let told = |name: &str| usage[name].as_u64().unwrap();
    assert!(told("prompt_tokens") > 0 && told("completion_tokens") > 0);
    assert_eq!(told("total_tokens"), told("prompt_tokens") + told("completion_tokens"));
    assert!(usage["cost"].as_f64().unwrap() > 0.0);
    assert_eq!(usage["calls"], 1);
    assert_eq!(reply.json["baton"]["agent"], "sim-arith");

    let body = ask_of("sim-arith", question, json!({ "stream": true }));
    let events: Vec<_> = client.stream("/v1/chat/completions", &body).collect();
    assert_eq!(events.last().unwrap().data, "[DONE]");
    let chunks = events[..events.len() - 1].iter().map(Event::json);
    let text = |chunk: Value| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
    assert_eq!(chunks.filter_map(text).collect::<String>(), reply.answer());
    assert!(!is_listed(&client, question));
}

/// An address where nobody listens.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn a_step_fails_over_to_another_agent() {
    let sim = Baton::sim(&["--time-scale", "0"]).unwrap();
    let config = Config::new(&[
        provider("dead", &nowhere()),
        provider("sim", &sim.url()),
        agent("unreachable", "dead", "sim-arith"),
        agent("well", "sim", "sim-arith"),
    ]);
    let baton = config.up();
    let asked = json!({ "baton": { "strategy_parameters": { "agent": "unreachable" } } });
    let reply = client(&baton).chat(&ask("baton/direct", asked));
    assert_eq!(reply.status, 200, "{reply:?}");
    let report = &reply.json["baton"];
    assert_eq!(report["status"], "completed");
    let step = &steps(&rounds(report)[0])[0];
    assert_eq!(step["agent"], "well");
    let tasks = step["tasks"].as_array().unwrap();
    let told: Vec<_> = tasks.iter().map(|a| (&a["agent"], &a["status"])).collect();
    let (failed, done) = (json!("failed"), json!("done"));
    assert_eq!(told, [(&json!("unreachable"), &failed), (&json!("well"), &done)]);
    assert!(
        tasks[0]["failure"].as_str().is_some_and(|failure| failure.contains("connect")),
        "{step}"
    );
    adds_up(report, &reply.json["usage"]);

    let alone = json!({ "baton": { "allow": ["unreachable"] } });
    let reply = client(&baton).chat(&ask("baton/direct", alone));
    assert_eq!(
        (reply.status, &reply.json["error"]["code"]),
        (502, &json!("run_failed")),
        "{reply:?}"
    );
}

#[test]
fn a_dry_plan_costs_its_planning_and_begins_nothing() {
    let client = client(&QUICK);
    let question = "What is the value of (80 + 1) * 3?";
    let plan = client.post("/v1/plan", &ask_of("baton", question, json!({})));
    assert_eq!(plan.status, 200, "{plan:?}");
    let plan = plan.json;
    assert!(spent(&plan["planning"])[2] >= 1 && spent(&plan["planning"])[3] > 0, "{plan}");
    let steps = plan["workflow"]["steps"].as_array().unwrap();
    assert_eq!(steps.len(), plan["steps"].as_array().unwrap().len());
    let usd = |name: &str| plan[name]["usd"].as_f64().unwrap();
    assert!(usd("typical") > 0.0 && usd("typical") <= usd("at_most"), "{plan}");
    let named = client.post("/v1/plan", &ask_of("baton/reflect", question, json!({}))).json;
    assert_eq!(spent(&named["planning"]), [0; 4]);
    assert_eq!(named["workflow"]["steps"].as_array().unwrap().len(), 3);
    assert!(!is_listed(&client, question));
}

#[test]
fn a_malformed_plan_is_repaired_or_replaced() {
    let sim = Baton::sim(&["--time-scale", "0", "--malformed-rate", "1"]).unwrap();
    let agents = [agent("arith", "sim", "sim-arith"), agent("sage", "sim", "sim-sage")].concat();
    let planned = |policy: String, questions: usize| {
        let config = Config::new(&[provider("sim", &sim.url()), agents.clone(), policy]);
        let baton = config.up();
        let ask = |n: usize| {
            let question = format!("What is the value of ({n} + 4) * 5?");
            let reply = client(&baton).chat(&ask_of("baton", &question, json!({})));
            assert_eq!(reply.status, 200, "{reply:?}");
            assert_eq!(reply.json["baton"]["status"], "completed");
            adds_up(&reply.json["baton"], &reply.json["usage"]);
            rounds(&reply.json["baton"])[0].clone()
        };
        (0..questions).map(ask).collect::<Vec<_>>()
    };
    // Every first plan is malformed; what the reader cannot mend goes back.
    let repaired = planned(policy("sim"), 12);
    let mended = repaired.iter().filter(|round| round["planning"]["repairs"] == 0).count();
    let sent_back = repaired.iter().filter(|round| {
        let planning = &round["planning"];
        planning["repairs"].as_u64() > Some(0) && planning["status"] == "done"
    });
    let sent_back: Vec<_> = sent_back.collect();
    println!("{mended} read as they were, {} repaired", sent_back.len());
    assert!(!sent_back.is_empty(), "{repaired:?}");
    for round in sent_back {
        assert_eq!(round["source"], "policy");
        let calls = round["planning"]["repairs"].as_u64().unwrap() + 1;
        assert_eq!(round["planning"]["calls"], calls);
    }
    // A model that never writes a plan: its strategy stands in.
    let [replaced] =
        planned(policy("sim").replace("sim-conductor", "sim-null"), 1).try_into().unwrap();
    assert_eq!(replaced["source"], "fallback:direct");
    assert_eq!(replaced["planning"]["status"], "unreadable");
    assert_eq!(replaced["planning"]["calls"], 3, "one plan and two repairs: {replaced}");
    assert!(!replaced["planning"]["complaints"].as_array().unwrap().is_empty());
}
