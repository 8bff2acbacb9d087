//! What goes into and comes out of a ledger.

use baton_workflow::{BodyRef, Budget, Resource, RunId, Spend, TaskId, TenantId, Timestamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// Most events, tasks, timers, children or mails in one write: work per call is bounded.
pub const BATCH_MAX: usize = 256;
/// Largest body, in bytes; a request of 10 MB is refused before it gets here.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long a parked run waits before it is tried again, in milliseconds.
pub const PARKED_MS: u64 = 60_000;
/// Largest event, payload or outcome, in bytes: texts go into bodies.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// Leases of one task before it completes itself as [`Mail::Lost`].
pub const ATTEMPTS_MAX: u32 = 5;
/// By how many of its tasks a tenant that comes into a queue may go before the others who
/// wait there, if it has had less than its share: the steps of a usual run, which follow one
/// another.
pub const BURST_TASKS: u64 = 8;
/// The number of every `decide` task. The ledger makes these itself, and a run has at
/// most one at a time, so they share a number that engines, which count from 1, never use.
pub const DECIDE_TASK: u32 = 0;
/// Longest name of a timer, a holder, an idempotency key, a digest, a class or a
/// `traceparent`, in bytes.
pub const NAME_BYTES_MAX: usize = 1024;

/// The queue a task waits in: `decide`, `plan`, `verify`, `verify/code`, or `work/AGENT`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Class(Arc<str>);

impl Class {
    /// The Conductor's reaction to a run's mail.
    pub fn decide() -> Self {
        Self("decide".into())
    }
    /// A request to the policy for a workflow.
    pub fn plan() -> Self {
        Self("plan".into())
    }
    /// A check of candidate answers.
    pub fn verify() -> Self {
        Self("verify".into())
    }
    /// A check of candidate answers that runs their programs, for who has a sandbox.
    pub fn verify_code() -> Self {
        Self("verify/code".into())
    }
    /// One step, by one agent.
    pub fn work(agent: &baton_workflow::AgentId) -> Self {
        Self(format!("work/{agent}").into())
    }
    /// Whose steps wait in it; nobody's where it is of another kind.
    pub fn agent(&self) -> Option<baton_workflow::AgentId> {
        let agent = self.0.strip_prefix("work/")?;
        baton_workflow::AgentId::new(agent).ok()
    }
    /// From its text, as kept in a store. Any text is a class.
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text to be stored, once per tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Its name.
    pub name: BodyRef,
    /// Its bytes.
    pub bytes: Bytes,
}

impl Body {
    /// Names the bytes by their BLAKE3 hash. Longer than [`BODY_BYTES_MAX`] is refused on writing.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let hash = blake3::hash(&bytes).to_hex().as_str().into();
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Self { name: BodyRef { hash, len }, bytes }
    }
}

/// A task to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// Its number within the run, from 1: above those of all earlier writes.
    pub number: u32,
    /// The queue it waits in; not `decide`, whose tasks are made by the ledger alone.
    pub class: Class,
    /// 0 (first) to 9 (last) among the tasks of one tenant.
    pub priority: u8,
    /// What it will roughly consume, in tokens; what fairness among tenants counts. At least 1.
    pub cost: u64,
    /// What each lease sets aside from the root's budget for its first call; nothing for
    /// tasks that make none.
    pub reserve: Spend,
    /// For whoever leases it.
    pub payload: Bytes,
}

/// A reminder to be delivered as [`Mail::Timer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTimer {
    /// Unique within the run; setting it again moves it. See also [`NewTimer::awaiting`].
    pub name: String,
    /// From now, by the ledger's clock.
    pub after_ms: u64,
}

/// A child run, created by its parent's commit. It has the parent's tenant, draws on
/// the root's budget, and does not count against caps on runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChild {
    /// The child is [`RunId::child`] of its parent under this number.
    pub number: u32,
    /// Its journal's beginning.
    pub events: Vec<Bytes>,
    /// Tasks to start with; a `decide` task is queued when there are none.
    pub tasks: Vec<NewTask>,
    /// Timers to start with.
    pub timers: Vec<NewTimer>,
}

/// A new run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its id, chosen by the submitter; unique for ever.
    pub run: RunId,
    /// Repeating a submission under the same key gives the first run.
    pub key: Option<String>,
    /// What the key stands for; the same key with another digest is refused.
    pub digest: String,
    /// What the run and all its children may consume.
    pub budget: Budget,
    /// The journal's beginning; at least one event.
    pub events: Vec<Bytes>,
    /// Tasks to start with (the first decision, where it needs no policy).
    /// With none, a `decide` task is queued.
    pub tasks: Vec<NewTask>,
    /// Timers to start with.
    pub timers: Vec<NewTimer>,
    /// Texts that the events and payloads refer to.
    pub bodies: Vec<Body>,
    /// W3C `traceparent` of the request; handed out with every task of the run.
    pub traceparent: Option<String>,
    /// A line for lists of runs: JSON of the submitter's making.
    pub label: Bytes,
}

