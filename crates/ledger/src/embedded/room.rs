//! Room on the disk: what admission looks at, and what a write waits for.

use super::file::{WriteError, folder};
use crate::LedgerError;
use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Free bytes that admission leaves to what is under way, unless said otherwise: two logs
/// and what moving them to the sorted file takes, several times over.
pub const RESERVE_BYTES: u64 = 512 * 1024 * 1024;

/// How long a look at the free bytes counts.
const LOOK: Duration = Duration::from_millis(500);
/// Between two attempts to write what found no room.
const RETRY: Duration = Duration::from_millis(250);
/// When whoever is refused may come again, in milliseconds.
const RETRY_AFTER_MS: u64 = 10_000;

/// See the module. One for each ledger.
#[derive(Debug)]
pub(super) struct Room {
    /// None for a ledger in memory.
    folder: Option<PathBuf>,
    reserve: u64,
    looked: Mutex<Option<(Instant, u64)>>,
    /// A write waits.
    stuck: AtomicBool,
    closing: AtomicBool,
}

impl Room {
    /// For the ledger at `path`, where it lies on a disk.
    pub(super) fn new(path: Option<&Path>, reserve: u64) -> Self {
        Self {
            folder: path.map(|path| folder(path).to_owned()),
            reserve,
            looked: Mutex::new(None),
            stuck: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        }
    }

    /// Refuses new work while there is less room than what is under way may need.
    pub(super) fn admit(&self) -> Result<(), LedgerError> {
        let free = self.free();
        if free >= self.reserve && !self.stuck.load(Ordering::Acquire) {
            return Ok(());
        }
        let (free_bytes, reserve_bytes) = (free, self.reserve);
        Err(LedgerError::StorageFull { free_bytes, reserve_bytes, retry_after_ms: RETRY_AFTER_MS })
    }

    /// Nobody waits for room any more.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// Writes, again and again while there is no room for it.
    pub(super) fn wait_for(
        &self,
        what: &Path,
        mut write: impl FnMut() -> Result<(), WriteError>,
    ) -> Result<(), LedgerError> {
        let mut waited = false;
        loop {
            match write() {
                Ok(()) => break,
                Err(WriteError::Failed(error)) => return Err(error),
                Err(WriteError::NoRoom(error)) if self.closing.load(Ordering::Acquire) => {
                    return Err(LedgerError::Unusable(format!(
                        "{} was closed without room to write ({error}): what was acknowledged is safe",
                        what.display()
                    )));
                }
                Err(WriteError::NoRoom(error)) => {
                    if !waited {
                        tracing::error!(%error, file = %what.display(), "no room on the disk: the ledger waits, nothing new is admitted");
                    }
                    waited = true;
                    self.stuck.store(true, Ordering::Release);
                    thread::sleep(RETRY);
                }
            }
        }
        if waited {
            self.stuck.store(false, Ordering::Release);
            tracing::info!(file = %what.display(), "there is room on the disk again: the ledger goes on");
        }
        Ok(())
    }

    /// Free bytes, as they were a moment ago; plenty where that cannot be known.
    fn free(&self) -> u64 {
        let Some(folder) = &self.folder else { return u64::MAX };
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, free)) = *looked
            && at.elapsed() < LOOK
        {
            return free;
        }
        let free = rustix::fs::statvfs(folder)
            .map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        *looked = Some((Instant::now(), free));
        free
    }
}
