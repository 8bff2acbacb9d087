//! What Baton tells a collector: one request is one trace, whole, whoever is killed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly, as tests may"
)]

use baton_testkit::{
    baton::{Baton, command},
    otlp::{Collector, Span},
};
use baton_tests::{
    Client, ask,
    config::{Config, agent, provider},
    end_of, report,
    trace::{Trace, count, has_request},
    until,
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::Command,
    sync::mpsc,
    thread::spawn,
    time::Duration,
};

/// A trace that a caller begins.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const LOOKING: &str = "4bf92f3577b34da6a3ce929d0e0e4737";
const CALLER: &str = "00f067aa0ba902b7";

/// Simulated models that answer at once.
const AT_ONCE: [&str; 3] = ["--simulated", "--sim-time-scale", "0"];
/// Slow enough to be caught at it.
const SLOWLY: [&str; 3] = ["--simulated", "--sim-time-scale", "1"];

fn up(data: &Path, endpoint: &str, args: &[&str], more: &[(&str, &str)]) -> Command {
    let mut command = command(["up", "--listen", "127.0.0.1:0", "--data"]).unwrap();
    command.arg(data).args(args);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    command.env("OTEL_BSP_SCHEDULE_DELAY", "50");
    more.iter().for_each(|(name, value)| {
        command.env(name, value);
    });
    command
}

