//! What the client makes of servers that do not behave, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly, as tests may"
)]

mod server;

use baton_provider::{ChatEvent, ChatRequest, Message, Provider, ProviderError, Role};
use baton_provider_http::{
    HttpProvider, HttpProviderOptions, OptionsError, Protocol, ReplyLimits, Secret, Timeouts,
};
use futures::StreamExt;
use server::{Act, Server, serve};
use std::collections::BTreeMap;

const HELLO: &str = r#"{"model":"m","choices":[{"index":0,"delta":{"content":"Hello"}}]}"#;
const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}"#;

fn request() -> ChatRequest {
    ChatRequest {
        model: "m".into(),
        messages: vec![Message::text(Role::User, "Say hello")],
        output_tokens_max: 16,
        temperature: Some(0.5),
        seed: Some(7),
        idempotency_key: Some("step-1".into()),
        ..ChatRequest::default()
    }
}

fn options(server: &Server) -> HttpProviderOptions {
    HttpProviderOptions::new("test", format!("http://{}/v1", server.address))
}

fn provider(options: HttpProviderOptions) -> HttpProvider {
    // Two tests may come here at once; the second finds it done.
    let _ = rustls::crypto::ring::default_provider().install_default();
    HttpProvider::new(options).unwrap()
}

/// What happened in a call, in one line, and its error if it had one.
async fn call(options: HttpProviderOptions) -> (String, Option<ProviderError>) {
    let mut said = Vec::new();
    let mut stream = match provider(options).chat(request()).await {
        Ok(stream) => stream,
        Err(error) => return (error.to_string(), Some(error)),
    };
    while let Some(event) = stream.next().await {
        match event {
            Ok(ChatEvent::Text(text)) => said.push(text),
            Ok(ChatEvent::Reasoning(text)) => said.push(format!("({text})")),
            Ok(ChatEvent::Refusal(text)) => said.push(format!("<{text}>")),
            Ok(ChatEvent::Tool(piece)) => said.push(format!("{piece:?}")),
            Ok(ChatEvent::Finished(end)) => {
                let usage = end.usage.map(|u| (u.tokens_in, u.tokens_out));
                said.push(format!("{:?} {usage:?}", end.finish));
            }
            Err(error) => {
                said.push(error.to_string());
                assert!(stream.next().await.is_none(), "an error ends the stream");
                return (said.join(" | "), Some(error));
            }
        }
    }
    (said.join(" | "), None)
}

fn head(status: &str, kind: &str, headers: &str) -> Act {
    Act::Send(
        format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{headers}connection: close\r\n\r\n")
            .into_bytes(),
    )
}

fn sse() -> Act {
    head("200 OK", "text/event-stream", "")
}

fn data(json: &str) -> Act {
    Act::Send(format!("data: {json}\n\n").into_bytes())
}

fn raw(text: &str) -> Act {
    Act::Send(text.as_bytes().to_vec())
}

async fn check(script: Vec<Act>) -> String {
    let server = serve(script).await;
    call(options(&server)).await.0
}

#[tokio::test]
async fn the_request_is_what_the_protocol_says() {
    let mut server = serve(vec![sse(), data(HELLO), data(STOP), data(USAGE), data("[DONE]")]).await;
    let key = Secret::new("sk-test", "a test").unwrap();
    let headers = BTreeMap::from([("x-team".into(), Secret::new("red", "a test").unwrap())]);
    let all = HttpProviderOptions { key: Some(key), headers, ..options(&server) };
    let shown = format!("{all:?} {:?}", provider(all.clone()));
    assert!(!shown.contains("sk-test") && !shown.contains("red"), "{shown}");
    assert_eq!(call(all).await.0, "Hello | Stop Some((9, 2))");
    let sent = server.requests.recv().await.unwrap();
    for part in [
        "POST /v1/chat/completions HTTP/1.1",
        "authorization: Bearer sk-test",
        "x-team: red",
        "idempotency-key: step-1",
        r#""max_tokens":16,"temperature":0.5,"seed":7,"stream":true,"stream_options":{"include_usage":true}"#,
    ] {
        assert!(sent.contains(part), "{part} is not in {sent}");
    }
}

