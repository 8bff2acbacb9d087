//! `baton bench`: figures with their bound beside them, measured in one run.

mod bound;
mod process;

use crate::{args::Bench, client, exit::Failure};
use baton_provider_http::Api;
use bound::{Bound, group_commit};
use futures::{StreamExt as _, stream};
use process::Process;
use serde_json::json;
use std::{
    fs,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

/// Steps of the run that is measured.
const STEPS: u32 = 3;
/// Acknowledged writes that follow each other in a run of three steps: the submission;
/// then for each step its lease, reservation, outcome, the decision's lease, its commit.
const WRITES_IN_A_RUN: u32 = 1 + 5 * STEPS;
/// Requests before anything is counted.
const WARM_UP: u32 = 128;
/// Requests that may fail before the figures mean nothing.
const FAILURES_MAX: u32 = 0;

/// One measurement of whole runs.
struct Measured {
    runs_per_second: f64,
    cpu_us_per_step: f64,
    bytes_per_run: f64,
    p50: Duration,
    p99: Duration,
}

pub(crate) async fn bench(args: Bench) -> Result<ExitCode, Failure> {
    let folder = tempfile::tempdir_in(&args.folder)
        .map_err(|error| Failure::usage(format!("{}: {error}", args.folder.display())))?;
    let sim = Process::start(&["sim", "--listen", "127.0.0.1:0", "--time-scale", "0"]).await?;
    let config = folder.path().join("baton.toml");
    write(&config, &configuration(&sim.url))?;
    let data = folder.path().join("data");
    let up = Process::start(&[
        "up",
        "--listen",
        "127.0.0.1:0",
        "--data",
        &data.display().to_string(),
        "--config",
        &config.display().to_string(),
    ])
    .await?;
    let api = Api::new(&up.url, None).map_err(client::failure)?;
    load(&api, WARM_UP, args.in_flight).await?;

    let mut runs = Vec::new();
    let mut bounds = Vec::new();
    for round in 1..=args.rounds {
        anstream::eprintln!("round {round} of {}", args.rounds);
        let measured = measure(&api, &up, &args).await?;
        let bound = Bound {
            runs: args.count,
            in_flight: args.in_flight,
            writes_in_a_run: WRITES_IN_A_RUN,
            bytes_per_run: measured.bytes_per_run,
        };
        bounds.push(group_commit(folder.path(), bound).await?);
        runs.push(measured);
    }
    report(&args, &runs, &bounds);
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| Failure::other(format!("{}: {error}", path.display())))
}

/// Three steps by an agent that answers at once, as a strategy: nothing but Baton itself.
fn configuration(sim: &str) -> String {
    format!(
        r#"
[providers.sim]
base_url = "{sim}"
[[agents]]
id = "null"
provider = "sim"
model = "sim-null"
strengths = "answers at once"
price = {{ input = 0.1, output = 0.1 }}
context_tokens = 32768
output_tokens = 1024
concurrency = 256
[policy]
strategy = "plan_execute_verify"
"#
    )
}

async fn measure(api: &Api, up: &Process, args: &Bench) -> Result<Measured, Failure> {
    let (cpu, bytes) = (up.cpu()?, up.written()?);
    let began = Instant::now();
    let mut latencies = load(api, args.count, args.in_flight).await?;
    let took = began.elapsed().as_secs_f64();
    let (cpu, bytes) = (up.cpu()? - cpu, up.written()? - bytes);
    latencies.sort_unstable();
    let at = |share: f64| {
        let place = (latencies.len() as f64 * share) as usize;
        latencies.get(place.min(latencies.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    let count = f64::from(args.count);
    Ok(Measured {
        runs_per_second: count / took,
        cpu_us_per_step: cpu.as_secs_f64() * 1e6 / (count * f64::from(STEPS)),
        bytes_per_run: bytes as f64 / count,
        p50: at(0.5),
        p99: at(0.99),
    })
}

/// So many requests, so many of them at a time; how long each took.
async fn load(api: &Api, count: u32, in_flight: u32) -> Result<Vec<Duration>, Failure> {
    let body = json!({
        "model": "baton",
        "messages": [{ "role": "user", "content": "Say that you are there." }],
    });
    let ask = |_| async {
        let began = Instant::now();
        let reply = api.post_text("/v1/chat/completions", &body).await;
        reply.map(|reply| (began.elapsed(), reply))
    };
    let mut asked = stream::iter(0..count).map(ask).buffer_unordered(in_flight as usize);
    let (mut latencies, mut failures) = (Vec::new(), 0);
    while let Some(reply) = asked.next().await {
        match reply {
            Ok((latency, reply)) if is_whole(&reply) => latencies.push(latency),
            Ok((_, reply)) => {
                return Err(Failure::other(format!("a run was not carried out whole: {reply}")));
            }
            Err(error) => {
                failures += 1;
                if failures > FAILURES_MAX {
                    return Err(client::failure(error));
                }
            }
        }
    }
    Ok(latencies)
}

/// Whether the reply is that of a run of all its steps: each says twice that it is done,
/// for itself and for its task. Found without parsing, because the reader shares the
/// machine with what is measured.
fn is_whole(reply: &str) -> bool {
    reply.matches(r#""status":"done""#).count() == 2 * STEPS as usize
        && reply.contains(r#""status":"completed""#)
}

fn report(args: &Bench, runs: &[Measured], bounds: &[f64]) {
    let of = |value: fn(&Measured) -> f64| median(runs.iter().map(value).collect());
    let rate = of(|m| m.runs_per_second);
    let bound = median(bounds.to_vec());
    anstream::println!(
        "whole runs of {STEPS} steps, {} runs, {} in flight, median of {} rounds",
        args.count,
        args.in_flight,
        args.rounds
    );
    anstream::println!("| what | figure |\n| --- | --- |");
    anstream::println!("| runs a second | {rate:.0} |");
    anstream::println!("| latency p50 | {:.1} ms |", of(|m| m.p50.as_secs_f64() * 1e3));
    anstream::println!("| latency p99 | {:.1} ms |", of(|m| m.p99.as_secs_f64() * 1e3));
    anstream::println!("| CPU of `baton up` | {:.0} us a step |", of(|m| m.cpu_us_per_step));
    anstream::println!("| bytes written to disk | {:.0} a run |", of(|m| m.bytes_per_run));
    anstream::println!(
        "| bare group-commit loop, same bytes, {WRITES_IN_A_RUN} waits a run | {bound:.0} runs a second |"
    );
    anstream::println!("| share of that loop | {:.0} % |", rate / bound * 100.0);
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
