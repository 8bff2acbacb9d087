//! What the sandbox costs: a trivial program from its start to its verdict, and programs a second
//! on all processors, in one run with the bare interpreter and with bubblewrap where it is there.
//!
//! `cargo run --release -p baton-sandbox --example speed`; with the word `latency` at its end, the
//! first alone.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement by hand: it tells people, and stops at what it did not expect"
)]

use baton_sandbox::{
    Config, Level, Limits, Sandbox,
    compare::Comparator,
    judge::{Finding, Form, Skip, Suite, Test, judge},
    launched,
};
use nix::sys::resource::{UsageWho, getrusage};
use std::{
    process::{ExitCode, Stdio},
    thread::available_parallelism,
    time::{Duration, Instant},
};
use tokio::{process::Command, runtime::Builder, task::JoinSet};

const SOURCE: &str = "print(int(input()) + 1)";
/// Turns that are measured, after some that are not.
const TURNS: usize = 100;
const WARM_UP: usize = 10;
const AT_ONCE_TURNS: usize = 150;
const RATES: usize = 3;

/// One way of running the program.
#[derive(Clone)]
enum Way {
    Command(&'static str, Vec<&'static str>),
    Sandbox(&'static str, Sandbox),
}

impl Way {
    fn name(&self) -> &str {
        match self {
            Self::Command(name, _) | Self::Sandbox(name, _) => name,
        }
    }

    async fn run(&self) {
        match self {
            Self::Command(_, words) => {
                let mut command = Command::new(words[0]);
                command.args(&words[1..]).arg(SOURCE).stdin(Stdio::piped()).stdout(Stdio::piped());
                let mut child = command.spawn().unwrap();
                let mut stdin = child.stdin.take().unwrap();
                tokio::io::AsyncWriteExt::write_all(&mut stdin, b"41\n").await.unwrap();
                drop(stdin);
                assert_eq!(child.wait_with_output().await.unwrap().stdout, b"42\n");
            }
            Self::Sandbox(_, sandbox) => {
                let suite = Suite {
                    form: Form::Stdin,
                    tests: vec![Test { input: "41\n".into(), expected: "42".into() }],
                    comparator: Comparator::Lcb,
                    limits: Limits::default(),
                    imports: false,
                    skip: Skip::AfterAny,
                };
                let results = judge(sandbox, SOURCE, &suite).await.unwrap();
                assert_eq!(results[0].finding, Finding::Accepted);
            }
        }
    }
}

fn main() -> ExitCode {
    if let Some(code) = launched() {
        return code;
    }
    Builder::new_multi_thread().enable_all().build().unwrap().block_on(measure());
    ExitCode::SUCCESS
}

async fn measure() {
    let bare = vec!["/usr/bin/python3", "-I", "-S", "-c"];
    let mut ways = vec![Way::Command("python3 -I -S", bare.clone())];
    for level in [Level::Lsm, Level::Ns] {
        let config = Config { at_least: level, at_most: level, ..Config::default() };
        let start = Instant::now();
        match Sandbox::probe(config).await {
            Ok(sandbox) => {
                println!(
                    "{}: probed in {:.0?}: {:?}",
                    level.name(),
                    start.elapsed(),
                    sandbox.isolation()
                );
                ways.push(Way::Sandbox(level.name(), sandbox));
            }
            Err(error) => println!("{error}"),
        }
    }
    let bwrap = "bwrap --unshare-all --die-with-parent --new-session --ro-bind /usr /usr --symlink usr/lib /lib --symlink usr/lib64 /lib64 --proc /proc --dev /dev --tmpfs /tmp";
    let bwrap: Vec<_> = bwrap.split(' ').chain(bare).collect();
    let here = std::process::Command::new("bwrap").arg("--version").output();
    if here.is_ok_and(|output| output.status.success()) {
        ways.push(Way::Command("bubblewrap", bwrap));
    }

    // In turns, so that whatever else the machine does slows all of them.
    let mut times = vec![Vec::new(); ways.len()];
    for turn in 0..WARM_UP + TURNS {
        for (way, times) in ways.iter().zip(&mut times) {
            let start = Instant::now();
            way.run().await;
            if turn >= WARM_UP {
                times.push(start.elapsed());
            }
        }
    }
    let processors = available_parallelism().unwrap().get();
    let mut rates = vec![Vec::new(); ways.len()];
    let mut spent = vec![Duration::ZERO; ways.len()];
    let only_latency = std::env::args().nth(1).is_some_and(|word| word == "latency");
    let turns = if only_latency { 0 } else { RATES };
    for _ in 0..turns {
        for ((way, rates), spent) in ways.iter().zip(&mut rates).zip(&mut spent) {
            let before = processor();
            rates.push(rate(way, processors).await);
            *spent += processor() - before;
        }
    }
    println!("| way | median ms | p95 ms | of bare | processor ms | a second on {processors} |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    for times in &mut times {
        times.sort();
    }
    let bare = times[0][TURNS / 2];
    for (((way, times), rates), spent) in ways.iter().zip(&times).zip(&mut rates).zip(&spent) {
        rates.sort_by(f64::total_cmp);
        let (median, late) = (times[TURNS / 2], times[TURNS * 95 / 100]);
        println!(
            "| {} | {:.1} | {:.1} | {:.2} | {:.1} | {:.0} |",
            way.name(),
            millis(median),
            millis(late),
            median.as_secs_f64() / bare.as_secs_f64(),
            millis(*spent) / (RATES * AT_ONCE_TURNS) as f64,
            rates.get(RATES / 2).copied().unwrap_or_default()
        );
    }
}

/// What this process and all that it has started have spent: a busy machine changes it little.
fn processor() -> Duration {
    let spent = |who| {
        let usage = getrusage(who).unwrap();
        [usage.user_time(), usage.system_time()]
            .map(|time| time.tv_sec() * 1_000_000 + time.tv_usec())
    };
    let all = [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN].map(spent);
    Duration::from_micros(all.as_flattened().iter().sum::<i64>() as u64)
}

/// As many at once as there are processors, and one more that waits.
async fn rate(way: &Way, processors: usize) -> f64 {
    let start = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..AT_ONCE_TURNS {
        if running.len() > processors {
            running.join_next().await.unwrap().unwrap();
        }
        let way = way.clone();
        running.spawn(async move { way.run().await });
    }
    running.join_all().await;
    AT_ONCE_TURNS as f64 / start.elapsed().as_secs_f64()
}
