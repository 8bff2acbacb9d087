//! The ledger on disk: a log that makes batches durable, and a sorted file behind it.
//!
//! A batch is kept in memory as *recent* rows, and handed to the thread that appends it to
//! the log (see `sync`), so that the next batch can be made meanwhile. When the log has
//! grown, its rows move to the sorted file in one transaction, in the background, while
//! the next log is written; then the log is deleted. Most rows of a run never get that
//! far: what was deleted or written again meanwhile moves at most once. Opening moves
//! whatever logs there are, which does no harm when it was done before.

use super::{
    file::{File, folder, is_no_room},
    log::{Ending, Log, pack, parts, replay},
    meter::Meter,
    recent::Rows,
    room::Room,
    row::{Change, corrupt, run_of},
    snapshot::Snapshot,
    store::{Answer, Direction, Found, Store},
    sync::{Moved, Syncer, Terms},
};
use crate::LedgerError;
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    io,
    ops::Bound,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

/// How far a log may grow, in bytes: what opening has to read at most, twice.
const LOG_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Between the file's name and the number of a log beside it.
const LOG_SUFFIX: &str = ".log-";

/// See the module.
pub(super) struct Disk {
    file: Arc<File>,
    path: PathBuf,
    syncer: Syncer,
    meter: Meter,
    generation: u64,
    /// What the present log holds, or will, in bytes.
    log_bytes: u64,
    /// Of the present log.
    recent: Rows,
    /// Of the log before, on their way to the file.
    moving: Option<Moving>,
}

struct Moving {
    rows: Arc<Rows>,
    moved: Moved,
}

impl Disk {
    /// Opens or creates the file at `path`, with its logs beside it. Gives the new epoch.
    /// Should writing fail later, the reason is put into `broken`. A sync takes `sync_min`
    /// at least.
    pub(super) fn open(
        path: &Path,
        (room, sync_min): (Arc<Room>, Duration),
        broken_by: Arc<OnceLock<String>>,
    ) -> Result<(Self, u64), LedgerError> {
        let file = File::open(path)?;
        let logs = logs(path).map_err(|error| broken(path, &error))?;
        for (place, log) in logs.values().enumerate() {
            let (changes, ending) = replay(log).map_err(|error| broken(log, &error))?;
            check_ending(log, ending, place + 1 == logs.len())?;
            file.write(changes.into_iter())?;
        }
        let epoch = file.raise_epoch()?;
        for log in logs.values() {
            std::fs::remove_file(log).map_err(|error| broken(log, &error))?;
        }
        let generation = logs.keys().next_back().map_or(1, |last| last + 1);
        let log = create_log(path, generation).map_err(|error| broken(path, &error))?;
        let (path, file) = (path.to_owned(), Arc::new(file));
        let meter = Meter::default();
        let terms = Terms { room, meter: meter.clone(), sync_min };
        let syncer = Syncer::start(log, file.clone(), broken_by, terms)?;
        let (recent, moving) = (Rows::default(), None);
        let disk = Self { file, path, syncer, meter, generation, log_bytes: 0, recent, moving };
        Ok((disk, epoch))
    }

    /// What this one counts.
    pub(super) fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// The present log is full: its rows begin to move, and a new one is begun.
    fn turn_log(&mut self) -> Result<(), LedgerError> {
        // Two logs at most: a disk that cannot follow holds the writer up.
        self.finish_moving()?;
        let log = match create_log(&self.path, self.generation + 1) {
            Ok(log) => log,
            // The present log goes on growing until there is room for another one.
            Err(error) if is_no_room(&error) => return Ok(()),
            Err(error) => return Err(broken(&self.path, &error)),
        };
        self.generation += 1;
        let rows = Arc::new(std::mem::take(&mut self.recent));
        let moved = self.syncer.turn(log, rows.clone())?;
        self.log_bytes = 0;
        self.moving = Some(Moving { rows, moved });
        Ok(())
    }

    fn finish_moving(&mut self) -> Result<(), LedgerError> {
        match self.moving.take() {
            Some(Moving { moved, .. }) => moved.wait(),
            None => Ok(()),
        }
    }

    /// What is not in the file yet, the newest first.
    fn above(&self) -> impl DoubleEndedIterator<Item = &Rows> {
        std::iter::once(&self.recent).chain(self.moving.iter().map(|moving| &*moving.rows))
    }

