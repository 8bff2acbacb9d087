//! The cluster that is broken: stores, simulated pool and services, with links between them.

use super::{
    link::{Links, Weather},
    stores::{Store, free_places},
};
use crate::{
    cluster::processes::{Kept, Life, Program},
    exit::Failure,
    redis::SABOTAGE,
};
use baton_ledger::LeaseTerms;
use baton_ledger_redis::{RedisLedger, RedisOptions, Sabotage};
use rustix::process::{Signal, kill_process};
use std::{ffi::OsString, net::SocketAddr, path::Path, time::Duration};
use tokio::sync::Mutex;

/// The cluster's name.
const CLUSTER: &str = "chaos";
/// How long a process may take until it listens: many start at once.
const START_LIMIT: Duration = Duration::from_secs(60);
/// What each node is made of, in the order in which they are started.
const NODE: [&str; 4] = ["verifier", "worker-agent", "conductor", "gateway"];

/// What is logged; as the user says, or enough to learn from.
const LOG: &str = "BATON_LOG";
const LOGGED: &str = "info";

/// What to start.
#[derive(Debug, Clone)]
pub(super) struct Form {
    pub(super) nodes: usize,
    pub(super) lease_ms: u64,
    pub(super) seed: u64,
    pub(super) time_scale: f64,
    /// A safeguard that is taken out.
    pub(super) sabotage: Option<Sabotage>,
}

/// A service's process, with the links that it has to others.
pub(super) struct Service {
    kept: Kept,
    links: Links,
}

/// Everything that runs.
pub(super) struct Cluster {
    pub(super) services: Vec<Service>,
    pub(super) redis: Mutex<Store>,
    pub(super) etcd: Mutex<Store>,
    /// The harness's own way to the ledger, through no link.
    pub(super) ledger: RedisLedger,
    /// Where the record of calls is, such as `http://127.0.0.1:8485`.
    pub(super) sim: String,
    pool: Kept,
}

impl Service {
    pub(super) fn name(&self) -> &str {
        self.kept.name()
    }

    pub(super) fn life(&self) -> Life {
        self.kept.life()
    }

    pub(super) fn set(&self, weather: Weather) {
        self.links.set(weather);
    }

    /// Sends a signal, if there is a process at the moment. Gives whether there was.
    pub(super) fn signal(&self, life: &Life, signal: Signal) -> bool {
        // The same process, or none: one that was started meanwhile has another id.
        let pid = life.pid.filter(|_| self.life().pid == life.pid);
        pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
    }
}

impl Cluster {
    /// Starts all of it with its data and its logs in this folder.
    pub(super) async fn start(folder: &Path, form: &Form) -> Result<Self, Failure> {
        let keeps = form.sabotage != Some(Sabotage::Durability);
        let redis = Store::redis(&folder.join("redis"), keeps).await?;
        let etcd = Store::etcd(&folder.join("etcd")).await?;
        let ledger = ledger_at(redis.address, form).await?;
        let logs = folder.join("logs");
        let made = std::fs::create_dir_all(&logs);
        made.map_err(|error| Failure::other(format!("{}: {error}", logs.display())))?;
        let program = |name: String, args: Vec<OsString>| {
            let log = Some(logs.join(&name));
            let mut variables = Vec::new();
            if std::env::var_os(LOG).is_none() {
                variables.push((LOG, LOGGED.to_owned()));
            }
            if let Some(safeguard) = form.sabotage {
                variables.push((SABOTAGE, safeguard.name().to_owned()));
            }
            Program { name, args, variables, log, alone: true }
        };
        let (seed, scale) = (form.seed.to_string(), form.time_scale.to_string());
        let words = ["sim", "--listen", "127.0.0.1:0", "--malformed-rate", "0", "--seed", &seed];
        let mut args: Vec<OsString> = words.map(Into::into).to_vec();
        args.extend(["--time-scale".into(), scale.into()]);
        let mut pool = Kept::start(program("sim".into(), args))?;
        let models = pool.place(START_LIMIT).await?;
        let sim = models.trim_end_matches("/v1").to_owned();
        let pool_at = sim.trim_start_matches("http://").parse::<SocketAddr>();
        let pool_at = pool_at.map_err(|error| Failure::other(format!("{models}: {error}")))?;
        let mut services = Vec::new();
        for node in 1..=form.nodes {
            for kind in NODE {
                let mut links = Links::new();
                let mut reached = [redis.address, etcd.address, pool_at];
                for server in &mut reached {
                    *server = links.to(*server).await?;
                }
                let args = service_words(kind, reached, &mut links, form).await?;
                let kept = Kept::start(program(format!("{kind}-{node}"), args))?;
                services.push(Service { kept, links });
            }
        }
        for service in &mut services {
            service.kept.place(START_LIMIT).await?;
        }
        let (redis, etcd) = (Mutex::new(redis), Mutex::new(etcd));
        Ok(Self { services, redis, etcd, ledger, sim, pool })
    }

    /// As they are called, in order.
    pub(super) fn names(&self) -> Vec<String> {
        self.services.iter().map(|service| service.name().to_owned()).collect()
    }

    /// Where users ask; those that were never there are left out.
    pub(super) fn gateways(&self) -> Vec<String> {
        let gateways = self.services.iter().filter(|service| service.name().starts_with("gateway"));
        gateways.filter_map(|service| service.life().place).collect()
    }

    /// In order, as a cluster stops.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        let stops = self.services.into_iter().map(|service| service.kept.stop());
        futures::future::join_all(stops).await;
        self.pool.stop().await;
        self.redis.into_inner().kill().await?;
        self.etcd.into_inner().kill().await
    }
}

/// The ledger as the services use it.
async fn ledger_at(address: SocketAddr, form: &Form) -> Result<RedisLedger, Failure> {
    let options = RedisOptions {
        cluster: CLUSTER.into(),
        lease: LeaseTerms::lasting(form.lease_ms),
        #[cfg(debug_assertions)]
        sabotage: form.sabotage,
        ..RedisOptions::new(format!("redis://{address}"))
    };
    let opened = RedisLedger::connect(options).await;
    opened.map_err(|error| Failure::other(error.to_string()))
}

async fn service_words(
    kind: &str,
    [redis, etcd, models]: [SocketAddr; 3],
    links: &mut Links,
    form: &Form,
) -> Result<Vec<OsString>, Failure> {
    // The same address again after a restart: that is where the link leads.
    let [place] = free_places()?;
    let mut words = vec![
        "serve".to_owned(),
        kind.to_owned(),
        "--redis".to_owned(),
        format!("redis://{redis}"),
        "--cluster".to_owned(),
        CLUSTER.to_owned(),
        "--etcd".to_owned(),
        format!("http://{etcd}"),
        "--lease-ms".to_owned(),
        form.lease_ms.to_string(),
        "--sim".to_owned(),
        format!("http://{models}/v1"),
        "--simulated".to_owned(),
    ];
    if kind == "gateway" {
        words.extend(["--listen".to_owned(), place.to_string()]);
    } else {
        let reached = links.to(place).await?;
        words.extend(["--grpc-listen".to_owned(), place.to_string()]);
        words.extend(["--advertise".to_owned(), format!("http://{reached}")]);
    }
    Ok(words.into_iter().map(Into::into).collect())
}
