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
use std::net::SocketAddr;
use tokio::net::TcpListener;

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
    // 160 tokens a second, twenty times as fast, after a first wait of 4 ms.
    let least = std::time::Duration::from_secs_f64(f64::from(chunks - 1) / 160.0 * 0.05);
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
    let hurried = Timeouts { between_tokens_ms: 50, total_ms: 400, ..patient };
    let fault = async |faults: Faults, timeouts: Timeouts, stream: bool| {
        let address = server(SimOptions { faults, ..quick() }).await;
        let options = HttpProviderOptions {
            stream,
            timeouts,
            ..HttpProviderOptions::new("sim", format!("http://{address}/v1"))
        };
        let client = HttpProvider::new(options).unwrap();
        ask(&client, request("sim-null", "hi")).await.unwrap_err()
    };
    for stream in [true, false] {
        let none = Faults::default();
        let limited = fault(Faults { rate_limited: 1.0, ..none }, patient, stream).await;
        assert_eq!((limited.code(), limited.retry_after_ms()), ("rate_limited", Some(50)));
        let broken = fault(Faults { server_error: 1.0, ..none }, patient, stream).await;
        assert_eq!(broken.code(), "server_error");
        let cut = fault(Faults { cut: 1.0, ..none }, patient, stream).await;
        assert_eq!(cut.code(), "cut_stream", "{cut}");
        let garbage = fault(Faults { garbage: 1.0, ..none }, patient, stream).await;
        assert_eq!(garbage.code(), "malformed", "{garbage}");
        let stalled = fault(Faults { stall: 1.0, ..none }, hurried, stream).await;
        assert!(stalled.code().starts_with("timeout_"), "{stalled}");
    }
}

#[tokio::test]
async fn a_call_made_again_can_succeed() {
    let faults = Faults { server_error: 0.5, ..Faults::default() };
    let client = client(server(SimOptions { faults, ..quick() }).await, true);
    let mut failed = 0;
    for _ in 0..40 {
        failed += u32::from(ask(&client, request("sim-null", "hi")).await.is_err());
    }
    assert!((5..36).contains(&failed), "{failed} of 40 failed");
}
