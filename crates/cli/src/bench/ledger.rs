//! `baton bench ledger`: runs a second on the embedded ledger, beside what the disk allows.

use super::{
    args::{LedgerArgs, Rounds},
    bound::{Bound, group_commit},
    cpu::Account,
    figures::{STEPS, at_share, us},
    least::Least,
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

/// All that is measured in one round.
struct Round {
    busy: Busy,
    /// Runs a second of the least ledger and of the bare loop.
    least: f64,
    least_cpu_us: f64,
    bare: f64,
    /// Microseconds.
    wait: f64,
    three: Alone,
    direct: Alone,
}

/// One run at a time.
struct Alone {
    p50: Duration,
    barriers: f64,
}

pub(super) async fn ledger(args: LedgerArgs, rounds: &Rounds) -> Result<Table, Failure> {
    let folder = rounds.temporary()?;
    let steps = if args.services { Steps::Services } else { Steps::Bare };
    let sync_min = Duration::from_millis(args.sync_ms);
    let team = Arc::new(Team::start_slowed(folder.path(), steps, sync_min)?);
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
    let mut measured = Vec::new();
    for round in 1..=rounds {
        anstream::eprintln!("ledger: round {round} of {rounds}");
        let (busy, three) = (many(team, args).await?, alone(team, THREE).await?);
        let bound = Bound {
            runs: args.load.count,
            in_flight: args.load.in_flight,
            waits_in_a_run: three.barriers.round() as u32,
            bytes_per_run: busy.bytes,
            sync_min: Duration::from_millis(args.sync_ms),
        };
        let wait = Bound { runs: ALONE, in_flight: 1, waits_in_a_run: 1, ..bound };
        let (least, least_cpu_us) = least(folder, args, bound).await?;
        measured.push(Round {
            busy,
            least,
            least_cpu_us,
            bare: group_commit(folder, bound).await?,
            wait: 1e6 / group_commit(folder, wait).await?,
            three,
            direct: alone(team, DIRECT).await?,
        });
    }
    let title = format!(
        "Runs of {STEPS} steps on the embedded ledger, {}, {} runs a round, {} in flight, {rounds} rounds{}",
        if args.services { "with all services in process" } else { "with the conductor" },
        args.load.count,
        args.load.in_flight,
        match args.sync_ms {
            0 => String::new(),
            ms => format!(", as on a disk that takes {ms} ms for a sync"),
        },
    );
    Ok(table(title, &measured))
}

async fn many(team: &Arc<Team>, args: LedgerArgs) -> Result<Busy, Failure> {
    let own = Account::own();
    let (cpu, ledger_cpu) = (own.cpu()?, own.cpu_of_threads(THREADS)?);
    let (used, began) = (team.disk_use(), Instant::now());
    let mut took = team.carry_out(THREE, args.load.count, args.load.in_flight).await?;
    let seconds = began.elapsed().as_secs_f64();
    let (cpu, ledger_cpu) = (own.cpu()? - cpu, own.cpu_of_threads(THREADS)? - ledger_cpu);
    let now = team.disk_use();
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

/// Carries the same runs out on the least ledger, which has the bare loop for its log: runs
/// a second, and microseconds of CPU a step.
async fn least(folder: &Path, args: LedgerArgs, bound: Bound) -> Result<(f64, f64), Failure> {
    let steps = if args.services { Steps::Services } else { Steps::Bare };
    let commits = bound.start(folder)?;
    let team = Arc::new(Team::over(Least::new(commits.writes.clone()), steps)?);
    team.carry_out(THREE, WARM_UP, args.load.in_flight).await?;
    let (own, began) = (Account::own(), Instant::now());
    let cpu = own.cpu()?;
    team.carry_out(THREE, args.load.count, args.load.in_flight).await?;
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), own.cpu()? - cpu);
    let runs = f64::from(args.load.count);
    team.stop().await;
    drop(team);
    commits.finish().await?;
    Ok((runs / seconds, us(cpu) / (runs * f64::from(STEPS))))
}

/// What the disk is waited for by a run that shares its waits with nobody.
async fn alone(team: &Arc<Team>, model: &'static str) -> Result<Alone, Failure> {
    let used = team.disk_use();
    let mut took = team.carry_out(model, ALONE, 1).await?;
    let syncs = team.disk_use().syncs - used.syncs;
    Ok(Alone { p50: at_share(&mut took, 0.5), barriers: syncs as f64 / f64::from(ALONE) })
}

fn table(title: String, rounds: &[Round]) -> Table {
    let of = |value: fn(&Round) -> f64| rounds.iter().map(value).collect::<Vec<_>>();
    let mut table = Table::new(title);
    let aim = Target::AtLeast(RUNS_A_SECOND);
    table.aimed("whole runs", "a second", of(|r| r.busy.rate), aim);
    table.row(
        "bare group-commit loop, same bytes, as many waits in sequence",
        "runs a second",
        of(|r| r.bare),
    );
    let aim = Target::AtLeast(SHARE_OF_BOUND);
    table.aimed("share of that loop", "%", of(|r| r.busy.rate / r.bare * 100.0), aim);
    table.row("whole runs on the least ledger, that loop its log", "a second", of(|r| r.least));
    table.row(
        "its share of the loop: the most that any ledger has",
        "%",
        of(|r| r.least / r.bare * 100.0),
    );
    table.row("share of the least ledger", "%", of(|r| r.busy.rate / r.least * 100.0));
    let aim = Target::AtMost(CPU_US_A_STEP);
    table.aimed("CPU, all of it", "us a step", of(|r| r.busy.cpu_us), aim);
    table.row("CPU of the ledger's threads", "us a step", of(|r| r.busy.ledger_cpu_us));
    table.row("CPU with the least ledger", "us a step", of(|r| r.least_cpu_us));
    table.row("latency p99", "ms", of(|r| r.busy.p99.as_secs_f64() * 1e3));
    table.row("bytes logged", "a run", of(|r| r.busy.bytes));
    table.row("fdatasync calls", "a run", of(|r| r.busy.syncs));
    table.row("one run alone: fdatasync calls", "", of(|r| r.three.barriers));
    table.row("one run alone: latency p50", "us", of(|r| us(r.three.p50)));
    let aim = Target::AtMost(BARRIERS_OF_DIRECT);
    table.aimed("one `direct` run alone: fdatasync calls", "", of(|r| r.direct.barriers), aim);
    table.row("one `direct` run alone: latency p50", "us", of(|r| us(r.direct.p50)));
    table.row("one wait for the disk", "us", of(|r| r.wait));
    table
}
