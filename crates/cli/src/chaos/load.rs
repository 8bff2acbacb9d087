//! Clients as they should be: each request has a key of its own, and is repeated under it
//! until it is acknowledged.

use super::{cluster::Cluster, judge::Request};
use crate::{
    bench::http::{Connection, Target},
    exit::Failure,
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Ways to plan, in turn.
const MODELS: [&str; 4] =
    ["baton", "baton/plan_execute_verify", "baton/self_consistency", "baton/mixture_of_agents"];
/// How long a reply may take, the run included.
const REPLY_LIMIT: Duration = Duration::from_secs(60);
/// Before a request is repeated.
const AGAIN: Duration = Duration::from_millis(100);
/// One request in so many is repeated although it was answered, as after a lost reply.
const REPEATED_ONE_IN: u64 = 4;

/// What was asked so far.
#[derive(Default)]
pub(super) struct Asked {
    next: AtomicU64,
    requests: Mutex<BTreeMap<u64, Request>>,
    /// Requests that were sent again.
    pub(super) repeated: AtomicU64,
}

impl Asked {
    fn note(&self, number: u64, note: impl FnOnce(&mut Request)) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        note(requests.entry(number).or_default());
    }

    pub(super) fn into_requests(self) -> BTreeMap<u64, Request> {
        self.requests.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the clients ask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) seed: u64,
    /// Clients, each with one request at a time.
    pub(super) in_flight: usize,
    /// Most requests a second, of all together; none is no bound.
    pub(super) rate: Option<f64>,
}

/// Asks until `enough`, then until everything asked is acknowledged, or `over`.
pub(super) async fn ask(
    cluster: &Cluster,
    asked: &Asked,
    load: Load,
    enough: &CancellationToken,
    over: &CancellationToken,
) {
    let pace = load.rate.map(|rate| {
        let period = Duration::from_secs_f64(1.0 / rate.max(0.001));
        tokio::sync::Mutex::new(tokio::time::interval(period))
    });
    let clients = (0..load.in_flight).map(|_| async {
        loop {
            if let Some(pace) = &pace {
                let waiting = async { pace.lock().await.tick().await };
                if enough.run_until_cancelled(waiting).await.is_none() {
                    return;
                }
            }
            if enough.is_cancelled() {
                return;
            }
            let number = asked.next.fetch_add(1, Ordering::Relaxed);
            asked.note(number, |_| {});
            if over.run_until_cancelled(request(cluster, asked, load.seed, number)).await.is_none()
            {
                return;
            }
        }
    });
    futures::future::join_all(clients).await;
}

async fn request(cluster: &Cluster, asked: &Asked, seed: u64, number: u64) {
    let key = format!("chaos-{seed}-{number}");
    // Half of the clients wait for their answer; the others learn the run's name and hang up.
    let waits = number.is_multiple_of(2);
    let mut answers = 0;
    let wanted = if number.is_multiple_of(REPEATED_ONE_IN) { 2 } else { 1 };
    for attempt in 0_u64.. {
        if attempt > 0 {
            asked.repeated.fetch_add(1, Ordering::Relaxed);
        }
        let gateways = cluster.gateways();
        let place = (number + attempt) % (gateways.len().max(1) as u64);
        let gateway = usize::try_from(place).ok().and_then(|place| gateways.get(place));
        let Some(gateway) = gateway else {
            sleep(AGAIN).await;
            continue;
        };
        let reply = timeout(REPLY_LIMIT, send(gateway, &key, number, waits)).await;
        match reply {
            Ok(Ok((200, Some(run), _))) => {
                asked.note(number, |request| {
                    request.runs.insert(run);
                });
                answers += 1;
                if answers == wanted {
                    return;
                }
            }
            // What no repetition changes.
            Ok(Ok((status @ (400..=407 | 409..=428), _, body))) => {
                let body: String = String::from_utf8_lossy(&body).chars().take(300).collect();
                asked.note(number, |request| request.refused = Some(format!("{status} {body}")));
                return;
            }
            // A run that ended without an answer was acknowledged all the same.
            Ok(Ok((status, Some(run), body))) if is_end(&body) => {
                tracing::info!(status, run, "a run without an answer");
                asked.note(number, |request| {
                    request.runs.insert(run);
                });
                return;
            }
            Ok(Ok(_) | Err(_)) | Err(_) => {}
        }
        sleep(AGAIN).await;
    }
}

/// Whether an error says that a run has ended without an answer.
fn is_end(body: &[u8]) -> bool {
    use baton_codes::ApiCode::{BudgetExceeded, DeadlineExceeded, RunCancelled, RunFailed};
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let code = body["error"]["code"].as_str().unwrap_or_default();
    let ends = [RunFailed, BudgetExceeded, DeadlineExceeded, RunCancelled];
    ends.iter().any(|end| end.as_str() == code)
}

async fn send(
    gateway: &str,
    key: &str,
    number: u64,
    waits: bool,
) -> Result<(u16, Option<String>, Vec<u8>), Failure> {
    let target = Target::new(gateway, "/chat/completions");
    let mut connection = Connection::open(&target).await?;
    let model = MODELS[usize::try_from(number).unwrap_or_default() % MODELS.len()];
    let question = format!("What is the value of ({number} + 4) * 5?");
    let mut body = json!({
        "model": model,
        "messages": [{ "role": "user", "content": question }],
    });
    if !waits {
        body["stream"] = true.into();
        body["baton"] = json!({ "background": true });
    }
    let broken = |error: std::io::Error| Failure::other(error.to_string());
    let headers = [("idempotency-key", key)];
    let head = connection.send("POST", &target, &headers, &body.to_string()).await;
    let head = head.map_err(broken)?;
    let (status, run) = (head.status, head.run.clone());
    let body = match status {
        200 if !waits => Vec::new(),
        _ => connection.rest(head).await.map_err(broken)?,
    };
    Ok((status, run, body))
}
