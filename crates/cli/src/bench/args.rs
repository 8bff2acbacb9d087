//! What `baton bench` can be told.

use crate::args::Format;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub(crate) command: What,
    #[command(flatten)]
    pub(crate) rounds: Rounds,
}

/// How often, where, and how it is told.
#[derive(Debug, Clone, Args)]
pub(crate) struct Rounds {
    /// Rounds, of which the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99), global = true)]
    pub(crate) rounds: u32,
    /// Folder on the disk to measure; what is written there is removed again.
    #[arg(long, default_value = ".", value_name = "DIR", global = true)]
    pub(crate) folder: PathBuf,
    /// Form of the tables.
    #[arg(short, long, value_enum, default_value = "text", global = true)]
    pub(crate) output: Format,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum What {
    /// Runs of three steps on the embedded ledger, without any wire.
    Ledger(LedgerArgs),
    /// Whole runs of three steps over HTTP.
    Runs(Load),
}

/// How much there is to do.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Load {
    /// Runs in one round.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: u32,
    /// Runs under way at the same time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) in_flight: u32,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct LedgerArgs {
    #[command(flatten)]
    pub(crate) load: Load,
    /// Let the whole worker-agent carry out the steps, with a model that answers at once.
    #[arg(long)]
    pub(crate) services: bool,
    /// Only keep it busy for so many seconds, for a profiler.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) busy: Option<u64>,
}
