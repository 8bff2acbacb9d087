//! `baton sim`: the simulated pool alone.

use crate::{args::Sim, exit::Failure, up::stop_signal};
use baton_sim::SimOptions;
use std::process::ExitCode;

pub(crate) async fn sim(args: Sim) -> Result<ExitCode, Failure> {
    if args.malformed_rate.is_some_and(|rate| !(0.0..=1.0).contains(&rate)) {
        return Err(Failure::usage("--malformed-rate must be from 0 to 1"));
    }
    let listener = tokio::net::TcpListener::bind(args.listen).await;
    let listener = listener
        .map_err(|error| Failure::other(format!("cannot listen on {}: {error}", args.listen)))?;
    let address = listener.local_addr().map_err(|error| Failure::other(error.to_string()))?;
    let models: Vec<_> = baton_sim::cards_all().iter().map(|card| card.id.to_string()).collect();
    anstream::eprintln!("SIMULATED models on http://{address}/v1: {}", models.join(", "));
    let options = SimOptions {
        seed: args.seed,
        time_scale: args.time_scale,
        malformed_rate: args.malformed_rate,
        control: args.control,
        faults: args.faults,
        ..SimOptions::default()
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
