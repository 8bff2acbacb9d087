//! `baton bench`: figures with their bound beside them, measured in one run.

mod args;
mod bound;
mod cluster;
mod cpu;
mod direct;
mod engine;
mod figures;
pub(crate) mod http;
mod least;
mod ledger;
mod load;
mod plan;
mod process;
mod rivals;
mod runs;
mod scale;
mod table;
mod team;

use crate::exit::Failure;
pub(crate) use args::Bench;
use args::{DirectArgs, LedgerArgs, Load, Rounds, ScaleArgs, What};
use std::process::ExitCode;
use table::Table;

pub(crate) async fn bench(args: Bench) -> Result<ExitCode, Failure> {
    let rounds = &args.rounds;
    match args.command {
        Some(What::Ledger(args @ LedgerArgs { busy: Some(seconds), .. })) => {
            ledger::busy(args, rounds, seconds).await?;
        }
        Some(what) => one(what, rounds).await?.print(rounds.output),
        None => {
            for what in short() {
                one(what, rounds).await?.print(rounds.output);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What takes a minute or two in all, and needs nothing installed.
fn short() -> [What; 6] {
    let load = Load { count: 1_000, in_flight: 64 };
    [
        What::Plan,
        What::Engine,
        What::Ledger(LedgerArgs { load, services: false, sync_ms: 0, busy: None }),
        What::Runs(load),
        What::Direct(DirectArgs { rate: 200.0, seconds: 2 }),
        What::Scale(ScaleArgs { runs: 5_000 }),
    ]
}

async fn one(what: What, rounds: &Rounds) -> Result<Table, Failure> {
    match what {
        What::Plan => plan::plan(rounds),
        What::Engine => engine::engine(rounds).await,
        What::Ledger(args) => ledger::ledger(args, rounds).await,
        What::Runs(load) => runs::runs(load, rounds).await,
        What::Direct(args) => direct::direct(args, rounds).await,
        What::Scale(args) => scale::scale(args, rounds).await,
        What::Cluster(args) => cluster::cluster(args, rounds).await,
        What::Rivals(args) => rivals::rivals(&args, rounds).await,
    }
}
