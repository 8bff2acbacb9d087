//! The stores of a cluster: Redis for the ledger, etcd for the registry.

use crate::{
    etcd::{self, EtcdArgs},
    exit::Failure,
};
use baton_codes::StartCode;
use baton_ledger::{LeaseTerms, Ledger, LedgerError, Remembered};
use baton_ledger_redis::{Durability, RedisLedger, RedisOptions, Sabotage};
use baton_registry_etcd::{EtcdRegistry, Opened};
use clap::{Args, ValueEnum};
use std::{ffi::OsString, net::SocketAddr, sync::Arc};

/// The stores of a cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreArgs {
    #[command(flatten)]
    pub(crate) redis: RedisArgs,
    #[command(flatten)]
    pub(crate) etcd: EtcdArgs,
}

/// The ledger of a cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct RedisArgs {
    /// Redis, with user and password where it asks for them.
    #[arg(
        long,
        env = "BATON_REDIS",
        value_name = "URL",
        default_value = "redis://127.0.0.1:6379",
        hide_env_values = true
    )]
    redis: String,
    /// What the ledger's keys begin with: keeps several clusters on one Redis apart.
    #[arg(long, env = "BATON_REDIS_PREFIX", value_name = "PREFIX", default_value = PREFIX)]
    redis_prefix: String,
    /// What an acknowledged write survives; Redis must be set accordingly.
    #[arg(long, env = "BATON_DURABILITY", value_enum, default_value = "always")]
    durability: DurabilityArg,
    /// How long leases last, in milliseconds; the same for every process of a cluster. For
    /// tests: shorter leases are lost sooner, and also by processes that are merely slow.
    #[arg(long, env = LEASE_MS, value_name = "MS", default_value_t = LeaseTerms::USUAL.ttl_ms(),
        value_parser = clap::value_parser!(u64).range(LeaseTerms::TTL_MS_MIN..=3_600_000),
        hide = true)]
    lease_ms: u64,
    /// Which safeguard is taken out.
    #[cfg(debug_assertions)]
    #[arg(long, env = SABOTAGE, hide = true)]
    sabotage: Option<Sabotage>,
}

/// What keys begin with unless said.
const PREFIX: &str = "baton";
/// How long leases last, for tests.
const LEASE_MS: &str = "BATON_LEASE_MS";
/// Which safeguard is taken out; in builds for tests alone.
pub(crate) const SABOTAGE: &str = "BATON_SABOTAGE";

/// What Redis is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DurabilityArg {
    /// appendfsync always: also a loss of power.
    Always,
    /// appendfsync everysec: a loss of power takes at most the last second.
    Everysec,
}

impl StoreArgs {
    /// Connects to etcd, and looks at what is there.
    pub(crate) async fn registry(&self) -> Result<Opened, Failure> {
        let opened = EtcdRegistry::open(self.etcd.options()?).await;
        opened.map_err(|error| etcd::failure(&error))
    }

    /// Connects to the ledger.
    pub(crate) async fn ledger(&self) -> Result<Arc<dyn Ledger>, Failure> {
        Ok(Arc::new(Remembered::new(self.redis.open().await?)))
    }

    /// The same on the command line of another process.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let RedisArgs { redis, redis_prefix, durability, lease_ms, .. } = &self.redis;
        let durability = durability.to_possible_value();
        let durability = durability.map_or_else(String::new, |value| value.get_name().to_owned());
        let said = [
            ("--redis", redis.clone()),
            ("--redis-prefix", redis_prefix.clone()),
            ("--durability", durability),
            ("--lease-ms", lease_ms.to_string()),
        ];
        let said = said.into_iter().flat_map(|(name, value)| [name.into(), value.into()]);
        said.chain(self.etcd.words()).collect()
    }
}

impl RedisArgs {
    /// A Redis here, with leases of this length.
    #[cfg_attr(not(debug_assertions), expect(unused_variables, reason = "nothing is taken out"))]
    pub(crate) fn at(address: SocketAddr, lease_ms: u64, sabotage: Option<Sabotage>) -> Self {
        Self {
            redis: format!("redis://{address}"),
            redis_prefix: PREFIX.into(),
            durability: DurabilityArg::Always,
            lease_ms,
            #[cfg(debug_assertions)]
            sabotage,
        }
    }

    /// Connects to it.
    pub(crate) async fn open(&self) -> Result<RedisLedger, Failure> {
        let RedisArgs { redis, redis_prefix, durability, lease_ms, .. } = self;
        let options = RedisOptions {
            prefix: redis_prefix.clone(),
            durability: match durability {
                DurabilityArg::Always => Durability::Always,
                DurabilityArg::Everysec => Durability::EverySecond,
            },
            lease: LeaseTerms::lasting(*lease_ms),
            #[cfg(debug_assertions)]
            sabotage: self.sabotage,
            ..RedisOptions::new(redis)
        };
        let opened = RedisLedger::connect(options).await;
        opened.map_err(|error| {
            let hint = match error {
                LedgerError::Unavailable(_) => {
                    format!(": does Redis run at {}, as --redis says?", shown(redis))
                }
                _ => String::new(),
            };
            Failure::other(format!("{error}{hint}")).named(StartCode::LedgerUnusable)
        })
    }
}

/// An address without its user and password.
fn shown(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://{place}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(shown("redis://baton:p@ss@h:1"), "redis://h:1");
        assert_eq!(shown("redis://h:1"), "redis://h:1");
    }
}
