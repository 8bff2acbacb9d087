//! Runs told as text: what comes in on the left, what is decided on the right.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what should be there is there, or the test fails"
)]

mod awaiting;
mod children;
#[path = "../golden/mod.rs"]
mod golden;
mod rounds;
mod steps;
mod telling;
mod verifying;
mod versions;
