//! A span while it is open.

use super::{
    place::SpanKey,
    tracer::{SCOPE, Service},
};
use crate::{TraceParent, names};
use baton_workflow::{RunId, Timestamp};
use opentelemetry::{
    Array, InstrumentationScope, KeyValue, StringValue, TraceFlags, Value,
    trace::{Event, Link, SpanContext, SpanId, Status, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use std::{
    borrow::Cow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Attributes, links and events of one span; what is above is counted and left out.
const ATTRIBUTES_MAX: usize = 128;
const LINKS_MAX: usize = 128;
const EVENTS_MAX: usize = 128;
/// Longest text of an attribute, in bytes; of longer ones the beginning is kept. Collectors
/// refuse requests of more than 4 MiB.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Spans of one task that wait for its end. Each is a call, of which a task makes few.
const CHILDREN_MAX: usize = 256;

/// What a span is to those on its other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Asked by somebody outside.
    Server,
    /// Asks somebody outside.
    Client,
    /// Neither.
    Internal,
}

/// A fact about a span.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// A text.
    Text(String),
    /// A number.
    Whole(i64),
    /// A number.
    Real(f64),
    /// Yes or no.
    Truth(bool),
    /// Texts.
    Texts(Vec<String>),
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Attribute {
    fn from(number: i64) -> Self {
        Self::Whole(number)
    }
}

impl From<u64> for Attribute {
    fn from(number: u64) -> Self {
        Self::Whole(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Attribute {
    fn from(number: u32) -> Self {
        Self::Whole(number.into())
    }
}

impl From<u16> for Attribute {
    fn from(number: u16) -> Self {
        Self::Whole(number.into())
    }
}

impl From<usize> for Attribute {
    fn from(number: usize) -> Self {
        (number as u64).into()
    }
}

impl From<f64> for Attribute {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<bool> for Attribute {
    fn from(truth: bool) -> Self {
        Self::Truth(truth)
    }
}

impl From<Vec<String>> for Attribute {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}

impl From<Attribute> for Value {
    fn from(attribute: Attribute) -> Self {
        match attribute {
            Attribute::Text(text) => shortened(text).into(),
            Attribute::Whole(number) => number.into(),
            Attribute::Real(number) => number.into(),
            Attribute::Truth(truth) => truth.into(),
            Attribute::Texts(texts) => {
                let texts = texts.into_iter().map(|text| StringValue::from(shortened(text)));
                Self::Array(Array::String(texts.collect()))
            }
        }
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    }
    text
}

/// A span that is open. It ends when it is finished or dropped. Costs nothing where
/// nothing is exported, or its trace is not sampled.
#[derive(Default)]
pub struct Span(State);

#[derive(Default)]
enum State {
    #[default]
    Off,
    /// Not exported, and passed on as that.
    Dark(TraceParent),
    Open(Box<Open>),
}

struct Open {
    data: SpanData,
    trace: TraceParent,
    began: Instant,
    family: Arc<Family>,
    is_child: bool,
}

/// What the spans below one share: they wait for its end, so that a collector which has
/// them has it too, whoever is killed, and whatever id it ends with.
struct Family {
    service: Arc<Service>,
    trace: TraceParent,
    children: Mutex<Children>,
}

enum Children {
    /// For the end of the one above.
    Waiting(Vec<SpanData>),
    /// It has ended, under this id.
    Late(SpanId),
}

impl Family {
    fn lock(&self) -> MutexGuard<'_, Children> {
        // Whole between any two of its operations, whoever panicked.
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A span that others can be opened under. Clones are the same.
#[derive(Clone, Default)]
pub struct Parent {
    family: Option<Arc<Family>>,
    conversation: Option<RunId>,
}

impl Parent {
    /// The same, as a part of what is done for the run at the top of a tree.
    #[must_use]
    pub fn in_conversation(self, root: &RunId) -> Self {
        Self { conversation: Some(root.clone()), ..self }
    }

    /// The run at the top of the tree that it is a part of, if of any.
    pub fn conversation(&self) -> Option<&str> {
        self.conversation.as_ref().map(RunId::as_str)
    }

    /// Whether spans below it are exported.
    pub fn is_open(&self) -> bool {
        self.family.is_some()
    }

    /// Opens a span under it.
    pub fn child(&self, name: impl Into<Cow<'static, str>>, kind: SpanKind) -> Span {
        let Some(family) = &self.family else { return Span::default() };
        let Some(trace) = family.trace.child(draw()) else { return Span::default() };
        let data = blank(trace, Some(family.trace.span_id()), false, name.into(), kind);
        let family = family.clone();
        let began = Instant::now();
        Span(State::Open(Box::new(Open { data, trace, began, family, is_child: true })))
    }

    /// Whether what is said may be exported too.
    pub fn wants_contents(&self) -> bool {
        self.family.as_ref().is_some_and(|family| family.service.contents)
    }
}

impl Span {
    pub(super) fn open(
        service: &Arc<Service>,
        trace: TraceParent,
        parent: Option<(u64, bool)>,
        name: Cow<'static, str>,
        kind: SpanKind,
    ) -> Self {
        if !trace.is_sampled() {
            return Self(State::Dark(trace));
        }
        let remote = parent.is_some_and(|(_, remote)| remote);
        let data = blank(trace, parent.map(|(id, _)| id), remote, name, kind);
        let children = Mutex::new(Children::Waiting(Vec::new()));
        let family = Arc::new(Family { service: service.clone(), trace, children });
        let began = Instant::now();
        Self(State::Open(Box::new(Open { data, trace, began, family, is_child: false })))
    }

    /// Whether it is exported.
    pub fn is_open(&self) -> bool {
        matches!(self.0, State::Open(_))
    }

    /// What is passed on to whatever works on behalf of it; nothing where nothing is
    /// exported.
    pub fn context(&self) -> Option<TraceParent> {
        match &self.0 {
            State::Off => None,
            State::Dark(trace) => Some(*trace),
            State::Open(open) => Some(open.trace),
        }
    }

    /// For opening spans under it.
    pub fn as_parent(&self) -> Parent {
        let family = match &self.0 {
            State::Open(open) if !open.is_child => Some(open.family.clone()),
            State::Open(_) | State::Dark(_) | State::Off => None,
        };
        Parent { family, conversation: None }
    }

    fn data(&mut self) -> Option<&mut SpanData> {
        match &mut self.0 {
            State::Open(open) => Some(&mut open.data),
            State::Dark(_) | State::Off => None,
        }
    }

    /// States a fact.
    pub fn set(&mut self, key: &'static str, value: impl Into<Attribute>) {
        let Some(data) = self.data() else { return };
        if data.attributes.len() < ATTRIBUTES_MAX {
            data.attributes.push(KeyValue::new(key, Value::from(value.into())));
        } else {
            data.dropped_attributes_count += 1;
        }
    }

    /// States a fact, if there is one.
    pub fn set_some(&mut self, key: &'static str, value: Option<impl Into<Attribute>>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// Gives it another name.
    pub fn rename(&mut self, name: String) {
        if let Some(data) = self.data() {
            data.name = name.into();
        }
    }

    /// Links it to another span of the run, which may be written elsewhere or later.
    pub fn link(&mut self, run: &RunId, key: SpanKey, what: &'static str) {
        let State::Open(open) = &mut self.0 else { return };
        if open.data.links.len() >= LINKS_MAX {
            open.data.links.dropped_count += 1;
            return;
        }
        let context = context(open.trace, key.id(run), true);
        let attributes = vec![KeyValue::new(names::LINK, what)];
        open.data.links.links.push(Link::new(context, attributes, 0));
    }

    /// Something that happened in it.
    pub fn event(&mut self, name: &'static str, facts: Vec<(&'static str, Attribute)>) {
        let Some(data) = self.data() else { return };
        if data.events.len() >= EVENTS_MAX {
            data.events.dropped_count += 1;
            return;
        }
        let facts = facts.into_iter().map(|(key, fact)| KeyValue::new(key, Value::from(fact)));
        let event = Event::new(name, SystemTime::now(), facts.collect(), 0);
        data.events.events.push(event);
    }

    /// It went wrong: by a stable name, and in words.
    pub fn fail(&mut self, kind: &str, message: impl Into<Cow<'static, str>>) {
        self.set(names::ERROR, kind);
        if let Some(data) = self.data() {
            data.status = Status::Error { description: message.into() };
        }
    }

    /// It ends now.
    pub fn finish(mut self) {
        self.end(None);
    }

    /// It ends now, and is known by this key.
    pub fn finish_as(mut self, run: &RunId, key: SpanKey) {
        self.rekey(key.id(run));
        self.end(None);
    }

    /// It lasted from one moment to another, by a clock that is not this process's.
    pub fn finish_between(mut self, begun: Timestamp, ended: Timestamp) {
        if let Some(data) = self.data() {
            data.start_time = at(begun);
        }
        self.end(Some(at(ended.max(begun))));
    }

    /// Gives it another id.
    fn rekey(&mut self, id: u64) {
        let State::Open(open) = &mut self.0 else { return };
        let Some(trace) = open.trace.child(id) else { return };
        open.data.span_context = context(trace, id, false);
    }

    fn end(&mut self, at: Option<SystemTime>) {
        let State::Open(open) = std::mem::take(&mut self.0) else { return };
        let Open { mut data, began, family, is_child, .. } = *open;
        data.end_time = at.unwrap_or(data.start_time + began.elapsed());
        let traces = &family.service.traces;
        let mut children = family.lock();
        match (&mut *children, is_child) {
            (Children::Waiting(waiting), true) if waiting.len() < CHILDREN_MAX => {
                waiting.push(data);
            }
            (Children::Waiting(_full), true) => traces.drop_spans(1),
            (Children::Late(id), true) => {
                data.parent_span_id = *id;
                traces.send(family.service.index, vec![data]);
            }
            (of_its_own, false) => {
                let id = data.span_context.span_id();
                let mut spans = match std::mem::replace(of_its_own, Children::Late(id)) {
                    Children::Waiting(spans) => spans,
                    Children::Late(_) => Vec::new(),
                };
                spans.iter_mut().for_each(|child| child.parent_span_id = id);
                spans.push(data);
                traces.send(family.service.index, spans);
            }
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let State::Open(open) = &self.0
            && open.data.status == Status::Unset
        {
            self.fail("abandoned", "it was given up in the middle");
        }
        self.end(None);
    }
}

fn blank(
    trace: TraceParent,
    parent: Option<u64>,
    remote: bool,
    name: Cow<'static, str>,
    kind: SpanKind,
) -> SpanData {
    let now = SystemTime::now();
    SpanData {
        span_context: context(trace, trace.span_id(), false),
        parent_span_id: parent.map_or(SpanId::INVALID, |id| SpanId::from_bytes(id.to_be_bytes())),
        parent_span_is_remote: remote,
        span_kind: match kind {
            SpanKind::Server => opentelemetry::trace::SpanKind::Server,
            SpanKind::Client => opentelemetry::trace::SpanKind::Client,
            SpanKind::Internal => opentelemetry::trace::SpanKind::Internal,
        },
        name,
        start_time: now,
        end_time: now,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: scope(),
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(SCOPE).with_version(env!("CARGO_PKG_VERSION")).build()
}

fn context(trace: TraceParent, id: u64, remote: bool) -> SpanContext {
    let flags = if trace.is_sampled() { TraceFlags::SAMPLED } else { TraceFlags::default() };
    SpanContext::new(
        TraceId::from_bytes(trace.trace_id().to_be_bytes()),
        SpanId::from_bytes(id.to_be_bytes()),
        flags,
        remote,
        TraceState::default(),
    )
}

fn at(time: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(time.0)
}

/// An id that nobody else draws.
pub(super) fn draw() -> u64 {
    rand::random::<u64>().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Metrics, Place, Tracer,
        trace::export::{Held, Queue},
    };
    use opentelemetry_sdk::trace::Sampler;

    struct World {
        tracer: Tracer,
        held: Held,
        metrics: Metrics,
        run: RunId,
    }

    impl World {
        fn new(waiting_max: usize) -> Self {
            let metrics = Metrics::default();
            let (queue, held) = Queue::held(waiting_max, &metrics);
            let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
            let tracer = Tracer::held(queue, sampler);
            Self { tracer, held, metrics, run: RunId::new("run_1").unwrap() }
        }

        fn place(&self) -> Place<'_> {
            Place { run: &self.run, root: &self.run, traceparent: None }
        }

        fn id(&self, key: SpanKey) -> SpanId {
            SpanId::from_bytes(key.id(&self.run).to_be_bytes())
        }
    }

    fn names(spans: &[SpanData]) -> Vec<&str> {
        spans.iter().map(|span| span.name.as_ref()).collect()
    }

    #[test]
    fn calls_wait_for_their_task_and_follow_its_name() {
        let mut world = World::new(10);
        let task = world.tracer.task(world.place(), "plan");
        let parent = task.as_parent();
        parent.child("chat 1", SpanKind::Client).finish();
        let late = parent.child("chat 2", SpanKind::Client);
        assert!(world.held.take().is_empty(), "a call is told before its task");
        task.finish_as(&world.run, SpanKey::Plan { round: 0 });
        late.finish();
        let batches = world.held.take();
        assert_eq!(
            batches.iter().map(|b| names(b)).collect::<Vec<_>>(),
            [vec!["chat 1", "plan"], vec!["chat 2"]]
        );
        let (plan, calls) = (&batches[0][1], [&batches[0][0], &batches[1][0]]);
        assert_eq!(plan.span_context.span_id(), world.id(SpanKey::Plan { round: 0 }));
        assert_eq!(plan.parent_span_id, world.id(SpanKey::Run));
        for call in calls {
            assert_eq!(call.parent_span_id, plan.span_context.span_id());
            assert_eq!(call.span_context.trace_id(), plan.span_context.trace_id());
        }
    }

    #[test]
    fn what_is_dropped_in_the_middle_is_told_as_that() {
        let mut world = World::new(10);
        let task = world.tracer.task(world.place(), "plan");
        drop(task.as_parent().child("chat", SpanKind::Client));
        drop(task);
        let spans = world.held.take().remove(0);
        assert_eq!(names(&spans), ["chat", "plan"]);
        assert!(spans.iter().all(|span| matches!(span.status, Status::Error { .. })));
        let id = spans[1].span_context.span_id();
        assert_eq!(spans[0].parent_span_id, id);
        assert_ne!(id, world.id(SpanKey::Plan { round: 0 }), "only what counts has its name");
    }

    #[test]
    fn what_its_caller_does_not_record_costs_nothing_and_is_passed_on() {
        let mut world = World::new(10);
        let caller = TraceParent::new_root(7, 8, false);
        let span = world.tracer.request("POST", SpanKind::Server, caller);
        let context = span.context().unwrap();
        assert!(!span.is_open() && !context.is_sampled() && context.trace_id() == 7);
        assert!(!span.as_parent().is_open());
        span.finish();
        assert!(world.held.take().is_empty());
        assert!(Tracer::off().request("POST", SpanKind::Server, caller).context().is_none());
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let mut world = World::new(2);
        for _ in 0..3 {
            world.tracer.task(world.place(), "plan").finish();
        }
        assert_eq!(world.held.take().len(), 2);
        let page = world.metrics.render();
        assert!(page.contains("baton_spans_total{outcome=\"dropped\"} 1"), "{page}");
    }

    #[test]
    fn a_span_is_bounded() {
        let mut world = World::new(10);
        let mut span = world.tracer.task(world.place(), "plan");
        for _ in 0..ATTRIBUTES_MAX + 5 {
            span.set("text", "ü".repeat(TEXT_BYTES_MAX));
            span.link(&world.run, SpanKey::Run, "input");
            span.event("event", Vec::new());
        }
        span.finish();
        let span = world.held.take().remove(0).remove(0);
        assert_eq!((span.attributes.len(), span.dropped_attributes_count), (ATTRIBUTES_MAX, 5));
        assert_eq!((span.links.len(), span.links.dropped_count), (LINKS_MAX, 5));
        assert_eq!((span.events.len(), span.events.dropped_count), (EVENTS_MAX, 5));
        assert_eq!(span.attributes[0].value.as_str().len(), TEXT_BYTES_MAX);
    }
}
