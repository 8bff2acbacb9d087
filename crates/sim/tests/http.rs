//! The simulated pool over a real socket, asked by the client that Baton itself uses.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly, as tests may"
)]

use baton_provider::{
    ChatEvent, ChatRequest, Finish, Finished, Message, Provider, ProviderError, Role,
};
use baton_provider_http::{HttpProvider, HttpProviderOptions, Timeouts};
use baton_sim::{Difficulty, Family, Faults, SimOptions, serve, tasks};
use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A server without waiting that ends with the test.
async fn server(options: SimOptions) -> SocketAddr {
    // Two tests may come here at once; the second finds it done.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, options, std::future::pending()));
    address
}

fn quick() -> SimOptions {
    SimOptions { time_scale: 0.0, ..SimOptions::default() }
}

fn client(address: SocketAddr, stream: bool) -> HttpProvider {
    let base_url = format!("http://{address}/v1");
    HttpProvider::new(HttpProviderOptions { stream, ..HttpProviderOptions::new("sim", base_url) })
        .unwrap()
}

fn request(model: &str, text: &str) -> ChatRequest {
    ChatRequest {
        model: model.into(),
        messages: vec![Message::text(Role::User, text)],
        output_tokens_max: 1000,
        temperature: None,
        top_p: None,
        stop: vec![],
        seed: None,
        idempotency_key: None,
        ..ChatRequest::default()
    }
}

async fn ask(
    client: &HttpProvider,
    request: ChatRequest,
) -> Result<(String, Finished), ProviderError> {
    let events: Vec<ChatEvent> = client.chat(request).await?.try_collect().await?;
    let mut text = String::new();
    for event in events {
        match event {
            ChatEvent::Text(more) => text.push_str(&more),
            ChatEvent::Reasoning(_) | ChatEvent::Refusal(_) | ChatEvent::Tool(_) => {
                panic!("{event:?} is not what was asked for")
            }
            ChatEvent::Finished(finished) => return Ok((text, finished)),
        }
    }
    panic!("no end")
}

#[tokio::test]
async fn a_stream_and_a_whole_reply_say_the_same() {
    let address = server(quick()).await;
    let task = tasks::generate(Family::Arithmetic, Difficulty::ALL[0], 5);
    let (streamed, end) =
        ask(&client(address, true), request("sim-sage", &task.prompt)).await.unwrap();
    let (whole, same) =
        ask(&client(address, false), request("sim-sage", &task.prompt)).await.unwrap();
    assert!(!end.id.is_empty() && end.id != same.id, "each answer has a name of its own");
    let same = Finished { id: end.id.clone(), ..same };
    assert_eq!((&streamed, &end), (&whole, &same));
    assert!(tasks::grade(&task, &whole), "{whole}");
    assert_eq!((end.finish, end.model.as_str()), (Finish::Stop, "sim-sage"));
    let usage = end.usage.unwrap();
    assert_eq!(usage.tokens_in, task.prompt.len().div_ceil(4) as u64 + 4);
    assert_eq!(usage.tokens_out, whole.len().div_ceil(4) as u64);
}

#[tokio::test]
async fn the_limit_of_tokens_is_kept() {
    let address = server(quick()).await;
    for stream in [true, false] {
        let short = ChatRequest { output_tokens_max: 3, ..request("sim-null", "hi") };
        let (text, end) = ask(&client(address, stream), short).await.unwrap();
        assert_eq!((text.as_str(), end.finish), ("This is the ", Finish::Length));
        let stopped = ChatRequest { stop: vec![" fixed".into()], ..request("sim-null", "hi") };
        let (text, end) = ask(&client(address, stream), stopped).await.unwrap();
        assert_eq!((text.as_str(), end.finish), ("This is the", Finish::Stop));
    }
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_in_the_usual_form() {
    let address = server(quick()).await;
    let refused = async |model: &str, text: &str| {
        ask(&client(address, true), request(model, text)).await.unwrap_err().to_string()
    };
    assert_eq!(
        refused("gpt-9", "hi").await,
        "the provider refuses the request (404): the model \"gpt-9\" does not exist: GET /v1/models lists those that do"
    );
    assert_eq!(
        refused("sim-swift", " ").await,
        "the provider refuses the request (400): messages is empty: expected at least one message with text"
    );
    let long = refused("sim-swift", &"x".repeat(4 * 32_768)).await;
    assert_eq!(
        long,
        "the provider refuses the request (400): the prompt has 32772 tokens: sim-swift reads at most 32768"
    );
}

#[tokio::test]
async fn tokens_come_at_the_models_pace() {
    let address = server(SimOptions { time_scale: 0.05, ..SimOptions::default() }).await;
    let task = tasks::generate(Family::Program, Difficulty::ALL[2], 5);
    let started = std::time::Instant::now();
    let mut stream = client(address, true).chat(request("sim-swift", &task.prompt)).await.unwrap();
    let (mut chunks, mut text) = (0_u32, 0);
    while let Some(event) = stream.next().await {
        if let ChatEvent::Text(more) = event.unwrap() {
            chunks += 1;
            text += more.len();
        }
    }
    // 160 tokens a second, twenty times as fast, and hardly ever twice as fast as that.
    let least = std::time::Duration::from_secs_f64(f64::from(chunks - 1) / 320.0 * 0.05);
    assert!(started.elapsed() >= least, "{chunks} chunks in {:?}", started.elapsed());
    assert_eq!(chunks as usize, text.div_ceil(4));
}

#[tokio::test]
async fn the_server_stops_when_told() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(serve(listener, quick(), async move {
        let _ = stopped.await;
    }));
    ask(&client(address, true), request("sim-null", "hi")).await.unwrap();
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    let error = ask(&client(address, true), request("sim-null", "hi")).await.unwrap_err();
    assert_eq!(error.code(), "connect");
}

