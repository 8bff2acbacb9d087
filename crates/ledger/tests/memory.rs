//! The contract, on a ledger in memory.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]

use baton_ledger::{EmbeddedLedger, Ledger};
use std::sync::Arc;

async fn fresh() -> Arc<dyn Ledger> {
    Arc::new(EmbeddedLedger::in_memory().unwrap())
}

baton_ledger::contract_tests!(make = fresh());

#[tokio::test]
async fn random_operations_agree_with_the_model() {
    baton_ledger::contract::random_ops(fresh, 60, 120).await;
}
