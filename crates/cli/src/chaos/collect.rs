//! Collects what can be judged: the ledger through its port, and the simulated pool's own
//! record of calls.

use super::judge::{Call, Left, Record};
use crate::{
    bench::http::{Connection, Target},
    exit::Failure,
};
use baton_engine::{Event, version};
use baton_ledger::{Ledger, LedgerError};
use baton_ledger_redis::RedisLedger;
use baton_workflow::{RunId, TenantId};
use std::{collections::BTreeMap, sync::Mutex, time::Duration};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Runs in one page.
const PAGE: usize = 1_000;
/// Between two looks at a ledger that comes to rest.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Between two looks at the record of calls: it keeps only so many.
const CALLS_EVERY: Duration = Duration::from_secs(1);
/// How long one page of calls may take.
const CALLS_LIMIT: Duration = Duration::from_secs(30);
/// Whose runs they are.
const TENANT: &str = "default";
/// An outcome of a call that has none yet.
const RUNNING: &str = "running";

fn failed(error: &LedgerError) -> Failure {
    Failure::other(format!("the ledger cannot be read: {error}"))
}

/// Waits until nothing is unfinished, waiting or leased, or until the limit; gives what is.
pub(super) async fn rest(ledger: &RedisLedger, limit: Duration) -> Result<Left, Failure> {
    let until = Instant::now() + limit;
    loop {
        match left(ledger).await {
            Ok(left) if left.is_nothing() || Instant::now() > until => return Ok(left),
            // Somebody judges that, too.
            Err(LedgerError::Unusable(why)) if Instant::now() > until => {
                return Ok(Left { unreadable: Some(why), ..Left::default() });
            }
            Err(error) if Instant::now() > until => return Err(failed(&error)),
            Ok(_) | Err(_) => sleep(LOOK_AGAIN).await,
        }
    }
}

async fn left(ledger: &RedisLedger) -> Result<Left, LedgerError> {
    let stats = ledger.stats().await?;
    let held = ledger.held(None).await?;
    let queues = stats.queues.iter();
    Ok(Left {
        unfinished: stats.unfinished,
        queued: queues.clone().map(|queue| queue.queued).sum::<u64>() + stats.other_queues.queued,
        leased: queues.map(|queue| queue.leased).sum::<u64>() + stats.other_queues.leased,
        held: held.iter().map(ToString::to_string).collect(),
        unreadable: None,
    })
}

/// Every run of the ledger, with its whole journal, and all that were begun below it.
pub(super) async fn runs(ledger: &RedisLedger) -> Result<BTreeMap<String, Record>, Failure> {
    let tenant = TenantId::new(TENANT).map_err(|error| Failure::other(error.to_string()))?;
    let mut runs = BTreeMap::new();
    let mut before: Option<RunId> = None;
    loop {
        let page = ledger.list(&tenant, PAGE, before.as_ref()).await;
        let page = page.map_err(|error| failed(&error))?;
        for summary in &page {
            let mut below = vec![summary.run.clone()];
            while let Some(run) = below.pop() {
                let record = record(ledger, &run).await.map_err(|error| failed(&error))?;
                below.extend(children(&run, &record));
                runs.insert(run.to_string(), record);
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE => before = Some(last.run.clone()),
            Some(_) | None => return Ok(runs),
        }
    }
}

/// The runs that were begun right below one.
fn children(run: &RunId, record: &Record) -> Vec<RunId> {
    let events = record.entries.iter().filter_map(|entry| version::read(&entry.event).ok());
    let begun = events.filter_map(|event| match event {
        Event::ChildBegun { child, .. } => run.child(child).ok(),
        _other => None,
    });
    begun.collect()
}

async fn record(ledger: &RedisLedger, run: &RunId) -> Result<Record, LedgerError> {
    let mut entries = Vec::new();
    loop {
        let mut view = ledger.read(run, entries.len() as u64).await?;
        let more = std::mem::take(&mut view.entries);
        let none = more.is_empty();
        entries.extend(more);
        if none || entries.len() as u64 >= view.journal_len {
            return Ok(Record { entries, view });
        }
    }
}

/// The calls that were received, collected while they are made.
pub(super) struct Calls {
    target: String,
    kept: Mutex<Vec<Call>>,
}

impl Calls {
    /// From a pool at an address such as `http://127.0.0.1:8485`.
    pub(super) fn of(sim: &str) -> Self {
        Self { target: sim.to_owned(), kept: Mutex::default() }
    }

    /// Collects until it is told to stop.
    pub(super) async fn collect(&self, stop: &CancellationToken) {
        while stop.run_until_cancelled(sleep(CALLS_EVERY)).await.is_some() {
            if let Err(error) = self.more().await {
                tracing::warn!(%error, "calls were not collected; they are asked for again");
            }
        }
    }

    /// Collects what has ended since the last time, up to the first that has not.
    async fn more(&self) -> Result<bool, Failure> {
        let after = self.lock().last().map_or(0, |call| call.seq);
        let target = Target::new(&self.target, &format!("/sim/calls?after={after}"));
        let asking = async {
            let mut connection = Connection::open(&target).await?;
            let broken = |error: std::io::Error| Failure::other(error.to_string());
            let head = connection.send("GET", &target, &[], "").await.map_err(broken)?;
            connection.rest(head).await.map_err(broken)
        };
        let lines = timeout(CALLS_LIMIT, asking).await;
        let lines = lines.map_err(|_| Failure::other("the simulated pool does not answer"))??;
        let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        for (expected, line) in (after + 1..).zip(lines) {
            let call: Call = serde_json::from_slice(line)
                .map_err(|error| Failure::other(format!("a call cannot be read: {error}")))?;
            if call.seq != expected {
                let found = call.seq;
                let message = format!(
                    "call {found} where {expected} must be: the record of calls is too short for this load, lower --in-flight"
                );
                return Err(Failure::other(message));
            }
            if call.outcome == RUNNING {
                return Ok(false);
            }
            self.lock().push(call);
        }
        Ok(true)
    }

    /// All of them, once every one has ended or `limit` is over.
    pub(super) async fn all(self, limit: Duration) -> Result<Vec<Call>, Failure> {
        let until = Instant::now() + limit;
        while !self.more().await? && Instant::now() < until {
            sleep(LOOK_AGAIN).await;
        }
        Ok(self.kept.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Call>> {
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
