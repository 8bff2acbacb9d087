//! Identical calls under way at the same time are made once.

use crate::scripted::*;
use baton_call::{CallFailure, CallLimits, Called, Caller, Flights};
use baton_provider::ChatRequest;
use baton_workflow::{Incident, Spend, TenantId};
use futures::future::join_all;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

async fn share(flights: &Flights, caller: &Caller, tenant: &str, asked: ChatRequest) -> Called {
    let tenant = TenantId::new(tenant).unwrap();
    let stop = CancellationToken::new();
    flights.share(&tenant, &card(), &asked, None, &stop, || make(caller, "?")).await
}

fn keyed(key: &str) -> ChatRequest {
    ChatRequest { idempotency_key: Some(key.into()), ..request("?") }
}

#[tokio::test(start_paused = true)]
async fn the_same_call_is_made_and_paid_once() {
    let provider = Arc::new(Scripted::default());
    provider.will(&[Act::Says("plan", 100)]);
    let (caller, flights) = (caller(&provider, CallLimits::default()), Flights::default());
    let keys = ["a", "b", "c"];
    let called = join_all(keys.map(|key| share(&flights, &caller, "t", keyed(key)))).await;
    assert_eq!(provider.calls(), 1);
    assert!(called.iter().all(|called| called.result.as_ref().unwrap().text == "plan"));
    assert_eq!(called.iter().filter(|called| called.spend.calls == 1).count(), 1);
    let shared = called.iter().filter(|called| called.incidents == [Incident::Shared]);
    assert!(shared.clone().all(|called| called.spend == Spend::ZERO));
    assert_eq!(shared.count(), 2);
    // It is no cache: later calls are made.
    share(&flights, &caller, "t", keyed("d")).await.result.unwrap();
    assert_eq!(provider.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn other_calls_and_other_tenants_are_apart() {
    let provider = Arc::new(Scripted::default());
    provider.will(&[Act::Says("plan", 100)]);
    let (caller, flights) = (caller(&provider, CallLimits::default()), Flights::default());
    let seeded = ChatRequest { seed: Some(1), ..request("?") };
    let warm = ChatRequest { temperature: Some(1.0), ..request("?") };
    join_all([
        share(&flights, &caller, "t", request("?")),
        share(&flights, &caller, "t", request("!")),
        share(&flights, &caller, "t", seeded),
        share(&flights, &caller, "t", warm),
        share(&flights, &caller, "u", request("?")),
    ])
    .await;
    assert_eq!(provider.calls(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_gives_up_takes_nobody_along() {
    let provider = Arc::new(Scripted::default());
    provider.will(&[Act::Says("plan", 100)]);
    let (caller, flights) = (caller(&provider, CallLimits::default()), Flights::default());
    let tenant = TenantId::new("t").unwrap();
    let (asked, card, stop) = (request("?"), card(), CancellationToken::new());
    let stopped = || async {
        tokio::task::yield_now().await;
        let result = Err(CallFailure::Stopped);
        Called { result, spend: Spend::ZERO, estimated: false, incidents: vec![] }
    };
    let leader = flights.share(&tenant, &card, &asked, None, &stop, stopped);
    let follower = share(&flights, &caller, "t", asked.clone());
    let (leader, follower) = tokio::join!(leader, follower);
    assert_eq!(leader.result, Err(CallFailure::Stopped));
    assert_eq!((follower.result.unwrap().text.as_str(), provider.calls()), ("plan", 1));
    // One that fails at the provider speaks for all: it was the same call.
    provider.will(&[Act::Fails(broken(), 10)]);
    let called = join_all(["a", "b"].map(|key| share(&flights, &caller, "t", keyed(key)))).await;
    assert_eq!(provider.calls(), 1 + 3);
    assert!(called.iter().all(|called| called.result == Err(CallFailure::Provider(broken()))));
}
