//! `baton cluster`: a cluster of several processes, for trying out, and a look at one.

pub(crate) mod processes;
mod up;

use crate::{
    args::{EndpointArgs, Format},
    client,
    exit::Failure,
    running::stop_signal,
    top::{Part, Snapshot, print},
};
use clap::{Args, Subcommand};
use std::{io::IsTerminal as _, process::ExitCode, time::Duration};

/// Clears a terminal and begins at its top.
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

/// Several processes.
#[derive(Debug, Args)]
pub(crate) struct Cluster {
    #[command(subcommand)]
    pub(crate) command: ClusterCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Start several nodes on this machine, each service a process of its own, over a Redis
    /// and an etcd that run already.
    #[command(
        after_help = "Example: baton cluster up --nodes 3 --etcd http://127.0.0.1:2379\ndeploy/local-stores starts a Redis and an etcd here."
    )]
    Up(Box<up::ClusterUp>),
    /// Everything that `nodes`, `queues` and `agents` show.
    Status(Look),
    /// The processes that are alive.
    Nodes(Look),
    /// What waits, by class and tenant.
    Queues(Look),
    /// What the agents do.
    Agents(Look),
}

/// A look at a cluster.
#[derive(Debug, Args)]
pub(crate) struct Look {
    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
    /// Look again and again, until interrupted.
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Seconds between two looks.
    #[arg(long, default_value_t = 1, value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) interval: u64,
    /// Form of what is printed.
    #[arg(short, long, value_enum, env = "BATON_OUTPUT")]
    pub(crate) output: Option<Format>,
}

pub(crate) async fn cluster(args: Cluster) -> Result<ExitCode, Failure> {
    match args.command {
        ClusterCommand::Up(args) => up::up(*args).await,
        ClusterCommand::Status(args) => {
            look(args, &[Part::Totals, Part::Nodes, Part::Agents, Part::Queues]).await
        }
        ClusterCommand::Nodes(args) => look(args, &[Part::Nodes]).await,
        ClusterCommand::Queues(args) => look(args, &[Part::Queues]).await,
        ClusterCommand::Agents(args) => look(args, &[Part::Agents]).await,
    }
}

async fn look(args: Look, parts: &[Part]) -> Result<ExitCode, Failure> {
    let (api, profile) = client::remote(&args.endpoint)?;
    let format = profile.format(args.output);
    let clears = args.watch && std::io::stdout().is_terminal();
    loop {
        let document = api.get("/v1/status?runs=0").await.map_err(client::failure)?;
        match format {
            Format::Json => anstream::println!("{document:#}"),
            Format::Text => {
                let snapshot = Snapshot::read(document)?;
                if clears {
                    anstream::print!("{CLEAR}");
                }
                print(&snapshot, parts);
            }
        }
        if !args.watch {
            return Ok(ExitCode::SUCCESS);
        }
        let pause = tokio::time::sleep(Duration::from_secs(args.interval));
        tokio::select! {
            () = pause => {}
            stopped = stop_signal() => return stopped.map(|()| ExitCode::SUCCESS),
        }
    }
}
