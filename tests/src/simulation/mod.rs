//! Whole clusters in virtual time: the real services over the in-memory ledger, with calls
//! that are lost, repeated and late, and processes that die, stand still, or are forgotten by
//! the registry.
//!
//! One seed is one schedule: the same seed gives the same calls at the same times, so that
//! whatever goes wrong once can be looked at again. tokio's clock stands still while
//! anything can be done and jumps when everybody waits, so that a schedule of minutes takes
//! milliseconds.

mod check;
mod client;
mod link;
mod provider;
mod world;

pub use check::{Facts, RunFacts, violations};
pub use world::{Faults, Sabotage};

use std::fmt;

/// What became of a schedule.
#[derive(Debug)]
pub struct Simulated {
    /// Which.
    pub seed: u64,
    /// What must not be; nothing, as it should be.
    pub violations: Vec<String>,
    /// Of every call and its time: the same for the same seed.
    pub trace: blake3::Hash,
    /// Calls to the ledger.
    pub calls: u64,
    /// Processes that died, stood still, or were forgotten by the registry.
    pub struck: u64,
    /// Leases that conductors took back before they ended, from processes that are gone.
    pub reaped: u64,
    /// Runs that ended.
    pub runs: u64,
}

impl fmt::Display for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}: {} runs, {} calls, {} struck, {} leases taken back",
            self.seed, self.runs, self.calls, self.struck, self.reaped
        )?;
        self.violations.iter().try_for_each(|violation| write!(f, "\n  {violation}"))
    }
}

/// Carries out the schedule of this seed.
pub fn simulate(seed: u64, faults: Faults, sabotage: Sabotage) -> Simulated {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let simulated = runtime.block_on(world::run(seed, faults, sabotage));
    // What is left are calls of the dead, which never end.
    runtime.shutdown_background();
    simulated
}
