//! The same random questions about accounts get the same answers from the embedded ledger
//! and from Redis.
//!
//! Times differ between the two by milliseconds. So terms are either so long that no
//! answer changes within a sequence, or over before the next question.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly, also outside of its function"
)]

use baton_ledger::{Admission, Admit, EmbeddedLedger, Health, Ledger, Release};
use baton_ledger_redis::{Durability, RedisLedger, RedisOptions};
use baton_testkit::redis::RedisServer;
use baton_workflow::{AccountTerms, BreakerTerms};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use std::time::Duration;

/// Sequences of questions, and questions in each.
const SEQUENCES: u64 = 40;
const QUESTIONS: usize = 80;
/// Longer than any sequence, in milliseconds.
const LONG_MS: u64 = 3_000_000;
/// By how much two waits may differ, in milliseconds: a sequence may take so long.
const DRIFT_MS: u64 = 5_000;

/// Terms whose quotas leak less than one call within a sequence.
fn terms(random: &mut impl Rng) -> AccountTerms {
    let breaker = BreakerTerms {
        failure_percent: random.random_range(20..=100),
        calls_min: random.random_range(1..6),
        window_ms: LONG_MS,
        open_ms: if random.random_ratio(1, 3) { 1 } else { LONG_MS },
    };
    AccountTerms {
        requests_per_minute: random.random_ratio(1, 8).then_some(1),
        tokens_per_minute: random.random_ratio(1, 4).then_some(1_000),
        concurrency: random.random_ratio(1, 2).then(|| random.random_range(1..6)),
        breaker: random.random_ratio(3, 4).then_some(breaker),
    }
}

fn ask(permit: u64, terms: AccountTerms, random: &mut impl Rng) -> Admit {
    Admit {
        account: ["a", "b {} *"][random.random_range(0..2)].into(),
        permit,
        agent: ["x", "y z"][random.random_range(0..2)].into(),
        agent_concurrency: random.random_range(1..5),
        tokens: random.random_range(0..4) * 100,
        ttl_ms: if random.random_ratio(1, 8) { 1 } else { LONG_MS },
        terms,
    }
}

fn end(ask: &Admit, random: &mut impl Rng) -> Release {
    let health = match random.random_range(0..10) {
        0..=3 => Health::Well,
        4..=7 => Health::Failed,
        8 => Health::Unknown,
        _ => Health::Limited { retry_after_ms: [None, Some(1)][random.random_range(0..2)] },
    };
    Release {
        account: ask.account.clone(),
        permit: ask.permit,
        tokens: random.random_ratio(1, 2).then(|| random.random_range(0..4) * 100),
        health,
        terms: ask.terms,
    }
}

fn alike(embedded: Admission, redis: Admission) -> bool {
    match (embedded, redis) {
        (Admission::Wait { bound, ms }, Admission::Wait { bound: other, ms: other_ms }) => {
            bound == other && ms.abs_diff(other_ms) <= DRIFT_MS
        }
        (embedded, redis) => embedded == redis,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_and_redis_decide_alike() {
    let server =
        RedisServer::start_with(&["appendonly yes", "appendfsync everysec"]).await.unwrap();
    let first = rand::random::<u32>().into();
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for seed in first..first + SEQUENCES {
        let options = RedisOptions {
            prefix: format!("seed{seed}"),
            durability: Durability::EverySecond,
            ..RedisOptions::new(server.url())
        };
        let embedded = EmbeddedLedger::in_memory().unwrap();
        let redis = RedisLedger::connect(options).await.unwrap();
        let mut random = StdRng::seed_from_u64(seed);
        let mut asked = Vec::<Admit>::new();
        let mut now_terms = terms(&mut random);
        for question in 0..QUESTIONS {
            if random.random_ratio(1, 20) {
                now_terms = terms(&mut random);
            }
            let from = asked.len().saturating_sub(6);
            if from < asked.len() && random.random_ratio(2, 5) {
                let release = end(&asked[random.random_range(from..asked.len())], &mut random);
                embedded.release(release.clone()).await.unwrap();
                redis.release(release).await.unwrap();
            } else {
                let permit = (asked.len() as u64 + 1).saturating_sub(random.random_range(0..2));
                let ask = ask(permit.max(1), now_terms, &mut random);
                let answers = (embedded.admit(ask.clone()), redis.admit(ask.clone()));
                let answers = (answers.0.await.unwrap(), answers.1.await.unwrap());
                assert!(
                    alike(answers.0, answers.1),
                    "seed {seed}, question {question}, {ask:?}: embedded {:?}, Redis {:?}",
                    answers.0,
                    answers.1
                );
                let name = match answers.0 {
                    Admission::Admitted => "admitted",
                    Admission::Wait { bound, .. } => bound.name(),
                };
                *seen.entry(name.into()).or_default() += 1;
                asked.push(ask);
            }
            // Whatever was to last a millisecond is over for both.
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
    // A test that never gets an answer does not compare it.
    println!("{seen:?}");
    assert_eq!(seen.len(), 6, "{seen:?}");
}