#[test]
fn a_request_with_corrective_rounds_is_one_whole_trace() {
    let (collector, data) = (Collector::grpc().unwrap(), tempfile::tempdir().unwrap());
    let baton = Baton::start(up(data.path(), &collector.endpoint(), &AT_ONCE, &[])).unwrap();
    let client = Client::new(baton.url());
    let traced = client.with("traceparent", &format!("00-{TRACE}-{CALLER}-01"));
    let wrong = json!({ "baton": {
        "verify": { "expected": "no such answer" }, "rounds": 3, "budget": { "depth": 0 },
    } });
    let reply = traced.chat(&ask("baton", wrong));
    assert_eq!(reply.status, 200, "{reply:?}");
    let run = reply.header("x-request-id").unwrap();
    // Who looks in a trace of its own is told of there, and others are not.
    let looks = client.with("traceparent", &format!("00-{LOOKING}-{CALLER}-01"));
    let look = format!("/v1/runs/{run}");
    assert_eq!((looks.get(&look).status, client.get(&look).status), (200, 200));
    let looked = collector.until("the look", |spans| {
        spans.iter().find(|span| span.fact("http.request.method") == "GET").cloned()
    });
    let looked = looked.unwrap();
    assert_eq!(looked.name, "GET /v1/runs/{id}");
    assert_eq!((looked.trace.as_str(), looked.parent.as_deref()), (LOOKING, Some(CALLER)));
    let trace = Trace::of(&collector, run, has_request);
    trace.check(Some(CALLER));
    assert!(trace.spans.iter().all(|span| span.trace == TRACE));

    let request = trace.spans.iter().find(|span| span.kind == "server").unwrap();
    assert_eq!(request.name, "POST /v1/chat/completions");
    assert_eq!(request.parent.as_deref(), Some(CALLER));
    assert_eq!(request.fact("http.response.status_code"), 200);
    assert_eq!(request.fact("baton.run"), run);
    let submit = trace.spans.iter().find(|span| span.name == "baton.v1.Conductor/Submit").unwrap();
    assert_eq!((submit.kind.as_str(), trace.parent(submit).id.as_str()), ("client", &*request.id));
    is_answered(submit, "OK");
    let workflow = trace.doing("invoke_workflow")[0];
    assert_eq!(workflow.name, "invoke_workflow baton");
    assert_eq!(workflow.fact("gen_ai.conversation.id"), run);
    // It gives up where it makes no progress.
    let begun = workflow.fact("baton.rounds").as_u64().unwrap() as usize;
    assert!(begun >= 2, "{workflow:#?}");
    assert_eq!(workflow.fact("baton.status"), "incomplete");

    // As the report has it: the rounds, their steps, the calls.
    let report = end_of(&client, run);
    let rounds = report["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), begun);
    let each_round: BTreeMap<_, _> = (0..begun).map(|round| (round.to_string(), 1)).collect();
    assert_eq!(count(&trace.doing("plan"), "baton.round"), each_round);
    let checks = trace.checks();
    let answers = checks.iter().filter(|check| check.name == "invoke_agent text.exact/1");
    assert_eq!(answers.count(), begun);
    for (number, round) in rounds.iter().enumerate() {
        // Steps that were kept from the round before are nobody's work in this one.
        let steps = round["steps"].as_array().unwrap().len();
        let told = trace.steps();
        let told = told.iter().filter(|span| span.fact("baton.round") == number).count();
        assert!(told <= steps && (number > 0 || told == steps), "{told} of {round}");
    }
    let calls = report["usage"]["calls"].as_u64().unwrap();
    let chats = trace.doing("chat");
    assert_eq!(chats.len() as u64, calls);
    for chat in &chats {
        assert_eq!(chat.fact("gen_ai.conversation.id"), run);
        assert_eq!(chat.fact("server.address"), "127.0.0.1");
        assert!(chat.fact("server.port").as_u64().unwrap() > 0);
        assert!(chat.fact("gen_ai.response.id").as_str().unwrap().starts_with("chatcmpl-"));
    }

    // What follows from what.
    let links = |span: &Span| -> Vec<String> {
        let what = span.links.iter().map(|link| link.facts["baton.link"].to_string());
        what.map(|text| text.trim_matches('"').to_owned()).collect()
    };
    for plan in trace.doing("plan") {
        let later = plan.fact("baton.round") != 0;
        assert_eq!(links(plan), vec!["verdict"; usize::from(later)]);
    }
    for check in &checks {
        assert!(links(check).iter().all(|what| what == "candidate") && !check.links.is_empty());
        let (name, result) = &check.events[0];
        assert_eq!(name, "gen_ai.evaluation.result");
        assert_eq!(result.get("gen_ai.evaluation.explanation"), None, "contents are off");
    }
    let inputs = trace.steps().iter().flat_map(|step| links(step)).filter(|w| w == "input").count();
    assert!(inputs > 0, "no step has an input");
    no_contents(&trace);
}

/// A call between services that ended so.
fn is_answered(call: &Span, status: &str) {
    assert_eq!(call.fact("rpc.system.name"), "grpc", "{call:#?}");
    assert_eq!(call.fact("rpc.method"), call.name.as_str());
    assert_eq!(call.fact("rpc.response.status_code"), status, "{call:#?}");
    assert_eq!(call.fact("server.address"), "127.0.0.1");
    assert!(call.fact("server.port").as_u64().unwrap() > 0);
    assert_eq!(call.failed, status != "OK" && call.kind == "client", "{call:#?}");
}

/// Nothing that was said, by whomever.
fn no_contents(trace: &Trace) {
    let told = format!("{:?}", trace.spans);
    for said in ["(3 + 4)", "Answer:", "no such answer", "gen_ai.input", "gen_ai.output.messages"] {
        assert!(!told.contains(said), "{said:?} is told");
    }
}

#[test]
fn a_run_goes_on_in_its_trace_when_everybody_was_killed() {
    let (collector, data) = (Collector::grpc().unwrap(), tempfile::tempdir().unwrap());
    let start =
        |args: &[&str]| Baton::start(up(data.path(), &collector.endpoint(), args, &[])).unwrap();
    let baton = start(&SLOWLY);
    let client = Client::new(baton.url());
    let traced = client.with("traceparent", &format!("00-{TRACE}-{CALLER}-01"));
    // The request is never answered, so that its span is never told.
    let body = ask("baton/plan_execute_verify", json!({ "stream": true }));
    let stream = traced.stream("/v1/chat/completions", &body);
    let run = stream.header("x-request-id").unwrap().to_owned();
    until("a step to be in work", || {
        let report = report(&client, &run);
        let steps = report["rounds"][0]["steps"].as_array()?;
        steps.iter().any(|step| step["status"] == "running").then_some(())
    });
    baton.kill().unwrap();
    drop(stream);

    let baton = start(&AT_ONCE);
    let client = Client::new(baton.url());
    let report = end_of(&client, &run);
    assert_eq!(report["status"], "completed", "{report}");
    let trace = Trace::of(&collector, &run, |_| true);
    trace.check(Some(CALLER));
    assert!(trace.spans.iter().all(|span| span.trace == TRACE));
    let workflow = trace.doing("invoke_workflow")[0];
    assert_eq!(workflow.parent.as_deref(), Some(CALLER), "the gateway took its span along");
    let second = trace.steps().into_iter().find(|step| step.fact("baton.attempt") == 2).unwrap();
    let first = trace.get(&second.links.last().unwrap().span);
    assert_eq!(first.fact("error.type"), "lease_lost");
    assert_eq!(first.fact("baton.attempt"), 1);
    assert_eq!(first.fact("baton.task"), second.fact("baton.task"));
}

/// Negative controls: the check of whole traces sees each border at which one can be lost.
#[test]
fn a_trace_that_is_lost_at_a_border_is_seen() {
    for (border, seen) in [
        ("none", None),
        ("metadata", Some("several traces")),
        ("tasks", Some("several traces")),
        ("journals", Some("several traces")),
    ] {
        let (collector, data) = (Collector::grpc().unwrap(), tempfile::tempdir().unwrap());
        let cut = [("BATON_CUT_TRACE", border)];
        let baton = Baton::start(up(data.path(), &collector.endpoint(), &AT_ONCE, &cut)).unwrap();
        let client = Client::new(baton.url());
        let traced = client.with("traceparent", &format!("00-{TRACE}-{CALLER}-01"));
        assert_eq!(traced.chat(&ask("baton", json!({}))).status, 200);
        let spans = collector.until("the request and its run", |spans| {
            let has_run = spans.iter().any(|span| span.name == "invoke_workflow baton");
            (has_run && has_request(spans)).then(|| spans.to_vec())
        });
        let trace = Trace { spans: spans.unwrap() };
        let checked = catch_unwind(AssertUnwindSafe(|| trace.check(Some(CALLER))));
        let fault = checked.err().map(|fault| *fault.downcast::<String>().unwrap());
        let is_right = match (&fault, seen) {
            (None, None) => true,
            (Some(fault), Some(seen)) => fault.contains(seen),
            (None, Some(_)) | (Some(_), None) => false,
        };
        assert!(is_right, "cut at {border}: {fault:?}");
    }
}

#[test]
fn streams_and_direct_calls_are_told_over_http_with_contents_for_whoever_asks() {
    let (collector, data) = (Collector::http().unwrap(), tempfile::tempdir().unwrap());
    let more = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ];
    let baton = Baton::start(up(data.path(), &collector.endpoint(), &AT_ONCE, &more)).unwrap();
    let client = Client::new(baton.url());
    let body = ask("baton/direct", json!({ "stream": true }));
    let stream = client.stream("/v1/chat/completions", &body);
    let run = stream.header("x-request-id").unwrap().to_owned();
    assert_eq!(stream.last().unwrap().data, "[DONE]");
    let trace = Trace::of(&collector, &run, has_request);
    trace.check(None);
    let request = trace.spans.iter().find(|span| span.kind == "server").unwrap();
    assert!(!request.failed, "{request:#?}");
    let workflow = trace.doing("invoke_workflow")[0];
    assert!(request.end >= workflow.start, "a stream is answered when it is whole");
    for chat in trace.doing("chat") {
        let said = chat.fact("gen_ai.input.messages").as_str().unwrap();
        assert!(said.contains("(3 + 4)"), "{chat:#?}");
        assert!(chat.fact("gen_ai.output.messages").as_str().unwrap().contains("finish_reason"));
        assert!(chat.fact("gen_ai.usage.input_tokens").as_u64().unwrap() > 0);
        assert_eq!(chat.resource["deployment.environment.name"], "test");
    }

    let models = client.get("/v1/models").json;
    let models = models["data"].as_array().unwrap().iter();
    let agent =
        models.map(|model| model["id"].as_str().unwrap()).find(|id| !id.starts_with("baton"));
    assert_eq!(client.chat(&ask(agent.unwrap(), json!({}))).status, 200);
    let spans = collector.until("a direct call", |spans| {
        let apart = |span: &&Span| span.trace != workflow.trace;
        let spans: Vec<_> = spans.iter().filter(apart).cloned().collect();
        (spans.len() == 5).then_some(spans)
    });
    let trace = Trace { spans: spans.unwrap() };
    trace.check(None);
    let agents = trace.doing("invoke_agent");
    is_below_a_call(&trace, agents[0], "baton.v1.WorkerAgent/Chat");
    let chat = trace.doing("chat")[0];
    assert_eq!(trace.parent(chat).id, agents[0].id);
    assert!(chat.fact("gen_ai.conversation.id").is_null(), "it is part of no run");

    let traced = client.with("traceparent", &format!("00-{TRACE}-{CALLER}-01"));
    assert_eq!(traced.post("/v1/plan", &ask("baton", json!({}))).status, 200);
    let spans = collector.until("a plan", |spans| {
        let spans: Vec<_> = spans.iter().filter(|span| span.trace == TRACE).cloned().collect();
        has_request(&spans).then_some(spans)
    });
    let trace = Trace { spans: spans.unwrap() };
    trace.check(Some(CALLER));
    is_below_a_call(&trace, trace.doing("plan")[0], "baton.v1.Conductor/Plan");
}

