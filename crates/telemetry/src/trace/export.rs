//! The queue of finished spans, and the task that brings them to the collector.
//!
//! The SDK's own batch processor would do, but that it keeps to itself how many spans it
//! dropped, and knows one service alone, where `baton up` is several.

use super::metrics::SPANS;
use crate::{Metrics, One};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanExporter as _},
};
use std::{
    mem::take,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout, timeout_at},
};

/// How long the end of the process waits for what is not exported yet.
const FLUSH_MAX: Duration = Duration::from_secs(3);
/// Bytes of texts in one request to the collector, about: collectors refuse 4 MiB.
const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;

/// How spans are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batches {
    /// Spans that may wait; further ones are dropped, and counted.
    pub(super) queue_max: usize,
    /// Spans in one request.
    pub(super) batch_max: usize,
    /// How long a span waits for others.
    pub(super) delay: Duration,
    /// How long a request may take, repetitions included.
    pub(super) timeout: Duration,
}

impl Default for Batches {
    fn default() -> Self {
        Self {
            queue_max: 8192,
            batch_max: 512,
            // The standard says 5 s. What a killed process had not sent is lost.
            delay: Duration::from_millis(500),
            timeout: Duration::from_secs(10),
        }
    }
}

enum Message {
    Spans(usize, Vec<SpanData>),
    Flush(oneshot::Sender<()>),
}

/// Finished spans on their way. Clones are the same.
#[derive(Clone)]
pub(super) struct Queue(Arc<Shared>);

struct Shared {
    /// Bounded by `waiting`, in spans.
    sender: mpsc::UnboundedSender<Message>,
    waiting: AtomicUsize,
    waiting_max: usize,
    services: Mutex<Vec<Resource>>,
    exported: One,
    failed: One,
    dropped: One,
}

/// An exporter as the environment describes it.
pub(super) fn exporter() -> Result<SpanExporter, ExporterBuildError> {
    SpanExporter::builder().build()
}

impl Queue {
    fn new(waiting_max: usize, metrics: &Metrics) -> (Self, mpsc::UnboundedReceiver<Message>) {
        let spans = metrics.of(&SPANS);
        let (sender, messages) = mpsc::unbounded_channel();
        let queue = Self(Arc::new(Shared {
            sender,
            waiting: AtomicUsize::new(0),
            waiting_max,
            services: Mutex::default(),
            exported: spans.with(&["exported"]),
            failed: spans.with(&["failed"]),
            dropped: spans.with(&["dropped"]),
        }));
        (queue, messages)
    }

    /// One that nobody brings anywhere, and what waits in it.
    #[cfg(test)]
    pub(super) fn held(waiting_max: usize, metrics: &Metrics) -> (Self, Held) {
        let (queue, messages) = Self::new(waiting_max, metrics);
        (queue, Held(messages))
    }

    /// Begins to export, until the runtime ends.
    pub(super) fn start(batches: Batches, metrics: &Metrics) -> Self {
        let (queue, messages) = Self::new(batches.queue_max, metrics);
        let courier = Courier {
            shared: queue.0.clone(),
            messages,
            batches,
            lines: Vec::new(),
            spans: 0,
            bytes: 0,
            failing: false,
        };
        tokio::spawn(courier.run());
        queue
    }

    /// A further service, by number.
    pub(super) fn service(&self, resource: Resource) -> usize {
        // Only ever added to, whoever panicked.
        let mut services = self.0.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.push(resource);
        services.len() - 1
    }

    /// Sends finished spans, unless too many wait.
    pub(super) fn send(&self, service: usize, spans: Vec<SpanData>) {
        let Shared { sender, waiting, waiting_max, .. } = &*self.0;
        let count = spans.len();
        let fits = waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
            waiting.checked_add(count).filter(|waiting| waiting <= waiting_max)
        });
        if fits.is_err() || sender.send(Message::Spans(service, spans)).is_err() {
            self.drop_spans(count);
        }
    }

    pub(super) fn drop_spans(&self, count: usize) {
        self.0.dropped.add(count as u64);
    }

    /// Waits until what was sent before is exported or given up, for a bounded time.
    pub(super) async fn flush(&self) {
        let (done, is_done) = oneshot::channel();
        if self.0.sender.send(Message::Flush(done)).is_err() {
            return;
        }
        if timeout(FLUSH_MAX, is_done).await.is_err() {
            let spans = self.0.waiting.load(Ordering::Relaxed);
            tracing::warn!(spans, "the collector does not answer: these spans are lost");
        }
    }
}