    /// Rows of the file with what lies above them, stretch by stretch: as far as a
    /// reading of the file went, everything above is looked at, too. Of a run that began
    /// above there is nothing in the file.
    fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Found, LedgerError> {
        let (mut found, mut from) = (Found::new(), from.to_vec());
        let began = run_of(prefix).is_some_and(|run| self.above().any(|rows| rows.began(run)));
        loop {
            let stretch = match began {
                true => Found::new(),
                false => self.file.scan(prefix, &from, limit, direction)?,
            };
            let full = stretch.len() == limit;
            let horizon = stretch.last().filter(|_| full).map(|(key, _)| key.clone());
            let mut rows: BTreeMap<_, _> =
                stretch.into_iter().map(|(key, value)| (key, Some(value))).collect();
            for above in self.above().rev() {
                let bounds = match direction {
                    Direction::Up => (
                        Bound::Excluded(from.as_slice()),
                        horizon.as_deref().map_or(Bound::Unbounded, Bound::Included),
                    ),
                    Direction::Down => (
                        Bound::Included(horizon.as_deref().unwrap_or(prefix)),
                        Bound::Excluded(from.as_slice()),
                    ),
                };
                let newer = above.starting_with(prefix, bounds);
                rows.extend(newer.map(|(key, value)| (key.to_vec(), value.clone())));
            }
            let present = rows.into_iter().filter_map(|(key, value)| Some((key, value?)));
            match direction {
                Direction::Up => found.extend(present),
                Direction::Down => found.extend(present.rev()),
            }
            match horizon {
                Some(horizon) if found.len() < limit => from = horizon,
                Some(_) | None => {
                    found.truncate(limit);
                    return Ok(found);
                }
            }
        }
    }
}

/// Only the last record of all can be one that was never acknowledged.
pub(super) fn check_ending(log: &Path, ending: Ending, last: bool) -> Result<(), LedgerError> {
    match ending {
        Ending::Whole => Ok(()),
        Ending::Torn if last => Ok(()),
        Ending::Torn => Err(corrupt(&format!("{} is cut off", log.display()))),
        Ending::Damaged => Err(corrupt(&format!("{} is damaged", log.display()))),
    }
}

/// The logs beside a file, by their number.
pub(super) fn logs(path: &Path) -> io::Result<BTreeMap<u64, PathBuf>> {
    let mut logs = BTreeMap::new();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for entry in std::fs::read_dir(folder(path))? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(|found| {
            found.strip_prefix(&name)?.strip_prefix(LOG_SUFFIX)?.parse::<u64>().ok()
        });
        if let Some(number) = number {
            logs.insert(number, entry.path());
        }
    }
    Ok(logs)
}

/// A new log, there for certain before anything is written to it. Syncing the folder also
/// makes certain that the logs deleted before do not come back.
fn create_log(path: &Path, generation: u64) -> io::Result<Log> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!("{LOG_SUFFIX}{generation}"));
    let log = Log::create(path.with_file_name(name))?;
    std::fs::File::open(folder(path))?.sync_all()?;
    Ok(log)
}

pub(super) fn broken(path: &Path, error: &io::Error) -> LedgerError {
    LedgerError::Unusable(format!(
        "{} failed ({error}): see to the disk, then restart; what was acknowledged is safe",
        path.display()
    ))
}

impl Drop for Disk {
    /// The file is let go of when nobody writes to it any more. The logs tell the rest.
    fn drop(&mut self) {
        self.syncer.finish();
        if let Err(error) = self.finish_moving() {
            tracing::warn!(%error, "ledger closed with rows left in its log");
        }
    }
}

impl Disk {
    /// The ledger as it is now: durable or on its way there.
    fn layers(&self) -> Vec<Arc<Rows>> {
        let recent = Arc::new(self.recent.clone());
        self.moving.iter().map(|moving| moving.rows.clone()).chain([recent]).collect()
    }
}

impl Store for Disk {
    fn snapshot(&self) -> Result<Snapshot, LedgerError> {
        Ok(Snapshot::new(Some(self.file.freeze()?), self.layers()))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, LedgerError> {
        match self.above().find_map(|rows| rows.get(key)) {
            Some(recent) => Ok(recent.clone()),
            None => self.file.get(key),
        }
    }

    fn behind(&self, prefix: &[u8], after: &[u8], limit: usize) -> Result<Found, LedgerError> {
        self.scan(prefix, after, limit, Direction::Up)
    }

    fn before(&self, prefix: &[u8], until: &[u8], limit: usize) -> Result<Found, LedgerError> {
        self.scan(prefix, until, limit, Direction::Down)
    }

    fn write(
        &mut self,
        changes: Vec<Change>,
        answers: Vec<Answer>,
        urgent: bool,
    ) -> Result<(), LedgerError> {
        let packed = pack(&changes).map_err(|error| broken(&self.path, &error))?;
        let packed = Bytes::from(packed);
        self.log_bytes += packed.len() as u64;
        parts(&packed, &changes).for_each(|(key, value)| self.recent.put(key, value));
        self.syncer.write(packed, answers, urgent)?;
        if self.log_bytes > LOG_BYTES_MAX {
            self.turn_log()?;
        } else if self.moving.as_ref().is_some_and(|moving| moving.moved.is_done()) {
            self.finish_moving()?;
        }
        Ok(())
    }
}
