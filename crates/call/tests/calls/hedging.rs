//! Slow calls get a second one beside them.

use crate::scripted::*;
use baton_call::{Call, CallLimits, Called, Caller, Delta, Purse};
use baton_workflow::{HedgeTerms, Incident};
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const TERMS: HedgeTerms = HedgeTerms { percentile: 90, share_percent: 20, calls_min: 10 };

/// A caller that has seen calls of 100 ms, and saved up for second ones.
async fn seasoned(provider: &Arc<Scripted>, followed: bool) -> Caller {
    let limits = CallLimits { hedge: Some(TERMS), ..CallLimits::default() };
    let caller = caller(provider, limits);
    provider.will(&[Act::Says("yes", 100)]);
    for _ in 0..20 {
        make_of(&caller, &card(), "?", followed).await.result.unwrap();
    }
    provider.asked.lock().unwrap().clear();
    caller
}

fn hedged(called: &Called) -> Option<(u32, bool)> {
    called.incidents.iter().find_map(|incident| match incident {
        Incident::Hedged { call, won, after_ms } => {
            assert!((95..120).contains(after_ms), "{after_ms}");
            Some((*call, *won))
        }
        _ => None,
    })
}

#[tokio::test(start_paused = true)]
async fn the_second_call_wins_over_a_stall() {
    let provider = Arc::new(Scripted::default());
    let caller = seasoned(&provider, false).await;
    provider.will(&[Act::Says("late", 60_000), Act::Says("soon", 100)]);
    let began = Instant::now();
    let called = make(&caller, "?").await;
    assert_eq!(hedged(&called), Some((2, true)));
    assert_eq!(called.result.unwrap().text, "soon");
    assert!(began.elapsed().as_millis() < 250, "{:?}", began.elapsed());
    // What the first used nobody knows: its bound is booked.
    assert_eq!((called.spend.calls, called.estimated), (2, true));
    let keys: Vec<_> =
        provider.asked.lock().unwrap().iter().map(|asked| asked.idempotency_key.clone()).collect();
    assert_eq!(keys, [Some("task".to_owned()), Some("task/2".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn the_first_may_still_win_and_a_failed_second_changes_nothing() {
    let provider = Arc::new(Scripted::default());
    let caller = seasoned(&provider, false).await;
    provider.will(&[Act::Says("first", 150), Act::Says("second", 1_000)]);
    let called = make(&caller, "?").await;
    assert_eq!(
        (hedged(&called), called.result.unwrap().text.as_str()),
        (Some((2, false)), "first")
    );
    provider.will(&[Act::Says("first", 150), Act::Fails(broken(), 1)]);
    let called = make(&caller, "?").await;
    assert_eq!((hedged(&called), called.spend.calls), (Some((2, false)), 1));
    assert!(called.incidents.iter().any(|i| matches!(i, Incident::Failed { call: 2, .. })));
    provider.will(&[Act::Fails(broken(), 150), Act::Says("second", 100)]);
    let called = make(&caller, "?").await;
    assert_eq!(
        (hedged(&called), called.result.unwrap().text.as_str()),
        (Some((2, true)), "second")
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_followed_is_not_doubled_once_there_is_text() {
    let provider = Arc::new(Scripted::default());
    let caller = seasoned(&provider, true).await;
    provider.will(&[Act::Says("late", 60_000), Act::Says("soon", 50)]);
    let mut heard = Vec::new();
    let card = card();
    let call = Call {
        card: &card,
        request: request("?"),
        deadline: None,
        followed: true,
        elsewhere: true,
    };
    let called = caller
        .make(call, &Purse::Open, &CancellationToken::new(), |delta| match delta {
            Delta::Begin { call } => heard.push(format!("begin {call}")),
            Delta::Text(text) | Delta::Reasoning(text) | Delta::Refusal(text) => {
                heard.push(text.to_owned());
            }
            Delta::Tool(piece) => panic!("{piece:?}"),
        })
        .await;
    assert_eq!(called.result.unwrap().text, "soon");
    assert_eq!(heard, ["begin 1", "begin 2", "soon"]);
    // Text that comes at once makes it safe, however long the rest takes.
    provider.asked.lock().unwrap().clear();
    provider.will(&[Act::Breaks("half", 20), Act::Says("whole", 20)]);
    let called = make_of(&caller, &card, "?", true).await;
    assert_eq!((hedged(&called), provider.calls()), (None, 2));
}

#[tokio::test(start_paused = true)]
async fn second_calls_are_few() {
    let provider = Arc::new(Scripted::default());
    let caller = seasoned(&provider, false).await;
    // Four calls of 100 ms have been saved for, and every later one is slow.
    let mut second = 0;
    for _ in 0..40 {
        provider.asked.lock().unwrap().clear();
        provider.will(&[Act::Says("slow", 5_000), Act::Says("soon", 1)]);
        make(&caller, "?").await.result.unwrap();
        second += provider.calls() - 1;
    }
    assert!((4..=(20 + 40) / 5).contains(&second), "{second} second calls");
}

#[tokio::test(start_paused = true)]
async fn without_terms_nothing_is_doubled() {
    let provider = Arc::new(Scripted::default());
    let caller = seasoned(&provider, false).await;
    caller.set_limits(CallLimits::default());
    provider.will(&[Act::Says("slow", 60_000)]);
    let called = make(&caller, "?").await;
    assert_eq!((provider.calls(), called.incidents), (1, vec![]));
}
