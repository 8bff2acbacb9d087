//! The configuration while it lives: read again when a file changes, when another one is
//! pushed to the registry, or on SIGHUP; and put into force as a whole, or refused as a whole.

mod candidate;
mod secrets;

use crate::{
    args::PoolArgs,
    connections::{Connections, call_limits},
    exit::Failure,
};
use baton_call::Caller;
use baton_ledger::{Ledger, LedgerError, TenantTerms, persist};
use baton_registry::{
    Difference, Refusal, Registry, Settings, SettingsFaults, TenantSettings, WatchedFiles,
    differences,
};
use baton_workflow::TenantId;
use candidate::Candidate;
pub(crate) use candidate::{Overrides, check_exposure};
pub(crate) use secrets::Secrets;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::Arc,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The configuration of a running cluster.
pub(crate) struct Live {
    /// What names the file, and what it is laid over.
    pub(crate) pool: PoolArgs,
    /// What the command line says in the place of the file.
    pub(crate) overrides: Overrides,
    /// Where the simulated pool listens, if it was started.
    pub(crate) simulated: Option<String>,
    /// The clients in use, and those before them.
    pub(crate) connections: Connections,
    pub(crate) secrets: Secrets,
    pub(crate) caller: Caller,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) ledger: Arc<dyn Ledger>,
}

impl Live {
    /// Follows the files until `stop` is cancelled.
    ///
    /// # Errors
    /// Where the system does not tell of signals.
    pub(crate) async fn run(&mut self, stop: CancellationToken) -> io::Result<()> {
        let mut hangups = signal(SignalKind::hangup())?;
        let watched = WatchedFiles::new();
        let mut watched = watched.inspect_err(cannot_watch).ok();
        let mut pushed = self.registry.documents();
        loop {
            // Before the first reading, so that no change falls between the two.
            if let Some(watched) = &mut watched
                && let Err(error) = watched.set(self.files())
            {
                cannot_watch(&error);
            }
            if let Some(pushed) = &mut pushed {
                pushed.mark_unchanged();
            }
            self.read_again(&stop, false).await;
            let told = async {
                // Without a registry any more, nothing is told.
                let told = match &mut pushed {
                    Some(pushed) => pushed.changed().await.is_ok(),
                    None => false,
                };
                if !told {
                    std::future::pending::<()>().await;
                }
            };
            let changed = async {
                match &watched {
                    Some(watched) => watched.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = changed => {}
                () = told => {}
                _ = hangups.recv() => self.read_again(&stop, true).await,
            }
        }
    }

    /// The configuration's file, and those that hold its keys.
    fn files(&self) -> BTreeSet<PathBuf> {
        let keys = secrets::files(&self.registry.settings());
        keys.into_iter().chain(self.pool.config.clone()).collect()
    }

    /// Reads everything again, and does what it says. Nothing is said where nothing is new,
    /// unless somebody asked.
    async fn read_again(&mut self, stop: &CancellationToken, asked: bool) {
        match self.candidate() {
            Ok(candidate) => self.accept(candidate, stop, asked).await,
            Err(faults) => self.refuse(&faults, asked),
        }
    }

    fn refuse(&self, faults: &SettingsFaults, asked: bool) {
        let configuration = self.registry.configuration();
        let known = configuration.refusal.as_ref();
        let new = known.is_none_or(|known| known.complaints != faults.complaints());
        if !new && !asked {
            return;
        }
        let file = faults.source();
        for complaint in faults.complaints() {
            let (line, column, reason) = (complaint.line, complaint.column, &complaint.reason);
            tracing::error!(file, line, column, reason, "configuration refused");
        }
        let version = configuration.version;
        tracing::error!(version, "the configuration before stays in force");
        self.registry.refuse(Some(Refusal::now(file, faults.complaints().to_vec())));
    }

    async fn accept(&mut self, candidate: Candidate, stop: &CancellationToken, asked: bool) {
        let before = self.registry.configuration();
        let Candidate { settings, connections, secrets, restart } = candidate;
        let rotated = secrets.changed(&self.secrets);
        let same = settings == *before.settings && rotated.is_empty() && restart == before.restart;
        if same {
            if before.refusal.is_some() {
                self.registry.refuse(None);
            }
            if asked || before.refusal.is_some() {
                tracing::info!(version = before.version, "configuration read again, unchanged");
            }
            return;
        }
        let changes = differences(&before.settings.document(), &settings.document());
        let terms = changed_terms(&before.settings, &settings);
        let anew = connections.anew(&self.connections).join(", ");
        // First who serves, then what is to be served: nothing is asked of a provider that
        // is not there.
        self.caller.set_providers(connections.providers(&self.connections));
        self.caller.set_limits(call_limits(&settings));
        (self.connections, self.secrets) = (connections, secrets);
        for name in &restart {
            tracing::warn!(setting = name, "a changed setting needs a restart");
        }
        let version = self.registry.accept(settings, restart);
        let changes = words(&changes, &rotated);
        let connected_anew = Some(anew).filter(|names| !names.is_empty());
        tracing::info!(version, changes, connected_anew, "configuration in force");
        if let Err(error) = set_terms(self.ledger.as_ref(), &terms, stop).await {
            tracing::error!(%error, "the ledger does not take the terms of tenants");
        }
    }
}

fn cannot_watch(error: &io::Error) {
    tracing::warn!(%error, "files are not watched: send SIGHUP after a change");
}

fn words(changes: &[Difference], rotated: &[String]) -> String {
    let rotated = rotated.iter().map(|place| format!("another key in {place}"));
    let words: Vec<_> = changes.iter().map(ToString::to_string).chain(rotated).collect();
    words.join("; ")
}

/// Tells the ledger what every tenant of the configuration is entitled to.
pub(crate) async fn set_all_terms(ledger: &dyn Ledger, settings: &Settings) -> Result<(), Failure> {
    let failure = |error: LedgerError| Failure::other(error.to_string());
    // Of whom nothing is said any more, an earlier configuration may have said something.
    let before = ledger.inventory().await.map_err(failure)?.terms;
    let mut terms: BTreeMap<_, _> =
        before.into_iter().map(|(id, _)| (id, TenantSettings::default())).collect();
    terms.extend(settings.tenants.iter().map(|(id, terms)| (id.clone(), *terms)));
    let terms: Vec<_> = terms.into_iter().collect();
    set_terms(ledger, &terms, &CancellationToken::new()).await.map_err(failure)
}

async fn set_terms(
    ledger: &dyn Ledger,
    terms: &[(TenantId, TenantSettings)],
    stop: &CancellationToken,
) -> Result<(), LedgerError> {
    for (tenant, terms) in terms {
        let TenantSettings { weight, leased_max, runs_max, .. } = *terms;
        let terms = TenantTerms { weight, leased_max, runs_max };
        persist(stop, || ledger.set_tenant(tenant, terms)).await?;
    }
    Ok(())
}

/// What has to be said of whom; a tenant of whom nothing is said any more has the defaults.
fn changed_terms(before: &Settings, now: &Settings) -> Vec<(TenantId, TenantSettings)> {
    let tenants: BTreeSet<_> = before.tenants.keys().chain(now.tenants.keys()).collect();
    let of = |settings: &Settings, tenant| settings.tenants.get(tenant).copied();
    let changed = tenants.into_iter().filter(|tenant| of(before, tenant) != of(now, tenant));
    changed.map(|tenant| (tenant.clone(), of(now, tenant).unwrap_or_default())).collect()
}

#[cfg(test)]
mod tests;
