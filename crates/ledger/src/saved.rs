//! What is kept of runs, as files and backups hold it: the same for every ledger, so that
//! what one saved another can bring back.

use crate::{
    Class, JournalEntry, LedgerError, MailEntry, TenantTerms, Token,
    embedded::row::{self, Change, Kind, decode, encode, kind_of},
};
use baton_workflow::{Budget, RunId, Spend, TaskId, TenantId, Timestamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use crate::embedded::archive::{Archive, Archived, EPOCHS, Reader};

/// What never changes about a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Whose it is.
    pub tenant: TenantId,
    /// The run above, and this run's number there.
    pub parent: Option<(RunId, u32)>,
    /// The run at the top.
    pub root: RunId,
    /// When it was recorded.
    pub submitted_at: Timestamp,
    /// Place in the order of all submissions.
    pub order: u64,
    /// As submitted, for the whole tree.
    pub budget: Budget,
    /// As submitted.
    pub label: Bytes,
    /// As submitted.
    pub traceparent: Option<String>,
    /// As submitted.
    pub key: Option<String>,
}

/// What changes about a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// When and how it ended.
    pub ended: Option<(Timestamp, Bytes)>,
    /// Whether it was asked to end.
    pub cancelled: bool,
    /// By its tasks, and by the runs below.
    pub spent: Spend,
    /// Entries of its journal.
    pub journal_len: u64,
    /// Number of its last mail.
    pub mail_last: u64,
    /// Number of the last mail that a decision took into account.
    pub mail_seen: u64,
    /// Number of its last task.
    pub task_last: u32,
    /// The token under which the latest `decide` task was finished.
    pub committed: Option<Token>,
}

/// What never changes about a task; forgotten when it is finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskHead {
    /// Who may have it.
    pub class: Class,
    /// Lower comes first.
    pub priority: u8,
    /// Place in the order of all tasks.
    pub age: u64,
    /// What it counts against its tenant's share.
    pub cost: u64,
    /// What a lease of it sets aside.
    pub reserve: Spend,
    /// As committed.
    pub payload: Bytes,
    /// When.
    pub made_at: Timestamp,
}

/// What changes about a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskProgress {
    /// Leases so far.
    pub attempt: u32,
    /// By attempts that are over, and by calls that are settled.
    pub spent: Spend,
    /// Whether any of `spent` is an upper bound.
    pub estimated: bool,
    /// Whether its run does not want it any more.
    pub withdrawn: bool,
    /// Where it is.
    pub standing: Standing,
}

/// Where a task is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
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

/// What an idempotency key stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Of the request.
    pub digest: String,
    /// The run that it made.
    pub run: RunId,
}

/// Sums over rows, kept so that nobody has to count them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Texts.
    pub bodies: u64,
    /// Their bytes.
    pub body_bytes: u64,
}

/// One thing that a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saved {
    /// The epoch it was saved in.
    Epoch(u64),
    /// Of all texts.
    Totals(Totals),
    /// What a tenant is entitled to.
    Tenant(TenantId, TenantTerms),
    /// Of any run.
    Head(RunId, Head),
    /// Of a run; whether all of its tree is finished.
    Progress(RunId, Progress, bool),
    /// Of a task that is not over.
    TaskHead(TaskId, TaskHead),
    /// Of any task but decisions: a run that is not finished decides when it is brought back.
    Task(TaskId, TaskProgress),
    /// Rising within a run.
    Journal(RunId, JournalEntry),
    /// Unseen, and rising within a run.
    Mail(RunId, MailEntry),
    /// A timer of a run, by its name, and when it is due.
    Timer(RunId, String, Timestamp),
    /// Whether the word of this key came; else the wait for it has ended.
    Signal(RunId, String, bool),
    /// An idempotency key.
    Key(TenantId, String, Known),
    /// A root run's place in its tenant's list: rising within a tenant.
    Root(TenantId, u64, RunId),
    /// A text, by its hash.
    Body(TenantId, String, Bytes),
    /// A root run has a text.
    Use(RunId, String),
    /// So many root runs have a text, besides the first.
    Shared(TenantId, String, u64),
    /// When a root run whose tree is finished ended.
    Over(Timestamp, RunId),
    /// How many root runs of a tenant are finished.
    Kept(TenantId, u64),
}

