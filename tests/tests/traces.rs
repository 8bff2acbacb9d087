//! What Baton tells a collector: one request is one trace, whole, whoever is killed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly, as tests may"
)]

use baton_testkit::{
    baton::{Baton, command},
    cluster::Cluster,
    otlp::{Collector, Span},
    stores::LocalStores,
};
use baton_tests::{
    Client, ask,
    config::{Config, agent, policy, provider},
    end_of, report, until,
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::Path,
    process::Command,
    sync::mpsc,
    thread::spawn,
    time::Duration,
};

/// A trace that a caller begins.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
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

/// A trace, with what must hold of every trace that is over.
struct Trace {
    spans: Vec<Span>,
}

impl Trace {
    /// Once the request and the run are there: everything below the run is sent before it.
    fn of(collector: &Collector, run: &str, whole: impl Fn(&[Span]) -> bool) -> Self {
        let spans = collector.until("the whole trace", |spans| {
            let top = spans.iter().find(|span| {
                span.fact("baton.run") == run
                    && span.fact("gen_ai.operation.name") == "invoke_workflow"
            })?;
            let spans = spans.iter().filter(|span| span.trace == top.trace);
            let spans: Vec<_> = spans.cloned().collect();
            whole(&spans).then_some(spans)
        });
        Self { spans: spans.unwrap() }
    }

    /// The spans of one kind of work.
    fn doing(&self, operation: &str) -> Vec<&Span> {
        let doing = |span: &&Span| span.fact("gen_ai.operation.name") == operation;
        self.spans.iter().filter(doing).collect()
    }

    fn get(&self, id: &str) -> &Span {
        self.spans.iter().find(|span| span.id == id).unwrap_or_else(|| panic!("no span {id}"))
    }

    fn has(&self, id: Option<&str>) -> bool {
        self.spans.iter().any(|span| Some(span.id.as_str()) == id)
    }

    fn parent(&self, span: &Span) -> &Span {
        self.get(span.parent.as_ref().unwrap())
    }

    fn steps(&self) -> Vec<&Span> {
        let mut steps = self.doing("invoke_agent");
        steps.retain(|span| span.fact("openinference.span.kind") == "AGENT");
        steps
    }

    fn checks(&self) -> Vec<&Span> {
        let mut checks = self.doing("invoke_agent");
        checks.retain(|span| span.fact("openinference.span.kind") == "EVALUATOR");
        checks
    }

    /// No span twice, none without its parent, no link into nothing, and the tree of every
    /// request: who is under whom, from which service.
    fn check(&self, caller: Option<&str>) {
        let ids: BTreeSet<_> = self.spans.iter().map(|span| span.id.as_str()).collect();
        assert_eq!(ids.len(), self.spans.len(), "a span is there twice");
        for span in &self.spans {
            match span.parent.as_deref() {
                Some(parent) if Some(parent) == caller => {}
                Some(parent) => assert!(ids.contains(parent), "an orphan: {span:#?}"),
                None => assert!(caller.is_none(), "a second root: {span:#?}"),
            }
            for link in &span.links {
                assert_eq!(link.trace, span.trace);
                assert!(ids.contains(link.span.as_str()), "a link into nothing: {span:#?}");
            }
            assert!(span.start <= span.end, "{span:#?}");
            assert!(!span.resource["service.instance.id"].as_str().unwrap().is_empty());
            let usage = span.facts.keys().any(|name| name.starts_with("gen_ai.usage."));
            let chat = span.fact("gen_ai.operation.name") == "chat";
            assert!(chat || !usage, "usage is counted on leaves alone: {span:#?}");
            self.check_place(span);
        }
        let roots: Vec<_> = self.spans.iter().filter(|span| span.parent.is_none()).collect();
        assert_eq!(roots.len(), usize::from(caller.is_none()), "{roots:#?}");
    }

    fn check_place(&self, span: &Span) {
        let kind = span.fact("openinference.span.kind").as_str().unwrap_or("HTTP");
        let operation = span.fact("gen_ai.operation.name").as_str().unwrap_or("HTTP");
        let (services, above): (&[&str], &[&str]) = match (operation, kind) {
            ("HTTP", _) => (&["baton-gateway"], &[]),
            // Of a caller's own span, or of one that nobody lived to tell, nothing is known.
            ("invoke_workflow", "CHAIN") if !self.has(span.parent.as_deref()) => {
                (&["baton-conductor"], &[])
            }
            ("invoke_workflow", "CHAIN") => (&["baton-conductor"], &["HTTP", "invoke_workflow"]),
            ("plan", "CHAIN") => (&["baton-conductor"], &["invoke_workflow"]),
            ("invoke_agent", "AGENT") => (&["baton-worker-agent"], &["invoke_workflow", "HTTP"]),
            ("invoke_agent", "EVALUATOR") => (&["baton-verifier"], &["invoke_workflow"]),
            ("chat", "LLM") => (
                &["baton-conductor", "baton-worker-agent", "baton-verifier"],
                &["plan", "invoke_agent"],
            ),
            other => panic!("what is {other:?}? {span:#?}"),
        };
        assert!(services.contains(&span.service()), "{span:#?}");
        if !above.is_empty() {
            let parent = self.parent(span);
            let doing = parent.fact("gen_ai.operation.name").as_str().unwrap_or("HTTP");
            assert!(above.contains(&doing), "{span:#?} under {parent:#?}");
            if operation == "chat" {
                assert_eq!(span.resource, parent.resource, "a call is made by whoever asks");
            }
        }
    }
}

