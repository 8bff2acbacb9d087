//! The contract, on a ledger in memory.

use baton_ledger::{EmbeddedLedger, Ledger};
use std::sync::Arc;

async fn fresh() -> Arc<dyn Ledger> {
    Arc::new(EmbeddedLedger::in_memory().unwrap())
}

baton_ledger::contract_tests!(make = fresh());