/// What became of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// The run is recorded and will be carried out.
    New(RunId),
    /// The key was used before, for the same request: this is that run.
    Known(RunId),
}

/// The proof of holding a task: all three parts are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Token {
    /// Rises whenever the store restarts or is promoted.
    pub epoch: u64,
    /// Counts the leases of the task, from 1.
    pub attempt: u32,
    /// Differs between any two leases.
    pub nonce: u64,
}

/// A request for tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRequest {
    /// Who asks: names the process to watchers of the run.
    pub holder: String,
    /// Queues to take from.
    pub classes: Vec<Class>,
    /// Tasks wanted, 1 to [`BATCH_MAX`].
    pub max: usize,
    /// For how long, in milliseconds, unless extended by a heartbeat.
    pub ttl_ms: u64,
    /// How long to wait for a first task, in milliseconds; 0 answers at once.
    pub wait_ms: u64,
    /// Repeating a request under the same id gives the same tasks, so that a lost
    /// reply is no lost lease. Unique per request.
    pub request: u64,
}

/// A task, leased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leased {
    /// Which.
    pub task: TaskId,
    /// The queue it came from.
    pub class: Class,
    /// To be shown with every write about it.
    pub token: Token,
    /// Whose it is.
    pub tenant: TenantId,
    /// The run at the top of the tree; equal to `task.run` for a run without parent.
    pub root: RunId,
    /// As given when the task was created; empty for `decide`.
    pub payload: Bytes,
    /// As given when the root was submitted.
    pub traceparent: Option<String>,
    /// Whether the run, or one of its ancestors, is to be cancelled.
    pub cancelled: bool,
    /// What was set aside for the attempt's first call, or which part of the budget did
    /// not hold it: then nothing is set aside, and no call may be made.
    pub reserved: Result<Spend, Resource>,
    /// For a `decide` task: the run as it was at this moment, without its journal's
    /// entries, so that whoever knows those already need not read it.
    pub reading: Option<Box<RunView>>,
}

/// A held task, for a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub task: TaskId,
    /// The proof.
    pub token: Token,
}

/// The answer to a heartbeat, for one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The lease goes on.
    Extended,
    /// The lease is gone: stop, and write nothing.
    Lost,
    /// The lease goes on, but the run or an ancestor is to be cancelled, or the task
    /// was withdrawn: stop, and complete the task with what is known of its spend.
    Abandon,
    /// The part of the store that keeps the lease did not answer: ask again.
    Unknown,
}

/// What came of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// For the engine: becomes [`Mail::Outcome`].
    pub outcome: Bytes,
    /// What the attempt consumed. Replaces the attempt's reservation.
    pub spend: Spend,
    /// Whether `spend` is an upper bound because the true usage is not known.
    pub estimated: bool,
    /// Texts that the outcome refers to.
    pub bodies: Vec<Body>,
}

/// Whether a write happened now or had happened before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// Now.
    Now,
    /// Under the same token, earlier: the first write stands.
    AlreadyDone,
}

/// The Conductor's one write: what it saw, what it decided, what shall happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The `decide` task under whose lease this is written.
    pub task: TaskId,
    /// The proof.
    pub token: Token,
    /// Length of the journal that was read; `events` go behind it.
    pub journal_len: u64,
    /// Number of the last mail that the decision has taken into account (0: none).
    pub mail_seen: u64,
    /// To be appended to the journal.
    pub events: Vec<Bytes>,
    /// To be created.
    pub tasks: Vec<NewTask>,
    /// To be set.
    pub timers: Vec<NewTimer>,
    /// To be created, each with its first task.
    pub children: Vec<NewChild>,
    /// Numbers of this run's tasks that are no longer wanted: queued ones vanish,
    /// leased ones are told by heartbeat. Their outcomes still arrive as mail, so
    /// that what they spent is counted.
    pub withdraw: Vec<u32>,
    /// Child runs, by number, that are no longer wanted: they are cancelled.
    pub withdraw_children: Vec<u32>,
    /// The run's end: JSON for lists and for its parent ([`Mail::ChildEnded`]).
    /// Ends the run: queued tasks and timers vanish, leased ones are told.
    pub end: Option<Bytes>,
    /// Texts that the events and payloads refer to.
    pub bodies: Vec<Body>,
}

