use crate::client::{Events, error_of, world, world_that_drains};
use baton_workflow::Selection;
use serde_json::json;
use std::time::Duration;

/// Runs whose cancellation was asked for.
macro_rules! cancelled {
    ($world:expr, $count:expr) => {
        $world
            .peer
            .until(|state| {
                let runs: Vec<_> = state.cancels.iter().map(|c| c.run.clone()).collect();
                (runs.len() >= $count).then_some(runs)
            })
            .await
    };
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_takes_its_run_with_it() {
    let world = world().await;
    world.peer.up_to_last_step(1, None, Selection::Last);
    world.peer.delta(1, 0, 0, "fo", false);
    // Whoever asks for the background does not.
    let background = json!({"stream": true, "baton": {"background": true}});
    let mut events = Events::of(world.chat(background).send().await.unwrap());
    assert_eq!(events.text().await, "fo");
    drop(events);
    let mut events = Events::of(world.chat(json!({"stream": true})).send().await.unwrap());
    assert_eq!(events.text().await, "fo");
    drop(events);
    assert_eq!(cancelled!(world, 1), ["run_2"]);
}

#[tokio::test]
async fn a_client_that_does_not_wait_for_the_answer_takes_its_run_with_it() {
    let world = world().await;
    let asking = tokio::spawn(world.chat(json!({})).send());
    world.peer.until(|state| (state.watches.len() == 1).then_some(())).await;
    asking.abort();
    assert_eq!(cancelled!(world, 1), ["run_1"]);
}

#[tokio::test]
async fn a_client_that_comes_again_in_time_finds_its_run() {
    let world = world().await;
    let ask = |count: &str| {
        tokio::spawn(world.chat(json!({})).header("x-stainless-retry-count", count).send())
    };
    let first = ask("0");
    world.peer.until(|state| (state.watches.len() == 1).then_some(())).await;
    first.abort();
    let second = ask("1");
    world.peer.until(|state| (state.watches.len() == 2).then_some(())).await;
    world.peer.end("four");
    let response = second.await.unwrap().unwrap();
    assert_eq!(response.headers()["x-request-id"], "run_1");
    assert_eq!(world.peer.with(|state| state.cancels.len()), 0);
}

#[tokio::test]
async fn one_of_two_clients_leaves_and_the_run_goes_on() {
    let world = world().await;
    world.peer.up_to_last_step(1, None, Selection::Last);
    world.peer.delta(1, 0, 0, "fo", false);
    let join = async || {
        let request = world.chat(json!({"stream": true})).header("idempotency-key", "k");
        let mut events = Events::of(request.send().await.unwrap());
        assert_eq!(events.text().await, "fo");
        events
    };
    let (one, mut other) = (join().await, join().await);
    drop(one);
    world.peer.delta(1, 0, 2, "ur", true);
    assert_eq!(other.text().await, "ur");
    world.peer.end("four");
    assert_eq!(crate::client::text_of(&other.rest().await), "");
    assert_eq!(world.peer.with(|state| state.cancels.len()), 0);
}

#[tokio::test]
async fn a_gateway_that_stops_ends_when_its_requests_have() {
    let world = world().await;
    world.peer.up_to_last_step(1, None, Selection::Last);
    world.peer.delta(1, 0, 0, "fo", false);
    let mut events = Events::of(world.chat(json!({"stream": true})).send().await.unwrap());
    assert_eq!(events.text().await, "fo");
    world.stop.cancel();
    world.peer.end("four");
    assert_eq!(crate::client::text_of(&events.rest().await), "ur");
    drop(world.http);
    world.served.await.unwrap().unwrap();
    assert_eq!(world.peer.with(|state| state.cancels.len()), 0);
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut_and_its_run_goes_on() {
    let settings = crate::sample::settings(&["small"]);
    let world = world_that_drains(settings, Duration::from_millis(10)).await;
    world.peer.up_to_last_step(1, None, Selection::Last);
    world.peer.delta(1, 0, 0, "fo", false);
    let whole = tokio::spawn(world.chat(json!({})).send());
    world.peer.until(|state| (state.watches.len() == 1).then_some(())).await;
    let mut events = Events::of(world.chat(json!({"stream": true})).send().await.unwrap());
    assert_eq!(events.text().await, "fo");
    world.stop.cancel();
    let last = events.json().await;
    assert!(last["error"]["message"].as_str().unwrap().contains("GET /v1/runs/run_2"), "{last}");
    let (status, _, headers) = error_of(whole.await.unwrap().unwrap()).await;
    assert_eq!((status, &headers["x-request-id"]), (503, &"run_1".parse().unwrap()));
    world.served.await.unwrap().unwrap();
    assert_eq!(world.peer.with(|state| state.cancels.len()), 0);
}
