//! `baton bench cluster`: whole runs over HTTP, by processes of their own on Redis and etcd.

use super::{
    args::{ClusterArgs, Rounds},
    cpu::Account,
    figures::{STEPS, us},
    http::Target as Endpoint,
    load::{Loaded, Request, Until, closed},
    process::{self, Process},
    table::{Table, Target},
    team::{configuration, steps_of_nine},
};
use crate::{chaos::stores::Store, exit::Failure};
use std::{path::Path, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// Requests before anything is counted.
const WARM_UP: u32 = 128;
/// What is aimed at for a run of three steps.
const SCRIPTS_A_RUN: f64 = 12.0;
const BYTES_A_RUN: f64 = 8.0 * 1024.0;
/// How long Redis may take to tell of itself.
const ASK_LIMIT: Duration = Duration::from_secs(5);

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

/// What the servers of the ledger have done so far.
#[derive(Debug, Clone, Copy, Default)]
struct Done {
    scripts: f64,
    /// Received, in bytes: what had to be written.
    bytes_in: f64,
    bytes_out: f64,
    cpu: Duration,
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

    async fn done(&self) -> Result<Done, Failure> {
        let mut sum = Done::default();
        for store in &self.redis {
            let scripts = info(store, "commandstats").await?;
            let scripts = scripts.lines().filter_map(|line| line.strip_prefix("cmdstat_evalsha:"));
            sum.scripts += scripts.map(|rest| number(rest, "calls=")).sum::<f64>();
            let net = info(store, "stats").await?;
            sum.bytes_in += number(&net, "total_net_input_bytes:");
            sum.bytes_out += number(&net, "total_net_output_bytes:");
            let pid = store.pid().ok_or_else(|| Failure::other("Redis is gone"))?;
            sum.cpu += Account::of(pid).cpu()?;
        }
        Ok(sum)
    }

    async fn measure(
        &self,
        request: &Request,
        count: u32,
        in_flight: u32,
    ) -> Result<Measured, Failure> {
        let (before, cpu) = (self.done().await?, self.cpu()?);
        let loaded = closed(request, Until::Count(count), in_flight).await?;
        let (after, services_cpu) = (self.done().await?, self.cpu()? - cpu);
        let redis = Done {
            scripts: after.scripts - before.scripts,
            bytes_in: after.bytes_in - before.bytes_in,
            bytes_out: after.bytes_out - before.bytes_out,
            cpu: after.cpu - before.cpu,
        };
        Ok(Measured { loaded, redis, services_cpu })
    }
}

/// What a server says of itself.
async fn info(store: &Store, section: &str) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::other(format!("Redis: {error}"));
    let asking = async {
        let mut stream = TcpStream::connect(store.address).await?;
        stream.write_all(format!("INFO {section}\r\nQUIT\r\n").as_bytes()).await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await?;
        Ok(said)
    };
    let late = |_| Failure::other("Redis does not tell of itself");
    timeout(ASK_LIMIT, asking).await.map_err(late)?.map_err(failed)
}

/// The number behind a name; 0 where there is none.
fn number(text: &str, name: &str) -> f64 {
    let rest = text.find(name).and_then(|at| text.get(at + name.len()..)).unwrap_or_default();
    let end = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end).and_then(|digits| digits.parse().ok()).unwrap_or(0.0)
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
    let embedded = process::Cluster::up(folder.path(), &sim.url).await?;
    let mut table = Table::new(format!(
        "Runs over HTTP, zero-latency agents, services as processes on Redis (appendfsync always) \
         and etcd, {} runs a round, {} in flight, {} rounds",
        args.load.count, args.load.in_flight, rounds.rounds
    ))
    .simulated();
    rows_of_embedded(&mut table, &embedded, &args, rounds).await?;
    drop(embedded);
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
        seen.push(form);
    }
    Ok(table)
}

async fn rows_of_embedded(
    table: &mut Table,
    up: &Process,
    args: &ClusterArgs,
    rounds: &Rounds,
) -> Result<(), Failure> {
    for (steps, request) in requests(&up.url) {
        closed(&request, Until::Count(WARM_UP), args.load.in_flight).await?;
        let mut all = Vec::new();
        for _ in 0..rounds.rounds {
            let until = Until::Count(args.load.count);
            all.push(closed(&request, until, args.load.in_flight).await?);
        }
        let what = format!("`baton up` beside it, {steps} steps: whole runs");
        table.row(what, "a second", all.iter().map(Loaded::rate).collect());
    }
    Ok(())
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
        let of = |value: fn(&Measured) -> f64| all.iter().map(value).collect::<Vec<_>>();
        let runs = f64::from(args.load.count);
        let per_run = |values: Vec<f64>| values.into_iter().map(|v| v / runs).collect::<Vec<_>>();
        let name = format!("{} Redis, {} workers, {steps} steps", form.redis, form.workers);
        table.row(format!("{name}: whole runs"), "a second", of(|m| m.loaded.rate()));
        if !whole {
            continue;
        }
        table.row(format!("{name}: latency p50"), "ms", of(|m| m.loaded.quantile(0.5) / 1e3));
        table.row(format!("{name}: latency p99"), "ms", of(|m| m.loaded.quantile(0.99) / 1e3));
        let (scripts, bytes) =
            (per_run(of(|m| m.redis.scripts)), per_run(of(|m| m.redis.bytes_in)));
        let (of_scripts, of_bytes) =
            (format!("{name}: scripts"), format!("{name}: bytes to Redis"));
        if steps == STEPS {
            table.aimed(of_scripts, "a run", scripts, Target::AtMost(SCRIPTS_A_RUN));
            table.aimed(of_bytes, "a run", bytes, Target::AtMost(BYTES_A_RUN));
        } else {
            table.row(of_scripts, "a run", scripts);
            table.row(of_bytes, "a run", bytes);
        }
        table.row(format!("{name}: bytes from Redis"), "a run", per_run(of(|m| m.redis.bytes_out)));
        table.row(format!("{name}: CPU of Redis"), "us a run", per_run(of(|m| us(m.redis.cpu))));
        table.row(
            format!("{name}: CPU of the services"),
            "us a run",
            per_run(of(|m| us(m.services_cpu))),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_behind_their_names() {
        let text = "cmdstat_evalsha:calls=12,usec=7\r\ntotal_net_input_bytes:345\r\n";
        assert_eq!(number(text, "calls="), 12.0);
        assert_eq!(number(text, "total_net_input_bytes:"), 345.0);
        assert_eq!(number(text, "nothing:"), 0.0);
    }
}
