use crate::client::{Events, world};
use baton_workflow::Selection;
use serde_json::json;

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
async fn two_clients_of_one_run_leave_one_by_one() {
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
    drop(other);
    assert_eq!(cancelled!(world, 1), ["run_1"]);
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
