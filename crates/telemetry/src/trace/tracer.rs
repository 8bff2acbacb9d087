//! Opens spans on behalf of a service.

use super::{
    environment::Environment,
    export::{self, Queue},
    place::{Place, SpanKey},
    span::{Span, SpanKind, draw},
};
use crate::{Metrics, TelemetryError, TraceParent};
use opentelemetry::{
    Context, TraceFlags,
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SamplingDecision, ShouldSample};
use std::{borrow::Cow, sync::Arc};

/// Names the source of all spans, whichever service opens them.
pub(super) const SCOPE: &str = "baton";

/// The way that spans of this process take. Clones are the same.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<Exporting>>);

struct Exporting {
    queue: Queue,
    environment: Environment,
}

/// A service that opens spans.
pub(super) struct Service {
    pub(super) index: usize,
    pub(super) traces: Queue,
    /// Whether what is said is exported too.
    pub(super) contents: bool,
    instance: String,
    sampler: Box<dyn ShouldSample>,
}

impl Traces {
    /// Nothing is exported.
    pub fn off() -> Self {
        Self(None)
    }

    /// As the environment's `OTEL_` variables say: nothing is exported where they name no
    /// collector. Within a runtime.
    ///
    /// # Errors
    /// Variables that no exporter can be made of.
    pub fn from_env(metrics: &Metrics) -> Result<Self, TelemetryError> {
        let Some(environment) = Environment::read(|name| std::env::var(name).ok()) else {
            return Ok(Self(None));
        };
        // Every service has an exporter like this one. Whether there can be any is known now.
        drop(export::exporter().map_err(TelemetryError::Exporter)?);
        let queue = Queue::start(environment.batches, metrics);
        Ok(Self(Some(Arc::new(Exporting { queue, environment }))))
    }

    /// For a service of this process: its kind, such as `gateway`, and what tells it from
    /// others of the kind.
    pub fn service(&self, kind: &str, instance: &str) -> Tracer {
        let Some(Exporting { queue, environment }) = self.0.as_deref() else {
            return Tracer::off();
        };
        let resource = environment.resource(kind, instance);
        Tracer(Some(Arc::new(Service {
            index: queue.service(resource),
            traces: queue.clone(),
            contents: environment.contents,
            instance: instance.to_owned(),
            sampler: environment.sampler.clone(),
        })))
    }

    /// Exports what waits, for a bounded time.
    pub async fn flush(&self) {
        if let Some(exporting) = &self.0 {
            exporting.queue.flush().await;
        }
    }
}

/// Opens spans of one service. Clones are the same.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Service>>);

#[cfg(test)]
impl Tracer {
    /// One whose spans are brought nowhere.
    pub(super) fn held(traces: Queue, sampler: opentelemetry_sdk::trace::Sampler) -> Self {
        let (instance, sampler) = ("test-1".into(), Box::new(sampler));
        Self(Some(Arc::new(Service { index: 0, traces, contents: false, instance, sampler })))
    }
}

impl Tracer {
    /// Opens none.
    pub fn off() -> Self {
        Self(None)
    }

    /// Whether any is exported.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whatever is done for one request: in the caller's trace, or in a new one.
    pub fn request(
        &self,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        caller: Option<TraceParent>,
    ) -> Span {
        let Some(service) = &self.0 else { return Span::default() };
        let trace_id = caller.map_or_else(|| rand::random::<u128>().max(1), TraceParent::trace_id);
        let Some(trace) = service.place(trace_id, caller, draw()) else { return Span::default() };
        let parent = caller.map(|caller| (caller.span_id(), true));
        Span::open(service, trace, parent, name.into(), kind)
    }

    /// What tells the service from others of its kind; nothing where nothing is exported.
    pub fn instance(&self) -> Option<&str> {
        self.0.as_ref().map(|service| service.instance.as_str())
    }

    /// A whole run, under whatever asked for it. A gateway that asked for it and is gone, as
    /// `is_there` says of its name, has told nothing.
    pub fn run(
        &self,
        place: Place<'_>,
        name: impl Into<Cow<'static, str>>,
        is_there: impl FnOnce(&str) -> bool,
    ) -> Span {
        let Some(service) = &self.0 else { return Span::default() };
        let (trace_id, given) = place.trace();
        let id = SpanKey::Run.id(place.run);
        let Some(trace) = service.place(trace_id, given, id) else { return Span::default() };
        let parent = place.above(is_there).map(|id| (id, true));
        Span::open(service, trace, parent, name.into(), SpanKind::Internal)
    }

    /// An attempt at a task of a run. What it is known by is said at its end, with
    /// [`Span::finish_as`], once it is recorded that this attempt counts.
    pub fn task(&self, place: Place<'_>, name: impl Into<Cow<'static, str>>) -> Span {
        self.below(place, name.into(), draw())
    }

    /// An attempt whose holder lost it, told by whoever follows: the one that it happened
    /// to may be dead. It has no length, because nobody knows when it began.
    pub fn lost(&self, place: Place<'_>, name: impl Into<Cow<'static, str>>, key: SpanKey) -> Span {
        let mut span = self.below(place, name.into(), key.id(place.run));
        span.fail("lease_lost", "the process that held the task died, or was not heard of in time");
        span
    }

    fn below(&self, place: Place<'_>, name: Cow<'static, str>, id: u64) -> Span {
        let Some(service) = &self.0 else { return Span::default() };
        let (trace_id, given) = place.trace();
        let Some(trace) = service.place(trace_id, given, id) else { return Span::default() };
        let parent = Some((SpanKey::Run.id(place.run), true));
        Span::open(service, trace, parent, name, SpanKind::Internal)
    }
}

impl Service {
    /// A span of a trace, sampled or not.
    fn place(&self, trace_id: u128, above: Option<TraceParent>, id: u64) -> Option<TraceParent> {
        let trace = TraceId::from_bytes(trace_id.to_be_bytes());
        let context = above.map(|above| {
            let flags =
                if above.is_sampled() { TraceFlags::SAMPLED } else { TraceFlags::default() };
            let id = SpanId::from_bytes(above.span_id().to_be_bytes());
            let above = SpanContext::new(trace, id, flags, true, TraceState::default());
            Context::new().with_remote_span_context(above)
        });
        let kind = opentelemetry::trace::SpanKind::Internal;
        let sampling = self.sampler.should_sample(context.as_ref(), trace, "", &kind, &[], &[]);
        let sampled = sampling.decision == SamplingDecision::RecordAndSample;
        TraceParent::new_root(trace_id, id, sampled)
    }
}
