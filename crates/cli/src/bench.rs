//! `baton bench`: figures with their bound beside them, measured in one run.

mod args;
mod bound;
mod cpu;
mod figures;
mod ledger;
mod process;
mod runs;
mod table;
mod team;

use crate::exit::Failure;
pub(crate) use args::Bench;
use args::What;
use std::process::ExitCode;

pub(crate) async fn bench(args: Bench) -> Result<ExitCode, Failure> {
    let rounds = &args.rounds;
    let table = match args.command {
        What::Ledger(ledger) => match ledger.busy {
            Some(seconds) => {
                ledger::busy(ledger, rounds, seconds).await?;
                return Ok(ExitCode::SUCCESS);
            }
            None => ledger::ledger(ledger, rounds).await?,
        },
        What::Runs(load) => runs::runs(load, rounds).await?,
    };
    table.print(rounds.output);
    Ok(ExitCode::SUCCESS)
}
