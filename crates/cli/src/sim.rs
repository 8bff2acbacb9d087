//! `baton sim`: the simulated pool alone.

use crate::{args::Sim, exit::Failure, running::stop_signal};
use baton_sim::{Parameters, SimOptions};
use std::{fs, path::Path, process::ExitCode};

/// Largest file of parameters, in bytes.
const PARAMETERS_BYTES_MAX: u64 = 1024 * 1024;

pub(crate) async fn sim(args: Sim) -> Result<ExitCode, Failure> {
    if args.malformed_rate.is_some_and(|rate| !(0.0..=1.0).contains(&rate)) {
        return Err(Failure::usage("--malformed-rate must be from 0 to 1"));
    }
    let parameters = match &args.parameters {
        None => Parameters::built_in(),
        Some(file) => parameters(file)?,
    };
    let listener = tokio::net::TcpListener::bind(args.listen).await;
    let listener = listener
        .map_err(|error| Failure::other(format!("cannot listen on {}: {error}", args.listen)))?;
    let address = listener.local_addr().map_err(|error| Failure::other(error.to_string()))?;
    let models: Vec<_> = parameters.cards_all().iter().map(|card| card.id.to_string()).collect();
    anstream::eprintln!(
        "SIMULATED models on http://{address}/v1: {}; parameters {}",
        models.join(", "),
        parameters.short_hash()
    );
    let options = SimOptions {
        seed: args.seed,
        time_scale: args.time_scale,
        malformed_rate: args.malformed_rate,
        control: args.control,
        faults: args.faults,
        parameters,
    };
    let stop = async {
        if let Err(error) = stop_signal().await {
            anstream::eprintln!("{error}");
        }
    };
    let served = baton_sim::serve(listener, options, stop).await;
    served.map_err(|error| Failure::other(format!("cannot serve: {error}")))?;
    Ok(ExitCode::SUCCESS)
}

fn parameters(file: &Path) -> Result<Parameters, Failure> {
    let wrong = |reason: String| Failure::usage(format!("{}: {reason}", file.display()));
    let length = fs::metadata(file).map_err(|error| wrong(error.to_string()))?.len();
    if length > PARAMETERS_BYTES_MAX {
        return Err(wrong(format!("{length} bytes, at most {PARAMETERS_BYTES_MAX} are read")));
    }
    let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    Parameters::read(&text).map_err(|error| wrong(error.to_string()))
}
