//! `baton bench runs`: whole runs over HTTP, in a `baton up` of its own.

use super::{
    args::{Load, Rounds},
    bound::{Bound, group_commit},
    figures::{STEPS, us},
    http::Target,
    load::{Request, Until, closed},
    process::{Cluster, Process},
    table::Table,
};
use crate::exit::Failure;
use std::time::Duration;

/// Acknowledged writes that follow each other in a run of three steps: the submission;
/// then for each step its outcome with what was leased, and the decision.
const WAITS_IN_A_RUN: u32 = 1 + 2 * STEPS;
/// Requests before anything is counted.
const WARM_UP: u32 = 256;

/// One measurement of whole runs.
struct Measured {
    rate: f64,
    cpu_us: f64,
    sim_cpu_us: f64,
    bytes: f64,
    p50_ms: f64,
    p99_ms: f64,
}

pub(super) async fn runs(args: Load, rounds: &Rounds) -> Result<Table, Failure> {
    let folder = rounds.temporary()?;
    let cluster = Cluster::start(folder.path()).await?;
    let request = request(&cluster.up.url);
    closed(&request, Until::Count(WARM_UP), args.in_flight).await?;
    let (mut runs, mut bounds) = (Vec::new(), Vec::new());
    for round in 1..=rounds.rounds {
        anstream::eprintln!("runs: round {round} of {}", rounds.rounds);
        let measured = measure(&request, &cluster, args).await?;
        let bound = Bound {
            runs: args.count,
            in_flight: args.in_flight,
            waits_in_a_run: WAITS_IN_A_RUN,
            bytes_per_run: measured.bytes,
            sync_min: Duration::ZERO,
        };
        bounds.push(group_commit(folder.path(), bound).await?);
        runs.push(measured);
    }
    Ok(table(args, rounds.rounds, &runs, &bounds))
}

/// A run of three steps.
pub(super) fn request(url: &str) -> Request {
    let ask = |number| {
        format!(
            r#"{{"model":"baton/plan_execute_verify","messages":[{{"role":"user","content":"Say that you are there, for the {number}th time."}}]}}"#
        )
    };
    Request { target: Target::new(url, "/chat/completions"), ask, check: is_whole }
}

/// Whether the reply is that of a run of all its steps: each says twice that it is done,
/// for itself and for its task. Found without parsing, because the reader shares the
/// machine with what is measured.
fn is_whole(reply: &str) -> bool {
    reply.matches(r#""status":"done""#).count() == 2 * STEPS as usize
        && reply.contains(r#""status":"completed""#)
}

async fn measure(request: &Request, cluster: &Cluster, args: Load) -> Result<Measured, Failure> {
    let cpu = |process: &Process| process.account().cpu();
    let (up, sim) = (cpu(&cluster.up)?, cpu(&cluster.sim)?);
    let bytes = cluster.up.account().written()?;
    let loaded = closed(request, Until::Count(args.count), args.in_flight).await?;
    let (up, sim) = (cpu(&cluster.up)? - up, cpu(&cluster.sim)? - sim);
    let bytes = cluster.up.account().written()? - bytes;
    let count = f64::from(args.count);
    Ok(Measured {
        rate: loaded.rate(),
        cpu_us: us(up) / (count * f64::from(STEPS)),
        sim_cpu_us: us(sim) / (count * f64::from(STEPS)),
        bytes: bytes as f64 / count,
        p50_ms: loaded.quantile(0.5) / 1e3,
        p99_ms: loaded.quantile(0.99) / 1e3,
    })
}

fn table(args: Load, rounds: u32, runs: &[Measured], bounds: &[f64]) -> Table {
    let of = |value: fn(&Measured) -> f64| runs.iter().map(value).collect::<Vec<_>>();
    let shares = runs.iter().zip(bounds).map(|(m, bound)| m.rate / bound * 100.0).collect();
    let mut table = Table::new(format!(
        "Whole runs of {STEPS} steps over HTTP, {} runs a round, {} in flight, {rounds} rounds",
        args.count, args.in_flight,
    ))
    .simulated();
    table.row("whole runs", "a second", of(|m| m.rate));
    table.row("latency p50", "ms", of(|m| m.p50_ms));
    table.row("latency p99", "ms", of(|m| m.p99_ms));
    table.row("CPU of `baton up`", "us a step", of(|m| m.cpu_us));
    table.row("CPU of the simulated model", "us a step", of(|m| m.sim_cpu_us));
    table.row("bytes written to disk", "a run", of(|m| m.bytes));
    table.row(
        format!("bare group-commit loop, same bytes, {WAITS_IN_A_RUN} waits in sequence"),
        "runs a second",
        bounds.to_vec(),
    );
    table.row("share of that loop", "%", shares);
    table
}
