//! A gateway on a port of its own, its client, and streams in the client's terms.

use crate::peer::{PATIENCE, Peer, Wire};
use baton_gateway::Gateway;
use baton_proto::v1::{conductor_server::ConductorServer, worker_agent_server::WorkerAgentServer};
use baton_registry::{InProcess, Kind, Member, Registry, Settings};
use baton_workflow::AgentId;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, time::timeout};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;

/// Everything that a test talks to; ends with it.
pub(crate) struct World {
    pub(crate) peer: Arc<Peer>,
    pub(crate) http: reqwest::Client,
    pub(crate) url: String,
    pub(crate) stop: CancellationToken,
    pub(crate) served: tokio::task::JoinHandle<std::io::Result<()>>,
}

pub(crate) async fn world() -> World {
    world_of(crate::sample::settings(&["small"])).await
}

pub(crate) async fn world_of(settings: Settings) -> World {
    world_that_drains(settings, Duration::from_secs(20)).await
}

pub(crate) async fn world_that_drains(settings: Settings, drain: Duration) -> World {
    // The second test finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let peer = Arc::new(Peer::default());
    let wire = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", wire.local_addr().unwrap());
    let server = tonic::transport::Server::builder()
        .add_service(ConductorServer::new(Wire(peer.clone())))
        .add_service(WorkerAgentServer::new(Wire(peer.clone())));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(wire)));
    let registry = Arc::new(InProcess::new(settings));
    for kind in [Kind::Conductor, Kind::WorkerAgent] {
        let holder = if kind == Kind::WorkerAgent { "peer" } else { "conductor" };
        let agents = vec![AgentId::new("small").unwrap()];
        let member = Member { agents, ..Member::new(holder, kind, address.clone()) };
        registry.announce(member).await.unwrap();
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let gateway = Gateway::new(registry, &["direct", "debate"]).unwrap().drain(drain);
    let served = tokio::spawn(gateway.serve(listener, stop.clone()));
    World { peer, http: reqwest::Client::new(), url, stop, served }
}

impl World {
    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.url))
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.url))
    }

    /// A chat completion of `baton`, with these fields on top.
    pub(crate) fn chat(&self, extra: Value) -> RequestBuilder {
        let mut body =
            json!({"model": "baton", "messages": [{"role": "user", "content": "2 + 2?"}]});
        for (name, value) in extra.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.post("/v1/chat/completions").json(&body)
    }
}

/// Asserts the envelope; gives status, code and headers back.
pub(crate) async fn error_of(response: Response) -> (u16, String, reqwest::header::HeaderMap) {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    assert!(headers.contains_key("x-request-id"));
    let body: Value = response.json().await.unwrap();
    for key in ["message", "type", "param", "code"] {
        assert!(body["error"].get(key).is_some(), "{body}");
    }
    (status, body["error"]["code"].as_str().unwrap().to_owned(), headers)
}

/// A stream of events, read one by one.
pub(crate) struct Events {
    response: Response,
    buffer: String,
}

impl Events {
    pub(crate) fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, buffer: String::new() }
    }

    /// The next event as it was sent; none at the end.
    pub(crate) async fn raw(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let event = event.to_owned();
                self.buffer = rest.to_owned();
                return Some(event);
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk.expect("what a test waits for must come").unwrap()?;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next data, comments left out.
    pub(crate) async fn data(&mut self) -> Option<String> {
        loop {
            let raw = self.raw().await?;
            if let Some(data) = raw.strip_prefix("data: ") {
                return Some(data.to_owned());
            }
        }
    }

    pub(crate) async fn json(&mut self) -> Value {
        serde_json::from_str(&self.data().await.unwrap()).unwrap()
    }

    /// The next text of the answer.
    pub(crate) async fn text(&mut self) -> String {
        loop {
            let chunk = self.json().await;
            let text = chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
            if !text.is_empty() {
                return text.to_owned();
            }
        }
    }

    /// Everything that is left, `[DONE]` left out but required.
    pub(crate) async fn rest(&mut self) -> Vec<Value> {
        let mut chunks = Vec::new();
        loop {
            let data = self.data().await.expect("a stream must end with [DONE]");
            if data == "[DONE]" {
                assert_eq!(self.raw().await, None);
                return chunks;
            }
            chunks.push(serde_json::from_str(&data).unwrap());
        }
    }
}

/// The answer in these chunks.
pub(crate) fn text_of(chunks: &[Value]) -> String {
    let text = |chunk: &Value| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
    chunks.iter().filter_map(text).collect()
}
