use crate::client::{Events, World, text_of, world};
use baton_engine::{Check, Status as RunStatus};
use baton_workflow::Selection;
use serde_json::{Value, json};

async fn stream(world: &World, extra: Value) -> Events {
    let mut body = json!({"stream": true});
    for (name, value) in extra.as_object().unwrap() {
        body[name] = value.clone();
    }
    let mut events = Events::of(world.chat(body).send().await.unwrap());
    let first = events.json().await;
    assert_eq!(first["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(first["choices"][0]["finish_reason"], Value::Null);
    events
}

#[tokio::test]
async fn the_last_steps_tokens_stream_while_it_works() {
    let world = world().await;
    let mut events = stream(&world, json!({"stream_options": {"include_usage": true}})).await;
    world.peer.up_to_last_step(2, None, Selection::Last);
    world.peer.delta(1, 0, 0, "fo", false);
    // The run has not ended, and the text is here.
    assert_eq!(events.text().await, "fo");
    world.peer.delta(1, 0, 2, "ur", true);
    assert_eq!(events.text().await, "ur");
    world.peer.with(|state| state.get.report_json = r#"{"id":"run_1"}"#.into());
    world.peer.end("four!");
    let rest = events.rest().await;
    assert_eq!(text_of(&rest), "!");
    let [.., finish, usage] = rest.as_slice() else { panic!("{rest:?}") };
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    assert_eq!(finish["usage"], Value::Null);
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["total_tokens"], 0);
    assert_eq!(usage["baton"]["id"], "run_1");
}

#[tokio::test]
async fn earlier_steps_checked_runs_and_votes_do_not_stream() {
    let check = Check::Answer { expected: "4".into() };
    for (steps, check, selection) in
        [(2, Some(check), Selection::Last), (2, None, Selection::Majority)]
    {
        let world = world().await;
        world.peer.delta(1, 0, 0, "wrong", true);
        world.peer.up_to_last_step(steps, check, selection);
        // An earlier step, too, is nobody's answer.
        world.peer.dispatch(2, 0);
        world.peer.lease(2, 1);
        let mut events = stream(&world, json!({"baton": {"progress": true}})).await;
        let mut told = String::new();
        while !told.contains("step 1 of 2") {
            let chunk = events.json().await;
            let delta = &chunk["choices"][0]["delta"];
            assert_eq!(delta["reasoning"], delta["reasoning_content"]);
            told.push_str(delta["reasoning"].as_str().unwrap());
        }
        world.peer.end(&"4 ".repeat(400));
        let rest = events.rest().await;
        assert_eq!(text_of(&rest), "4 ".repeat(400));
        assert!(rest.last().unwrap().get("usage").is_none());
        assert_eq!(world.peer.with(|state| state.step_watches.clone()), [0; 0]);
    }
}

#[tokio::test]
async fn a_call_that_is_made_again_may_repeat_itself() {
    let world = world().await;
    world.peer.up_to_last_step(1, None, Selection::Last);
    world.peer.delta(1, 0, 0, "fo", false);
    let mut events = stream(&world, json!({})).await;
    assert_eq!(events.text().await, "fo");
    world.peer.delta(1, 1, 0, "four", true);
    assert_eq!(events.text().await, "ur");
    world.peer.end("four");
    assert_eq!(text_of(&events.rest().await), "");
}

#[tokio::test]
async fn text_that_was_sent_is_never_contradicted() {
    let interrupted = async |events: &mut Events| {
        let mut last = String::new();
        while let Some(data) = events.data().await {
            last = data;
        }
        let last: Value = serde_json::from_str(&last).unwrap();
        assert_eq!(last["error"]["code"], "stream_interrupted", "{last}");
        assert!(last["error"]["message"].as_str().unwrap().contains("/v1/runs/run_1"));
    };
    // Other words of a second call.
    let world = world().await;
    world.peer.up_to_last_step(1, None, Selection::Last);
    world.peer.delta(1, 0, 0, "fi", false);
    let mut events = stream(&world, json!({})).await;
    assert_eq!(events.text().await, "fi");
    world.peer.delta(1, 1, 0, "four", false);
    interrupted(&mut events).await;
    // Another agent, in another task.
    let world = crate::client::world().await;
    world.peer.up_to_last_step(1, None, Selection::Last);
    world.peer.delta(1, 0, 0, "fi", false);
    let mut events = stream(&world, json!({})).await;
    assert_eq!(events.text().await, "fi");
    world.peer.fail(1);
    world.peer.dispatch(2, 0);
    world.peer.lease(2, 1);
    world.peer.end("four");
    interrupted(&mut events).await;
}

#[tokio::test]
async fn another_agent_may_answer_as_long_as_nothing_was_sent() {
    let world = world().await;
    world.peer.up_to_last_step(1, None, Selection::Last);
    let mut events = stream(&world, json!({})).await;
    world.peer.until(|state| (state.step_watches == [1]).then_some(())).await;
    world.peer.fail(1);
    world.peer.dispatch(2, 0);
    world.peer.lease(2, 1);
    world.peer.delta(2, 0, 0, "four", true);
    assert_eq!(events.text().await, "four");
    world.peer.end("four");
    assert_eq!(text_of(&events.rest().await), "");
}

#[tokio::test]
async fn a_stream_without_answer_ends_with_an_error() {
    let world = world().await;
    world.peer.with(|state| {
        state.get.status = "failed".into();
        state.get.reason_code = "step_failed".into();
    });
    world.peer.close(RunStatus::Failed);
    let mut events = stream(&world, json!({})).await;
    let error = events.json().await;
    assert_eq!(error["error"]["code"], "run_failed");
    assert_eq!(events.raw().await, None);
}
