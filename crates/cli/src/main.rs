//! The command `baton`.

mod args;
mod bench;
mod chaos;
mod client;
mod cluster;
mod complete;
mod config;
mod connections;
mod control;
mod doctor;
mod etcd;
mod exit;
mod explain;
mod grpc;
mod grpc_tls;
mod ledger;
mod live;
mod node;
mod output;
mod plan;
mod profile;
mod redis;
mod run;
mod running;
mod runs;
mod serve;
mod settings;
mod sim;
mod stores;
mod tasks;
mod team;
#[cfg(test)]
mod telemetry_guide;
mod top;
mod tree;
mod up;

use args::{Args, Command};
use clap::Parser as _;
use exit::Failure;
use std::process::ExitCode;

/// A run is many small, short-lived values on several threads: with the system's allocator
/// `perf` found 15 % of the CPU time in allocation, with this one 9 %.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything else: the sandbox starts this binary again, as a launcher of programs.
    if let Some(code) = baton_sandbox::launched() {
        return code;
    }
    let args = Args::parse();
    match start(args) {
        Ok(code) => code,
        Err(failure) => {
            anstream::eprintln!("{}error:{} {failure}", output::BAD, output::PLAIN);
            if let Some(name) = failure.name() {
                anstream::eprintln!("{}see `baton explain {name}`{}", output::DIM, output::PLAIN);
            }
            failure.code()
        }
    }
}

fn start(args: Args) -> Result<ExitCode, Failure> {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return Err(Failure::other("a TLS provider was installed before this one"));
    }
    let _logs = output::start_logs(&args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::other(format!("no runtime: {error}")))?;
    let code = runtime.block_on(async {
        match args.command {
            Command::Up(up) => up::up(up).await,
            Command::Serve(args) => serve::serve(*args).await,
            Command::Cluster(args) => cluster::cluster(args).await,
            Command::Run(run) => run::run(run).await,
            Command::Plan(plan) => plan::plan(plan).await,
            Command::Runs(runs) => runs::runs(runs).await,
            Command::Config(config) => config::config(config).await,
            Command::Sim(sim) => sim::sim(sim).await,
            Command::Tasks(tasks) => tasks::tasks(tasks),
            Command::Ledger(ledger) => ledger::ledger(ledger).await,
            Command::Bench(bench) => bench::bench(bench).await,
            Command::Chaos(args) => chaos::chaos(args).await,
            Command::Explain(explain) => explain::explain(&explain),
            Command::Completions(completions) => complete::completions(&completions),
            Command::Man(man) => complete::man(&man),
            Command::Profile(args) => profile::profile(args),
            Command::Doctor(args) => doctor::doctor(args).await,
            Command::Top(args) => top::top(args).await,
        }
    });
    // What was asked is done or given up: nothing that still blocks is waited for.
    runtime.shutdown_background();
    code
}
