//! The contract of a ledger, on a real server: the very suite that the embedded one passes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly, also outside of its function"
)]

use baton_ledger::Ledger;
use baton_ledger_redis::{RedisLedger, RedisOptions};
use baton_testkit::redis::RedisServer;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// An empty ledger: under a prefix of its own on the server that all cases share.
async fn fresh() -> Arc<dyn Ledger> {
    static PREFIXES: AtomicU64 = AtomicU64::new(1);
    let server = RedisServer::shared().await.unwrap();
    let prefix = format!("case{}", PREFIXES.fetch_add(1, Ordering::Relaxed));
    let options = RedisOptions { prefix, ..RedisOptions::new(server.url()) };
    Arc::new(RedisLedger::connect(options).await.unwrap())
}

baton_ledger::contract_tests! { make = fresh() }

/// Sequences of calls, and calls in each, that are compared with the model.
const SEQUENCES: usize = 60;
const CALLS: usize = 120;

#[tokio::test]
async fn random_operations_agree_with_the_model() {
    baton_ledger::contract::random_ops(fresh, SEQUENCES, CALLS).await;
}
