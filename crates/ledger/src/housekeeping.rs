//! What keeps a ledger in order over time: which finished runs are kept, and what a look
//! at the unfinished ones found.

/// Which finished runs are kept. A run goes with its journal, tasks, children, key, and
/// the bodies that no other run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Milliseconds that a root run is kept after its end; none: for ever.
    pub finished_ms: Option<u64>,
    /// Finished root runs of one tenant, above which its oldest go; none: any number.
    pub runs_max: Option<u64>,
    /// Milliseconds after its end for which a run that was submitted under an idempotency
    /// key is kept in any case: until then the key gives this run.
    pub keys_ms: u64,
}

impl Retention {
    /// Nothing is ever deleted.
    pub const FOR_EVER: Self = Self { finished_ms: None, runs_max: None, keys_ms: 0 };

    /// When the oldest end is that may be deleted by its age.
    pub(crate) fn by_age(&self, now: baton_workflow::Timestamp) -> Option<u64> {
        now.0.checked_sub(self.finished_ms?)
    }
}

/// What a [`crate::Ledger::retain`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retained {
    /// Root runs deleted, each with its children.
    pub deleted: usize,
    /// Whether there may be more to delete now.
    pub more: bool,
}

/// What a [`crate::Ledger::reap`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Leases taken back.
    pub leases: usize,
    /// Whether there may be more to take back now.
    pub more: bool,
}

/// What a [`crate::Ledger::reconcile`] found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Unfinished runs looked at.
    pub looked: usize,
    /// Runs among them that waited for nothing and decide now.
    pub revived: usize,
}
