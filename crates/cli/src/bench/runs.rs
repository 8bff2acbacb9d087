//! `baton bench runs`: whole runs over HTTP, in a `baton up` of its own.

use super::{
    args::{Load, Rounds},
    bound::{Bound, group_commit},
    figures::{STEPS, at_share, us},
    process::Process,
    table::Table,
    team::configuration,
};
use crate::{client, exit::Failure};
use baton_provider_http::Api;
use futures::{StreamExt as _, stream};
use serde_json::json;
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

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

pub(super) async fn runs(args: Load, rounds: &Rounds) -> Result<Table, Failure> {
    let folder = tempfile::tempdir_in(&rounds.folder)
        .map_err(|error| Failure::usage(format!("{}: {error}", rounds.folder.display())))?;
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
    for round in 1..=rounds.rounds {
        anstream::eprintln!("runs: round {round} of {}", rounds.rounds);
        let measured = measure(&api, &up, args).await?;
        let bound = Bound {
            runs: args.count,
            in_flight: args.in_flight,
            waits_in_a_run: WRITES_IN_A_RUN,
            bytes_per_run: measured.bytes_per_run,
        };
        bounds.push(group_commit(folder.path(), bound).await?);
        runs.push(measured);
    }
    Ok(table(args, rounds.rounds, &runs, &bounds))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| Failure::other(format!("{}: {error}", path.display())))
}

async fn measure(api: &Api, up: &Process, args: Load) -> Result<Measured, Failure> {
    let (cpu, bytes) = (up.account().cpu()?, up.account().written()?);
    let began = Instant::now();
    let mut latencies = load(api, args.count, args.in_flight).await?;
    let took = began.elapsed().as_secs_f64();
    let (cpu, bytes) = (up.account().cpu()? - cpu, up.account().written()? - bytes);
    let count = f64::from(args.count);
    Ok(Measured {
        runs_per_second: count / took,
        cpu_us_per_step: us(cpu) / (count * f64::from(STEPS)),
        bytes_per_run: bytes as f64 / count,
        p50: at_share(&mut latencies, 0.5),
        p99: at_share(&mut latencies, 0.99),
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

fn table(args: Load, rounds: u32, runs: &[Measured], bounds: &[f64]) -> Table {
    let of = |value: fn(&Measured) -> f64| runs.iter().map(value).collect::<Vec<_>>();
    let shares = runs.iter().zip(bounds).map(|(m, bound)| m.runs_per_second / bound * 100.0);
    let shares = shares.collect();
    let mut table = Table::new(format!(
        "Whole runs of {STEPS} steps over HTTP, {} runs a round, {} in flight, {rounds} rounds",
        args.count, args.in_flight,
    ));
    table.row("whole runs", "a second", of(|m| m.runs_per_second));
    table.row("latency p50", "ms", of(|m| m.p50.as_secs_f64() * 1e3));
    table.row("latency p99", "ms", of(|m| m.p99.as_secs_f64() * 1e3));
    table.row("CPU of `baton up`", "us a step", of(|m| m.cpu_us_per_step));
    table.row("bytes written to disk", "a run", of(|m| m.bytes_per_run));
    table.row(
        format!("bare group-commit loop, same bytes, {WRITES_IN_A_RUN} waits in sequence"),
        "runs a second",
        bounds.to_vec(),
    );
    table.row("share of that loop", "%", shares);
    table
}
