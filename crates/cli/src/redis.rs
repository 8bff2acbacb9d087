//! Where the ledger's Redis is, as the command line and the environment say it.

use crate::exit::Failure;
use baton_codes::StartCode;
use baton_ledger::{LeaseTerms, LedgerError};
#[cfg(debug_assertions)]
use baton_ledger_redis::Sabotage;
use baton_ledger_redis::{Durability, RedisLedger, RedisOptions, Tls};
use baton_workflow::TenantId;
use clap::{Args, ValueEnum};
use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

/// Holds the password, where no file does.
const PASSWORD: &str = "BATON_REDIS_PASSWORD";
/// Which safeguard is taken out; heard in builds for tests alone.
pub(crate) const SABOTAGE: &str = "BATON_SABOTAGE";
/// Where Redis is unless it is said.
const URL: &str = "redis://127.0.0.1:6379";

/// The ledger of a cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct RedisArgs {
    /// Redis, such as redis://127.0.0.1:6379 or rediss://HOST:6379 for TLS; several, separated
    /// by commas, share the shards.
    #[arg(long, global = true, env = "BATON_REDIS", value_name = "URL", hide_env_values = true)]
    redis: Option<String>,
    /// What the ledger's keys begin with: keeps several clusters on one Redis apart.
    #[arg(
        long,
        global = true,
        env = "BATON_REDIS_PREFIX",
        value_name = "PREFIX",
        default_value = "baton"
    )]
    redis_prefix: String,
    /// User of Redis; the password is in BATON_REDIS_PASSWORD, or in a file.
    #[arg(long, global = true, env = "BATON_REDIS_USER", value_name = "USER")]
    redis_user: Option<String>,
    /// File that holds the password of Redis.
    #[arg(long, global = true, env = "BATON_REDIS_PASSWORD_FILE", value_name = "FILE")]
    redis_password_file: Option<PathBuf>,
    /// File with the certificate of the CA that signed Redis's, for rediss URLs.
    #[arg(long, global = true, env = "BATON_REDIS_CA", value_name = "FILE")]
    redis_ca: Option<PathBuf>,
    /// File with the certificate that is shown to Redis.
    #[arg(
        long,
        global = true,
        env = "BATON_REDIS_CERT",
        value_name = "FILE",
        requires = "redis_key"
    )]
    redis_cert: Option<PathBuf>,
    /// File with the key of that certificate.
    #[arg(
        long,
        global = true,
        env = "BATON_REDIS_KEY",
        value_name = "FILE",
        requires = "redis_cert"
    )]
    redis_key: Option<PathBuf>,
    /// Parts of the ledger, fixed once it is there; at least as many as there are servers.
    #[arg(long, global = true, env = "BATON_REDIS_SHARDS", value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=256))]
    redis_shards: u16,
    /// Tenants that are spread over several shards, such as acme=4,umbrella=2; fixed, too.
    #[arg(
        long,
        global = true,
        env = "BATON_REDIS_LANES",
        value_name = "TENANT=N",
        default_value = ""
    )]
    redis_lanes: String,
    /// What an acknowledged write survives; Redis must be set accordingly.
    #[arg(long, global = true, env = "BATON_DURABILITY", value_enum, default_value = "always")]
    durability: DurabilityArg,
    /// Replicas of each Redis that have to have a write before it is acknowledged, with
    /// --durability replicas: all of those that may be promoted.
    #[arg(long, global = true, env = "BATON_REDIS_REPLICAS", value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u8).range(1..=9))]
    redis_replicas: u8,
    /// How long leases last, in milliseconds; the same for every process of a cluster. For
    /// tests: shorter leases are lost sooner, and also by processes that are merely slow.
    #[arg(long, env = "BATON_LEASE_MS", value_name = "MS", default_value_t = LeaseTerms::USUAL.ttl_ms(),
        value_parser = clap::value_parser!(u64).range(LeaseTerms::TTL_MS_MIN..=3_600_000),
        hide = true)]
    lease_ms: u64,
    /// Which safeguard is taken out; in builds for tests alone.
    #[cfg(debug_assertions)]
    #[arg(long, env = SABOTAGE, hide = true)]
    sabotage: Option<Sabotage>,
}

/// What Redis is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DurabilityArg {
    /// appendfsync always: also a loss of power.
    Always,
    /// appendfsync everysec: a loss of power takes at most the last second.
    Everysec,
    /// Waits for replicas: also the loss of a machine.
    Replicas,
}

impl RedisArgs {
    /// Whether anybody says where Redis is.
    pub(crate) fn is_given(&self) -> bool {
        self.redis.is_some()
    }