#[tokio::test]
async fn streams_as_servers_really_send_them() {
    let odd = r#"{"choices":[{"delta":{"content":"!"},"finish_reason":""}]}"#;
    let think = r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#;
    let comment = raw(": OPENROUTER PROCESSING\n\n");
    let empty = data(r#"{"choices":[]}"#);
    let script = vec![sse(), comment, empty, data(think), data(HELLO), data(odd), data("[DONE]")];
    assert_eq!(check(script).await, "(hm) | Hello | ! | Stop None");
    let unmarked = vec![sse(), data(HELLO), data(STOP)];
    assert_eq!(check(unmarked).await, "Hello | Stop None");
    let crlf = raw(&format!("event: x\r\nid: 1\r\ndata: {HELLO}\r\n\r\ndata:{STOP}\r\n\r\n"));
    assert_eq!(check(vec![sse(), crlf]).await, "Hello | Stop None");
    let (bytes, mut split) = (format!("data: {HELLO}\n\ndata: {STOP}\n\n"), vec![sse()]);
    split.extend(bytes.bytes().map(|byte| Act::Send(vec![byte])));
    assert_eq!(check(split).await, "Hello | Stop None");
}

#[tokio::test]
async fn a_server_may_answer_whole_what_was_asked_as_a_stream() {
    let whole = r#"{"model":"m","choices":[{"message":{"role":"assistant","content":"Hi","reasoning":"hm"},"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":null}}"#;
    let script = vec![head("200 OK", "application/json; charset=utf-8", ""), raw(whole)];
    assert_eq!(check(script.clone()).await, "(hm) | Hi | Length Some((1, 2))");
    let server = serve(script).await;
    let (said, _) = call(HttpProviderOptions { stream: false, ..options(&server) }).await;
    assert_eq!(said, "(hm) | Hi | Length Some((1, 2))");
    let server = serve(vec![sse(), data(HELLO), data(STOP)]).await;
    let (said, _) = call(HttpProviderOptions { stream: false, ..options(&server) }).await;
    assert_eq!(said, "Hello | Stop None");
}

#[tokio::test]
async fn a_cut_stream_is_no_answer() {
    let cut = "the stream was cut after 5 bytes of text";
    let said = check(vec![sse(), data(HELLO)]).await;
    assert!(said.starts_with(&format!("Hello | {cut}: it ended without")), "{said}");
    let length = head("200 OK", "text/event-stream", "content-length: 5000\r\n");
    let said = check(vec![length, data(HELLO)]).await;
    assert!(said.starts_with(&format!("Hello | {cut}: ")), "{said}");
    let chunked = head("200 OK", "text/event-stream", "transfer-encoding: chunked\r\n");
    let said = check(vec![chunked, raw("40\r\ndata: {"), Act::Reset]).await;
    assert!(said.starts_with("the stream was cut after 0 bytes of text: "), "{said}");
    let said = check(vec![]).await;
    assert!(said.starts_with("the stream was cut after 0 bytes of text: "), "{said}");
    let late = data(r#"{"error":{"message":"engine died","code":500}}"#);
    assert_eq!(check(vec![sse(), data(HELLO), late]).await, format!("Hello | {cut}: engine died"));
}

#[tokio::test]
async fn an_error_before_any_text_says_what_it_is() {
    let busy = data(r#"{"error":{"message":"slow down","type":"rate_limit_error","code":429}}"#);
    assert_eq!(check(vec![sse(), busy]).await, "rate limited by the provider: slow down");
    let sick = r#"{"error":{"message":"no worker","code":503}}"#;
    let script = vec![head("200 OK", "application/json", ""), raw(sick)];
    assert_eq!(check(script).await, "the provider answered 503: no worker");
}

#[tokio::test]
async fn garbage_is_malformed_and_nothing_is_empty() {
    let malformed = "the provider's reply is malformed";
    for script in [
        vec![sse(), data("{\"choices\": 7}")],
        vec![sse(), data("not json")],
        vec![sse(), Act::Send(b"data: \xff\xfe\n\n".to_vec())],
        vec![head("200 OK", "text/html", ""), raw("<html>Welcome to the portal</html>")],
        vec![head("200 OK", "application/json", ""), raw("{\"choices\":")],
    ] {
        let said = check(script.clone()).await;
        assert!(said.starts_with(malformed), "{said} {script:?}");
    }
    let empty = "the provider's reply is empty";
    assert_eq!(check(vec![sse(), data("[DONE]")]).await, empty);
    assert_eq!(check(vec![sse(), data(STOP), data(USAGE)]).await, empty);
    let no_choices = vec![head("200 OK", "application/json", ""), raw("{}")];
    assert_eq!(check(no_choices).await, empty);
}

#[tokio::test]
async fn a_reply_may_not_fill_the_memory() {
    let limits = ReplyLimits { event_bytes_max: 2_000, reply_bytes_max: 10_000 };
    let limited = async |script| {
        let server = serve(script).await;
        call(HttpProviderOptions { limits, ..options(&server) }).await.0
    };
    let long = raw(&format!("data: {}", "x".repeat(3_000)));
    let said = limited(vec![sse(), long, Act::Wait]).await;
    assert_eq!(said, "the provider's reply is malformed: an event has more than 2000 bytes");
    let endless = std::iter::once(sse()).chain((0..200).map(|_| data(HELLO))).collect();
    let said = limited(endless).await;
    assert!(said.ends_with("malformed: the reply has more than 10000 bytes"), "{said}");
    let whole = vec![head("200 OK", "application/json", ""), raw(&" ".repeat(20_000))];
    assert!(limited(whole).await.ends_with("the reply has more than 10000 bytes"));
}

#[tokio::test]
async fn a_status_is_the_callers_decision() {
    let json = "application/json";
    let limited = vec![
        head("429 Too Many Requests", json, "retry-after: 3\r\n"),
        raw(
            r#"{"error":{"message":"slow down","type":"rate_limit_exceeded","param":null,"code":null}}"#,
        ),
    ];
    let server = serve(limited).await;
    let (said, error) = call(options(&server)).await;
    let error = error.unwrap();
    assert_eq!(said, "rate limited by the provider: slow down");
    assert_eq!((error.retry_after_ms(), error.is_retryable()), (Some(3_000), true));

    let server = serve(vec![head("503 x", json, "retry-after-ms: 40\r\n")]).await;
    let error = call(options(&server)).await.1.unwrap();
    assert_eq!((error.code(), error.retry_after_ms()), ("server_error", Some(40)));

    let server = serve(vec![head("401 x", json, ""), raw("{\"error\":\"no sk-test\"}")]).await;
    let key = Some(Secret::new("sk-test", "a test").unwrap());
    let (said, error) = call(HttpProviderOptions { key, ..options(&server) }).await;
    assert_eq!(said, "the provider refuses the key (401): no [secret]");
    assert!(!error.unwrap().is_retryable());

    let late = data(r#"{"error":{"message":"no sk-test","code":401}}"#);
    let server = serve(vec![sse(), late]).await;
    let key = Some(Secret::new("sk-test", "a test").unwrap());
    let (said, _) = call(HttpProviderOptions { key, ..options(&server) }).await;
    assert_eq!(said, "the provider refuses the key (401): no [secret]");

    let moved = vec![head("307 x", json, "location: http://127.0.0.1:1/v1\r\n")];
    assert_eq!(check(moved).await, "the provider refuses the request (307): Temporary Redirect");
    let huge = vec![head("400 x", "text/plain", ""), raw(&"y".repeat(1_000_000))];
    assert!(check(huge).await.len() < 1_000);
}

#[tokio::test]
async fn each_wait_has_its_end() {
    let quick = Timeouts {
        connect_ms: 10_000,
        first_token_ms: 10_000,
        between_tokens_ms: 10_000,
        total_ms: 10_000,
    };
    let timed = async |script, timeouts, stream| {
        let server = serve(script).await;
        call(HttpProviderOptions { timeouts, stream, ..options(&server) }).await.0
    };
    let out = |phase: &str| format!("timed out after 50 ms waiting for {phase}");
    let first = Timeouts { first_token_ms: 50, ..quick };
    assert_eq!(timed(vec![Act::Wait], first, true).await, out("FirstToken"), "no headers");
    let script = vec![sse(), raw(": wait\n\n"), Act::Wait];
    assert_eq!(timed(script, first, true).await, out("FirstToken"), "comments do not count");
    let script = vec![sse(), data(HELLO), Act::Wait];
    let between = Timeouts { between_tokens_ms: 50, ..quick };
    assert_eq!(
        timed(script.clone(), between, true).await,
        format!("Hello | {}", out("BetweenTokens"))
    );
    let total = Timeouts { total_ms: 50, ..quick };
    assert_eq!(timed(script, total, true).await, format!("Hello | {}", out("Total")));
    assert_eq!(timed(vec![Act::Wait], total, false).await, out("Total"));
    let script = vec![head("200 OK", "application/json", ""), raw("{"), Act::Wait];
    assert_eq!(timed(script, total, false).await, out("Total"));
}

#[tokio::test]
async fn no_connection_is_no_call() {
    let server = serve(vec![]).await;
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let base_url = format!("http://{address}/v1");
    let (said, error) = call(HttpProviderOptions { base_url, ..options(&server) }).await;
    assert!(said.starts_with(&format!("cannot connect to http://{address}/v1")), "{said}");
    assert!(said.contains("refused"), "{said}");
    assert!(!error.unwrap().may_have_cost());
}

#[tokio::test]
async fn a_connection_that_is_not_made_times_out() {
    // Nobody accepts, and the queue of connections to accept is full: the next one hangs.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let _listener = socket.listen(1).unwrap();
    let mut queue = Vec::new();
    while let Ok(Ok(socket)) = tokio::time::timeout(
        std::time::Duration::from_millis(200),
        tokio::net::TcpStream::connect(address),
    )
    .await
    {
        queue.push(socket);
    }
    let options = HttpProviderOptions {
        timeouts: Timeouts { connect_ms: 50, ..Timeouts::default() },
        ..HttpProviderOptions::new("test", format!("http://{address}/v1"))
    };
    assert_eq!(call(options).await.0, "timed out after 50 ms waiting for Connect");
}

#[tokio::test]
async fn dropping_the_stream_ends_the_call() {
    let mut server = serve(vec![sse(), data(HELLO), Act::Wait]).await;
    let mut stream = provider(options(&server)).chat(request()).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), ChatEvent::Text("Hello".into()));
    drop(stream);
    server.hung_up.recv().await.unwrap();
}

#[tokio::test]
async fn options_that_cannot_work_are_refused_at_the_start() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let wrong = |base_url: &str| {
        HttpProvider::new(HttpProviderOptions::new("p", base_url)).unwrap_err().to_string()
    };
    for bad in ["", "api.openai.com", "ftp://x/v1", "http://user:pw@x/v1", "http://x/v1?key=sk-1"] {
        let said = wrong(bad);
        assert!(said.starts_with("provider p: base_url"), "{said}");
        assert!(!said.contains("pw") && !said.contains("sk-1"), "{said}");
    }
    let headers = BTreeMap::from([("no name".into(), Secret::new("x", "a test").unwrap())]);
    let options = HttpProviderOptions { headers, ..HttpProviderOptions::new("p", "http://x/v1") };
    assert!(matches!(HttpProvider::new(options), Err(OptionsError::HeaderName { .. })));
}

const BEGIN: &str = r#"{"type":"message_start","message":{"model":"m","usage":{"input_tokens":4,"cache_read_input_tokens":5,"output_tokens":1}}}"#;
const SAID: &str =
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}"#;
const DELTA: &str =
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#;

