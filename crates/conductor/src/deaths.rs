//! Learns that a process died, and has its work taken up by others at once instead of when its
//! leases end.
//!
//! Two must agree. One says that the process is gone: the registry, or the connection that
//! is kept to it here, which breaks with the process and cannot be made again. The other is
//! the ledger, which takes back only what was not heard of for two heartbeats
//! ([`SILENT_MS`]). So a registry that forgets the living takes nothing from them, nor does
//! a broken cable between a conductor and a worker-agent.

use baton_ledger::{Ledger, SILENT_MS};
use baton_proto::{
    Deadline, Dialer,
    v1::{conductor_server, verifier_server, worker_agent_server},
};
use baton_registry::{Kind, Member, Members, Registry};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Status, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

/// Between two tries to take work back: what was heard just before the death is not silent
/// yet.
const RETRY: Duration = Duration::from_millis(100);
/// How long they go on: by then all of it is silent, even if the machine is busy.
const PATIENCE: Duration = Duration::from_millis(3 * SILENT_MS);
/// How long a process may take to say that it is there.
const ANSWER: Duration = Duration::from_secs(1);
/// Between two connections to a process that is there.
const PAUSE: Duration = Duration::from_millis(500);
/// Processes that a connection is kept to; of more, the registry tells.
const WATCHED_MAX: usize = 256;

/// Sees to the work of processes that die, until `stop` is cancelled. `own` is the holder
/// that need not be watched.
pub(crate) async fn take_over(
    ledger: Arc<dyn Ledger>,
    registry: Arc<dyn Registry>,
    dialer: Dialer,
    own: String,
    stop: CancellationToken,
) {
    let tasks = TaskTracker::new();
    let mut members = registry.watch_members();
    let mut before = Arc::new(Members::default());
    let mut watched = HashMap::<String, CancellationToken>::new();
    loop {
        let now = members.borrow_and_update().clone();
        for gone in now.departed_since(&before) {
            if let Some(watching) = watched.remove(&gone.holder) {
                watching.cancel();
            }
            let taking = take_back(ledger.clone(), gone.holder, "left the registry");
            let stop = stop.clone();
            tasks.spawn(async move { stop.run_until_cancelled(taking).await });
        }
        for member in now.all() {
            let known = member.holder == own || watched.contains_key(&member.holder);
            if known || watched.len() >= WATCHED_MAX {
                continue;
            }
            let Some(service) = service_of(member) else { continue };
            let ends = stop.child_token();
            watched.insert(member.holder.clone(), ends.clone());
            let (ledger, dialer, member) = (ledger.clone(), dialer.clone(), member.clone());
            tasks.spawn(async move {
                let attending = attend(ledger, dialer, member, service);
                ends.run_until_cancelled(attending).await;
            });
        }
        before = now;
        match stop.run_until_cancelled(members.changed()).await {
            Some(Ok(())) => {}
            // The registry is gone: nothing changes any more.
            Some(Err(_)) => stop.cancelled().await,
            None => break,
        }
    }
    tasks.close();
    tasks.wait().await;
}

/// What it serves, if it holds tasks.
fn service_of(member: &Member) -> Option<&'static str> {
    match member.kind {
        Kind::Gateway => None,
        Kind::Conductor => Some(conductor_server::SERVICE_NAME),
        Kind::WorkerAgent => Some(worker_agent_server::SERVICE_NAME),
        Kind::Verifier => Some(verifier_server::SERVICE_NAME),
    }
}

/// Keeps a connection to a process, and notices when it breaks; until the process says that
/// it stops, or is dead.
async fn attend(ledger: Arc<dyn Ledger>, dialer: Dialer, member: Member, service: &'static str) {
    let Member { holder, address, .. } = member;
    let channel = match dialer.channel(&address) {
        Ok(channel) => channel,
        Err(error) => return tracing::warn!(holder, %error, "a member cannot be watched"),
    };
    loop {
        let leaves = until_broken(&channel, service).await;
        if leaves {
            return;
        }
        // Why a connection broke does not matter where another can be made.
        if let Err(reason) = is_there(&channel, service).await {
            tracing::debug!(holder, address, %reason, "a member does not answer");
            take_back(ledger.clone(), holder.clone(), "does not answer").await;
        }
        sleep(PAUSE).await;
    }
}

/// Waits until the connection breaks; whether the process said before that it stops.
async fn until_broken(channel: &Channel, service: &str) -> bool {
    let mut health = HealthClient::with_interceptor(channel.clone(), Deadline(ANSWER));
    let request = HealthCheckRequest { service: service.to_owned() };
    let Ok(watched) = health.watch(request).await else { return false };
    let mut watched = watched.into_inner();
    while let Ok(Some(told)) = watched.message().await {
        if told.status() == ServingStatus::NotServing {
            return true;
        }
    }
    false
}

async fn is_there(channel: &Channel, service: &str) -> Result<(), Status> {
    let mut health = HealthClient::new(channel.clone());
    let asked = health.check(HealthCheckRequest { service: service.to_owned() });
    let late = Status::deadline_exceeded("it does not answer");
    timeout(ANSWER, asked).await.unwrap_or(Err(late)).map(drop)
}

/// Takes the work of a process back as it falls silent.
async fn take_back(ledger: Arc<dyn Ledger>, holder: String, why: &'static str) {
    let began = Instant::now();
    let mut taken = 0;
    while began.elapsed() < PATIENCE {
        match ledger.reap(&holder, SILENT_MS).await {
            Ok(done) => {
                taken += done.leases;
                if done.more {
                    continue;
                }
            }
            Err(error) => tracing::debug!(holder, %error, "cannot take work back yet"),
        }
        sleep(RETRY).await;
    }
    if taken > 0 {
        tracing::warn!(holder, why, tasks = taken, "work of a silent process is given to others");
    }
}
