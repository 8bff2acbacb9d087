use crate::client::{Events, error_of, world};
use baton_engine::Status as RunStatus;
use baton_proto::v1::Usage;
use baton_workflow::Selection;
use serde_json::{Value, json};

#[tokio::test]
async fn a_whole_answer_has_usage_and_report() {
    let world = world().await;
    world.peer.with(|state| {
        state.get.report_json = r#"{"id":"run_1","steps":[]}"#.into();
        state.get.usage = Some(Usage {
            tokens_in: 7,
            tokens_out: 3,
            usd_pico: 2_000_000,
            orchestration_tokens_in: 5,
            ..Usage::default()
        });
    });
    world.peer.up_to_last_step(1, None, Selection::Last);
    world.peer.end("four");
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let options = json!({"baton": {"budget": {"usd": 0.5}, "verify": {"expected": "4"}}});
    let response = world.chat(options).header("traceparent", parent).send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "run_1");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["id"], "chatcmpl-run_1");
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "baton");
    assert_eq!(body["choices"][0]["message"]["content"], "four");
    assert_eq!(body["choices"][0]["message"]["refusal"], Value::Null);
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["usage"]["total_tokens"], 10);
    assert_eq!(body["usage"]["prompt_tokens_details"]["orchestration_tokens"], 5);
    assert_eq!(body["usage"]["cost"], 2e-6);
    assert_eq!(body["baton"]["id"], "run_1");
    let (submitted, traceparent) = world.peer.with(|state| state.submits[0].clone());
    assert_eq!(traceparent.as_deref(), Some(parent));
    assert_eq!((submitted.tenant.as_str(), submitted.model.as_str()), ("local", "baton"));
    assert_eq!(submitted.options.unwrap().usd, Some(0.5));
    assert!(submitted.idempotency_key.unwrap().starts_with("req_"));
}

#[tokio::test]
async fn a_lost_reply_is_no_second_run() {
    let world = world().await;
    world.peer.with(|state| state.lose_replies = 2);
    world.peer.end("four");
    let body: Value = world.chat(json!({})).send().await.unwrap().json().await.unwrap();
    assert_eq!(body["choices"][0]["message"]["content"], "four");
    assert_eq!(world.peer.with(|state| state.submits.len()), 1);
    // A negative control: as many are lost as there are tries, so that no further one helps.
    world.peer.with(|state| state.lose_replies = 4);
    let refused = world.chat(json!({})).send().await.unwrap();
    assert_eq!(refused.status(), 503);
}

#[tokio::test]
async fn a_run_is_followed_from_one_conductor_to_the_next() {
    let world = world().await;
    world.peer.with(|state| state.break_watches = 2);
    world.peer.up_to_last_step(1, None, Selection::Last);
    world.peer.end("four");
    let response = world.chat(json!({})).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let from: Vec<_> = world.peer.with(|state| state.watches.iter().map(|w| w.from).collect());
    assert_eq!(from, [0, 1, 2]);
}

#[tokio::test]
async fn the_clients_key_is_the_runs_key() {
    let world = world().await;
    world.peer.end("four");
    for _ in 0..2 {
        let request = world.chat(json!({})).header("idempotency-key", "order-7");
        assert_eq!(request.send().await.unwrap().headers()["x-request-id"], "run_1");
    }
    let key = world.peer.with(|state| state.submits[0].0.idempotency_key.clone());
    assert_eq!(key.as_deref(), Some("order-7"));
    let response = world.chat(json!({})).header("idempotency-key", "").send().await.unwrap();
    assert_eq!(error_of(response).await.0, 400);
}

#[tokio::test]
async fn a_second_try_is_given_the_first_ones_run() {
    let world = world().await;
    world.peer.end("four");
    let run = async |count: &str, question: f64| {
        let request = world.chat(json!({"temperature": question}));
        let response = request.header("x-stainless-retry-count", count).send().await.unwrap();
        response.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(run("0", 0.0).await, "run_1");
    assert_eq!(run("1", 0.0).await, "run_1");
    // The same question, asked anew, is a run of its own.
    assert_eq!(run("0", 0.0).await, "run_2");
    assert_eq!(run("1", 0.5).await, "run_3");
}

#[tokio::test]
async fn a_run_without_answer_is_an_error_that_is_not_tried_again() {
    let world = world().await;
    world.peer.with(|state| {
        state.get.status = "failed".into();
        state.get.reason_code = "budget_spent".into();
    });
    world.peer.close(RunStatus::Failed);
    let (status, code, headers) = error_of(world.chat(json!({})).send().await.unwrap()).await;
    assert_eq!((status, code.as_str()), (402, "budget_exceeded"));
    assert_eq!(headers["x-should-retry"], "false");
    assert_eq!(headers["x-request-id"], "run_1");
}

#[tokio::test]
async fn runs_are_listed_shown_planned_and_cancelled() {
    let world = world().await;
    world.peer.with(|state| state.get.report_json = r#"{"id": "run_1"}"#.into());
    let page: Value = world.get("/v1/runs?limit=2").send().await.unwrap().json().await.unwrap();
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    assert_eq!(page["has_more"], true);
    assert_eq!(
        world.get("/v1/runs/run_1").send().await.unwrap().text().await.unwrap(),
        r#"{"id": "run_1"}"#
    );
    let cancel = world.post("/v1/runs/run_1/cancel").json(&json!({"reason": "enough"}));
    let state: Value = cancel.send().await.unwrap().json().await.unwrap();
    assert_eq!(state["state"], "asked");
    assert_eq!(world.peer.with(|state| state.cancels[0].reason.clone()), "enough");
    let body = json!({"model": "baton/debate", "messages": [{"role": "user", "content": "?"}]});
    let plan = world.post("/v1/plan").json(&body).send().await.unwrap();
    assert_eq!(plan.text().await.unwrap(), r#"{"model":"baton/debate"}"#);
    assert_eq!(world.peer.with(|state| state.submits.len()), 0);
    for (path, status) in [
        ("/v1/runs/nothing", 404),
        ("/v1/runs/a%20b", 400),
        ("/v1/runs/%ff", 400),
        ("/v1/runs?limit=0", 400),
        ("/v1/runs?limit=many", 400),
        ("/v1/runs?after=x", 400),
        ("/v1/runs/nothing/events", 404),
        ("/v1/runs/run_1/events?from=-1", 400),
    ] {
        assert_eq!(error_of(world.get(path).send().await.unwrap()).await.0, status, "{path}");
    }
}

#[tokio::test]
async fn events_are_live_and_can_be_resumed() {
    let world = world().await;
    world.peer.up_to_last_step(1, None, Selection::Last);
    let mut events = Events::of(world.get("/v1/runs/run_1/events").send().await.unwrap());
    let first = events.raw().await.unwrap();
    assert!(first.starts_with("event: entry\nid: 1\ndata: {"), "{first}");
    for name in ["entry", "entry", "leased"] {
        assert!(events.raw().await.unwrap().starts_with(&format!("event: {name}\n")));
    }
    world.peer.end("four");
    assert!(events.raw().await.unwrap().contains("\"event\":\"ended\""));
    assert_eq!(events.raw().await.unwrap(), "event: end\ndata: {}");
    assert_eq!(events.raw().await, None);
    let resumed = world.get("/v1/runs/run_1/events?from=1").header("last-event-id", "2");
    let mut events = Events::of(resumed.send().await.unwrap());
    assert!(events.raw().await.unwrap().contains("id: 3\n"));
}
