//! Room for calls on providers' accounts.

use super::given::*;
use crate::{Admission, Admit, Bound, Health, LedgerError, PERMIT_WAIT_MS, Release};
use baton_workflow::{AccountTerms, BreakerTerms};
use std::time::Duration;

const NO_TERMS: AccountTerms = AccountTerms {
    requests_per_minute: None,
    tokens_per_minute: None,
    concurrency: None,
    breaker: None,
};

fn ask(permit: u64, terms: AccountTerms) -> Admit {
    Admit {
        account: "provider".into(),
        permit,
        agent: "agent".into(),
        agent_concurrency: 1_000,
        tokens: 100,
        ttl_ms: LONG_MS,
        terms,
    }
}

fn ended(permit: u64, health: Health, terms: AccountTerms) -> Release {
    Release { account: "provider".into(), permit, tokens: None, health, terms }
}

async fn admitted(l: &L, ask: Admit) {
    assert_eq!(l.admit(ask).await.unwrap(), Admission::Admitted);
}

async fn held_back(l: &L, ask: Admit) -> (Bound, u64) {
    match l.admit(ask).await.unwrap() {
        Admission::Wait { bound, ms } => (bound, ms),
        Admission::Admitted => panic!("there was room"),
    }
}

/// Asks until there is room.
async fn until_admitted(l: &L, ask: Admit) {
    for _ in 0..1_000 {
        if l.admit(ask.clone()).await.unwrap() == Admission::Admitted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("there never was room");
}

pub async fn an_account_without_terms_has_room(l: L) {
    for permit in 1..=50 {
        admitted(&l, ask(permit, NO_TERMS)).await;
    }
}

pub async fn quotas_hold_a_call_back(l: L) {
    // The smallest quotas: one call has to be waited for, for a minute.
    let terms = AccountTerms { requests_per_minute: Some(1), ..NO_TERMS };
    admitted(&l, ask(1, terms)).await;
    let (bound, ms) = held_back(&l, ask(2, terms)).await;
    assert!(bound == Bound::Requests && (40_000..=60_000).contains(&ms), "{bound:?} {ms}");
    let terms = AccountTerms { tokens_per_minute: Some(1_000), ..NO_TERMS };
    let of_tokens = |permit, tokens| Admit { tokens, ..ask(permit, terms) };
    admitted(&l, of_tokens(3, 600)).await;
    let (bound, ms) = held_back(&l, of_tokens(4, 100)).await;
    // 601 of 1000 are over the bucket with a hundred more: 599 at 900 a minute.
    assert!(bound == Bound::Tokens && (25_000..=40_000).contains(&ms), "{bound:?} {ms}");
    let used = Release { tokens: Some(10), ..ended(3, Health::Well, terms) };
    l.release(used).await.unwrap();
    admitted(&l, of_tokens(4, 90)).await;
    let used = Release { tokens: Some(1_000), ..ended(4, Health::Well, terms) };
    l.release(used).await.unwrap();
    let (bound, ms) = held_back(&l, of_tokens(5, 1)).await;
    assert!(bound == Bound::Tokens && ms > 50_000, "{bound:?} {ms}");
}

pub async fn calls_at_a_time_are_counted(l: L) {
    let terms = AccountTerms { concurrency: Some(2), ..NO_TERMS };
    admitted(&l, ask(1, terms)).await;
    admitted(&l, ask(2, terms)).await;
    assert_eq!(held_back(&l, ask(3, terms)).await, (Bound::Concurrency, PERMIT_WAIT_MS));
    l.release(ended(1, Health::Unknown, terms)).await.unwrap();
    admitted(&l, ask(3, terms)).await;
    // A limit that was raised holds at once, one that was lowered too.
    admitted(&l, ask(4, AccountTerms { concurrency: Some(3), ..NO_TERMS })).await;
    l.release(ended(2, Health::Well, terms)).await.unwrap();
    assert_eq!(held_back(&l, ask(5, terms)).await.0, Bound::Concurrency);
}

pub async fn an_agent_takes_so_many_calls(l: L) {
    let of = |permit, agent: &str| Admit {
        agent: agent.into(),
        agent_concurrency: 2,
        ..ask(permit, NO_TERMS)
    };
    admitted(&l, of(1, "one")).await;
    admitted(&l, of(2, "one")).await;
    assert_eq!(held_back(&l, of(3, "one")).await, (Bound::AgentConcurrency, PERMIT_WAIT_MS));
    admitted(&l, of(4, "two")).await;
    l.release(ended(2, Health::Well, NO_TERMS)).await.unwrap();
    admitted(&l, of(3, "one")).await;
    assert_eq!(held_back(&l, of(5, "one")).await.0, Bound::AgentConcurrency);
}

pub async fn a_permit_that_is_not_extended_runs_out(l: L) {
    let terms = AccountTerms { concurrency: Some(1), ..NO_TERMS };
    admitted(&l, Admit { ttl_ms: SHORT_MS, ..ask(1, terms) }).await;
    until_admitted(&l, ask(2, terms)).await;
    // What the dead one still says is not heard.
    l.release(ended(1, Health::Failed, terms)).await.unwrap();
    assert_eq!(held_back(&l, ask(3, terms)).await.0, Bound::Concurrency);
}

pub async fn asking_again_is_the_same_call(l: L) {
    let terms = AccountTerms { concurrency: Some(1), requests_per_minute: Some(1), ..NO_TERMS };
    let brief = Admit { ttl_ms: SHORT_MS, ..ask(1, terms) };
    admitted(&l, brief.clone()).await;
    admitted(&l, ask(1, terms)).await;
    // Were it not extended, it would run out here.
    tokio::time::sleep(Duration::from_millis(2 * SHORT_MS)).await;
    assert_eq!(held_back(&l, ask(2, terms)).await.0, Bound::Concurrency);
    admitted(&l, brief).await;
}

pub async fn releasing_twice_is_once(l: L) {
    let terms = AccountTerms { concurrency: Some(2), ..NO_TERMS };
    admitted(&l, ask(1, terms)).await;
    admitted(&l, ask(2, terms)).await;
    l.release(ended(1, Health::Well, terms)).await.unwrap();
    l.release(ended(1, Health::Well, terms)).await.unwrap();
    l.release(ended(77, Health::Well, terms)).await.unwrap();
    admitted(&l, ask(3, terms)).await;
    assert_eq!(held_back(&l, ask(4, terms)).await.0, Bound::Concurrency);
}

pub async fn a_pause_holds_for_everybody(l: L) {
    admitted(&l, ask(1, NO_TERMS)).await;
    admitted(&l, ask(2, NO_TERMS)).await;
    admitted(&l, ask(3, NO_TERMS)).await;
    let limited = |ms| Health::Limited { retry_after_ms: ms };
    l.release(ended(1, limited(None), NO_TERMS)).await.unwrap();
    l.release(ended(2, limited(Some(300_000)), NO_TERMS)).await.unwrap();
    l.release(ended(3, limited(Some(1)), NO_TERMS)).await.unwrap();
    let (bound, ms) = held_back(&l, ask(4, NO_TERMS)).await;
    assert!(bound == Bound::Pause && (200_000..=300_000).contains(&ms), "{bound:?} {ms}");
}

/// Opens after two failures, for so long.
fn fragile(open_ms: u64) -> AccountTerms {
    let breaker = BreakerTerms { failure_percent: 60, calls_min: 2, window_ms: 3_600_000, open_ms };
    AccountTerms { breaker: Some(breaker), ..NO_TERMS }
}

async fn call(l: &L, permit: u64, health: Health, terms: AccountTerms) {
    admitted(l, ask(permit, terms)).await;
    l.release(ended(permit, health, terms)).await.unwrap();
}

pub async fn a_failing_account_is_left_alone(l: L) {
    let terms = fragile(300_000);
    call(&l, 1, Health::Failed, terms).await;
    call(&l, 2, Health::Well, terms).await;
    call(&l, 3, Health::Unknown, terms).await;
    call(&l, 4, Health::Failed, terms).await;
    let (bound, ms) = held_back(&l, ask(5, terms)).await;
    assert!(bound == Bound::Breaker && (200_000..=300_000).contains(&ms), "{bound:?} {ms}");
    // Without a breaker it never opens, and forgets that it was open.
    admitted(&l, ask(5, NO_TERMS)).await;
    admitted(&l, ask(6, terms)).await;
}

pub async fn a_probe_opens_or_closes(l: L) {
    let terms = fragile(SHORT_MS);
    call(&l, 1, Health::Failed, terms).await;
    call(&l, 2, Health::Failed, terms).await;
    until_admitted(&l, ask(3, terms)).await;
    assert_eq!(held_back(&l, ask(4, terms)).await, (Bound::Breaker, PERMIT_WAIT_MS));
    l.release(ended(3, Health::Failed, fragile(300_000))).await.unwrap();
    let (bound, ms) = held_back(&l, ask(4, terms)).await;
    assert!(bound == Bound::Breaker && ms > 200_000, "{bound:?} {ms}");
    admitted(&l, ask(5, NO_TERMS)).await;
    call(&l, 6, Health::Failed, terms).await;
    call(&l, 7, Health::Failed, terms).await;
    until_admitted(&l, ask(8, terms)).await;
    l.release(ended(8, Health::Well, terms)).await.unwrap();
    call(&l, 9, Health::Failed, terms).await;
    admitted(&l, ask(10, terms)).await;
}

pub async fn accounts_are_apart(l: L) {
    let terms = AccountTerms { concurrency: Some(1), ..NO_TERMS };
    admitted(&l, ask(1, terms)).await;
    admitted(&l, Admit { account: "{other} provider".into(), ..ask(1, terms) }).await;
    assert_eq!(held_back(&l, ask(2, terms)).await.0, Bound::Concurrency);
}

pub async fn questions_have_bounds(l: L) {
    let refused = |ask: Admit| async { l.admit(ask).await };
    let terms = AccountTerms { requests_per_minute: Some(0), ..NO_TERMS };
    for ask in [
        Admit { account: String::new(), ..ask(1, NO_TERMS) },
        Admit { agent: String::new(), ..ask(1, NO_TERMS) },
        Admit { agent_concurrency: 0, ..ask(1, NO_TERMS) },
        Admit { ttl_ms: 0, ..ask(1, NO_TERMS) },
        Admit { ttl_ms: u64::MAX, ..ask(1, NO_TERMS) },
        ask(0, NO_TERMS),
        ask(1, terms),
    ] {
        let answer = refused(ask.clone()).await;
        assert!(matches!(answer, Err(LedgerError::Invalid(_))), "{ask:?}: {answer:?}");
    }
    let release = ended(1, Health::Well, terms);
    assert!(matches!(l.release(release).await, Err(LedgerError::Invalid(_))));
    admitted(&l, Admit { tokens: u64::MAX, permit: u64::MAX, ..ask(1, NO_TERMS) }).await;
}
