//! Looking after the ledger: what is due, what stands still, what is to be deleted.

use baton_ledger::{Ledger, Retention};
use baton_registry::{Registry, RetentionSettings};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Timers and expired leases looked after in one call.
const TICK_MAX: usize = 256;
/// Longest time between two looks at what is due.
const TICK_MS_MAX: u64 = 1_000;
/// Unfinished runs looked at in one call, and the time between two calls: every run in a
/// ledger of 100,000 is looked at within seven minutes.
const RECONCILE_MAX: usize = 256;
const RECONCILE_PAUSE: Duration = Duration::from_secs(1);
/// Runs deleted in one call; the time between two calls while there is more to delete,
/// and while there is none.
const RETAIN_MAX: usize = 64;
const RETAIN_PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// Delivers what is due, when it is due; at the latest every [`TICK_MS_MAX`].
pub(crate) async fn tick(ledger: Arc<dyn Ledger>, stop: CancellationToken) {
    loop {
        let pause = match ledger.tick(TICK_MAX).await {
            Ok(ticked) => ticked.next_ms.unwrap_or(TICK_MS_MAX).clamp(1, TICK_MS_MAX),
            Err(error) => {
                tracing::warn!(%error, "cannot look after what is due");
                TICK_MS_MAX
            }
        };
        let pausing = tokio::time::sleep(Duration::from_millis(pause));
        if stop.run_until_cancelled(pausing).await.is_none() {
            return;
        }
    }
}

/// Has runs decide that wait for nothing.
pub(crate) async fn reconcile(ledger: Arc<dyn Ledger>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(RECONCILE_PAUSE)).await.is_some() {
        match ledger.reconcile(RECONCILE_MAX).await {
            Ok(done) if done.revived > 0 => {
                tracing::warn!(runs = done.revived, "runs waited for nothing: they decide again");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "cannot look for runs that stand still"),
        }
    }
}

/// Deletes finished runs as the configuration in force says.
pub(crate) async fn retain(
    ledger: Arc<dyn Ledger>,
    registry: Arc<dyn Registry>,
    stop: CancellationToken,
) {
    let (hurried, rested) = RETAIN_PAUSES;
    let mut pause = hurried;
    while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        pause = rested;
        match ledger.retain(&rules(&registry.settings().retention), RETAIN_MAX).await {
            Ok(done) => {
                if done.more {
                    pause = hurried;
                }
                if done.deleted > 0 {
                    tracing::info!(runs = done.deleted, "finished runs deleted");
                }
            }
            Err(error) => tracing::warn!(%error, "cannot delete finished runs"),
        }
    }
}

fn rules(settings: &RetentionSettings) -> Retention {
    const HOUR_MS: u64 = 60 * 60 * 1000;
    Retention {
        finished_ms: settings.days.map(|days| u64::from(days) * 24 * HOUR_MS),
        runs_max: settings.runs_max,
        keys_ms: u64::from(settings.keys_hours) * HOUR_MS,
    }
}
