//! The span of an attempt at a task.
//!
//! A task is carried out by one attempt at last; others may have been lost on the way, to a
//! crash or to a pause. The attempt whose outcome is recorded is known by its key, which
//! every process can work out. One that was lost is told by whoever follows it, since the
//! one that it happened to may be dead; if that one lives after all, it tells its part under
//! an id of its own. So a trace has no span twice, and none whose parent is missing.

use crate::{Leased, LedgerError, Recorded};
use baton_telemetry::{Attribute, Carrier, Parent, Place, Span, SpanKey, Tracer, names};
use baton_workflow::RunId;

/// An open span. Costs nothing where nothing is exported.
pub struct TaskSpan {
    span: Span,
    run: RunId,
    root: RunId,
}

impl Leased {
    /// Where the task's run stands in its trace.
    pub fn place(&self) -> Place<'_> {
        let traceparent = Carrier::Tasks.hand_on(self.traceparent.as_deref());
        Place { run: &self.task.run, root: &self.root, traceparent }
    }
}

impl TaskSpan {
    /// The attempt begins. The facts hold for all attempts at the task.
    pub fn open(
        tracer: &Tracer,
        leased: &Leased,
        name: impl Fn() -> String,
        facts: impl Fn(&mut Span),
    ) -> Self {
        let (run, root) = (leased.task.run.clone(), leased.root.clone());
        if !tracer.is_on() {
            return Self { span: Span::default(), run, root };
        }
        let attempt = leased.token.attempt;
        let facts = |span: &mut Span, attempt: u32| {
            facts(span);
            span.set(names::TENANT, leased.tenant.as_str());
            span.set(names::RUN, run.as_str());
            span.set(names::ROOT, root.as_str());
            span.set(names::TASK, leased.task.number);
            span.set(names::ATTEMPT, attempt);
        };
        let mut span = tracer.task(leased.place(), name());
        facts(&mut span, attempt);
        if attempt > 1 {
            let (task, last) = (leased.task.number, attempt - 1);
            let key = SpanKey::Lost { task, attempt: last };
            let mut lost = tracer.lost(leased.place(), name(), key);
            facts(&mut lost, last);
            lost.finish();
            span.link(&run, key, "last_attempt");
        }
        Self { span, run, root }
    }

    /// What the attempt's calls are made under.
    pub fn as_parent(&self) -> Parent {
        self.span.as_parent().in_conversation(&self.root)
    }

    /// Whether what is said may be exported too.
    pub fn wants_contents(&self) -> bool {
        self.span.as_parent().wants_contents()
    }

    /// States a fact.
    pub fn set(&mut self, key: &'static str, value: impl Into<Attribute>) {
        self.span.set(key, value);
    }

    /// Gives it another name.
    pub fn rename(&mut self, name: String) {
        self.span.rename(name);
    }

    /// Something that happened in it.
    pub fn event(&mut self, name: &'static str, facts: Vec<(&'static str, Attribute)>) {
        self.span.event(name, facts);
    }

    /// It came to nothing: by a stable name, and in words.
    pub fn fail(&mut self, kind: &str, message: &str) {
        if self.span.is_open() {
            self.span.fail(kind, message.to_owned());
        }
    }

    /// The attempt is over, and what the ledger says of its outcome: one that is recorded is
    /// known by this key.
    pub fn end(mut self, key: SpanKey, recorded: &Result<Recorded, LedgerError>) {
        match recorded {
            Ok(Recorded::Now | Recorded::AlreadyDone) => self.span.finish_as(&self.run, key),
            Err(error) => {
                self.fail("lease_lost", &error.to_string());
                self.span.finish();
            }
        }
    }
}
