//! The registry against real etcd servers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly, as tests may"
)]

mod away;
mod clusters;
mod configuration;
mod contract;
mod deaths;
mod refusals;
mod support;
