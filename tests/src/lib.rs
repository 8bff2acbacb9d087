//! End-to-end tests: real processes, real servers, real clients.
//!
//! The tests start the program `baton` and talk HTTP to it, as its users do. What they
//! share is here: a client without any opinion, and the configurations they write.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what tests share may fail loudly, as tests may"
)]

pub mod architecture;
pub mod config;
mod http;
mod run;
mod screen;
pub mod simulation;
pub mod trace;

pub use http::{Client, Event, Events, Reply};
pub use run::{
    Ended, Journal, ask, ask_of, begin, calls, end_of, ended, holder_of, report, rounds, spent,
    until, worker_of,
};
pub use screen::Screen;
