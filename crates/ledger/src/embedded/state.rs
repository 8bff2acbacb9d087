//! The ledger's state machine: every operation as a plain function over what is in memory.
//!
//! Pure but for the store it may look into: time is given, nothing here waits, and what
//! changed is recorded as rows for the writer to make durable. A tree of runs is in memory
//! until all of it has ended and nothing in it is leased; after that it is only read.

mod bodies;
mod budget;
mod commit;
mod complete;
mod lease;
mod load;
mod queue;
mod reconcile;
mod retain;
mod rows;
mod run;
mod signal;
mod stats;
mod tick;
mod view;

use super::store::Store;
use crate::{Class, JournalEntry, LedgerError, MailEntry, TenantTerms, Token, Watched};
use baton_workflow::{Budget, Resource, RunId, Spend, TaskId, TenantId, Timestamp};
use bytes::Bytes;
use foldhash::{HashMap, HashSet};
pub(super) use rows::Changes;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};
pub(super) use view::Page;

/// Bits of a counter below the epoch: counters go on rising when the file is opened again
/// without ever being written down.
const COUNTER_BITS: u32 = 40;

/// What never changes about a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) tenant: TenantId,
    /// The run above, and this run's number there.
    pub(super) parent: Option<(RunId, u32)>,
    pub(super) root: RunId,
    pub(super) submitted_at: Timestamp,
    /// Place in the order of all submissions.
    pub(super) order: u64,
    pub(super) budget: Budget,
    pub(super) label: Bytes,
    pub(super) traceparent: Option<String>,
    pub(super) key: Option<String>,
}

/// What changes about a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) ended: Option<(Timestamp, Bytes)>,
    pub(super) cancelled: bool,
    pub(super) spent: Spend,
    pub(super) journal_len: u64,
    pub(super) mail_last: u64,
    pub(super) mail_seen: u64,
    pub(super) task_last: u32,
    /// The token under which the latest `decide` task was finished.
    pub(super) committed: Option<Token>,
}

/// A run in memory.
#[derive(Debug)]
struct Run {
    head: Head,
    progress: Progress,
    journal: Vec<JournalEntry>,
    mails: VecDeque<MailEntry>,
    tasks: BTreeMap<u32, Task>,
    timers: BTreeMap<String, Timestamp>,
    /// Words that came (true) or are too late (false), by their keys.
    signals: BTreeMap<String, bool>,
    children: BTreeMap<u32, RunId>,
    /// At the root: hashes of the bodies that the tree has.
    bodies: HashSet<Arc<str>>,
    /// At the root: what attempts in the tree have set aside.
    reserved: Spend,
    /// At the root: runs in the tree that have not ended, and leases in it.
    pending: u64,
    /// Whether the latest lease of its decision said that it is to stop.
    told_to_stop: bool,
    /// Since when it is parked: nobody could decide. Whoever opens the ledger tries again.
    parked: Option<Timestamp>,
}

/// What never changes about a task; forgotten when it is finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TaskHead {
    pub(super) class: Class,
    pub(super) priority: u8,
    pub(super) age: u64,
    pub(super) cost: u64,
    pub(super) reserve: Spend,
    pub(super) payload: Bytes,
    pub(super) made_at: Timestamp,
}

/// What changes about a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TaskProgress {
    /// Leases so far.
    pub(super) attempt: u32,
    /// By attempts that are over, and by calls that are settled.
    pub(super) spent: Spend,
    /// Whether any of `spent` is an upper bound.
    pub(super) estimated: bool,
    pub(super) withdrawn: bool,
    pub(super) standing: Standing,
}

/// Where a task is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Standing {
    /// In its queue.
    #[default]
    Queued,
    /// With a holder, whose attempt has this much set aside.
    Leased(Token, Spend),
    /// Finished under this token.
    Done(Token),
    /// Over without an outcome: lost, dropped, or vanished with its run.
    Gone,
    /// As `Leased`, by an attempt that has begun what must not be done twice.
    Started(Token, Spend),
}

/// A task in memory.
#[derive(Debug)]
struct Task {
    head: TaskHead,
    progress: TaskProgress,
    lease: Option<Lease>,
}

/// What is known of a lease until the process ends.
#[derive(Debug)]
struct Lease {
    until: Timestamp,
    /// When its holder last spoke.
    heard: Timestamp,
    holder: String,
    request: u64,
    /// What the lease itself has set aside.
    reserved: Result<Spend, Resource>,
    last: LastCalls,
}

/// Numbers of the last reservation and settlement of an attempt, by which a repetition is
/// known. Not kept on disk: a restart ends the attempt.
#[derive(Debug, Default)]
struct LastCalls {
    reserved: u64,
    settled: u64,
}

/// How a token stands to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// It holds the task.
    Holds,
    /// It finished the task.
    Finished,
    /// It is neither.
    Stale,
}

/// Everything that is not finished.
pub(super) struct State {
    epoch: u64,
    counter: u64,
    runs: HashMap<RunId, Run>,
    roots: HashMap<TenantId, Roots>,
    keys: HashMap<(TenantId, String), super::row::Known>,
    queues: queue::Queues,
    leases: BTreeSet<(Timestamp, TaskId)>,
    timers: BTreeSet<(Timestamp, RunId, String)>,
    totals: Totals,
    /// Root runs whose whole tree is finished, where there are any.
    finished: HashMap<TenantId, u64>,
    /// What is left of a look at all unfinished runs.
    to_look_at: Vec<RunId>,
    /// Tasks still held, by the request that took them.
    requests: HashMap<u64, Vec<TaskId>>,
    changes: Changes,
    notices: Vec<(RunId, Watched)>,
}

