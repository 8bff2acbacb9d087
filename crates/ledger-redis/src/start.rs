//! What a server must be before anything is entrusted to it.

use crate::{Durability, store::Store};
use baton_ledger::LedgerError;
use redis::{FromRedisValue, Value, from_redis_value};
use std::collections::BTreeMap;

/// Oldest version of Redis: the first that replicates the effects of scripts only.
const REDIS_MIN: (u32, u32) = (7, 0);
/// Oldest version of Valkey: its first.
const VALKEY_MIN: (u32, u32) = (7, 2);

/// Refuses a server that is too old, may evict keys, or syncs less than is asked for.
pub(crate) async fn check(store: &Store, durability: Durability) -> Result<(), LedgerError> {
    let info: String = read(store.command(redis::cmd("INFO").arg("server")).await?)?;
    check_version(&info)?;
    let mut asking = redis::cmd("CONFIG");
    asking.arg("GET").arg("maxmemory-policy").arg("appendonly").arg("appendfsync");
    let settings = match store.command(&asking).await {
        Ok(value) => read(value)?,
        Err(LedgerError::Unusable(why)) => {
            return Err(LedgerError::Unusable(format!(
                "the server does not show its settings, so its durability is not known: allow \
                 this user CONFIG GET ({why})"
            )));
        }
        Err(other) => return Err(other),
    };
    if let Durability::Replicas(wanted) = durability {
        let info: String = read(store.command(redis::cmd("INFO").arg("replication")).await?)?;
        check_replication(&info, wanted)?;
    }
    let wrong = wrong_settings(&settings, durability);
    if wrong.is_empty() {
        return Ok(());
    }
    Err(LedgerError::Unusable(format!(
        "the Redis server may lose what it acknowledged: set {} in its configuration",
        wrong.join(", ")
    )))
}

fn read<T: FromRedisValue>(value: Value) -> Result<T, LedgerError> {
    from_redis_value(value)
        .map_err(|error| LedgerError::Unusable(format!("this is no Redis server: {error}")))
}

fn check_version(info: &str) -> Result<(), LedgerError> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
    let (name, version, least) = match field("valkey_version:") {
        Some(version) => ("Valkey", version, VALKEY_MIN),
        None => ("Redis", field("redis_version:").unwrap_or("of an unknown version"), REDIS_MIN),
    };
    let mut numbers = version.split('.').map(|number| number.trim().parse::<u32>());
    let found = numbers.next().and_then(Result::ok).zip(numbers.next().and_then(Result::ok));
    if found.is_some_and(|found| found >= least) {
        return Ok(());
    }
    Err(LedgerError::Unusable(format!(
        "the server is {name} {version}: use Redis {}.{} or later, or Valkey {}.{} or later",
        REDIS_MIN.0, REDIS_MIN.1, VALKEY_MIN.0, VALKEY_MIN.1
    )))
}

/// Whether it is a primary with replicas enough to confirm a write. Those that are away may
/// come back, so it is worth another try.
fn check_replication(info: &str, wanted: u8) -> Result<(), LedgerError> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let role = field("role:").unwrap_or("nothing known");
    if role != "master" {
        return Err(LedgerError::Unavailable(format!(
            "the server is a replica (role {role}): connect to the primary"
        )));
    }
    let online = info.lines().filter(|line| line.starts_with("slave") && line.contains("online"));
    let online = online.count();
    if wanted == 0 || online < usize::from(wanted) {
        return Err(LedgerError::Unavailable(format!(
            "{online} replicas are connected, and {wanted} have to confirm each write: connect \
             the others, or lower `replicas` (at least 1)"
        )));
    }
    Ok(())
}

/// What would have to be set, each as `name value (found other)`.
fn wrong_settings(found: &BTreeMap<String, String>, durability: Durability) -> Vec<String> {
    let fsync: &[&str] = match durability {
        Durability::Always => &["always"],
        Durability::EverySecond | Durability::Replicas(_) => &["everysec", "always"],
    };
    let wanted: [(&str, &[&str]); 3] =
        [("maxmemory-policy", &["noeviction"]), ("appendonly", &["yes"]), ("appendfsync", fsync)];
    let mut wrong = Vec::new();
    for (name, fine) in wanted {
        let value = found.get(name).map_or("nothing", String::as_str);
        if !fine.contains(&value) {
            wrong.push(format!("{name} {} (found {value})", fine.first().unwrap_or(&"")));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_settings(settings: [&str; 3], durability: Durability) -> String {
        let names = ["maxmemory-policy", "appendonly", "appendfsync"];
        let found = names.iter().zip(settings).map(|(n, v)| ((*n).into(), v.into())).collect();
        wrong_settings(&found, durability).join(", ")
    }

    #[test]
    fn a_server_that_may_lose_writes_is_told_what_to_set() {
        assert_eq!(check_settings(["noeviction", "yes", "always"], Durability::Always), "");
        assert_eq!(check_settings(["noeviction", "yes", "everysec"], Durability::EverySecond), "");
        assert_eq!(
            check_settings(["allkeys-lru", "no", "everysec"], Durability::Always),
            "maxmemory-policy noeviction (found allkeys-lru), appendonly yes (found no), \
             appendfsync always (found everysec)"
        );
    }

    #[test]
    fn an_old_server_is_refused() {
        assert!(check_version("redis_version:7.0.15\r\n").is_ok());
        assert!(check_version("redis_version:7.2.4\r\nvalkey_version:8.0.1\r\n").is_ok());
        let error = check_version("redis_version:6.2.14\r\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the server is Redis 6.2.14: use Redis 7.0 or later, or Valkey 7.2 or later"
        );
        assert!(check_version("redis_version:7.2.4\r\nvalkey_version:7.1.0\r\n").is_err());
        assert!(check_version("redis_version:x\r\n").is_err());
    }
}
