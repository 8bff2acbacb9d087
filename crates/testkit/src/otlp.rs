//! A collector of traces: takes OTLP over gRPC or HTTP, and shows what came in.

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{AnyValue, KeyValue, any_value::Value as Any},
    trace::v1 as wire,
};
use prost::Message as _;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Error, Read, Result, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{sleep, spawn},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

/// Longest wait for spans.
const LIMIT: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A span as it came in.
#[derive(Debug, Clone)]
pub struct Span {
    /// The trace, in hexadecimal digits, as all ids.
    pub trace: String,
    /// Its id.
    pub id: String,
    /// The span above it.
    pub parent: Option<String>,
    /// Its name.
    pub name: String,
    /// `internal`, `server`, `client`, or a number.
    pub kind: String,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
    /// What is said of the service that it comes from.
    pub resource: BTreeMap<String, Value>,
    /// Its attributes.
    pub facts: BTreeMap<String, Value>,
    /// Its links, by the id of the other span.
    pub links: Vec<Link>,
    /// Its events, with their attributes.
    pub events: Vec<(String, BTreeMap<String, Value>)>,
    /// Whether its status says that it went wrong.
    pub failed: bool,
}

/// A link to another span.
#[derive(Debug, Clone)]
pub struct Link {
    /// Its trace.
    pub trace: String,
    /// Its id.
    pub span: String,
    /// What is said of the link.
    pub facts: BTreeMap<String, Value>,
}

impl Span {
    /// An attribute; null where it has none of this name.
    pub fn fact(&self, name: &str) -> &Value {
        self.facts.get(name).unwrap_or(&Value::Null)
    }

    /// The name of the service that it comes from.
    pub fn service(&self) -> &str {
        self.resource.get("service.name").and_then(Value::as_str).unwrap_or_default()
    }
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<Span>>>);

impl Sink {
    fn lock(&self) -> MutexGuard<'_, Vec<Span>> {
        // Only ever added to, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, request: ExportTraceServiceRequest) {
        let mut spans = self.lock();
        for of_service in request.resource_spans {
            let resource = of_service.resource.map(|resource| facts(resource.attributes));
            let resource = resource.unwrap_or_default();
            let found = of_service.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(found.map(|span| read(span, resource.clone())));
        }
    }
}

/// A running collector. It ends when it is dropped.
pub struct Collector {
    address: SocketAddr,
    sink: Sink,
    stop: Option<oneshot::Sender<()>>,
    stopped: Arc<AtomicBool>,
}

impl Collector {
    /// Takes gRPC on a free port.
    ///
    /// # Errors
    /// The system's.
    pub fn grpc() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let (address, sink) = (listener.local_addr()?, Sink::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let service = TraceServiceServer::new(sink.clone());
        spawn(move || {
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let incoming = TcpListenerStream::new(listener);
                let serving = Server::builder().add_service(service);
                let ended = async {
                    let _dropped = stopped.await;
                };
                let served = serving.serve_with_incoming_shutdown(incoming, ended).await;
                served.map_err(Error::other)
            })
        });
        Ok(Self { address, sink, stop: Some(stop), stopped: Arc::default() })
    }

    /// Takes protobuf over HTTP on a free port.
    ///
    /// # Errors
    /// The system's.
    pub fn http() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, sink) = (listener.local_addr()?, Sink::default());
        let stopped = Arc::<AtomicBool>::default();
        let collector = Self { address, sink: sink.clone(), stop: None, stopped: stopped.clone() };
        spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let sink = sink.clone();
                spawn(move || while answer(&stream, &sink).is_ok() {});
            }
        });
        Ok(collector)
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` has to say.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.sink.lock().clone()
    }

    /// Looks again and again until there is something to see.
    ///
    /// # Errors
    /// Where there is nothing to see for long; with the names of all spans.
    pub fn until<T>(&self, what: &str, look: impl Fn(&[Span]) -> Option<T>) -> Result<T> {
        let until = Instant::now() + LIMIT;
        loop {
            let spans = self.spans();
            if let Some(found) = look(&spans) {
                return Ok(found);
            }
            if Instant::now() > until {
                let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
                return Err(Error::other(format!("waited {LIMIT:?} for {what}: {names:?}")));
            }
            sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(stop) = self.stop.take() {
            // An error means that it has ended.
            let _told = stop.send(());
        }
        // Wakes whoever waits for a connection.
        let _woken = TcpStream::connect(self.address);
    }
}

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> std::result::Result<Response<ExportTraceServiceResponse>, Status> {
        self.take(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// One request and its answer.
fn answer(stream: &TcpStream, sink: &Sink) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let right = line.starts_with("POST /v1/traces ");
    let mut length = 0;
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(Error::other("hung up"));
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(Error::other)?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request = ExportTraceServiceRequest::decode(body.as_slice()).ok().filter(|_| right);
    let status = if request.is_some() { "200 OK" } else { "400 Bad Request" };
    if let Some(request) = request {
        sink.take(request);
    }
    let head = "content-type: application/x-protobuf\r\ncontent-length: 0";
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status}\r\n{head}\r\n\r\n")
}

fn read(span: wire::Span, resource: BTreeMap<String, Value>) -> Span {
    let kind = match span.kind() {
        wire::span::SpanKind::Internal => "internal".to_owned(),
        wire::span::SpanKind::Server => "server".to_owned(),
        wire::span::SpanKind::Client => "client".to_owned(),
        other => other.as_str_name().to_owned(),
    };
    let links = span.links.into_iter().map(|link| Link {
        trace: hex(&link.trace_id),
        span: hex(&link.span_id),
        facts: facts(link.attributes),
    });
    let events = span.events.into_iter().map(|event| (event.name, facts(event.attributes)));
    let failed = span.status.is_some_and(|s| s.code() == wire::status::StatusCode::Error);
    Span {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: (!span.parent_span_id.is_empty()).then(|| hex(&span.parent_span_id)),
        name: span.name,
        kind,
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        resource,
        facts: facts(span.attributes),
        links: links.collect(),
        events: events.collect(),
        failed,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn facts(facts: Vec<KeyValue>) -> BTreeMap<String, Value> {
    facts.into_iter().map(|fact| (fact.key, fact.value.map_or(Value::Null, value))).collect()
}

fn value(any: AnyValue) -> Value {
    match any.value {
        Some(Any::StringValue(text)) => text.into(),
        Some(Any::BoolValue(truth)) => truth.into(),
        Some(Any::IntValue(number)) => number.into(),
        Some(Any::DoubleValue(number)) => number.into(),
        Some(Any::ArrayValue(values)) => values.values.into_iter().map(value).collect(),
        Some(_other) => "not read".into(),
        None => Value::Null,
    }
}
