//! `baton doctor`: what keeps a cluster from working here, before it is needed.

mod check;
mod clock;
mod disk;
mod holders;
mod keys;
mod ledger;
mod machine;
mod ports;
mod sandbox;
mod versions;

use crate::{
    args::{EndpointArgs, Format, PoolArgs},
    client,
    exit::{Failure, WARNINGS},
    live::Overrides,
    output::{BAD, DIM, GOOD, PLAIN, STRONG, dollars},
    settings::InForce,
};
use baton_gateway::Gateway;
use baton_planner::Strategy;
use baton_provider_http::{Api, ApiError};
use baton_registry::{InProcess, Settings};
use check::{Check, State};
use clap::Args;
use serde_json::{Value, json};
use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc};

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Folder of the ledger. [default: as `baton up` would have it]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Address to listen on. [default: as `baton up` would have it]
    #[arg(long)]
    pub(crate) listen: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) pool: PoolArgs,
    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
    /// Make no call to any provider.
    #[arg(long)]
    pub(crate) no_calls: bool,
    /// Form of the findings.
    #[arg(short, long, value_enum, env = "BATON_OUTPUT")]
    pub(crate) output: Option<Format>,
}

/// The endpoint, as it answered.
pub(crate) enum Endpoint {
    /// Its status document.
    Runs(Api, Value),
    /// It answers, but not to this key.
    Refuses(Api, ApiError),
    /// Nobody answers.
    Away(ApiError),
}

pub(crate) async fn doctor(args: Doctor) -> Result<ExitCode, Failure> {
    let (api, profile) = client::remote(&args.endpoint)?;
    let asked_for = profile.endpoint(&args.endpoint).is_some();
    let endpoint = match api.get("/v1/status?runs=0").await {
        Ok(status) => Endpoint::Runs(api, status),
        Err(error @ ApiError::Refused { .. }) => Endpoint::Refuses(api, error),
        Err(error @ ApiError::Unreachable { .. }) => Endpoint::Away(error),
    };
    let mut checks = vec![versions::baton(&endpoint), versions::kernel()];
    checks.push(running(&endpoint, asked_for));
    let (check, settings) = configuration(&args.pool);
    checks.push(check);
    let of_sandbox = settings.as_ref().map(|settings| settings.sandbox.clone());
    // It takes its time, and the others theirs.
    let of_sandbox =
        tokio::spawn(async move { sandbox::check(&of_sandbox.unwrap_or_default()).await });
    let mut usd = 0.0;
    if let Some(settings) = &settings {
        checks.push(callers(settings));
        let (tried, spent) = keys::try_all(settings, !args.no_calls).await;
        checks.extend(tried);
        usd = spent;
    }
    checks.push(clock::check(&endpoint, settings.as_ref(), !args.no_calls).await);
    let overrides = Overrides { listen: args.listen, data: args.data, metrics_listen: None };
    let server = settings.map(|settings| settings.server).unwrap_or_default();
    let server = overrides.over(server);
    checks.extend(disk::check(&server.data));
    checks.push(ledger::check(&server.data));
    checks.push(ports::check(server.listen, &endpoint));
    checks.extend([machine::open_files(), machine::memory()]);
    checks.push(
        of_sandbox.await.unwrap_or_else(|error| Check::ok("sandbox").fail(error.to_string())),
    );
    match profile.format(args.output) {
        Format::Text => print(&checks, usd),
        Format::Json => anstream::println!("{:#}", document(&checks, usd)),
    }
    Ok(match check::worst(&checks) {
        State::Ok => ExitCode::SUCCESS,
        State::Warning => ExitCode::from(WARNINGS),
        State::Failed => ExitCode::FAILURE,
    })
}

fn running(endpoint: &Endpoint, asked_for: bool) -> Check {
    let check = Check::ok("endpoint");
    match endpoint {
        Endpoint::Runs(_, status) => {
            let agents = status["agents"].as_array().map_or(0, Vec::len);
            let workers = &status["workers"];
            check.found(format!(
                "it runs: {agents} agents, {} of {} worker-agents answer",
                workers["answered"], workers["known"]
            ))
        }
        Endpoint::Refuses(_, error) => check
            .warn(error.to_string())
            .advise("set BATON_API_KEY, --key-env or a profile, to see more of it"),
        Endpoint::Away(error) if asked_for => {
            check.fail(error.to_string()).advise("start it with `baton up`, or correct --endpoint")
        }
        Endpoint::Away(..) => check.found("none runs at the usual address"),
    }
}

fn configuration(pool: &PoolArgs) -> (Check, Option<Settings>) {
    let check = Check::ok("configuration");
    let in_force = match InForce::read(pool) {
        Ok(in_force) => in_force,
        Err(faults) => {
            let failure = Failure::settings(&faults);
            let advice = failure.name().map_or_else(
                || "correct it".to_owned(),
                |name| format!("correct it; see `baton explain {name}`"),
            );
            return (check.fail(failure.to_string()).advise(advice), None);
        }
    };
    let source = match &pool.config {
        Some(file) => file.display().to_string(),
        None if in_force.simulated => "no file, no OPENAI_API_KEY: the SIMULATED pool".into(),
        None => "from the environment".into(),
    };
    let settings = in_force.settings;
    let agents = settings.pool.agents().len();
    let providers = settings.providers.len();
    (check.found(format!("{source}: {agents} agents, {providers} providers")), Some(settings))
}

/// The keys that callers show are read as the gateway reads them.
fn callers(settings: &Settings) -> Check {
    let check = Check::ok("keys of callers");
    let registry = Arc::new(InProcess::new(settings.clone()));
    match Gateway::new(registry, &Strategy::NAMES) {
        Ok(_) => check.found("they can be read, or none are configured"),
        Err(faults) => {
            let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
            check.fail(faults.join("; ")).advise("see `baton explain key_unreadable`")
        }
    }
}

fn print(checks: &[Check], usd: f64) {
    for check in checks {
        let (style, word) = match check.state {
            State::Ok => (GOOD, "ok"),
            State::Warning => (STRONG, "warning"),
            State::Failed => (BAD, "failed"),
        };
        anstream::println!("{style}{word:8}{PLAIN}{:18} {}", check.name, check.found);
        if let Some(advice) = &check.advice {
            anstream::println!("{:26} {DIM}{advice}{PLAIN}", "");
        }
    }
    if usd > 0.0 {
        anstream::println!("{DIM}the calls cost {}{PLAIN}", dollars(usd));
    }
}

fn document(checks: &[Check], usd: f64) -> Value {
    let all: Vec<_> = checks.iter().map(Check::document).collect();
    json!({
        "object": "baton.doctor",
        "state": check::worst(checks).name(),
        "usd": usd,
        "checks": all,
    })
}