/// Something that happened to a run since its Conductor last decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mail {
    /// A task was completed. `spend` sums all its attempts, lost ones in full.
    Outcome {
        /// The task's number.
        task: u32,
        /// As completed.
        outcome: Bytes,
        /// Of all attempts.
        spend: Spend,
        /// Whether any part of `spend` is an upper bound.
        estimated: bool,
    },
    /// A task was leased [`ATTEMPTS_MAX`] times and never completed, or was withdrawn or
    /// dropped (`dropped`) before anybody worked on it again.
    Lost {
        /// The task's number.
        task: u32,
        /// Dropped from its queue (withdrawn or cancelled) rather than lost by its holders.
        dropped: bool,
        /// Of all attempts, in full.
        spend: Spend,
    },
    /// A timer is due.
    Timer {
        /// Its name.
        name: String,
    },
    /// Somebody asked for the run to be cancelled.
    Cancel {
        /// Why, in words.
        reason: String,
    },
    /// A child run ended.
    ChildEnded {
        /// Its number.
        child: u32,
        /// As committed by the child.
        end: Bytes,
        /// Of the child and all below it.
        spend: Spend,
    },
    /// A word that the run waits for ([`crate::Signal`]), or the end of the wait.
    Signal {
        /// What it answers.
        key: String,
        /// What was said; none where the wait ended without a word.
        event: Option<Bytes>,
    },
    /// A task that must not be done twice was begun ([`crate::Ledger::start`]) by a holder
    /// that fell silent. It may or may not have been done, and nobody is given it again.
    Interrupted {
        /// The task's number.
        task: u32,
        /// Of all attempts, in full.
        spend: Spend,
    },
}

/// A mail, as it waits for the run's next decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailEntry {
    /// Counts up from 1 within the run, without gaps.
    pub number: u64,
    /// When it came in.
    pub at: Timestamp,
    /// What it says.
    pub mail: Mail,
}

/// An event, as it stands in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Counts up from 1 within the run, without gaps.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// As committed.
    pub event: Bytes,
}

/// The position behind every journal: reading from there gives no entries, watching from
/// there gives the end alone.
pub const END: u64 = u64::MAX;
/// Most journal entries in one reading; a longer journal is read on from there.
pub const READ_MAX: usize = 1024;

/// A run as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunView {
    /// Whose it is.
    pub tenant: TenantId,
    /// The run at the top of its tree.
    pub root: RunId,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// The ledger's time at this reading.
    pub now: Timestamp,
    /// Entries behind the asked-for position, at most [`READ_MAX`].
    pub entries: Vec<JournalEntry>,
    /// Length of the whole journal.
    pub journal_len: u64,
    /// Mails not yet taken into account, in order, at most [`BATCH_MAX`].
    pub mails: Vec<MailEntry>,
    /// Whether the run or one of its ancestors is to be cancelled, or an ancestor has ended.
    pub cancelled: bool,
    /// As committed, once the run has ended.
    pub end: Option<Bytes>,
    /// What this run and all below it spent.
    pub spent: Spend,
    /// The root's budget.
    pub budget: Budget,
    /// What the root's tree spent.
    pub root_spent: Spend,
    /// What calls under way in the root's tree may still spend at most.
    pub root_reserved: Spend,
    /// As submitted.
    pub label: Bytes,
    /// As submitted with the root.
    pub traceparent: Option<String>,
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSummary {
    /// Its id.
    pub run: RunId,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// As submitted.
    pub label: Bytes,
    /// As committed, once it has ended.
    pub end: Option<Bytes>,
    /// What it and all below it spent.
    pub spent: Spend,
}

/// What came of a request to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// The run, and all below it, will end soon.
    Asked,
    /// It was asked for before.
    AlreadyAsked,
    /// The run had ended.
    AlreadyEnded,
}

/// What a [`crate::Ledger::tick`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Timers delivered.
    pub timers: usize,
    /// Leases found expired.
    pub leases: usize,
    /// Milliseconds until something else is due, 0 if there is more to do now;
    /// none when nothing is waiting for time.
    pub next_ms: Option<u64>,
}

/// What is true of a run for the moment: outside its journal, lost at a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Observation {
    /// A process took a task.
    Leased {
        /// The task's number.
        task: u32,
        /// The queue it came from.
        class: Class,
        /// The lease's place among the task's leases, from 1.
        attempt: u32,
        /// As given with the request.
        holder: String,
    },
    /// A holder fell silent; the task waits again.
    Expired {
        /// The task's number.
        task: u32,
        /// Which of its leases.
        attempt: u32,
    },
}

/// What a watcher is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// A journal entry: every one, in order, from the asked-for position on.
    Entry(JournalEntry),
    /// Something of the moment: sent as far as it is known, not repeated.
    Observed(Observation),
    /// The run's end, after its last entry; the stream closes.
    Ended(Bytes),
}

/// What stands in a ledger, whoever put it there: for programs that act on it, so it is whole,
/// and has no counts. [`crate::Stats`] is for people: counts, of the fullest queues.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Classes in which tasks wait, in order: somebody has to lease them. Those of tenants
    /// at their cap may be missing until they may be leased.
    pub waiting: Vec<Class>,
    /// Tenants whose terms were set, in order, with their terms.
    pub terms: Vec<(TenantId, TenantTerms)>,
}

/// What a tenant is entitled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantTerms {
    /// Share of the cluster in relation to other tenants, 1 to 1000.
    pub weight: u32,
    /// Tasks leased at the same time, `decide` not counted; above it the tenant waits.
    pub leased_max: u32,
    /// Unfinished root runs; above it submissions are refused.
    pub runs_max: u64,
}

impl Default for TenantTerms {
    fn default() -> Self {
        Self { weight: 100, leased_max: 1024, runs_max: 100_000 }
    }
}
