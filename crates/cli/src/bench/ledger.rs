//! `baton bench ledger`: runs a second on the embedded ledger, beside what the disk allows.

use super::{
    args::{LedgerArgs, Rounds},
    bound::{Bound, group_commit},
    cpu::Account,
    figures::{STEPS, at_share, us},
    table::{Table, Target},
    team::{Steps, Team},
};
use crate::exit::Failure;
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// The strategy of three steps, and the one of a single step.
const THREE: &str = "baton/plan_execute_verify";
const DIRECT: &str = "baton/direct";
/// Runs before anything is counted.
const WARM_UP: u32 = 256;
/// Runs of which each has the ledger for itself.
const ALONE: u32 = 200;
/// The names of the ledger's threads begin so.
const THREADS: &str = "ledger";

/// What is aimed at.
const RUNS_A_SECOND: f64 = 3_000.0;
const SHARE_OF_BOUND: f64 = 60.0;
const CPU_US_A_STEP: f64 = 300.0;
const BARRIERS_OF_DIRECT: f64 = 2.0;

/// Many runs at a time.
struct Busy {
    rate: f64,
    cpu_us: f64,
    ledger_cpu_us: f64,
    syncs: f64,
    bytes: f64,
    p99: Duration,
}

/// One run at a time.
struct Alone {
    p50: Duration,
    barriers: f64,
}

pub(super) async fn ledger(args: LedgerArgs, rounds: &Rounds) -> Result<Table, Failure> {
    let folder = rounds.temporary()?;
    let steps = if args.services { Steps::Services } else { Steps::Bare };
    let team = Arc::new(Team::start(folder.path(), steps)?);
    let table = measure(&team, folder.path(), args, rounds.rounds).await;
    team.stop().await;
    table
}

/// Keeps it busy for a while, for a profiler to look at.
pub(super) async fn busy(args: LedgerArgs, rounds: &Rounds, seconds: u64) -> Result<(), Failure> {
    let folder = rounds.temporary()?;
    let steps = if args.services { Steps::Services } else { Steps::Bare };
    let team = Arc::new(Team::start(folder.path(), steps)?);
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut done = Ok(Vec::new());
    while done.is_ok() && Instant::now() < until {
        done = team.carry_out(THREE, WARM_UP, args.load.in_flight).await;
    }
    team.stop().await;
    done.map(|_| ())
}

async fn measure(
    team: &Arc<Team>,
    folder: &Path,
    args: LedgerArgs,
    rounds: u32,
) -> Result<Table, Failure> {
    team.carry_out(THREE, WARM_UP, args.load.in_flight).await?;
    let (mut busy, mut bounds, mut waits) = (Vec::new(), Vec::new(), Vec::new());
    let (mut three, mut direct) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        anstream::eprintln!("ledger: round {round} of {rounds}");
        let measured = many(team, args).await?;
        let single = alone(team, THREE).await?;
        let bound = Bound {
            runs: args.load.count,
            in_flight: args.load.in_flight,
            waits_in_a_run: single.barriers.round() as u32,
            bytes_per_run: measured.bytes,
        };
        bounds.push(group_commit(folder, bound).await?);
        let wait =
            Bound { runs: ALONE, in_flight: 1, waits_in_a_run: 1, bytes_per_run: measured.bytes };
        waits.push(1e6 / group_commit(folder, wait).await?);
        busy.push(measured);
        three.push(single);
        direct.push(alone(team, DIRECT).await?);
    }
    let title = format!(
        "Runs of {STEPS} steps on the embedded ledger, {}, {} runs a round, {} in flight, {rounds} rounds",
        if args.services { "with all services in process" } else { "with the conductor" },
        args.load.count,
        args.load.in_flight,
    );
    Ok(table(title, &busy, &bounds, &waits, &three, &direct))
}

async fn many(team: &Arc<Team>, args: LedgerArgs) -> Result<Busy, Failure> {
    let own = Account::own();
    let (cpu, ledger_cpu) = (own.cpu()?, own.cpu_of_threads(THREADS)?);
    let (used, began) = (team.ledger.disk_use(), Instant::now());
    let mut took = team.carry_out(THREE, args.load.count, args.load.in_flight).await?;
    let seconds = began.elapsed().as_secs_f64();
    let (cpu, ledger_cpu) = (own.cpu()? - cpu, own.cpu_of_threads(THREADS)? - ledger_cpu);
    let now = team.ledger.disk_use();
    let runs = f64::from(args.load.count);
    Ok(Busy {
        rate: runs / seconds,
        cpu_us: us(cpu) / (runs * f64::from(STEPS)),
        ledger_cpu_us: us(ledger_cpu) / (runs * f64::from(STEPS)),
        syncs: (now.syncs - used.syncs) as f64 / runs,
        bytes: (now.bytes - used.bytes) as f64 / runs,
        p99: at_share(&mut took, 0.99),
    })
}

/// What the disk is waited for by a run that shares its waits with nobody.
async fn alone(team: &Arc<Team>, model: &'static str) -> Result<Alone, Failure> {
    let used = team.ledger.disk_use();
    let mut took = team.carry_out(model, ALONE, 1).await?;
    let syncs = team.ledger.disk_use().syncs - used.syncs;
    Ok(Alone { p50: at_share(&mut took, 0.5), barriers: syncs as f64 / f64::from(ALONE) })
}

fn table(
    title: String,
    busy: &[Busy],
    bounds: &[f64],
    waits: &[f64],
    three: &[Alone],
    direct: &[Alone],
) -> Table {
    let of = |value: fn(&Busy) -> f64| busy.iter().map(value).collect::<Vec<_>>();
    let single = |runs: &[Alone], value: fn(&Alone) -> f64| runs.iter().map(value).collect();
    let shares = busy.iter().zip(bounds).map(|(busy, bound)| busy.rate / bound * 100.0).collect();
    let mut table = Table::new(title);
    table.aimed("whole runs", "a second", of(|b| b.rate), Target::AtLeast(RUNS_A_SECOND));
    table.row(
        "bare group-commit loop, same bytes, as many waits in sequence",
        "runs a second",
        bounds.to_vec(),
    );
    table.aimed("share of that loop", "%", shares, Target::AtLeast(SHARE_OF_BOUND));
    table.aimed("CPU, all of it", "us a step", of(|b| b.cpu_us), Target::AtMost(CPU_US_A_STEP));
    table.row("CPU of the ledger's threads", "us a step", of(|b| b.ledger_cpu_us));
    table.row("latency p99", "ms", of(|b| b.p99.as_secs_f64() * 1e3));
    table.row("bytes logged", "a run", of(|b| b.bytes));
    table.row("fdatasync calls", "a run", of(|b| b.syncs));
    table.row("one run alone: fdatasync calls", "", single(three, |a| a.barriers));
    table.row("one run alone: latency p50", "us", single(three, |a| us(a.p50)));
    let barriers = single(direct, |a| a.barriers);
    let aim = Target::AtMost(BARRIERS_OF_DIRECT);
    table.aimed("one `direct` run alone: fdatasync calls", "", barriers, aim);
    table.row("one `direct` run alone: latency p50", "us", single(direct, |a| us(a.p50)));
    table.row("one wait for the disk", "us", waits.to_vec());
    table
}
