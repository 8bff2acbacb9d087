use crate::client::{Events, error_of, text_of, world, world_of};
use baton_proto::v1::{DirectChatEnd, DirectChatReply, Usage, direct_chat_reply::What};
use serde_json::{Value, json};

fn reply(what: What) -> DirectChatReply {
    DirectChatReply { what: Some(what) }
}

fn replies() -> Vec<DirectChatReply> {
    let usage = Some(Usage { tokens_in: 3, tokens_out: 2, calls: 1, ..Usage::default() });
    let end = DirectChatEnd { finish: "length".into(), usage, estimated: false, form_fault: None };
    vec![
        reply(What::Reasoning("hm".into())),
        reply(What::Text("fo".into())),
        reply(What::Text("ur".into())),
        reply(What::End(end)),
    ]
}

#[tokio::test]
async fn an_agent_answers_without_a_run() {
    let world = world().await;
    world.peer.with(|state| state.direct = replies());
    let response = world.chat(json!({"model": "small"})).send().await.unwrap();
    assert!(response.headers()["x-request-id"].to_str().unwrap().starts_with("req_"));
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["choices"][0]["message"]["content"], "four");
    assert_eq!(body["choices"][0]["message"]["reasoning"], "hm");
    assert_eq!(body["choices"][0]["finish_reason"], "length");
    assert_eq!(body["usage"]["total_tokens"], 5);
    assert_eq!(world.peer.with(|state| state.submits.len()), 0);
}

#[tokio::test]
async fn an_agents_words_stream() {
    let world = world().await;
    world.peer.with(|state| state.direct = replies());
    let body = json!({"model": "small", "stream": true, "stream_options": {"include_usage": true}});
    let mut events = Events::of(world.chat(body).send().await.unwrap());
    let chunks = events.rest().await;
    assert_eq!(text_of(&chunks), "four");
    assert_eq!(chunks[1]["choices"][0]["delta"]["reasoning_content"], "hm");
    assert_eq!(chunks.last().unwrap()["usage"]["total_tokens"], 5);
}

#[tokio::test]
async fn leaving_ends_the_call() {
    let world = world().await;
    world.peer.with(|state| state.direct = vec![reply(What::Text("fo".into()))]);
    let body = json!({"model": "small", "stream": true});
    let mut events = Events::of(world.chat(body).send().await.unwrap());
    assert_eq!(events.text().await, "fo");
    drop(events);
    world.peer.until(|state| (state.direct_ended == 1).then_some(())).await;
}

#[tokio::test]
async fn an_agent_that_nobody_hosts_is_unavailable() {
    let world = world_of(crate::sample::settings(&["small", "homeless"])).await;
    let response = world.chat(json!({"model": "homeless"})).send().await.unwrap();
    let (status, code, headers) = error_of(response).await;
    assert_eq!((status, code.as_str()), (503, "unavailable"));
    assert!(headers.contains_key("retry-after-ms"));
}
