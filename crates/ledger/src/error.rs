//! What a ledger can answer instead of doing what it was asked.

use baton_workflow::{Resource, RunId};

/// One variant for each different reaction of a caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The token is stale: another process holds, or has finished, the task.
    /// Nothing was changed. Stop working on it.
    #[error("the lease is lost: another process holds or has finished this task")]
    LeaseLost,
    /// A journal write assumed another length of the journal. Read again.
    #[error("the journal of {run} has {found} events, not {expected}")]
    JournalMoved {
        /// The run.
        run: RunId,
        /// Events that the writer had seen.
        expected: u64,
        /// Events that there are.
        found: u64,
    },
    /// There is no such run (any more).
    #[error("there is no run {0}")]
    NoSuchRun(RunId),
    /// There is no such body for this tenant.
    #[error("there is no body {0} for this tenant")]
    NoSuchBody(String),
    /// The tenant has as much waiting as it may. Come again later.
    #[error(
        "the tenant has {queued} unfinished runs, the most it may: come again in {retry_after_ms} ms"
    )]
    QueueFull {
        /// Unfinished runs of the tenant.
        queued: u64,
        /// When there may be room, in milliseconds.
        retry_after_ms: u64,
    },
    /// There is less room than what is under way may need. Nothing was changed. Come again
    /// later.
    #[error(
        "the ledger's disk has {free_bytes} free bytes, of which {reserve_bytes} are kept for runs under way: make room, then come again"
    )]
    StorageFull {
        /// What is free, in bytes.
        free_bytes: u64,
        /// What is kept, in bytes.
        reserve_bytes: u64,
        /// When there may be room, in milliseconds.
        retry_after_ms: u64,
    },
    /// The store's memory is as full as it may be with runs under way. Nothing was changed.
    /// Come again later.
    #[error(
        "the ledger's memory is used to {used_percent} percent, the most new runs may: come again in {retry_after_ms} ms"
    )]
    MemoryFull {
        /// Of what the store may use.
        used_percent: u64,
        /// When there may be room, in milliseconds.
        retry_after_ms: u64,
    },
    /// The idempotency key was used before with another request.
    #[error("the idempotency key was used for another request, by run {0}")]
    KeyReused(RunId),
    /// The reservation would take the tree of runs beyond its budget. Nothing was reserved.
    #[error("the budget does not hold another call: {0} would be exceeded")]
    BudgetSpent(Resource),
    /// An argument breaks the port's rules; a fault of the caller.
    #[error("invalid argument: {0}")]
    Invalid(String),
    /// The store cannot be used: wrong version, corrupt, locked. Says what to do.
    #[error("{0}")]
    Unusable(String),
    /// The store did not answer. The write may or may not have happened: repeat it
    /// (under the same token or request id), never guess.
    #[error("the ledger did not answer: {0}")]
    Unavailable(String),
}

impl LedgerError {
    /// Whether the same call, repeated unchanged, can succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_)
            | Self::QueueFull { .. }
            | Self::StorageFull { .. }
            | Self::MemoryFull { .. } => true,
            Self::LeaseLost
            | Self::JournalMoved { .. }
            | Self::NoSuchRun(_)
            | Self::NoSuchBody(_)
            | Self::KeyReused(_)
            | Self::BudgetSpent(_)
            | Self::Invalid(_)
            | Self::Unusable(_) => false,
        }
    }
}
