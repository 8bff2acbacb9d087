//! What a ledger holds, in numbers: for operators' views, never for decisions.

use crate::Class;
use baton_workflow::{TenantId, Timestamp};
use serde::Serialize;

/// Queues that are shown one by one; of the others only the sum is told.
pub const STATS_QUEUES_MAX: usize = 64;

/// A ledger in numbers, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// The ledger's time at this reading.
    pub now: Timestamp,
    /// Rises whenever the store restarts or is promoted.
    pub epoch: u64,
    /// The queues with most tasks in them, waiting and leased, the fullest first; of equal
    /// ones by class and tenant. At most [`STATS_QUEUES_MAX`], and none that is empty.
    pub queues: Vec<QueueStats>,
    /// All further queues together.
    pub other_queues: QueueSums,
    /// Root runs that have not ended.
    pub unfinished: u64,
    /// Root runs that have ended and are still kept.
    pub finished: u64,
    /// Timers that are set.
    pub timers: u64,
    /// Texts that are kept.
    pub bodies: u64,
    /// Their bytes, as they were given.
    pub body_bytes: u64,
    /// What the ledger occupies, by file; empty for a ledger in memory.
    pub files: Vec<FileStats>,
}

/// The tasks of one tenant in one class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueStats {
    /// The queue.
    pub class: Class,
    /// Whose tasks.
    pub tenant: TenantId,
    /// Tasks that wait.
    pub queued: u64,
    /// Tasks that somebody holds.
    pub leased: u64,
    /// Milliseconds since the oldest waiting task was made; 0 where none waits.
    pub oldest_ms: u64,
}

/// Several queues together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct QueueSums {
    /// How many queues.
    pub queues: u64,
    /// Tasks that wait in them.
    pub queued: u64,
    /// Tasks of them that somebody holds.
    pub leased: u64,
}

/// A file of the ledger, or what stands for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileStats {
    /// Its name, without its folder.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
}