/// What waits in a queue that nobody brings anywhere.
#[cfg(test)]
pub(super) struct Held(mpsc::UnboundedReceiver<Message>);

#[cfg(test)]
impl Held {
    /// The spans that were sent since, each batch by itself.
    pub(super) fn take(&mut self) -> Vec<Vec<SpanData>> {
        let mut batches = Vec::new();
        while let Ok(Message::Spans(_, spans)) = self.0.try_recv() {
            batches.push(spans);
        }
        batches
    }
}

/// One service's exporter, and what it has to send.
struct Line {
    exporter: SpanExporter,
    spans: Vec<SpanData>,
}

/// Gathers spans and exports them.
struct Courier {
    shared: Arc<Shared>,
    messages: mpsc::UnboundedReceiver<Message>,
    batches: Batches,
    lines: Vec<Line>,
    spans: usize,
    bytes: usize,
    /// Whether the last export failed: said once, not each time.
    failing: bool,
}

impl Courier {
    async fn run(mut self) {
        while let Some(message) = self.messages.recv().await {
            self.take(message).await;
            let due = Instant::now() + self.batches.delay;
            while self.spans > 0 {
                match timeout_at(due, self.messages.recv()).await {
                    Ok(Some(message)) => self.take(message).await,
                    Ok(None) | Err(_) => self.export().await,
                }
            }
        }
    }

    async fn take(&mut self, message: Message) {
        match message {
            Message::Spans(service, spans) => {
                if self.line(service).is_none() {
                    return self.give_up(spans.len());
                }
                let bytes: usize = spans.iter().map(bytes_of).sum();
                // Not above the bounds, unless one family alone is.
                if self.spans + spans.len() > self.batches.batch_max
                    || self.bytes + bytes > BATCH_BYTES_MAX
                {
                    self.export().await;
                }
                (self.spans, self.bytes) = (self.spans + spans.len(), self.bytes + bytes);
                if let Some(line) = self.lines.get_mut(service) {
                    line.spans.extend(spans);
                }
            }
            Message::Flush(done) => {
                self.export().await;
                // Whoever asked may have given up.
                let _heard = done.send(());
            }
        }
    }

    /// A service's exporter, made when it is first needed.
    fn line(&mut self, service: usize) -> Option<()> {
        while self.lines.len() <= service {
            let services = self.shared.services.lock().unwrap_or_else(PoisonError::into_inner);
            let resource = services.get(self.lines.len())?.clone();
            drop(services);
            // One like it was made at the start.
            let mut exporter = exporter().ok()?;
            exporter.set_resource(&resource);
            self.lines.push(Line { exporter, spans: Vec::new() });
        }
        Some(())
    }

    async fn export(&mut self) {
        for place in 0..self.lines.len() {
            let Some(line) = self.lines.get_mut(place).filter(|line| !line.spans.is_empty()) else {
                continue;
            };
            let spans = take(&mut line.spans);
            let count = spans.len();
            let exported = timeout(self.batches.timeout, line.exporter.export(spans)).await;
            let error = match exported {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_elapsed) => Some(format!("no answer in {:?}", self.batches.timeout)),
            };
            self.note(count, error);
        }
        (self.spans, self.bytes) = (0, 0);
    }

    fn note(&mut self, count: usize, error: Option<String>) {
        match error {
            None => {
                self.shared.waiting.fetch_sub(count, Ordering::Relaxed);
                self.shared.exported.add(count as u64);
                if take(&mut self.failing) {
                    tracing::info!("spans are exported again");
                }
            }
            Some(error) => {
                self.give_up(count);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(error, "spans are not exported; this is not said again");
                }
            }
        }
    }

    fn give_up(&self, count: usize) {
        self.shared.waiting.fetch_sub(count, Ordering::Relaxed);
        self.shared.failed.add(count as u64);
    }
}

/// About what a span takes on the wire.
fn bytes_of(span: &SpanData) -> usize {
    const FRAME: usize = 256;
    let texts = span.attributes.iter().map(|fact| match &fact.value {
        opentelemetry::Value::String(text) => text.as_str().len(),
        opentelemetry::Value::Array(opentelemetry::Array::String(texts)) => {
            texts.iter().map(|text| text.as_str().len()).sum()
        }
        _another_number => 8,
    });
    FRAME + texts.sum::<usize>()
}