#[tokio::test]
async fn faults_are_what_they_are_in_life() {
    let patient = Timeouts::default();
    let hurried = Timeouts { first_token_ms: 50, between_tokens_ms: 50, total_ms: 400, ..patient };
    let asked = async |faults: &str, timeouts: Timeouts, stream: bool| {
        let faults = faults.parse().unwrap();
        let address = server(SimOptions { faults, ..quick() }).await;
        let options = HttpProviderOptions {
            stream,
            timeouts,
            ..HttpProviderOptions::new("sim", format!("http://{address}/v1"))
        };
        let client = HttpProvider::new(options).unwrap();
        ask(&client, request("sim-null", "hi")).await
    };
    for stream in [true, false] {
        let fault = async |faults| asked(faults, patient, stream).await.unwrap_err();
        let limited = fault("429=1").await;
        assert_eq!((limited.code(), limited.retry_after_ms()), ("rate_limited", Some(50)));
        assert_eq!(fault("500=1").await.code(), "server_error");
        assert_eq!(fault("503=1").await.code(), "server_error");
        let cut = fault("cut=1").await;
        assert_eq!(cut.code(), "cut_stream", "{cut}");
        let garbage = fault("garbage=1").await;
        assert_eq!(garbage.code(), "malformed", "{garbage}");
        let empty = fault("empty=1").await;
        assert_eq!(empty.code(), "empty", "{empty}");
        for stall in ["stall=1", "stall-first=1"] {
            let stalled = asked(stall, hurried, stream).await.unwrap_err();
            assert!(stalled.code().starts_with("timeout_"), "{stalled}");
        }
        let (text, end) = asked("usage=1", patient, stream).await.unwrap();
        assert!(text.starts_with("This is"), "{text}");
        let honest = asked("", patient, stream).await.unwrap().1.usage;
        assert!(end.usage != honest, "{:?}", end.usage);
    }
}

#[tokio::test]
async fn a_call_made_again_can_succeed_and_every_server_fails_alike() {
    let faults: Faults = "503=0.5".parse().unwrap();
    let failed = async || {
        let client = client(server(SimOptions { faults: faults.clone(), ..quick() }).await, true);
        let mut failed = Vec::new();
        for _ in 0..40 {
            failed.push(ask(&client, request("sim-null", "hi")).await.is_err());
        }
        failed
    };
    let first = failed().await;
    let count = first.iter().filter(|failed| **failed).count();
    assert!((5..36).contains(&count), "{count} of 40 failed");
    assert_eq!(first, failed().await);
}

