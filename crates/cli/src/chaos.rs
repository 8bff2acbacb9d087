//! `baton chaos`: breaks a cluster of real processes on purpose, under load, and judges what
//! is left by the ledger and by the simulated pool's own record of calls.

mod cluster;
mod collect;
mod inject;
mod judge;
mod link;
mod load;
mod report;
mod schedule;
pub(crate) mod stores;

use crate::{args::Format, exit::Failure, running::stop_signal};
use baton_ledger_redis::Sabotage;
use clap::Args;
use cluster::{Cluster, Form};
use collect::Calls;
use judge::{Done, Facts};
use load::{Asked, Load};
use report::Report;
use schedule::{Fault, Frame, Kind, schedule};
use std::{convert::Infallible, path::PathBuf, process::ExitCode, time::Duration};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// What to break, and for how long.
#[derive(Debug, Clone, Args)]
pub(crate) struct Chaos {
    /// Seconds of load, during which faults begin.
    #[arg(long, default_value_t = 60, value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Seed of the faults; another one each time unless said. It is printed.
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Nodes: each a conductor, a worker-agent, a verifier and a gateway.
    #[arg(long, default_value_t = 3, value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=16))]
    nodes: u16,
    /// What happens; `none` is load alone.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "FAULTS",
        default_value = "kill,stop,redis,etcd,link"
    )]
    faults: Vec<Wanted>,
    /// Clients, each with one request at a time.
    #[arg(long, default_value_t = 16, value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=1024))]
    in_flight: u16,
    /// Most requests a second, of all clients together; as many as there is room for unless
    /// said.
    #[arg(long, value_name = "RATE")]
    rate: Option<f64>,
    /// How long a lease lasts, in milliseconds; stops and cuts last longer.
    #[arg(long, default_value_t = 4_000, value_name = "MS",
        value_parser = clap::value_parser!(u64).range(1_200..=60_000))]
    lease_ms: u64,
    /// Seconds in which all runs must end once nothing is broken any more.
    #[arg(long, default_value_t = 120, value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=3_600))]
    settle: u64,
    /// Speed of the simulated pool: 1 as configured, 0 without any waiting.
    #[arg(long, default_value_t = 0.3, value_name = "SCALE")]
    sim_time_scale: f64,
    /// Keep data and logs here; else they go with the end.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Take a safeguard out, to see that it is noticed: tokens, durability or keys.
    #[cfg(debug_assertions)]
    #[arg(long, value_name = "SAFEGUARD", hide = true)]
    sabotage: Option<Sabotage>,
    /// Form of what is printed at the end.
    #[arg(short, long, value_enum, default_value = "text", env = "BATON_OUTPUT")]
    output: Format,
}

/// A kind of fault, as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Wanted {
    /// SIGKILL of services.
    Kill,
    /// SIGSTOP of services for longer than a lease.
    Stop,
    /// SIGKILL and restart of Redis.
    Redis,
    /// SIGKILL and restart of etcd.
    Etcd,
    /// Services that are cut off from the others, or have slow links.
    Link,
    /// Nothing.
    None,
}

impl Wanted {
    fn kind(self) -> Option<Kind> {
        match self {
            Self::Kill => Some(Kind::Kill),
            Self::Stop => Some(Kind::Stop),
            Self::Redis => Some(Kind::Redis),
            Self::Etcd => Some(Kind::Etcd),
            Self::Link => Some(Kind::Link),
            Self::None => None,
        }
    }
}

impl Chaos {
    fn sabotage(&self) -> Option<Sabotage> {
        #[cfg(debug_assertions)]
        return self.sabotage;
        #[cfg(not(debug_assertions))]
        None
    }
}

