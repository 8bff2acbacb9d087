//! A cluster: the services of several nodes, each a process of its own, over real stores and
//! the simulated pool.

use crate::{
    baton::{Baton, command},
    stores::LocalStores,
};
use std::{
    io::{Error, Result},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread::scope,
};

/// What a process can serve, in the order in which a cluster is started.
pub const SERVICES: [&str; 4] = ["verifier", "worker-agent", "conductor", "gateway"];

/// Running services. They end with this value, in no order.
pub struct Cluster<'a> {
    stores: &'a LocalStores,
    name: String,
    more: Vec<String>,
    variables: Vec<(String, String)>,
    /// The simulated pool.
    pub sim: Baton,
    /// HTTP for users.
    pub gateways: Vec<Baton>,
    /// Plans and decisions.
    pub conductors: Vec<Baton>,
    /// Steps.
    pub workers: Vec<Baton>,
    /// Checks.
    pub verifiers: Vec<Baton>,
}

impl<'a> Cluster<'a> {
    /// So many of each service, beside other clusters on the same stores, ready to be asked.
    ///
    /// # Errors
    /// When one of them ends instead, with what it said.
    pub fn start(stores: &'a LocalStores, nodes: usize, time_scale: &str) -> Result<Self> {
        Self::start_with(stores, nodes, time_scale, &[])
    }

    /// The same, with these words on the command line of each process.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(
        stores: &'a LocalStores,
        nodes: usize,
        time_scale: &str,
        more: &[&str],
    ) -> Result<Self> {
        Self::start_in(stores, nodes, time_scale, more, &[])
    }

    /// The same, with these variables in the environment of each process.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_in(
        stores: &'a LocalStores,
        nodes: usize,
        time_scale: &str,
        more: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        static CLUSTERS: AtomicU32 = AtomicU32::new(0);
        let number = CLUSTERS.fetch_add(1, Ordering::Relaxed);
        let mut cluster = Self {
            stores,
            name: format!("test-{number}"),
            more: more.iter().map(|word| (*word).to_owned()).collect(),
            variables: variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            sim: Baton::sim(&["--time-scale", time_scale])?,
            gateways: Vec::new(),
            conductors: Vec::new(),
            workers: Vec::new(),
            verifiers: Vec::new(),
        };
        cluster.verifiers = cluster.several("verifier", nodes)?;
        cluster.workers = cluster.several("worker-agent", nodes)?;
        cluster.conductors = cluster.several("conductor", nodes)?;
        cluster.gateways = cluster.several("gateway", nodes)?;
        for gateway in &mut cluster.gateways {
            gateway.until_ready()?;
        }
        Ok(cluster)
    }

    /// One more process, once it has said where it listens.
    ///
    /// # Errors
    /// When it ends instead, with what it said.
    pub fn serve(&self, service: &str) -> Result<Baton> {
        Baton::serve(self.command(service)?)
    }

    /// What starts one more process.
    ///
    /// # Errors
    /// Where there is no program.
    pub fn command(&self, service: &str) -> Result<Command> {
        let mut command = command(["serve", service])?;
        let sim = format!("{}/v1", self.sim.url());
        command.args(self.words()).args(["--sim", &sim]).args(&self.more);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if service == "gateway" {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        Ok(command)
    }

    /// Which cluster it is, as the command line says it.
    pub fn words(&self) -> Vec<String> {
        let redis = format!("redis://{}", self.stores.redis());
        let words = ["--redis", &redis, "--redis-prefix", &self.name];
        let etcd = self.stores.etcd_url();
        let words = words.into_iter().chain(["--etcd", &etcd, "--cluster", &self.name]);
        words.map(str::to_owned).collect()
    }

    /// Its name, on etcd and as the prefix on Redis.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All of its services, without the simulated pool.
    pub fn all(&self) -> impl Iterator<Item = &Baton> {
        let team = self.verifiers.iter().chain(&self.workers).chain(&self.conductors);
        team.chain(&self.gateways)
    }

    fn several(&self, service: &str, count: usize) -> Result<Vec<Baton>> {
        scope(|threads| {
            let starting: Vec<_> =
                (0..count).map(|_| threads.spawn(|| self.serve(service))).collect();
            let started = starting.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|_| Err(Error::other("a start panicked")))
            });
            started.collect()
        })
    }
}
