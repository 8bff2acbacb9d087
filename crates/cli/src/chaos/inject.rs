//! Carries a fault out, and says which tasks its victims held.

use super::{
    cluster::{Cluster, Service},
    judge::Done,
    link::Weather,
    schedule::{Fault, What},
};
use crate::exit::Failure;
use baton_ledger::LedgerError;
use rustix::process::Signal;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::sleep;

/// Between two looks at what is held.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long a victim is watched for tasks that it was being given at its fault.
const GIVEN: Duration = Duration::from_millis(200);

/// Does it to the cluster, waits until it is over, and makes good what can be.
pub(super) async fn inject(cluster: &Cluster, fault: Fault) -> Result<Done, Failure> {
    let lasts = Duration::from_millis(fault.lasts_ms);
    match fault.what {
        What::Kill(at) => {
            let Some(service) = cluster.services.get(at) else { return Ok(Done::default()) };
            let life = service.life();
            // Standing still first: what it holds is what it holds when it dies.
            if !service.signal(&life, Signal::STOP) {
                return Ok(Done::default());
            }
            let held = held_by(cluster, service, &life.holder, GIVEN).await;
            service.signal(&life, Signal::KILL);
            Ok(Done { held })
        }
        What::Stop(at) => {
            let Some(service) = cluster.services.get(at) else { return Ok(Done::default()) };
            let life = service.life();
            if !service.signal(&life, Signal::STOP) {
                return Ok(Done::default());
            }
            let held = held_by(cluster, service, &life.holder, lasts).await;
            service.signal(&life, Signal::CONT);
            Ok(Done { held })
        }
        What::Cut(at) => disturb(cluster, at, Weather::Cut, lasts).await,
        What::Slow(at, ms) => {
            disturb(cluster, at, Weather::Slow(Duration::from_millis(ms)), lasts).await
        }
        What::Redis => {
            let mut redis = cluster.redis.lock().await;
            let mut held = all_held(cluster).await;
            redis.kill().await?;
            sleep(lasts).await;
            redis.begin().await?;
            drop(redis);
            // What was leased between the look and the kill is still leased, or was completed.
            held.extend(all_held(cluster).await);
            Ok(Done { held })
        }
        What::Etcd => {
            let mut etcd = cluster.etcd.lock().await;
            etcd.kill().await?;
            sleep(lasts).await;
            etcd.begin().await?;
            // Nobody may lose anything by it.
            Ok(Done::default())
        }
    }
}

async fn disturb(
    cluster: &Cluster,
    at: usize,
    weather: Weather,
    lasts: Duration,
) -> Result<Done, Failure> {
    let Some(service) = cluster.services.get(at) else { return Ok(Done::default()) };
    let life = service.life();
    service.set(weather);
    let held = held_by(cluster, service, &life.holder, lasts).await;
    service.set(Weather::Fair);
    Ok(Done { held })
}

/// Everything that this holder is seen to hold, while that lasts. A process that has not said
/// its name yet holds nothing.
async fn held_by(
    cluster: &Cluster,
    service: &Service,
    holder: &Option<String>,
    lasts: Duration,
) -> BTreeSet<String> {
    let mut held = BTreeSet::new();
    let Some(holder) = holder else {
        sleep(lasts).await;
        return held;
    };
    let until = tokio::time::Instant::now() + lasts;
    loop {
        held.extend(look(cluster, Some(holder), service.name()).await);
        if tokio::time::Instant::now() >= until {
            return held;
        }
        sleep(LOOK_AGAIN).await;
    }
}

async fn all_held(cluster: &Cluster) -> BTreeSet<String> {
    look(cluster, None, "everybody").await
}

/// Looks until the ledger answers: it may be the one that is away.
async fn look(cluster: &Cluster, holder: Option<&str>, name: &str) -> BTreeSet<String> {
    loop {
        match cluster.ledger.held(holder).await {
            Ok(tasks) => return tasks.iter().map(ToString::to_string).collect(),
            Err(error @ LedgerError::Unavailable(_)) => tracing::debug!(%error, name, "no look"),
            Err(error) => {
                tracing::warn!(%error, name, "it is not known what is held");
                return BTreeSet::new();
            }
        }
        sleep(LOOK_AGAIN).await;
    }
}
