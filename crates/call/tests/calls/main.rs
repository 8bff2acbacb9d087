//! Calls over a provider that does as it is told: retries, accounts, second calls, shared
//! calls.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly, its helpers too"
)]

mod accounts;
mod hedging;
mod retries;
mod scripted;
mod sharing;
