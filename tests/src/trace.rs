//! A whole trace, as a collector has it, and what must hold of every one that is over.

use baton_testkit::otlp::{Collector, Span};
use std::collections::{BTreeMap, BTreeSet};

/// All spans of one trace.
pub struct Trace {
    /// In the order in which they came in.
    pub spans: Vec<Span>,
}

impl Trace {
    /// Once the request and the run are there: everything below the run is sent before it.
    pub fn of(collector: &Collector, run: &str, whole: impl Fn(&[Span]) -> bool) -> Self {
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
    pub fn doing(&self, operation: &str) -> Vec<&Span> {
        let doing = |span: &&Span| span.fact("gen_ai.operation.name") == operation;
        self.spans.iter().filter(doing).collect()
    }

    /// The span of this id, which must be there.
    pub fn get(&self, id: &str) -> &Span {
        self.spans.iter().find(|span| span.id == id).unwrap_or_else(|| panic!("no span {id}"))
    }

    /// Whether there is a span of this id.
    pub fn has(&self, id: Option<&str>) -> bool {
        self.spans.iter().any(|span| Some(span.id.as_str()) == id)
    }

    /// The span above, which must be there.
    pub fn parent(&self, span: &Span) -> &Span {
        self.get(span.parent.as_ref().unwrap())
    }

    /// The spans of steps.
    pub fn steps(&self) -> Vec<&Span> {
        let mut steps = self.doing("invoke_agent");
        steps.retain(|span| span.fact("openinference.span.kind") == "AGENT");
        steps
    }

    /// The spans of votes and checks.
    pub fn checks(&self) -> Vec<&Span> {
        let mut checks = self.doing("invoke_agent");
        checks.retain(|span| span.fact("openinference.span.kind") == "EVALUATOR");
        checks
    }

    /// One trace, no span twice, none without its parent, no link into nothing, and the tree
    /// of every request: who is under whom, from which service.
    pub fn check(&self, caller: Option<&str>) {
        let traces: BTreeSet<_> = self.spans.iter().map(|span| span.trace.as_str()).collect();
        assert_eq!(traces.len(), 1, "several traces: {traces:?}");
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
        let kind = span.fact("openinference.span.kind").as_str().unwrap_or(&span.kind);
        let doing = doing(span);
        let (services, above): (&[&str], &[&str]) = match (doing, kind) {
            ("HTTP", "server") => (&["baton-gateway"], &[]),
            ("RPC", "client") => (&["baton-gateway"], &["HTTP"]),
            ("RPC", "server") => (&["baton-conductor", "baton-worker-agent"], &["RPC"]),
            // Of a caller's own span, or of one that nobody lived to tell, nothing is known.
            ("invoke_workflow", "CHAIN") if !self.has(span.parent.as_deref()) => {
                (&["baton-conductor"], &[])
            }
            ("invoke_workflow", "CHAIN") => (&["baton-conductor"], &["HTTP", "invoke_workflow"]),
            ("plan", "CHAIN") => (&["baton-conductor"], &["invoke_workflow", "RPC"]),
            ("invoke_agent", "AGENT") => (&["baton-worker-agent"], &["invoke_workflow", "RPC"]),
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
            assert!(above.contains(&self::doing(parent)), "{span:#?} under {parent:#?}");
            if doing == "chat" {
                assert_eq!(span.resource, parent.resource, "a call is made by whoever asks");
            }
        }
    }
}

/// What a span is of.
fn doing(span: &Span) -> &str {
    let other = if span.fact("rpc.method").is_null() { "HTTP" } else { "RPC" };
    span.fact("gen_ai.operation.name").as_str().unwrap_or(other)
}

/// How often each value of a fact stands in the spans.
pub fn count(spans: &[&Span], fact: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for span in spans {
        *counts.entry(span.fact(fact).to_string()).or_default() += 1;
    }
    counts
}

/// Whether the request itself is told, which everything below a run is sent before.
pub fn has_request(spans: &[Span]) -> bool {
    spans.iter().any(|span| span.kind == "server")
}

/// Whether the request is told, and all that is named: processes send when they like.
pub fn is_whole(spans: &[Span]) -> bool {
    let ids: BTreeSet<_> = spans.iter().map(|span| span.id.as_str()).collect();
    let links = |span: &Span| span.links.iter().map(|link| link.span.clone()).collect::<Vec<_>>();
    let named = spans.iter().flat_map(|span| span.parent.clone().into_iter().chain(links(span)));
    has_request(spans) && named.into_iter().all(|id| ids.contains(id.as_str()))
}
