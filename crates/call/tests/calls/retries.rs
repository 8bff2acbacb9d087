//! A call that fails is made again, and says so.

use crate::scripted::*;
use baton_call::{CallFailure, CallLimits};
use baton_workflow::Incident;
use std::sync::Arc;

#[tokio::test(start_paused = true)]
async fn a_call_that_succeeds_at_once_has_nothing_to_tell() {
    let provider = Arc::new(Scripted::default());
    provider.will(&[Act::Says("yes", 20)]);
    let called = make(&caller(&provider, CallLimits::default()), "?").await;
    assert_eq!(called.result.unwrap().text, "yes");
    assert_eq!((called.spend.calls, called.estimated), (1, false));
    assert_eq!(called.incidents, []);
}

#[tokio::test(start_paused = true)]
async fn every_failure_is_told_and_what_may_have_cost_is_booked() {
    let provider = Arc::new(Scripted::default());
    provider.will(&[Act::Fails(limited(200), 5), Act::Breaks("ye", 7), Act::Says("yes", 20)]);
    let called = make(&caller(&provider, CallLimits::default()), "?").await;
    assert_eq!(called.result.unwrap().text, "yes");
    // The refusal cost nothing, the cut stream may have.
    let bound = card().upper_bound(1 + 16, 100);
    assert_eq!(called.spend.tokens_in, bound.tokens_in + 10);
    assert_eq!((called.spend.calls, called.estimated), (2, true));
    let told = called.incidents.iter().map(|incident| match incident {
        Incident::Failed { call, code, ms, retry_ms: Some(_) } => (*call, code.as_str(), *ms),
        other => panic!("{other:?}"),
    });
    assert_eq!(told.collect::<Vec<_>>(), [(1, "rate_limited", 5), (2, "cut_stream", 7)]);
}

#[tokio::test(start_paused = true)]
async fn the_last_failure_is_the_calls() {
    let provider = Arc::new(Scripted::default());
    provider.will(&[Act::Fails(broken(), 1)]);
    let called = make(&caller(&provider, CallLimits::default()), "?").await;
    assert_eq!(called.result, Err(CallFailure::Provider(broken())));
    assert_eq!((provider.calls(), called.incidents.len(), called.spend.calls), (3, 3, 0));
    assert!(matches!(called.incidents[2], Incident::Failed { retry_ms: None, .. }));
}