pub(crate) async fn chaos(args: Chaos) -> Result<ExitCode, Failure> {
    // Seconds that nobody chooses are as good as any other lot.
    let drawn = || uuid::Uuid::now_v7().as_u128() % u128::from(u32::MAX);
    let seed = args.seed.unwrap_or_else(|| u64::try_from(drawn()).unwrap_or_default());
    anstream::eprintln!("seed {seed}: --seed {seed} repeats the faults; links: {}", link::MADE_OF);
    let temporary = tempfile::Builder::new().prefix("baton-chaos-").tempdir();
    let temporary = temporary.map_err(|error| Failure::other(format!("no folder: {error}")))?;
    let folder = args.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
    let form = Form {
        nodes: args.nodes.into(),
        lease_ms: args.lease_ms,
        seed,
        time_scale: args.sim_time_scale,
        sabotage: args.sabotage(),
    };
    let working = async {
        let cluster = Cluster::start(&folder, &form).await?;
        let broken = break_and_judge(&args, seed, &cluster).await;
        let stopped = cluster.stop().await;
        let report = broken?;
        stopped.map(|()| report)
    };
    let report = tokio::select! {
        report = working => report?,
        stopped = stop_signal() => {
            stopped?;
            return Ok(ExitCode::from(crate::exit::INTERRUPTED));
        }
    };
    report.print(args.output)?;
    Ok(if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn break_and_judge(args: &Chaos, seed: u64, cluster: &Cluster) -> Result<Report, Failure> {
    let kinds: Vec<_> = args.faults.iter().filter_map(|wanted| wanted.kind()).collect();
    let (lasts, settle) = (Duration::from_secs(args.seconds), Duration::from_secs(args.settle));
    let planned = schedule(Frame {
        seed,
        lasts_ms: args.seconds * 1_000,
        services: cluster.services.len(),
        kinds: &kinds,
        lease_ms: args.lease_ms,
    });
    let names = cluster.names();
    let asked = Asked::default();
    let calls = Calls::of(&cluster.sim);
    let load = Load { seed, in_flight: args.in_flight.into(), rate: args.rate };
    let (enough, over) = (CancellationToken::new(), CancellationToken::new());
    let began = Instant::now();
    let asking = load::ask(cluster, &asked, load, &enough, &over);
    let breaking = async {
        let faults = planned.iter().map(|fault| strike(cluster, &names, *fault, began));
        let broken = futures::future::try_join_all(faults).await;
        if broken.is_ok() {
            sleep_until(began + lasts).await;
        }
        enough.cancel();
        broken
    };
    let collected = CancellationToken::new();
    let working = async {
        // What is broken is whole again before anything is given up.
        let patience = async {
            enough.cancelled().await;
            tokio::time::sleep(settle).await;
            over.cancel();
            std::future::pending::<Infallible>().await
        };
        let both = futures::future::join(asking, breaking);
        let (_, broken) = tokio::select! {
            both = both => both,
            never = patience => match never {},
        };
        anstream::eprintln!("everything is whole again: waiting for all runs to end");
        let left = collect::rest(&cluster.ledger, settle).await;
        collected.cancel();
        Ok((broken?, left?))
    };
    let (worked, ()) = futures::future::join(working, calls.collect(&collected)).await;
    let (faults, left): (Vec<Done>, _) = worked?;
    let repeated = asked.repeated.load(std::sync::atomic::Ordering::Relaxed);
    let facts = Facts {
        requests: asked.into_requests(),
        runs: collect::runs(&cluster.ledger).await?,
        calls: calls.all(settle).await?,
        faults,
        kinds: kinds.into_iter().collect(),
        left,
    };
    Ok(Report::of(seed, &planned, &names, repeated, &facts))
}

/// One fault at its time.
async fn strike(
    cluster: &Cluster,
    names: &[String],
    fault: Fault,
    began: Instant,
) -> Result<Done, Failure> {
    sleep_until(began + Duration::from_millis(fault.at_ms)).await;
    anstream::eprintln!(
        "{:>7.1} s  {}{}",
        schedule::seconds(fault.at_ms),
        fault.what.words(names),
        if fault.lasts_ms > 0 { format!(" for {} ms", fault.lasts_ms) } else { String::new() }
    );
    inject::inject(cluster, fault).await
}
