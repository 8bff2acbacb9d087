//! Runs a program that nobody trusts, and says how it ended.
//!
//! ```text
//! service ── Sandbox ──(socket)── launcher ── fork, confine, exec ── python3
//!            pipes, caps          watches: time, CPU, memory, threads, files
//! ```
//!
//! The launcher is the service's own binary, run again with the argument `sandbox-launch`: `main` calls
//! [`launched`] before anything else. It has one thread, does what its level asks for, and waits
//! for one job. When the service goes, its socket hangs up and it kills the program; when the
//! launcher goes, the kernel does.
//!
//! What is compared with what is expected ([`judge`]) stays outside: no expected output is ever
//! given to a launcher. This crate decides nothing about verdicts of runs, and has no level
//! "none".

mod battery;
mod cgroup;
pub mod compare;
mod config;
mod error;
mod folder;
mod interpreter;
pub mod judge;
mod launch;
mod outside;
mod run;
mod sandbox;
mod warm;
mod wire;

#[cfg(debug_assertions)]
pub use config::Layer;
pub use config::{Cgroup, Config, IsolationReport, Level, Limit, Limits};
pub use error::{Missing, SandboxError};
pub use launch::launched;
pub use run::{End, Execution, Program};
pub use sandbox::Sandbox;
pub use warm::{QUESTION_BYTES_MAX, Warm};