/// Work that a gateway asked another service for: both sides of the call are above it.
fn is_below_a_call(trace: &Trace, work: &Span, method: &str) {
    let server = trace.parent(work);
    let client = trace.parent(server);
    assert_eq!((server.kind.as_str(), client.kind.as_str()), ("server", "client"));
    assert_eq!((server.name.as_str(), client.name.as_str()), (method, method));
    assert_eq!((server.service(), client.service()), (work.service(), "baton-gateway"));
    assert_eq!(server.fact("server.port"), client.fact("server.port"));
    assert!(client.start <= server.start && server.start <= work.start);
    is_answered(server, "OK");
    is_answered(client, "OK");
    assert_eq!(trace.parent(client).fact("http.response.status_code"), 200);
}

#[test]
fn a_trace_that_its_caller_does_not_record_is_not_told() {
    let (collector, data) = (Collector::grpc().unwrap(), tempfile::tempdir().unwrap());
    let baton = Baton::start(up(data.path(), &collector.endpoint(), &AT_ONCE, &[])).unwrap();
    let client = Client::new(baton.url());
    let dark = client.with("traceparent", &format!("00-{TRACE}-{CALLER}-00"));
    assert_eq!(dark.chat(&ask("baton/direct", json!({}))).status, 200);
    let told = client.chat(&ask("baton/direct", json!({})));
    Trace::of(&collector, told.header("x-request-id").unwrap(), has_request).check(None);
    assert!(collector.spans().iter().all(|span| span.trace != TRACE));
}

