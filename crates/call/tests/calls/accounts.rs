//! Room on an account, in one process and across several.

use crate::scripted::*;
use baton_call::{AccountLimits, Call, CallFailure, CallLimits, Purse};
use baton_ledger::{Bound, EmbeddedLedger};
use baton_workflow::{AccountTerms, BreakerTerms, Incident};
use futures::future::join_all;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

fn limits(terms: AccountTerms, shared: bool) -> CallLimits {
    let accounts = [("p".to_owned(), AccountLimits { terms, shared })].into();
    CallLimits { accounts, hedge: None }
}

fn breaker(open_ms: u64) -> AccountTerms {
    let breaker = BreakerTerms { failure_percent: 50, calls_min: 4, window_ms: 60_000, open_ms };
    AccountTerms { breaker: Some(breaker), ..AccountTerms::default() }
}

#[tokio::test]
async fn an_account_takes_so_many_calls_at_a_time() {
    let provider = Arc::new(Scripted::default());
    provider.will(&[Act::Says("yes", 30)]);
    let terms = AccountTerms { concurrency: Some(2), ..AccountTerms::default() };
    // Two processes, one ledger.
    let ledger = Arc::new(EmbeddedLedger::in_memory().unwrap());
    let callers =
        [(); 2].map(|()| caller(&provider, limits(terms, true)).with_ledger(ledger.clone()));
    let began = Instant::now();
    let calls = (0..8).map(|n| make(&callers[n % 2], "?"));
    let called = join_all(calls).await;
    assert!(called.iter().all(|called| called.result.is_ok()));
    assert!(began.elapsed() >= Duration::from_millis(4 * 30), "{:?}", began.elapsed());
    let waited = called.iter().flat_map(|called| &called.incidents);
    let waited = waited.filter(|incident| {
        matches!(incident, Incident::Waited { cause, .. } if cause == Bound::Concurrency.name())
    });
    assert!(waited.count() >= 5);
}

#[tokio::test(start_paused = true)]
async fn an_agent_takes_as_many_calls_as_its_card_says() {
    let provider = Arc::new(Scripted::default());
    provider.will(&[Act::Says("yes", 1_000)]);
    let caller = caller(&provider, CallLimits::default());
    let mut card = card();
    card.concurrency = 2;
    let began = Instant::now();
    let called = join_all((0..6).map(|_| make_of(&caller, &card, "?", true))).await;
    assert!(called.iter().all(|called| called.result.is_ok()));
    // Released, the next one begins at once: nobody looks again and again.
    assert_eq!(began.elapsed().as_millis(), 3_000);
}

#[tokio::test]
async fn a_failing_account_is_left_alone_by_all_processes() {
    let provider = Arc::new(Scripted::default());
    provider.will(&[Act::Fails(broken(), 1)]);
    let ledger = Arc::new(EmbeddedLedger::in_memory().unwrap());
    let callers = [(); 2]
        .map(|()| caller(&provider, limits(breaker(60_000), true)).with_ledger(ledger.clone()));
    assert!(make(&callers[0], "?").await.result.is_err());
    assert!(make(&callers[1], "?").await.result.is_err());
    assert_eq!(provider.calls(), 4, "the breaker opens with the fourth");
    let called = make(&callers[0], "?").await;
    let failure = called.result.unwrap_err();
    assert_eq!(failure.code(), "breaker_open");
    assert!(matches!(failure, CallFailure::NoRoom { bound: Bound::Breaker, ms } if ms > 50_000));
    assert!(matches!(&called.incidents[..], [Incident::Refused { call: 1, .. }]));
    assert_eq!((provider.calls(), called.spend.calls), (4, 0));
}

#[tokio::test]
async fn whoever_has_no_other_account_waits_for_the_breaker() {
    let provider = Arc::new(Scripted::default());
    let fails = Act::Fails(broken(), 1);
    provider.will(&[fails.clone(), fails.clone(), fails.clone(), fails, Act::Says("yes", 1)]);
    let caller = caller(&provider, limits(breaker(100), false));
    assert!(make(&caller, "?").await.result.is_err());
    let card = card();
    let call = Call {
        card: &card,
        request: request("?"),
        deadline: None,
        followed: false,
        elsewhere: false,
    };
    let called = caller.make(call, &Purse::Open, &CancellationToken::new(), |_| {}).await;
    assert!(called.result.is_ok(), "{called:?}");
    let waited = called.incidents.iter().any(|incident| {
        matches!(incident, Incident::Waited { cause, ms, .. } if cause == "breaker" && *ms >= 50)
    });
    assert!(waited, "{called:?}");
}

#[tokio::test]
async fn a_wish_for_a_pause_is_everybodys() {
    let provider = Arc::new(Scripted::default());
    provider.will(&[Act::Fails(limited(150), 1), Act::Says("yes", 1)]);
    let caller = caller(&provider, CallLimits::default());
    let began = Instant::now();
    let first = make(&caller, "a");
    let second = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        make(&caller, "b").await
    };
    let (first, second) = tokio::join!(first, second);
    assert!(first.result.is_ok() && second.result.is_ok());
    assert!(began.elapsed() >= Duration::from_millis(150));
    assert_eq!(provider.calls(), 3, "the second did not call in vain");
    let waited = |cause: &str| cause == Bound::Pause.name();
    assert!(
        matches!(&second.incidents[..], [Incident::Waited { cause, .. }] if waited(cause)),
        "{second:?}"
    );
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_its_room() {
    let provider = Arc::new(Scripted::default());
    provider.will(&[Act::Says("never", 600_000), Act::Says("yes", 1)]);
    let terms = AccountTerms { concurrency: Some(1), ..AccountTerms::default() };
    let ledger = Arc::new(EmbeddedLedger::in_memory().unwrap());
    let caller = caller(&provider, limits(terms, true)).with_ledger(ledger);
    let slow = tokio::time::timeout(Duration::from_millis(50), make(&caller, "?"));
    assert!(slow.await.is_err());
    assert!(make(&caller, "?").await.result.is_ok());
}