fn named(event: &str, json: &str) -> Act {
    Act::Send(format!("event: {event}\ndata: {json}\n\n").into_bytes())
}

#[tokio::test]
async fn messages_are_asked_for_as_their_protocol_says() {
    let script = vec![
        sse(),
        named("message_start", BEGIN),
        named("ping", r#"{"type":"ping"}"#),
        named("content_block_delta", SAID),
        named("message_delta", DELTA),
        named("message_stop", r#"{"type":"message_stop"}"#),
        // Some servers keep the connection open: the protocol's own end has to do.
        Act::Wait,
    ];
    let mut server = serve(script).await;
    let key = Secret::new("sk-test", "a test").unwrap();
    let protocol = Protocol::Messages;
    let with_version = HttpProviderOptions { protocol, key: Some(key), ..options(&server) };
    let without = format!("http://{}", server.address);
    let without = HttpProviderOptions { base_url: without, key: None, ..with_version.clone() };
    for (options, header) in [(with_version, "x-api-key: sk-test"), (without, "anthropic-version")]
    {
        assert_eq!(call(options).await.0, "Hello | Stop Some((9, 2))");
        let sent = server.requests.recv().await.unwrap();
        for part in ["POST /v1/messages HTTP/1.1", "anthropic-version: 2023-06-01", header] {
            assert!(sent.contains(part), "{part} is not in {sent}");
        }
        assert!(!sent.contains("authorization"), "{sent}");
    }
}

#[tokio::test]
async fn errors_of_messages_are_told_apart() {
    let check = async |script: Vec<Act>| {
        let server = serve(script).await;
        let protocol = Protocol::Messages;
        call(HttpProviderOptions { protocol, ..options(&server) }).await.1.unwrap()
    };
    let body = |kind: &str| {
        raw(&format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"so"}}}}"#))
    };
    let json = |status: &str, headers: &str| head(status, "application/json", headers);
    let overloaded = check(vec![json("529 Overloaded", ""), body("overloaded_error")]).await;
    assert_eq!(overloaded.code(), "server_error");
    assert!(overloaded.is_retryable() && !overloaded.may_have_cost());
    let limited = json("429 Too Many Requests", "retry-after: 3\r\n");
    let limited = check(vec![limited, body("rate_limit_error")]).await;
    assert_eq!((limited.code(), limited.retry_after_ms()), ("rate_limited", Some(3_000)));
    let refused = check(vec![json("400 Bad Request", ""), body("invalid_request_error")]).await;
    assert_eq!(refused.code(), "refused");
    let inside = r#"{"type":"error","error":{"type":"overloaded_error","message":"so"}}"#;
    let early = check(vec![sse(), named("message_start", BEGIN), named("error", inside)]).await;
    assert_eq!(early.code(), "server_error");
    let late = check(vec![sse(), named("x", SAID), named("error", inside)]).await;
    assert_eq!(late.code(), "cut_stream");
    let unfinished = check(vec![sse(), named("x", BEGIN), named("x", SAID)]).await;
    assert_eq!(unfinished.code(), "cut_stream");
}