#[test]
fn a_collector_that_is_not_there_holds_nothing_up() {
    let data = tempfile::tempdir().unwrap();
    // Nobody listens there: the port is given back at once.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let more = [("BATON_METRICS_LISTEN", "127.0.0.1:0"), ("OTEL_BSP_MAX_QUEUE_SIZE", "20")];
    let endpoint = format!("http://{nobody}");
    let baton = Baton::start(up(data.path(), &endpoint, &AT_ONCE, &more)).unwrap();
    let client = Client::new(baton.url());
    let metrics = Client::new(metrics_of(&baton));
    until("spans to be dropped and given up", || {
        assert_eq!(client.chat(&ask("baton/direct", json!({}))).status, 200);
        let page = metrics.get("/metrics").json.as_str().unwrap().to_owned();
        let some = |how: &str| {
            let line = format!("baton_spans_total{{outcome=\"{how}\"}} ");
            page.split_once(&line).is_some_and(|(_, rest)| !rest.starts_with('0'))
        };
        (some("failed") && some("dropped")).then_some(())
    });
    baton.signal("INT").unwrap();
    let (status, said) = baton.wait(Duration::from_secs(30)).unwrap();
    assert!(status.success(), "{said}");
    assert_eq!(said.matches("spans are not exported").count(), 1, "{said}");
}

/// Where a process shows its metrics.
fn metrics_of(baton: &Baton) -> String {
    until("the metrics' address", || {
        let said = baton.stderr();
        let (_, rest) = said.split_once("metrics are shown")?;
        let (_, rest) = rest.split_once("http://")?;
        Some(format!("http://{}", rest.split_once("/metrics")?.0))
    })
}