    /// Connects to it, and looks at what is there.
    pub(crate) async fn open(&self, cluster: &str) -> Result<RedisLedger, Failure> {
        let opened = RedisLedger::connect(self.options(cluster)?).await;
        opened.map_err(|error| self.failure(&error))
    }

    /// What a ledger's error is to whoever started a command.
    pub(crate) fn failure(&self, error: &LedgerError) -> Failure {
        let urls = self.redis.as_deref().unwrap_or(URL);
        let urls: Vec<_> = urls.split(',').map(str::trim).map(shown).collect();
        let urls = urls.join(" and ");
        let hint = match error {
            LedgerError::Unavailable(_) => {
                format!(": does Redis run at {urls}, as --redis says?")
            }
            _ => format!(" (--redis is {urls})"),
        };
        Failure::other(format!("{error}{hint}")).named(StartCode::LedgerUnusable)
    }

    pub(crate) fn options(&self, cluster: &str) -> Result<RedisOptions, Failure> {
        let urls = self.redis.as_deref().unwrap_or(URL);
        let client_files = self.redis_cert.clone().zip(self.redis_key.clone());
        Ok(RedisOptions {
            urls: urls.split(',').map(|url| url.trim().to_owned()).collect(),
            shards: self.redis_shards,
            lanes: self.lanes()?,
            user: self.redis_user.clone(),
            password: self.password()?,
            tls: Tls { ca_file: self.redis_ca.clone(), client_files },
            prefix: self.redis_prefix.clone(),
            cluster: cluster.to_owned(),
            durability: match self.durability {
                DurabilityArg::Always => Durability::Always,
                DurabilityArg::Everysec => Durability::EverySecond,
                DurabilityArg::Replicas => Durability::Replicas(self.redis_replicas),
            },
            lease: LeaseTerms::lasting(self.lease_ms),
            #[cfg(debug_assertions)]
            sabotage: self.sabotage,
            ..RedisOptions::new(URL)
        })
    }

    fn password(&self) -> Result<Option<String>, Failure> {
        let Some(file) = &self.redis_password_file else { return Ok(std::env::var(PASSWORD).ok()) };
        let password = std::fs::read_to_string(file).map_err(|error| {
            let file = file.display();
            Failure::usage(format!("cannot read the password of Redis in {file}: {error}"))
                .named(StartCode::KeyUnreadable)
        })?;
        Ok(Some(password.trim().to_owned()))
    }

    fn lanes(&self) -> Result<BTreeMap<TenantId, u16>, Failure> {
        let shards = self.redis_shards;
        let entries = self.redis_lanes.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let lane = |entry: &str| {
            let (tenant, lanes) = entry.split_once('=')?;
            let lanes = lanes.parse().ok().filter(|lanes| (1..=shards).contains(lanes))?;
            Some((TenantId::new(tenant).ok()?, lanes))
        };
        let wrong = |entry: &str| {
            Failure::usage(format!(
                "--redis-lanes has the entry {entry:?}: expected TENANT=N, with N from 1 to the \
                 {shards} shards"
            ))
        };
        entries.map(|entry| lane(entry).ok_or_else(|| wrong(entry))).collect()
    }

    /// The same on the command line of another process; a password in the environment is in
    /// its environment as well.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let durability = self.durability.to_possible_value();
        let durability = durability.map(|value| value.get_name().into());
        let lanes = Some(self.redis_lanes.clone()).filter(|lanes| !lanes.is_empty());
        let said: [(&str, Option<OsString>); 12] = [
            ("--redis", Some(self.redis.clone().unwrap_or_else(|| URL.to_owned()).into())),
            ("--redis-prefix", Some(self.redis_prefix.clone().into())),
            ("--redis-user", self.redis_user.clone().map(Into::into)),
            ("--redis-password-file", self.redis_password_file.clone().map(Into::into)),
            ("--redis-ca", self.redis_ca.clone().map(Into::into)),
            ("--redis-cert", self.redis_cert.clone().map(Into::into)),
            ("--redis-key", self.redis_key.clone().map(Into::into)),
            ("--redis-shards", Some(self.redis_shards.to_string().into())),
            ("--redis-lanes", lanes.map(Into::into)),
            ("--durability", durability),
            ("--lease-ms", Some(self.lease_ms.to_string().into())),
            ("--redis-replicas", Some(self.redis_replicas.to_string().into())),
        ];
        let said = said.into_iter().filter_map(|(name, value)| Some([name.into(), value?]));
        said.flatten().collect()
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
