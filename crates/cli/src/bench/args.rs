//! What `baton bench` can be told.

use crate::{args::Format, exit::Failure};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use tempfile::TempDir;

#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub(crate) command: Option<What>,
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

impl Rounds {
    /// A folder on the disk to measure, removed when it is dropped.
    pub(super) fn temporary(&self) -> Result<TempDir, Failure> {
        tempfile::tempdir_in(&self.folder)
            .map_err(|error| Failure::usage(format!("{}: {error}", self.folder.display())))
    }
}

/// Without one: a short round of all but `rivals`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum What {
    /// Reading what a policy writes.
    Plan,
    /// Applying and deciding events.
    Engine,
    /// Runs of three steps on the embedded ledger, without any wire.
    Ledger(LedgerArgs),
    /// Whole runs of three steps over HTTP.
    Runs(Load),
    /// What `baton/direct` adds to calling the same agent straight.
    Direct(DirectArgs),
    /// Memory and start with many runs in the ledger.
    Scale(ScaleArgs),
    /// Whole runs on separate processes, over Redis and etcd, which have to be installed.
    Cluster(ClusterArgs),
    /// The same three steps by LangGraph, Restate and Baton. Installs the first two into a
    /// folder of the cache; needs python3 and node.
    Rivals(RivalsArgs),
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
    /// Let each sync take at least so many milliseconds, the ledger's and the loops': as on a
    /// slower disk.
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=1000))]
    pub(crate) sync_ms: u64,
    /// Only keep it busy for so many seconds, for a profiler.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) busy: Option<u64>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ClusterArgs {
    #[command(flatten)]
    pub(crate) load: Load,
    /// Numbers of worker-agents to measure with, on one Redis.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4", value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) workers: Vec<u32>,
    /// Numbers of Redis servers to measure with, and one worker-agent.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4", value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) redis: Vec<u32>,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct DirectArgs {
    /// Requests a second.
    #[arg(long, default_value_t = 200.0)]
    pub(crate) rate: f64,
    /// Seconds of one round, for each of the two.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) seconds: u32,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ScaleArgs {
    /// Runs in the ledger.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) runs: u32,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RivalsArgs {
    /// Seconds of one round, for each of the three.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) seconds: u32,
    /// Runs under way at the same time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) in_flight: u32,
    /// Where the rivals are installed. Default: `baton/rivals` in the user's cache folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
}
