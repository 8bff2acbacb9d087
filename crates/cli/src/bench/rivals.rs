//! `baton bench rivals`: the same three steps by LangGraph, Restate and Baton.

mod install;
mod serve;

use super::{
    args::{RivalsArgs, Rounds},
    figures::{STEPS, us},
    http::Target,
    load::{Request, Until, closed},
    process::Cluster,
    runs,
    table::Table,
};
use crate::exit::Failure;
pub(super) use install::restate as install_restate;
pub(super) use serve::Rival;
use std::time::Duration;

/// Requests of each before anything is counted.
const WARM_UP: u32 = 128;

/// One rival's figures, once in each round.
#[derive(Default)]
struct Figures {
    rate: Vec<f64>,
    cpu_us: Vec<f64>,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
}

pub(super) async fn rivals(args: &RivalsArgs, rounds: &Rounds) -> Result<Table, Failure> {
    let cache = args.cache.as_deref();
    let (python, node) = (install::langgraph(cache).await?, install::restate(cache).await?);
    let folder = rounds.temporary()?;
    let cluster = Cluster::start(folder.path()).await?;
    let langgraph = Rival::langgraph(&python, folder.path(), &cluster.sim.url).await?;
    let restate = Rival::restate(&node, folder.path(), &cluster.sim.url).await?;
    let contestants = [
        ("LangGraph", request(&langgraph.url), langgraph.accounts()),
        ("Restate", request(&restate.url), restate.accounts()),
        ("Baton", runs::request(&cluster.up.url), vec![cluster.up.account()]),
    ];
    for (_, request, _) in &contestants {
        closed(request, Until::Count(WARM_UP), args.in_flight).await?;
    }
    let span = Duration::from_secs(args.seconds.into());
    let mut all = [const { None::<Figures> }; 3];
    for round in 1..=rounds.rounds {
        anstream::eprintln!("rivals: round {round} of {}", rounds.rounds);
        for ((_, request, accounts), figures) in contestants.iter().zip(&mut all) {
            let cpu = || -> Result<Duration, Failure> { accounts.iter().map(|a| a.cpu()).sum() };
            let before = cpu()?;
            let loaded = closed(request, Until::Elapsed(span), args.in_flight).await?;
            let spent = cpu()? - before;
            let figures = figures.get_or_insert_default();
            figures.rate.push(loaded.rate());
            figures.cpu_us.push(us(spent) / (loaded.latencies.len() as f64 * f64::from(STEPS)));
            figures.p50_ms.push(loaded.quantile(0.5) / 1e3);
            figures.p99_ms.push(loaded.quantile(0.99) / 1e3);
        }
    }
    let mut table = Table::new(format!(
        "Runs of {STEPS} steps over HTTP, {} s a round for each, {} in flight, {} rounds. Every step is \
         on disk (fsync) before the next begins: LangGraph with SQLite (WAL, synchronous FULL, \
         durability \"sync\"), Restate's single node with its log as it comes (WAL with fsync), \
         Baton with its embedded ledger",
        args.seconds, args.in_flight, rounds.rounds
    ))
    .simulated();
    for ((name, _, _), figures) in contestants.iter().zip(all) {
        let Figures { rate, cpu_us, p50_ms, p99_ms } = figures.unwrap_or_default();
        table.row(format!("{name}: whole runs"), "a second", rate);
        table.row(format!("{name}: latency p50"), "ms", p50_ms);
        table.row(format!("{name}: latency p99"), "ms", p99_ms);
        table.row(format!("{name}: CPU of its processes"), "us a step", cpu_us);
    }
    Ok(table)
}

/// What Restate is asked for one, three and nine steps.
pub(super) fn steps_of_restate(url: &str) -> [(u32, Request); 3] {
    let request = |ask| Request { ask, ..request(url) };
    [
        (1, request(|number| restate_body(number, 1))),
        (3, request(|number| restate_body(number, 3))),
        (9, request(|number| restate_body(number, 9))),
    ]
}

fn restate_body(number: u64, steps: u32) -> String {
    format!(r#"{{"question":"Say that you are there, for the {number}th time.","steps":{steps}}}"#)
}

/// What both rivals are asked.
fn request(url: &str) -> Request {
    let ask =
        |number| format!(r#"{{"question":"Say that you are there, for the {number}th time."}}"#);
    Request { target: Target::new(url, ""), ask, check: |reply| reply.contains(r#""answer":"#) }
}
