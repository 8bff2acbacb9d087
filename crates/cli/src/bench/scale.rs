//! `baton bench scale`: what many runs cost in memory, and at a start.

use super::{
    args::{Rounds, ScaleArgs},
    http::{Connection, Target},
    process::{Cluster, Process},
    table::Table,
    team::{Steps, Team},
};
use crate::exit::Failure;
use std::{path::Path, sync::Arc, time::Instant};

/// Runs under way while the ledger is filled.
const IN_FLIGHT: u32 = 512;
/// Bytes of a KiB, as the kernel counts memory.
const KIB: f64 = 1024.0;

/// One start of `baton up`.
struct Start {
    ready_ms: f64,
    answered_ms: f64,
    rss: f64,
}

pub(super) async fn scale(args: ScaleArgs, rounds: &Rounds) -> Result<Table, Failure> {
    let sim = Process::start(&["sim", "--listen", "127.0.0.1:0", "--time-scale", "0"]).await?;
    let folders = [rounds.temporary()?, rounds.temporary()?, rounds.temporary()?];
    let [empty, finished, queued] = folders.each_ref().map(|folder| folder.path());
    anstream::eprintln!("scale: filling a ledger with {} finished runs", args.runs);
    let team = Arc::new(Team::start(&ready(finished)?, Steps::Bare)?);
    team.carry_out("baton/direct", args.runs, IN_FLIGHT).await?;
    team.stop().await;
    anstream::eprintln!("scale: filling a ledger with {} queued runs", args.runs);
    let team = Arc::new(Team::start(&ready(queued)?, Steps::Nobody)?);
    team.submit("baton/direct", args.runs, IN_FLIGHT).await?;
    team.stop().await;
    let (mut nothing, mut done, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=rounds.rounds {
        anstream::eprintln!("scale: round {round} of {}", rounds.rounds);
        nothing.push(start(empty, &sim, true).await?);
        done.push(start(finished, &sim, true).await?);
        waiting.push(start(queued, &sim, false).await?);
    }
    let title =
        format!("`baton up` over {} runs in its ledger, {} rounds", args.runs, rounds.rounds);
    Ok(table(title, args.runs, &nothing, &done, &waiting))
}

/// The folder of the ledger's file, as `baton up` will look for it.
fn ready(folder: &Path) -> Result<std::path::PathBuf, Failure> {
    let data = folder.join("data");
    let made = std::fs::create_dir_all(&data);
    made.map_err(|error| Failure::other(format!("{}: {error}", data.display())))?;
    Ok(data)
}

/// Starts on this folder, asks once, and ends it without a word, as a crash would.
async fn start(folder: &Path, sim: &Process, ask: bool) -> Result<Start, Failure> {
    let began = Instant::now();
    // Queued runs stay queued: their agent never answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let silent = silent.map_err(|error| Failure::other(error.to_string()))?;
    let nobody = silent.local_addr().map_err(|error| Failure::other(error.to_string()))?;
    let provider = if ask { sim.url.clone() } else { format!("http://{nobody}/v1") };
    let up = Cluster::up(folder, &provider).await?;
    let ready_ms = began.elapsed().as_secs_f64() * 1e3;
    if ask {
        let target = Target::new(&up.url, "/chat/completions");
        let body =
            r#"{"model":"baton/direct","messages":[{"role":"user","content":"Are you there?"}]}"#;
        Connection::open(&target).await?.post(&target, body).await?;
    }
    let answered_ms = began.elapsed().as_secs_f64() * 1e3;
    Ok(Start { ready_ms, answered_ms, rss: up.account().resident()? as f64 })
}

fn table(title: String, runs: u32, nothing: &[Start], done: &[Start], waiting: &[Start]) -> Table {
    let of = |all: &[Start], value: fn(&Start) -> f64| all.iter().map(value).collect::<Vec<_>>();
    let above = |all: &[Start]| {
        let pairs = all.iter().zip(nothing);
        pairs.map(|(start, empty)| (start.rss - empty.rss) / f64::from(runs)).collect()
    };
    let mib = |start: &Start| start.rss / (KIB * KIB);
    let mut table = Table::new(title);
    table.row("empty ledger: listening after", "ms", of(nothing, |s| s.ready_ms));
    table.row("empty ledger: first answer after", "ms", of(nothing, |s| s.answered_ms));
    table.row("empty ledger: memory", "MiB", of(nothing, mib));
    table.row("all runs finished: listening after", "ms", of(done, |s| s.ready_ms));
    table.row("all runs finished: first answer after", "ms", of(done, |s| s.answered_ms));
    table.row("all runs finished: memory", "MiB", of(done, mib));
    table.row("all runs queued: listening after", "ms", of(waiting, |s| s.ready_ms));
    table.row("all runs queued: memory", "MiB", of(waiting, mib));
    table.row("all runs queued: memory above an empty ledger's", "bytes a run", above(waiting));
    table
}
