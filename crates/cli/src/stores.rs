//! The stores of a cluster: Redis for the ledger, etcd for the registry.

use crate::{
    etcd::{self, EtcdArgs},
    exit::Failure,
};
use baton_codes::StartCode;
use baton_ledger::{Ledger, LedgerError, Remembered};
use baton_ledger_redis::{Durability, RedisLedger, RedisOptions};
use baton_registry_etcd::{EtcdRegistry, Opened};
use clap::{Args, ValueEnum};
use std::{ffi::OsString, sync::Arc};

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
    #[arg(long, env = "BATON_REDIS_PREFIX", value_name = "PREFIX", default_value = "baton")]
    redis_prefix: String,
    /// What an acknowledged write survives; Redis must be set accordingly.
    #[arg(long, env = "BATON_DURABILITY", value_enum, default_value = "always")]
    durability: DurabilityArg,
}

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
        let RedisArgs { redis, redis_prefix, durability } = &self.redis;
        let options = RedisOptions {
            prefix: redis_prefix.clone(),
            durability: match durability {
                DurabilityArg::Always => Durability::Always,
                DurabilityArg::Everysec => Durability::EverySecond,
            },
            ..RedisOptions::new(redis)
        };
        let opened = RedisLedger::connect(options).await;
        let ledger = opened.map_err(|error| {
            let hint = match error {
                LedgerError::Unavailable(_) => {
                    format!(": does Redis run at {}, as --redis says?", shown(redis))
                }
                _ => format!(" (--redis is {})", shown(redis)),
            };
            Failure::other(format!("{error}{hint}")).named(StartCode::LedgerUnusable)
        })?;
        Ok(Arc::new(Remembered::new(ledger)))
    }

    /// The same on the command line of another process.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let RedisArgs { redis, redis_prefix, durability } = &self.redis;
        let durability = durability.to_possible_value();
        let durability = durability.map_or_else(String::new, |value| value.get_name().to_owned());
        let said = [
            ("--redis", redis.clone()),
            ("--redis-prefix", redis_prefix.clone()),
            ("--durability", durability),
        ];
        let said = said.into_iter().flat_map(|(name, value)| [name.into(), value.into()]);
        said.chain(self.etcd.words()).collect()
    }
}

/// An address without its user and password.
fn shown(url: &str) -> String {
    let Some((before, place)) = url.rsplit_once('@') else { return url.to_owned() };
    match before.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://{place}"),
        None => place.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(shown("redis://baton:p@ss@h:1"), "redis://h:1");
        assert_eq!(shown("baton:p@h:1"), "h:1");
        assert_eq!(shown("redis://h:1"), "redis://h:1");
    }
}
