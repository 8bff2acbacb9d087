//! What the ledger has asked of its disk: for whoever measures it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// What has gone to the log since the ledger was opened. What moves from there to the
/// sorted file is not counted: nobody waits for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// Times that the disk was waited for (`fdatasync`).
    pub syncs: u64,
    /// Bytes appended.
    pub bytes: u64,
}

/// Counts, shared between the one who writes and those who look.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    syncs: AtomicU64,
    bytes: AtomicU64,
}

impl Meter {
    /// So many bytes were appended, and made durable by one wait.
    pub(super) fn synced(&self, bytes: u64) {
        self.0.syncs.fetch_add(1, Ordering::Relaxed);
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> DiskUse {
        DiskUse {
            syncs: self.0.syncs.load(Ordering::Relaxed),
            bytes: self.0.bytes.load(Ordering::Relaxed),
        }
    }
}
