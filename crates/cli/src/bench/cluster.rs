//! `baton bench cluster`: whole runs over HTTP, by processes of their own on Redis and etcd.

use super::{
    args::{ClusterArgs, Rounds},
    cpu::Account,
    figures::{STEPS, us},
    http::Target as Endpoint,
    load::{Loaded, Request, Until, closed},
    process::{self, Process},
    redis::Done,
    rivals::{Rival, install_restate, steps_of_restate},
    table::{Table, Target},
    team::{configuration, steps_of_nine},
};
use crate::{chaos::stores::Store, exit::Failure};
use std::{path::Path, time::Duration};

/// Requests before anything is counted.
const WARM_UP: u32 = 128;
/// What is aimed at for a run of three steps.
const SCRIPTS_A_RUN: f64 = 12.0;
const BYTES_A_RUN: f64 = 8.0 * 1024.0;
/// Runs of which each is alone, in one round.
const ALONE: u32 = 32;

/// What is measured: so many processes of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form {
    redis: u32,
    workers: u32,
}

/// Everything that runs, killed when dropped.
pub(super) struct Cluster {
    redis: Vec<Store>,
    _etcd: Store,
    services: Vec<Process>,
    gateway: Process,
}

/// One round of one form.
struct Measured {
    loaded: Loaded,
    redis: Done,
    services_cpu: Duration,
}

impl Cluster {
    /// One gateway, one conductor, one verifier, and so many worker-agents over so many
    /// servers, between which the runs of the one tenant are divided.
    async fn start(folder: &Path, form: Form, provider: &str) -> Result<Self, Failure> {
        let mut redis = Vec::new();
        for number in 0..form.redis {
            redis.push(Store::redis(&folder.join(format!("redis-{number}")), true).await?);
        }
        let etcd = Store::etcd(&folder.join("etcd")).await?;
        let config = folder.join("baton.toml");
        let written = std::fs::write(&config, configuration(provider));
        written.map_err(|error| Failure::other(format!("{}: {error}", config.display())))?;
        let urls: Vec<_> = redis.iter().map(|store| format!("redis://{}", store.address)).collect();
        let (urls, etcd_url) = (urls.join(","), format!("http://{}", etcd.address));
        let (shards, lanes) = (form.redis.to_string(), format!("default={}", form.redis));
        let config = config.display().to_string();
        let shared = [
            "--redis",
            &urls,
            "--redis-shards",
            &shards,
            "--redis-lanes",
            &lanes,
            "--etcd",
            &etcd_url,
            "--config",
            &config,
        ];
        let serve = async |kind: &str, more: &[&str]| {
            Process::start(&[&["serve", kind], more, &shared].concat()).await
        };
        let mut services = vec![serve("verifier", &[]).await?, serve("conductor", &[]).await?];
        for _ in 0..form.workers {
            services.push(serve("worker-agent", &[]).await?);
        }
        let gateway = serve("gateway", &["--listen", "127.0.0.1:0"]).await?;
        Ok(Self { redis, _etcd: etcd, services, gateway })
    }

    /// What its processes have used, clients of Redis that they are.
    fn cpu(&self) -> Result<Duration, Failure> {
        let all = self.services.iter().chain([&self.gateway]);
        all.map(|process| process.account().cpu()).sum()
    }

    async fn measure(
        &self,
        request: &Request,
        count: u32,
        in_flight: u32,
    ) -> Result<Measured, Failure> {
        let (before, cpu) = (Done::of(&self.redis).await?, self.cpu()?);
        let loaded = closed(request, Until::Count(count), in_flight).await?;
        let redis = Done::of(&self.redis).await?.since(before);
        let services_cpu = self.cpu()? - cpu;
        Ok(Measured { loaded, redis, services_cpu })
    }
}

/// Runs of one, three and nine steps, one after the other.
fn requests(url: &str) -> [(u32, Request); 3] {
    let request =
        |ask, check| Request { target: Endpoint::new(url, "/chat/completions"), ask, check };
    [
        (1, request(|n| body("baton/direct", "", n), |reply| is_whole(reply, 1))),
        (
            STEPS,
            request(|n| body("baton/plan_execute_verify", "", n), |reply| is_whole(reply, STEPS)),
        ),
        (9, request(|n| body("baton/reflect", steps_of_nine(), n), |reply| is_whole(reply, 9))),
    ]
}

fn body(model: &str, options: &str, number: u64) -> String {
    format!(
        r#"{{"model":"{model}",{options}"messages":[{{"role":"user","content":"Say that you are there, for the {number}th time."}}]}}"#
    )
}

