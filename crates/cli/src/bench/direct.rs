//! `baton bench direct`: what `baton/direct` adds to calling the same agent straight.

use super::{
    args::{DirectArgs, Rounds},
    figures::us,
    http::Target,
    load::{Loaded, Request, Until, closed, open},
    process::Cluster,
    table::Table,
};
use crate::exit::Failure;
use std::time::Duration;

/// Requests before anything is counted, a few at a time.
const WARM_UP: (u32, u32) = (500, 8);

pub(super) async fn direct(args: DirectArgs, rounds: &Rounds) -> Result<Table, Failure> {
    let folder = rounds.temporary()?;
    let cluster = Cluster::start(folder.path()).await?;
    let whole = |reply: &str| reply.contains(r#""finish_reason":"stop""#);
    let target = |url: &str| Target::new(url, "/chat/completions");
    let ask = |number| body("sim-null", number);
    let straight = Request { target: target(&cluster.sim.url), ask, check: whole };
    let ask = |number| body("baton/direct", number);
    let baton = Request { target: target(&cluster.up.url), ask, check: whole };
    let span = Duration::from_secs(args.seconds.into());
    for request in [&straight, &baton] {
        closed(request, Until::Count(WARM_UP.0), WARM_UP.1).await?;
    }
    let (mut straights, mut batons, mut cpus) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=rounds.rounds {
        anstream::eprintln!("direct: round {round} of {}", rounds.rounds);
        straights.push(open(&straight, args.rate, span).await?);
        let cpu = cluster.up.account().cpu()?;
        let loaded = open(&baton, args.rate, span).await?;
        let cpu = cluster.up.account().cpu()? - cpu;
        cpus.push(us(cpu) / loaded.latencies.len() as f64);
        batons.push(loaded);
    }
    let title = format!(
        "`baton/direct` and the same agent straight, open loop, {} requests a second for {} s, {} rounds",
        args.rate, args.seconds, rounds.rounds
    );
    Ok(table(title, &straights, &batons, cpus))
}

fn table(title: String, straights: &[Loaded], batons: &[Loaded], cpus: Vec<f64>) -> Table {
    let of = |all: &[Loaded], share: f64| all.iter().map(|l| l.quantile(share)).collect();
    let added = |share: f64| {
        let pairs = straights.iter().zip(batons);
        pairs.map(|(straight, baton)| baton.quantile(share) - straight.quantile(share)).collect()
    };
    let mut table = Table::new(title).simulated();
    table.row("straight, p50", "us", of(straights, 0.5));
    table.row("straight, p99", "us", of(straights, 0.99));
    table.row("`baton/direct`, p50", "us", of(batons, 0.5));
    table.row("`baton/direct`, p99", "us", of(batons, 0.99));
    table.row("added at p50", "us", added(0.5));
    table.row("added at p99", "us", added(0.99));
    table.row("CPU of `baton up`", "us a request", cpus);
    table
}

fn body(model: &str, number: u64) -> String {
    format!(
        r#"{{"model":"{model}","messages":[{{"role":"user","content":"Say that you are there, for the {number}th time."}}]}}"#
    )
}
