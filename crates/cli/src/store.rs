//! Opening the ledger that the settings name: a Redis for a cluster, else a file.

use crate::{exit::Failure, node::LEDGER_FILE};
use baton_codes::StartCode;
use baton_ledger::{EmbeddedLedger, Ledger, LedgerError};
use baton_ledger_redis::{Durability, RedisLedger, RedisOptions, Tls};
use baton_registry::{DurabilitySetting, LedgerSettings, SecretRef};
use std::{fs, path::PathBuf, sync::Arc};

/// A ledger that is open.
pub(crate) enum Opened {
    /// In this process, and in its folder of data.
    Embedded(EmbeddedLedger),
    /// On servers of its own.
    Redis(Arc<RedisLedger>),
}

impl Opened {
    /// As the services take it.
    pub(crate) fn ledger(&self) -> Arc<dyn Ledger> {
        match self {
            Self::Embedded(ledger) => Arc::new(ledger.clone()),
            Self::Redis(ledger) => ledger.clone(),
        }
    }

    /// Lets go of it. What was acknowledged is safe already.
    pub(crate) async fn close(&self) {
        match self {
            Self::Embedded(ledger) => ledger.close().await,
            Self::Redis(ledger) => ledger.close(),
        }
    }
}

/// Opens the ledger that `settings` name; without any, the one in the folder `data`, or one
/// in memory where there is no folder either.
pub(crate) async fn open(
    settings: Option<&LedgerSettings>,
    data: Option<PathBuf>,
) -> Result<Opened, Failure> {
    if let Some(settings) = settings {
        let ledger = RedisLedger::connect(redis_options(settings)?).await;
        return Ok(Opened::Redis(Arc::new(ledger.map_err(refused)?)));
    }
    embedded(data).await.map(Opened::Embedded)
}

/// The ledger in the folder `data`, or one in memory where there is none.
pub(crate) async fn embedded(data: Option<PathBuf>) -> Result<EmbeddedLedger, Failure> {
    let opened = match data {
        None => EmbeddedLedger::in_memory(),
        Some(folder) => {
            fs::create_dir_all(&folder).map_err(|error| {
                Failure::other(format!("cannot make the folder {}: {error}", folder.display()))
                    .named(StartCode::DataFolder)
            })?;
            let file = folder.join(LEDGER_FILE);
            let opening = tokio::task::spawn_blocking(move || EmbeddedLedger::open(file));
            opening.await.map_err(|error| Failure::other(error.to_string()))?
        }
    };
    opened.map_err(refused)
}

/// What the settings mean to the Redis ledger; reads the password.
pub(crate) fn redis_options(settings: &LedgerSettings) -> Result<RedisOptions, Failure> {
    let replicas = settings.replicas.unwrap_or(1);
    let client_files = settings.client_cert_file.clone().zip(settings.client_key_file.clone());
    let url = settings.urls.first().cloned().unwrap_or_default();
    Ok(RedisOptions {
        user: settings.user.clone(),
        password: settings.password.as_ref().map(secret).transpose()?,
        tls: Tls { ca_file: settings.ca_file.clone(), client_files },
        prefix: settings.prefix.clone(),
        cluster: settings.cluster.clone(),
        durability: match settings.durability {
            DurabilitySetting::Always => Durability::Always,
            DurabilitySetting::Everysec => Durability::EverySecond,
            DurabilitySetting::Replicas => Durability::Replicas(replicas),
        },
        timeout_ms: settings.timeout_ms,
        memory_percent_max: settings.memory_percent_max,
        ..RedisOptions::new(url)
    })
}

fn secret(place: &SecretRef) -> Result<String, Failure> {
    let (text, place) = match place {
        SecretRef::Env(name) => {
            (std::env::var(name).map_err(|error| error.to_string()), name.clone())
        }
        SecretRef::File(path) => (
            fs::read_to_string(path).map_err(|error| error.to_string()),
            path.display().to_string(),
        ),
    };
    let text = text.map_err(|error| {
        Failure::usage(format!("the password of Redis in {place} cannot be read: {error}"))
    })?;
    Ok(text.trim().to_owned())
}

fn refused(error: LedgerError) -> Failure {
    Failure::other(error.to_string()).named(StartCode::LedgerUnusable)
}