#[test]
fn providers_are_told_nothing_of_the_trace() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (heads, heard) = mpsc::channel();
    spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            let _wanted = heads.send(head.join("\n").to_lowercase());
            let refusal = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
            let _told = (&stream).write_all(refusal.as_bytes());
        }
    });
    let (collector, data) = (Collector::grpc().unwrap(), tempfile::tempdir().unwrap());
    let config = Config::new(&[provider("p", &url), agent("a", "p", "m")]);
    let path = config.path();
    let args = ["--config", path.to_str().unwrap()];
    let baton = Baton::start(up(data.path(), &collector.endpoint(), &args, &[])).unwrap();
    let client = Client::new(baton.url());
    let traced = client.with("traceparent", &format!("00-{TRACE}-{CALLER}-01"));
    let traced = traced.with("tracestate", "a=b").with("baggage", "user=ada");
    traced.chat(&ask("a", json!({})));
    let head = heard.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(head.starts_with("post /v1/chat/completions"), "{head}");
    for name in ["traceparent", "tracestate", "baggage", TRACE] {
        assert!(!head.contains(name), "{head}");
    }
    let failed = collector
        .until("the call", |spans| spans.iter().find(|span| span.name == "chat m").cloned());
    let failed = failed.unwrap();
    assert!(failed.failed && failed.trace == TRACE, "{failed:#?}");
    let calls = collector.until("both sides of the call", |spans| {
        let chat = |span: &&Span| span.name == "baton.v1.WorkerAgent/Chat";
        let calls: Vec<_> = spans.iter().filter(chat).cloned().collect();
        (calls.len() == 2).then_some(calls)
    });
    // Refused, which is no fault of the worker-agent's.
    calls.unwrap().iter().for_each(|call| is_answered(call, "INVALID_ARGUMENT"));
}

#[test]
fn every_service_shows_what_it_does() {
    let data = tempfile::tempdir().unwrap();
    let mut command = command(["up", "--listen", "127.0.0.1:0", "--data"]).unwrap();
    command.arg(data.path()).args(AT_ONCE).args(["--metrics-listen", "127.0.0.1:0"]);
    let baton = Baton::start(command).unwrap();
    let client = Client::new(baton.url());
    let wrong = json!({ "baton": {
        "verify": { "expected": "no such answer" }, "rounds": 2, "budget": { "depth": 0 },
    } });
    let reply = client.chat(&ask("baton", wrong));
    assert_eq!(reply.status, 200);
    // `no_progress` where both answers say the same, else `not_accepted`.
    let reason = reply.json["baton"]["reason"]["code"].as_str().unwrap().to_owned();
    let ended = format!(
        "baton_runs_ended_total{{tenant=\"default\",status=\"incomplete\",reason=\"{reason}\"}} 1"
    );
    let reply = Client::new(metrics_of(&baton)).get("/metrics");
    assert!(reply.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let page = reply.json.as_str().unwrap();
    for line in [
        "baton_http_requests_total{route=\"/v1/chat/completions\",status=\"200\"} 1",
        "baton_runs_submitted_total{tenant=\"default\",known=\"no\"} 1",
        ended.as_str(),
        "baton_run_rounds_sum{} 2.0",
        "baton_run_depth_sum{} 0.0",
        "baton_plans_total{outcome=\"planned\"} 2",
        "baton_verdicts_total{verifier=\"text.exact/1\",verdict=\"fail\"} 2",
        "baton_runs_unfinished{} 0.0",
        "baton_runs_kept{} 1.0",
        "baton_leases_granted_total{class=\"plan\"} 2",
        "baton_ledger_seconds_count{operation=\"submit\"} 1",
        "baton_http_requests_under_way{} 0.0",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    for begin in [
        "baton_steps_total{",
        "baton_calls_total{",
        "baton_call_tokens_total{",
        "baton_call_usd_total{",
    ] {
        assert!(page.contains(begin), "{begin} is not in\n{page}");
    }
    assert!(page.ends_with("# EOF\n"));
    // Nothing but what Prometheus asks for, and nothing for whoever did not ask.
    assert_eq!(client.get("/metrics").status, 404);
}