/// What a server answers to a request that says so.
async fn raw(address: SocketAddr, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let text = format!(
        "{head}\r\nhost: sim\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is cut on purpose still has said something.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn post(address: SocketAddr, model: &str, text: &str, headers: &str) -> String {
    let body = json!({"model": model, "messages": [{"role": "user", "content": text}]});
    let head = format!("POST /v1/chat/completions HTTP/1.1{headers}");
    raw(address, &head, &body.to_string()).await
}

async fn recorded(address: SocketAddr) -> Vec<Value> {
    let said = raw(address, "GET /sim/calls HTTP/1.1", "").await;
    let lines = said.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn one_call_can_be_made_to_fail() {
    let faults: Faults = "503=1".parse().unwrap();
    let address = server(SimOptions { faults, ..quick() }).await;
    let with = async |fault: &str| {
        post(address, "sim-null", "hi", &format!("\r\nx-sim-fault: {fault}")).await
    };
    assert!(with("none").await.starts_with("HTTP/1.1 200"), "it is spared what others meet");
    let limited = with("429").await;
    assert!(limited.starts_with("HTTP/1.1 429") && limited.contains("retry-after: 1"), "{limited}");
    assert!(with("500").await.starts_with("HTTP/1.1 500"));
    assert!(with("empty").await.contains("\"content\":\"\""));
    assert!(with("garbage").await.contains("<h1>Bad gateway</h1>"));
    let unknown = with("fire").await;
    assert!(unknown.starts_with("HTTP/1.1 400") && unknown.contains("stall-first"), "{unknown}");
    assert!(post(address, "sim-null", "hi", "").await.starts_with("HTTP/1.1 503"));
}

#[tokio::test]
async fn every_call_is_recorded_and_what_came_twice_can_be_counted() {
    let address = server(quick()).await;
    for (text, key) in [("hi", "a"), ("hi", "a"), ("ho", "b"), ("hi", "c")] {
        let headers = format!("\r\nidempotency-key: {key}");
        assert!(post(address, "sim-null", text, &headers).await.starts_with("HTTP/1.1 200"));
    }
    post(address, "sim-null", "hi", "\r\nx-sim-fault: 429").await;
    post(address, "sim-null", "hi", "\r\nx-sim-fault: cut").await;
    post(address, "gpt-9", "hi", "").await;
    raw(address, "POST /v1/chat/completions HTTP/1.1", "{").await;
    let calls = recorded(address).await;
    let of = |field: &str| calls.iter().map(|call| call[field].clone()).collect::<Vec<_>>();
    assert_eq!(of("seq"), [1, 2, 3, 4, 5, 6, 7, 8].map(Value::from));
    assert_eq!(of("status"), [200, 200, 200, 200, 429, 200, 404, 400].map(Value::from));
    let outcomes = ["done", "done", "done", "done", "refused", "cut", "refused", "refused"];
    assert_eq!(of("outcome"), outcomes.map(Value::from));
    assert_eq!(of("occasion")[..4], [1, 2, 1, 3].map(Value::from));
    assert_eq!(of("fault")[4..6], ["429", "cut"].map(Value::from));
    assert_eq!(calls[0]["prompt"], calls[3]["prompt"]);
    assert_ne!(calls[0]["prompt"], calls[2]["prompt"]);
    assert!(calls.iter().all(|call| call["ended_ms"].as_u64() >= call["begun_ms"].as_u64()));
    assert!(calls[0]["tokens_out"].as_u64() > Some(0) && calls[0]["usd"].as_f64() > Some(0.0));
    let keys = of("idempotency_key").into_iter().filter(|key| !key.is_null());
    let mut times = std::collections::BTreeMap::new();
    keys.for_each(|key| *times.entry(key.to_string()).or_insert(0) += 1);
    let twice: Vec<_> = times.into_iter().filter(|(_, count)| *count > 1).collect();
    assert_eq!(twice, [("\"a\"".to_owned(), 2)]);
    let later = raw(address, "GET /sim/calls?after=6 HTTP/1.1", "").await;
    assert_eq!(later.lines().filter(|line| line.starts_with('{')).count(), 2, "{later}");
}

#[tokio::test]
async fn a_client_that_goes_away_is_known_to_have_gone() {
    for stream in [true, false] {
        let faults: Faults = "stall=1".parse().unwrap();
        let address = server(SimOptions { faults, ..quick() }).await;
        let hurried = Timeouts {
            first_token_ms: 50,
            between_tokens_ms: 50,
            total_ms: 200,
            ..Timeouts::default()
        };
        let options = HttpProviderOptions {
            stream,
            timeouts: hurried,
            ..HttpProviderOptions::new("sim", format!("http://{address}/v1"))
        };
        let client = HttpProvider::new(options).unwrap();
        ask(&client, request("sim-null", "hi")).await.unwrap_err();
        drop(client);
        // The server learns of it when the connection is closed.
        let gone = async {
            while recorded(address).await[0]["outcome"] != "gone" {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), gone).await.unwrap();
    }
}

#[tokio::test]
async fn a_prefix_that_was_read_costs_less() {
    let address = server(quick()).await;
    let client = client(address, true);
    let rules = "Answer as well as you can. ".repeat(200);
    let usage = async |model: &str, text: &str| {
        ask(&client, request(model, text)).await.unwrap().1.usage.unwrap()
    };
    assert_eq!(usage("sim-sage", &format!("{rules}First?")).await.cached_in, 0);
    let second = usage("sim-sage", &format!("{rules}And second?")).await;
    assert!(second.cached_in > 1_200 && second.cached_in < second.tokens_in, "{second:?}");
    assert_eq!(usage("sim-swift", &format!("{rules}First?")).await.cached_in, 0);
    assert_eq!(usage("sim-sage", &format!("No. {rules}")).await.cached_in, 0);
    let calls = recorded(address).await;
    let usd = |at: usize| calls[at]["usd"].as_f64().unwrap();
    assert!(usd(1) < 0.9 * usd(0), "{} after {}", usd(1), usd(0));
    assert_eq!(calls[1]["cached_in"], second.cached_in);
}

#[tokio::test]
async fn a_simulation_says_what_it_is() {
    let address = server(SimOptions { seed: 7, ..quick() }).await;
    let said = raw(address, "GET /sim HTTP/1.1", "").await;
    let about: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(about["simulation"], true);
    assert_eq!(about["parameters"], baton_sim::Parameters::built_in().short_hash());
    assert_eq!((&about["seed"], &about["control"]), (&json!(7), &json!("off")));
    let models = raw(address, "GET /v1/models HTTP/1.1", "").await;
    assert!(models.contains("\"input_cache_read\":\"0.0000006\""), "{models}");
    let answer = post(address, "sim-null", "hi", "").await;
    let hash = baton_sim::Parameters::built_in().short_hash().to_owned();
    assert!(answer.contains(&format!("\"system_fingerprint\":\"sim_{hash}\"")), "{answer}");
}