/// Each step says twice that it is done, for itself and for its task.
fn is_whole(reply: &str, steps: u32) -> bool {
    reply.matches(r#""status":"done""#).count() == 2 * steps as usize
        && reply.contains(r#""status":"completed""#)
}

pub(super) async fn cluster(args: ClusterArgs, rounds: &Rounds) -> Result<Table, Failure> {
    let folder = rounds.temporary()?;
    let sim = Process::start(&["sim", "--listen", "127.0.0.1:0", "--time-scale", "0"]).await?;
    let mut table = Table::new(format!(
        "Runs over HTTP, zero-latency agents, services as processes on Redis (appendfsync always) \
         and etcd, {} runs a round, {} in flight, {} rounds",
        args.load.count, args.load.in_flight, rounds.rounds
    ))
    .simulated();
    beside(&mut table, folder.path(), &sim.url, &args, rounds).await?;
    let mut forms = vec![Form { redis: 1, workers: 1 }];
    forms.extend(args.workers.iter().map(|workers| Form { redis: 1, workers: *workers }));
    forms.extend(args.redis.iter().map(|redis| Form { redis: *redis, workers: 1 }));
    let mut seen = Vec::new();
    for form in forms {
        if seen.contains(&form) {
            continue;
        }
        anstream::eprintln!("cluster: {} Redis, {} worker-agents", form.redis, form.workers);
        let own = folder.path().join(format!("{}-{}", form.redis, form.workers));
        let cluster = Cluster::start(&own, form, &sim.url).await?;
        let whole = seen.is_empty();
        rows_of(&mut table, &cluster, form, whole, &args, rounds).await?;
        if whole {
            rows_of_one_alone(&mut table, &cluster, rounds).await?;
            rows_of_idleness(&mut table, &cluster, &args, rounds).await?;
        }
        seen.push(form);
    }
    Ok(table)
}

/// The same runs by `baton up` and, where it is asked for, by Restate.
async fn beside(
    table: &mut Table,
    folder: &Path,
    provider: &str,
    args: &ClusterArgs,
    rounds: &Rounds,
) -> Result<(), Failure> {
    anstream::eprintln!("cluster: `baton up` beside it");
    let up = process::Cluster::up(folder, provider).await?;
    let all = requests(&up.url);
    rows_beside(table, "`baton up`", &all, &[up.account()], args, rounds).await?;
    drop(up);
    if args.rivals {
        let installed = install_restate(args.cache.as_deref()).await?;
        anstream::eprintln!("cluster: Restate beside it");
        let restate = Rival::restate(&installed, folder, provider).await?;
        let all = steps_of_restate(&restate.url);
        rows_beside(table, "Restate", &all, &restate.accounts(), args, rounds).await?;
    }
    Ok(())
}

async fn rows_beside(
    table: &mut Table,
    name: &str,
    requests: &[(u32, Request); 3],
    accounts: &[Account],
    args: &ClusterArgs,
    rounds: &Rounds,
) -> Result<(), Failure> {
    let cpu = || -> Result<Duration, Failure> { accounts.iter().map(Account::cpu).sum() };
    for (steps, request) in requests {
        closed(request, Until::Count(WARM_UP), args.load.in_flight).await?;
        let (mut all, mut spent) = (Vec::new(), Vec::new());
        for _ in 0..rounds.rounds {
            let before = cpu()?;
            all.push(closed(request, Until::Count(args.load.count), args.load.in_flight).await?);
            spent.push(us(cpu()? - before) / f64::from(args.load.count));
        }
        let name = format!("{name} beside it, {steps} steps");
        rows_of_load(table, &name, all.iter());
        table.row(format!("{name}: CPU of it"), "us a run", spent);
    }
    Ok(())
}

/// How many a second, and how long each takes.
fn rows_of_load<'a>(table: &mut Table, name: &str, all: impl Iterator<Item = &'a Loaded> + Clone) {
    let of = |value: fn(&Loaded) -> f64| all.clone().map(value).collect::<Vec<_>>();
    table.row(format!("{name}: whole runs"), "a second", of(Loaded::rate));
    table.row(format!("{name}: latency p50"), "ms", of(|loaded| loaded.quantile(0.5) / 1e3));
    table.row(format!("{name}: latency p99"), "ms", of(|loaded| loaded.quantile(0.99) / 1e3));
}

/// All figures of the first form; of the others, the rate of runs of three steps.
async fn rows_of(
    table: &mut Table,
    cluster: &Cluster,
    form: Form,
    whole: bool,
    args: &ClusterArgs,
    rounds: &Rounds,
) -> Result<(), Failure> {
    for (steps, request) in requests(&cluster.gateway.url) {
        if !whole && steps != STEPS {
            continue;
        }
        closed(&request, Until::Count(WARM_UP), args.load.in_flight).await?;
        let mut all = Vec::new();
        for _ in 0..rounds.rounds {
            all.push(cluster.measure(&request, args.load.count, args.load.in_flight).await?);
        }
        let name = format!("{} Redis, {} workers, {steps} steps", form.redis, form.workers);
        if !whole {
            let rates = all.iter().map(|measured| measured.loaded.rate()).collect();
            table.row(format!("{name}: whole runs"), "a second", rates);
            continue;
        }
        rows_of_load(table, &name, all.iter().map(|measured| &measured.loaded));
        rows_of_redis(table, &name, steps == STEPS, f64::from(args.load.count), &all);
    }
    Ok(())
}

/// What a run costs Redis, and its clients.
fn rows_of_redis(table: &mut Table, name: &str, aimed: bool, runs: f64, all: &[Measured]) {
    let of = |value: fn(&Measured) -> f64| -> Vec<f64> {
        all.iter().map(|measured| value(measured) / runs).collect()
    };
    let mut row = |what: &str, unit, figures, most: Option<f64>| {
        let what = format!("{name}: {what}");
        match most.filter(|_| aimed) {
            Some(most) => table.aimed(what, unit, figures, Target::AtMost(most)),
            None => table.row(what, unit, figures),
        }
    };
    row("script calls", "a run", of(|m| m.redis.scripts), Some(SCRIPTS_A_RUN));
    row("bytes to Redis", "a run", of(|m| m.redis.bytes_in), Some(BYTES_A_RUN));
    row("bytes from Redis", "a run", of(|m| m.redis.bytes_out), None);
    row("commands of the scripts", "a run", of(|m| m.redis.commands - m.redis.scripts), None);
    row("CPU of Redis", "us a run", of(|m| us(m.redis.cpu)), None);
    row("CPU of the services", "us a run", of(|m| us(m.services_cpu)), None);
}

/// Runs that share their calls with no other: what a run needs at the most.
async fn rows_of_one_alone(
    table: &mut Table,
    cluster: &Cluster,
    rounds: &Rounds,
) -> Result<(), Failure> {
    let [_, (steps, request), _] = requests(&cluster.gateway.url);
    let mut all = Vec::new();
    for _ in 0..rounds.rounds {
        all.push(cluster.measure(&request, ALONE, 1).await?);
    }
    let name = format!("one run of {steps} steps alone");
    let of = |value: fn(&Measured) -> f64| all.iter().map(value).collect::<Vec<_>>();
    let runs = f64::from(ALONE);
    let per_run = |values: Vec<f64>| values.into_iter().map(|v| v / runs).collect::<Vec<_>>();
    table.row(format!("{name}: latency p50"), "ms", of(|m| m.loaded.quantile(0.5) / 1e3));
    table.row(format!("{name}: script calls"), "a run", per_run(of(|m| m.redis.scripts)));
    table.row(format!("{name}: bytes to Redis"), "a run", per_run(of(|m| m.redis.bytes_in)));
    Ok(())
}

/// What the same processes ask of Redis while there is nothing to do.
async fn rows_of_idleness(
    table: &mut Table,
    cluster: &Cluster,
    args: &ClusterArgs,
    rounds: &Rounds,
) -> Result<(), Failure> {
    let span = Duration::from_secs(args.idle.into());
    let (mut all, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..rounds.rounds {
        let (before, spent) = (Done::of(&cluster.redis).await?, cluster.cpu()?);
        tokio::time::sleep(span).await;
        all.push(Done::of(&cluster.redis).await?.since(before));
        cpu.push(us(cluster.cpu()? - spent) / span.as_secs_f64() / 1e3);
    }
    let of = |value: fn(&Done) -> f64| -> Vec<f64> {
        all.iter().map(|done| value(done) / span.as_secs_f64()).collect()
    };
    table.row("at idle: script calls", "a second", of(|done| done.scripts));
    table.row("at idle: commands, with those of the scripts", "a second", of(|d| d.commands));
    table.row("at idle: CPU of the services", "ms a second", cpu);
    Ok(())
}
