//! `baton cluster up`: several nodes as processes of this machine.

use super::processes::{Kept, Program};
use crate::{
    args::PoolArgs,
    exit::Failure,
    output::{DIM, PLAIN, STRONG},
    running::{stop_signal, stopping},
    settings::InForce,
    stores::StoreArgs,
};
use clap::Args;
use std::{ffi::OsString, net::SocketAddr, process::ExitCode, time::Duration};

/// Nodes on one machine: each has four processes and their connections.
const NODES_MAX: i64 = 16;
/// How long a process may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(30);
/// What each node serves, beside its gateway.
const TEAM: [&str; 3] = ["verifier", "worker-agent", "conductor"];

/// How many, over which stores.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClusterUp {
    /// Nodes: each a conductor, a worker-agent, a verifier and a gateway.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=NODES_MAX))]
    pub(crate) nodes: u16,
    /// Address of the first node's gateway; the others take any free port.
    #[arg(long, default_value = "127.0.0.1:8484")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) stores: StoreArgs,
    #[command(flatten)]
    pub(crate) pool: PoolArgs,
}

/// The processes, in the order in which they were started.
struct Processes {
    sim: Option<Kept>,
    team: Vec<Kept>,
    gateways: Vec<Kept>,
}

pub(crate) async fn up(args: ClusterUp) -> Result<ExitCode, Failure> {
    let processes = tokio::select! {
        processes = start(&args) => processes?,
        signal = stop_signal() => return signal.map(|()| ExitCode::SUCCESS),
    };
    stop_signal().await?;
    stopping(processes.stop()).await
}

async fn start(args: &ClusterUp) -> Result<Processes, Failure> {
    // What is wrong with the stores or the configuration is said once, not by each process.
    let (opened, _ledger) = args.stores.open().await?;
    let read = match opened.document() {
        Some(document) => InForce::of(document),
        None => InForce::read(&args.pool),
    };
    let simulated = read.map_err(|faults| Failure::settings(&faults))?.simulated;
    let mut processes = Processes { sim: None, team: Vec::new(), gateways: Vec::new() };
    let mut shared = args.stores.words();
    if let Some(config) = &args.pool.config {
        shared.extend(["--config".into(), config.into()]);
    }
    if simulated {
        let mut sim = Kept::start(Program::new("sim", sim_words(&args.pool)))?;
        shared.extend(["--sim".into(), sim.place(START_LIMIT).await?.into()]);
        processes.sim = Some(sim);
    }
    for node in 1..=args.nodes {
        for service in TEAM {
            let words = words(&["serve", service], &shared);
            processes.team.push(Kept::start(Program::new(format!("{service}-{node}"), words))?);
        }
    }
    for kept in &mut processes.team {
        kept.place(START_LIMIT).await?;
    }
    for node in 1..=args.nodes {
        let free = SocketAddr::new(args.listen.ip(), 0);
        let listen = if node == 1 { args.listen } else { free };
        let words = words(&["serve", "gateway", "--listen", &listen.to_string()], &shared);
        processes.gateways.push(Kept::start(Program::new(format!("gateway-{node}"), words))?);
    }
    let mut urls = Vec::new();
    for kept in &mut processes.gateways {
        urls.push(kept.place(START_LIMIT).await?);
    }
    greet(args.nodes, &urls, simulated);
    Ok(processes)
}

fn words(begin: &[&str], more: &[OsString]) -> Vec<OsString> {
    begin.iter().map(OsString::from).chain(more.iter().cloned()).collect()
}

fn sim_words(pool: &PoolArgs) -> Vec<OsString> {
    let (seed, scale) = (pool.sim_seed.to_string(), pool.sim_time_scale.to_string());
    words(&["sim", "--listen", "127.0.0.1:0", "--seed", &seed, "--time-scale", &scale], &[])
}

fn greet(nodes: u16, urls: &[String], simulated: bool) {
    anstream::eprintln!(
        "{STRONG}baton{PLAIN} cluster of {nodes} nodes listens on {STRONG}{}{PLAIN}",
        urls.join(" ")
    );
    if simulated {
        anstream::eprintln!(
            "The agents are SIMULATED models (baton tasks prints questions they know)."
        );
    }
    anstream::eprintln!(
        "{DIM}try:{PLAIN} baton cluster nodes; kill -9 any process: it is started again, and no \
         run is lost"
    );
}

impl Processes {
    /// First who takes requests, then who works on them, then who is asked by these.
    async fn stop(self) -> Result<(), Failure> {
        let Self { sim, team, gateways } = self;
        futures::future::join_all(gateways.into_iter().map(Kept::stop)).await;
        futures::future::join_all(team.into_iter().map(Kept::stop)).await;
        futures::future::join_all(sim.into_iter().map(Kept::stop)).await;
        Ok(())
    }
}
