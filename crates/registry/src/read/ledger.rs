//! `[ledger]`: the Redis that keeps the ledger of a cluster.

use super::{
    Context,
    faults::Faults,
    table::{Shape, Table},
};
use crate::{DurabilitySetting, LedgerSettings};
use std::path::PathBuf;

/// Most servers, and most shards; far past what one cluster needs.
const URLS_MAX: usize = 64;
const SHARDS_MAX: u16 = 256;
const REPLICAS_MAX: u8 = 9;
const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 100..=60_000;

const LEDGER: Shape = Shape {
    required: &[],
    optional: &[
        "url",
        "urls",
        "user",
        "password_env",
        "password_file",
        "ca_file",
        "client_cert_file",
        "client_key_file",
        "prefix",
        "cluster",
        "durability",
        "replicas",
        "shards",
        "timeout_ms",
        "memory_percent_max",
    ],
};

/// What `[ledger]` says; nothing where there is none: the ledger is in the folder of data.
pub(super) fn ledger(
    root: Table<'_>,
    context: &Context<'_>,
    faults: &mut Faults<'_>,
) -> Option<LedgerSettings> {
    let default = LedgerSettings::default();
    let (at, entries) = root.table("ledger", faults)?;
    let table = Table::open("ledger", at, entries, &LEDGER, faults);
    let mut name = |key, default: String| {
        let name = table.text(key, faults);
        if name.is_some_and(|name| !is_name(name)) {
            table.wrong(key, "1 to 64 characters out of a-z, A-Z, 0-9, '.', '_', '-'", faults);
        }
        name.map_or(default, str::to_owned)
    };
    let (prefix, cluster) = (name("prefix", default.prefix), name("cluster", default.cluster));
    let mut file = |key| table.text(key, faults).map(|file| context.folder.join(file));
    let ca_file = file("ca_file");
    let (client_cert_file, client_key_file) = (file("client_cert_file"), file("client_key_file"));
    if client_cert_file.is_some() != client_key_file.is_some() {
        let (given, missing) = match client_cert_file {
            Some(_) => ("client_cert_file", "client_key_file"),
            None => ("client_key_file", "client_cert_file"),
        };
        let reason = format!("ledger.{given} is given without ledger.{missing}: give both");
        faults.at(table.at(given), reason);
    }
    for (key, path) in [
        ("ca_file", &ca_file),
        ("client_cert_file", &client_cert_file),
        ("client_key_file", &client_key_file),
    ] {
        readable(table, key, path.as_ref(), faults);
    }
    let urls = urls(table, faults);
    let tls = urls.iter().any(|url| url.starts_with("rediss:"));
    if !tls && !urls.is_empty() && (ca_file.is_some() || client_cert_file.is_some()) {
        let reason = "ledger has certificates, and its URL does not ask for TLS: \
                      write rediss:// for it, or leave them out";
        faults.at(table.at("ca_file"), reason);
    }
    Some(LedgerSettings {
        urls,
        user: table.text("user", faults).map(str::to_owned),
        password: context.secret(table, ["password_env", "password_file"], faults),
        ca_file,
        client_cert_file,
        client_key_file,
        prefix,
        cluster,
        durability: durability(table, faults),
        replicas: replicas(table, faults),
        shards: table.whole("shards", 1..=SHARDS_MAX, faults).unwrap_or(default.shards),
        timeout_ms: table.whole("timeout_ms", TIMEOUT_MS, faults).unwrap_or(default.timeout_ms),
        memory_percent_max: table
            .whole("memory_percent_max", 1..=100, faults)
            .unwrap_or(default.memory_percent_max),
    })
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(plain)
}

fn readable(table: Table<'_>, key: &str, path: Option<&PathBuf>, faults: &mut Faults<'_>) {
    if let Some(Err(error)) = path.map(std::fs::metadata) {
        let path = path.map(|path| path.display().to_string()).unwrap_or_default();
        let reason = format!("ledger.{key}: {path} cannot be read ({error}): expected a PEM file");
        faults.at(table.at(key), reason);
    }
}

fn urls(table: Table<'_>, faults: &mut Faults<'_>) -> Vec<String> {
    if table.has("url") && table.has("urls") {
        faults.at(table.at("urls"), "ledger.urls and ledger.url are both given: remove one");
    }
    let (key, urls) = match table.has("urls") {
        true => ("urls", table.texts("urls", faults)),
        false => {
            table.require("url", faults);
            ("url", table.text("url", faults).into_iter().collect())
        }
    };
    if table.has("urls") && !(1..=URLS_MAX).contains(&urls.len()) {
        table.wrong("urls", &format!("1 to {URLS_MAX} URLs"), faults);
    }
    for url in &urls {
        if let Err(reason) = check_redis_url(url) {
            faults.at(table.at(key), format!("{}{reason}", table.name(key)));
        }
    }
    urls.into_iter().map(str::to_owned).collect()
}

/// Whether this is the URL of a Redis, without a password in it.
pub(crate) fn check_redis_url(url: &str) -> Result<(), String> {
    // Not quoted where it may hold a password.
    if url.contains('@') {
        return Err(" holds '@': leave user and password out, and say where the password is with \
                    password_env or password_file"
            .to_owned());
    }
    let host = url.strip_prefix("redis://").or_else(|| url.strip_prefix("rediss://"));
    if host.is_some_and(|host| !host.is_empty() && !host.starts_with([':', '/'])) {
        return Ok(());
    }
    let shown: String = url.chars().take(200).collect();
    Err(format!(" is {shown:?}: expected redis://HOST:PORT, or rediss://HOST:PORT for TLS"))
}

fn durability(table: Table<'_>, faults: &mut Faults<'_>) -> DurabilitySetting {
    let Some(text) = table.text("durability", faults) else { return DurabilitySetting::default() };
    match text {
        "always" => DurabilitySetting::Always,
        "everysec" => DurabilitySetting::Everysec,
        "replicas" => DurabilitySetting::Replicas,
        _ => {
            table.wrong("durability", "always, everysec or replicas", faults);
            DurabilitySetting::default()
        }
    }
}

fn replicas(table: Table<'_>, faults: &mut Faults<'_>) -> Option<u8> {
    let waits = matches!(durability(table, &mut Faults::new("")), DurabilitySetting::Replicas);
    if waits {
        table.require("replicas", faults);
    } else if table.has("replicas") {
        let reason = "ledger.replicas counts only with durability = \"replicas\": \
                      set that, or leave it out";
        faults.at(table.at("replicas"), reason);
    }
    table.whole("replicas", 1..=REPLICAS_MAX, faults)
}
