//! The contract, on a ledger in a file.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]

use baton_ledger::{EmbeddedLedger, Ledger};
use std::sync::Arc;

async fn fresh() -> Arc<dyn Ledger> {
    // Unlinked while it is in use: nothing is left behind when the test is over.
    let folder = tempfile::tempdir().unwrap();
    Arc::new(EmbeddedLedger::open(folder.path().join("ledger")).unwrap())
}

baton_ledger::contract_tests!(make = fresh());

#[tokio::test]
async fn random_operations_agree_with_the_model() {
    baton_ledger::contract::random_ops(fresh, 20, 120).await;
}
