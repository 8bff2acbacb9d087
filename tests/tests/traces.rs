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
use baton_tests::{Client, ask, end_of};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

/// A trace that a caller begins.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn up(data: &Path, collector: &Collector, more: &[(&str, &str)]) -> Command {
    let mut command = command(["up", "--listen", "127.0.0.1:0", "--simulated"]).unwrap();
    command.args(["--sim-time-scale", "0", "--data"]).arg(data);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
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
            ("invoke_workflow", "CHAIN") => (&["baton-conductor"], &["HTTP"]),
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
    let baton = Baton::start(up(data.path(), &collector, &[])).unwrap();
    let client = Client::new(baton.url());
    let traced = client.with("traceparent", &format!("00-{TRACE}-{CALLER}-01"));
    let wrong = json!({ "baton": { "verify": { "expected": "no such answer" }, "rounds": 3 } });
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
    assert_eq!(workflow.fact("baton.rounds"), 3);
    assert_eq!(workflow.fact("baton.status"), "incomplete");
    assert_eq!(workflow.fact("baton.reason"), "not_accepted");

    // As the report has it: the rounds, their steps, the calls.
    let report = end_of(&client, run);
    let rounds = report["rounds"].as_array().unwrap();
    let each_round = |n: usize| BTreeMap::from([0, 1, 2].map(|r: usize| (r.to_string(), n)));
    assert_eq!(count(&trace.doing("plan"), "baton.round"), each_round(1));
    let checks = trace.checks();
    let answers = checks.iter().filter(|check| check.name == "invoke_agent text.exact/1");
    assert_eq!(answers.count(), 3);
    for (number, round) in rounds.iter().enumerate() {
        let steps = round["steps"].as_array().unwrap().len();
        let told = trace.steps();
        let told = told.iter().filter(|span| span.fact("baton.round") == number);
        assert_eq!(told.count(), steps, "{round}");
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