/// Sums over rows that are not in memory, kept so that nobody has to count them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Totals {
    pub(super) bodies: u64,
    pub(super) body_bytes: u64,
}

/// A tenant's root runs in memory.
#[derive(Debug, Default)]
struct Roots {
    by_order: BTreeMap<u64, RunId>,
    unended: u64,
}

impl Roots {
    /// Roots that have ended while something in their tree has not.
    fn ended(&self) -> u64 {
        (self.by_order.len() as u64).saturating_sub(self.unended)
    }
}

impl State {
    /// An empty ledger.
    pub(super) fn new(epoch: u64) -> Self {
        Self {
            epoch,
            counter: epoch << COUNTER_BITS,
            runs: HashMap::default(),
            roots: HashMap::default(),
            keys: HashMap::default(),
            queues: queue::Queues::default(),
            leases: BTreeSet::new(),
            timers: BTreeSet::new(),
            totals: Totals::default(),
            finished: HashMap::default(),
            to_look_at: Vec::new(),
            requests: HashMap::default(),
            changes: Changes::default(),
            notices: Vec::new(),
        }
    }

    /// Sets what a tenant is entitled to.
    pub(super) fn set_tenant(&mut self, tenant: &TenantId, terms: TenantTerms) {
        self.queues.set_terms(tenant, terms);
        self.changes.tenant(tenant);
    }

    /// What stands here, whoever put it here.
    pub(super) fn inventory(&self) -> crate::Inventory {
        self.queues.inventory()
    }

    /// Classes that have got something to hand out since this was asked last.
    pub(super) fn take_ready(&mut self) -> BTreeSet<Class> {
        self.queues.take_ready()
    }

    /// What watchers are to be told since this was asked last, in order.
    pub(super) fn take_notices(&mut self) -> Vec<(RunId, Watched)> {
        std::mem::take(&mut self.notices)
    }

    /// A number above all that were given before, in this opening and in earlier ones.
    fn count(&mut self) -> u64 {
        self.counter = self.counter.saturating_add(1);
        self.counter
    }

    /// One finished tree of a tenant more, or fewer.
    fn count_finished(&mut self, tenant: &TenantId, by: i64) {
        let count = self.finished.entry(tenant.clone()).or_default();
        *count = count.saturating_add_signed(by);
        self.changes.kept(tenant);
    }

    fn run(&self, id: &RunId) -> Option<&Run> {
        self.runs.get(id)
    }

    /// A run that is about to change.
    fn run_mut(&mut self, id: &RunId) -> Option<&mut Run> {
        let run = self.runs.get_mut(id)?;
        self.changes.run(id);
        Some(run)
    }

    fn task(&self, id: &TaskId) -> Option<&Task> {
        self.runs.get(&id.run)?.tasks.get(&id.number)
    }

    /// A task that is about to change.
    fn task_mut(&mut self, id: &TaskId) -> Option<&mut Task> {
        let task = self.runs.get_mut(&id.run)?.tasks.get_mut(&id.number)?;
        self.changes.task(id);
        Some(task)
    }

    fn is_ended(&self, id: &RunId) -> bool {
        self.run(id).is_none_or(|run| run.progress.ended.is_some())
    }

    /// Whether the run or one of its ancestors is to be cancelled, or an ancestor has ended.
    fn is_cancelled(&self, id: &RunId) -> bool {
        let Some(mut run) = self.run(id) else { return true };
        loop {
            if run.progress.cancelled {
                return true;
            }
            let above = run.head.parent.as_ref().and_then(|(parent, _)| self.run(parent));
            let Some(parent) = above else { return false };
            if parent.progress.ended.is_some() {
                return true;
            }
            run = parent;
        }
    }

    /// How a token stands to a task, be the task in memory or finished long ago.
    fn proof(&self, store: &dyn Store, id: &TaskId, token: &Token) -> Result<Proof, LedgerError> {
        if let Some(run) = self.run(&id.run) {
            if id.number == crate::DECIDE_TASK && run.progress.committed.as_ref() == Some(token) {
                return Ok(Proof::Finished);
            }
            let standing = run.tasks.get(&id.number).map(|task| task.progress.standing);
            return Ok(standing.unwrap_or(Standing::Gone).proof(token));
        }
        view::finished_proof(store, id, token)
    }

    /// One pending thing fewer in a tree; the last one finishes it.
    fn settled_one(&mut self, root: &RunId) {
        if let Some(run) = self.runs.get_mut(root) {
            run.pending = run.pending.saturating_sub(1);
            if run.pending == 0 {
                self.changes.finished(root);
            }
        }
    }
}

impl Standing {
    fn proof(self, token: &Token) -> Proof {
        match self {
            Self::Leased(present, _) | Self::Started(present, _) if present == *token => {
                Proof::Holds
            }
            Self::Done(last) if last == *token => Proof::Finished,
            Self::Queued | Self::Leased(..) | Self::Started(..) | Self::Done(_) | Self::Gone => {
                Proof::Stale
            }
        }
    }

    pub(super) fn is_open(self) -> bool {
        match self {
            Self::Queued | Self::Leased(..) | Self::Started(..) => true,
            Self::Done(_) | Self::Gone => false,
        }
    }

    /// Under which token it is held, and what that attempt has set aside.
    fn held(self) -> Option<(Token, Spend)> {
        match self {
            Self::Leased(token, reserved) | Self::Started(token, reserved) => {
                Some((token, reserved))
            }
            Self::Queued | Self::Done(_) | Self::Gone => None,
        }
    }
}