impl Saved {
    /// As a row.
    pub(crate) fn row(&self) -> Result<Change, LedgerError> {
        let (key, value) = match self {
            Self::Epoch(epoch) => (row::EPOCH.to_vec(), encode(epoch)?),
            Self::Totals(totals) => (row::TOTALS.to_vec(), encode(totals)?),
            Self::Tenant(tenant, terms) => (row::of(Kind::Tenant, tenant.as_str()), encode(terms)?),
            Self::Head(run, head) => (row::of(Kind::Head, run.as_str()), encode(head)?),
            Self::Progress(run, progress, finished) => {
                let kind = if *finished { Kind::Finished } else { Kind::Live };
                (row::of(kind, run.as_str()), encode(progress)?)
            }
            Self::TaskHead(task, head) => {
                (row::numbered(Kind::TaskHead, &task.run, task.number.into()), encode(head)?)
            }
            Self::Task(task, progress) => {
                (row::numbered(Kind::Task, &task.run, task.number.into()), encode(progress)?)
            }
            Self::Journal(run, entry) => {
                (row::numbered(Kind::Journal, run, entry.seq), encode(entry)?)
            }
            Self::Mail(run, mail) => (row::numbered(Kind::Mail, run, mail.number), encode(mail)?),
            Self::Timer(run, name, due) => {
                (row::named(Kind::Timer, run.as_str(), name), encode(due)?)
            }
            Self::Signal(run, key, came) => {
                (row::named(Kind::Signal, run.as_str(), key), encode(came)?)
            }
            Self::Key(tenant, key, known) => {
                (row::named(Kind::Key, tenant.as_str(), key), encode(known)?)
            }
            Self::Root(tenant, order, run) => (row::root(tenant, *order), encode(run)?),
            Self::Body(tenant, hash, bytes) => {
                (row::named(Kind::Body, tenant.as_str(), hash), bytes.to_vec())
            }
            Self::Use(root, hash) => (row::named(Kind::Use, root.as_str(), hash), encode(&())?),
            Self::Shared(tenant, hash, others) => {
                (row::named(Kind::Shared, tenant.as_str(), hash), encode(others)?)
            }
            Self::Over(at, root) => (row::over(*at, root), encode(root)?),
            Self::Kept(tenant, count) => (row::of(Kind::Kept, tenant.as_str()), encode(count)?),
        };
        Ok((key, Some(value)))
    }

    /// Of a row; none for rows that say something of the file alone.
    pub(crate) fn of(key: &[u8], value: &[u8]) -> Result<Option<Self>, LedgerError> {
        let Some(kind) = kind_of(key) else {
            return Ok(match key {
                row::EPOCH => Some(Self::Epoch(decode(value)?)),
                row::TOTALS => Some(Self::Totals(decode(value)?)),
                _ => None,
            });
        };
        let owner = || row::owner_of(key).map(|(owner, _)| owner);
        let name = || Ok(row::text_behind(&row::owner_of(key)?.1, 0)?.to_owned());
        let run = || RunId::new(owner()?).map_err(|error| row::corrupt(&error.to_string()));
        let tenant = || TenantId::new(owner()?).map_err(|error| row::corrupt(&error.to_string()));
        let task = || {
            let number = u32::try_from(row::number_of(key)?);
            let number = number.map_err(|_| row::corrupt("a task's number"))?;
            Ok::<_, LedgerError>(TaskId { run: run()?, number })
        };
        Ok(Some(match kind {
            Kind::Tenant => Self::Tenant(tenant()?, decode(value)?),
            Kind::Head => Self::Head(run()?, decode(value)?),
            Kind::Live => Self::Progress(run()?, decode(value)?, false),
            Kind::Finished => Self::Progress(run()?, decode(value)?, true),
            Kind::TaskHead => Self::TaskHead(task()?, decode(value)?),
            Kind::Task => Self::Task(task()?, decode(value)?),
            Kind::Journal => Self::Journal(run()?, decode(value)?),
            Kind::Mail => Self::Mail(run()?, decode(value)?),
            Kind::Timer => Self::Timer(run()?, name()?, decode(value)?),
            Kind::Signal => Self::Signal(run()?, name()?, decode(value)?),
            Kind::Key => Self::Key(tenant()?, name()?, decode(value)?),
            Kind::Root => Self::Root(tenant()?, row::number_of(key)?, decode(value)?),
            Kind::Body => Self::Body(tenant()?, name()?, Bytes::copy_from_slice(value)),
            Kind::Use => Self::Use(run()?, name()?),
            Kind::Shared => Self::Shared(tenant()?, name()?, decode(value)?),
            Kind::Over => Self::Over(Timestamp(row::ended_at(key)?), decode(value)?),
            Kind::Kept => Self::Kept(tenant()?, decode(value)?),
        }))
    }
}