/// How often each value stands in the spans.
fn count(spans: &[&Span], fact: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for span in spans {
        *counts.entry(span.fact(fact).to_string()).or_default() += 1;
    }
    counts
}

fn has_request(spans: &[Span]) -> bool {
    spans.iter().any(|span| span.kind == "server")
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
    let trace = Trace::of(&collector, run, has_request);
    trace.check(Some(CALLER));
    assert!(trace.spans.iter().all(|span| span.trace == TRACE));

    let request = trace.spans.iter().find(|span| span.kind == "server").unwrap();
    assert_eq!(request.name, "POST /v1/chat/completions");
    assert_eq!(request.parent.as_deref(), Some(CALLER));
    assert_eq!(request.fact("http.response.status_code"), 200);
    assert_eq!(request.fact("baton.run"), run);
    let workflow = trace.doing("invoke_workflow")[0];
    assert_eq!(workflow.name, "invoke_workflow baton");
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
    assert_eq!(trace.doing("chat").len() as u64, calls);

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
        (spans.len() == 3).then_some(spans)
    });
    let trace = Trace { spans: spans.unwrap() };
    trace.check(None);
    let agents = trace.doing("invoke_agent");
    assert_eq!(trace.parent(agents[0]).kind, "server");
    assert_eq!(trace.parent(trace.doing("chat")[0]).id, agents[0].id);
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
}

#[test]
fn a_recursion_over_the_processes_of_a_cluster_is_one_whole_trace() {
    const DEPTH: usize = 3;
    let (stores, collector) = (LocalStores::start().unwrap(), Collector::grpc().unwrap());
    let sim = Baton::sim(&["--time-scale", "0"]).unwrap();
    let config = Config::new(&[
        provider("sim", &sim.url()),
        agent("arith", "sim", "sim-arith"),
        agent("sage", "sim", "sim-sage"),
        policy("sim").replace("sim-conductor", "sim-recursive"),
        "[budget]\ndepth = 4\ntokens = 1000000\ncalls = 100\n".into(),
    ]);
    let path = config.path();
    let (endpoint, words) = (collector.endpoint(), ["--config", path.to_str().unwrap()]);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ];
    let cluster = Cluster::start_in(&stores, 3, "0", &words, &variables).unwrap();
    let client = Client::new(cluster.gateways[0].url());
    let deep = json!({ "baton": { "budget": { "depth": DEPTH } } });
    let reply = client.chat(&ask("baton", deep));
    assert_eq!(reply.status, 200, "{reply:?}");
    let run = reply.header("x-request-id").unwrap();
    // Processes send when they like: it is whole when nothing that is named is missing.
    let whole = |spans: &[Span]| {
        let ids: BTreeSet<_> = spans.iter().map(|span| span.id.as_str()).collect();
        let named = spans
            .iter()
            .flat_map(|span| span.parent.iter().chain(span.links.iter().map(|link| &link.span)));
        has_request(spans) && named.into_iter().all(|id| ids.contains(id.as_str()))
    };
    let trace = Trace::of(&collector, run, whole);
    trace.check(None);
    let workflows = trace.doing("invoke_workflow");
    assert_eq!(workflows.len(), DEPTH + 1);
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
    }
    let services: BTreeSet<_> = trace.spans.iter().map(Span::service).collect();
    for service in ["baton-conductor", "baton-gateway", "baton-worker-agent"] {
        assert!(services.contains(service), "{services:?}");
    }
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
    assert_eq!(client.chat(&ask("baton", wrong)).status, 200);
    let reply = Client::new(metrics_of(&baton)).get("/metrics");
    assert!(reply.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let page = reply.json.as_str().unwrap();
    for line in [
        "baton_http_requests_total{route=\"/v1/chat/completions\",status=\"200\"} 1",
        "baton_runs_submitted_total{tenant=\"default\",known=\"no\"} 1",
        "baton_runs_ended_total{tenant=\"default\",status=\"incomplete\",reason=\"not_accepted\"} 1",
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
