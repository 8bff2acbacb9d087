//! The sorted file, by redb: the only place that names it.

use super::{
    row::{self, FORMAT, FORMAT_MIN, decode, encode},
    store::{Direction, Found},
};
use crate::LedgerError;
use bytes::Bytes;
use redb::{
    Database, DatabaseError, ReadOnlyTable, ReadableDatabase, StorageError, TableDefinition,
};
use std::{
    io,
    ops::Bound,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, RwLock},
};

/// All rows lie in one table: their keys keep the kinds apart.
const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
/// Pages held in memory, in bytes. What is under way is in memory anyway.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// An open file, which no other process can open.
pub(super) struct File {
    path: PathBuf,
    /// The file as the last write left it, for all who look something up until the next.
    /// It is let go of before the file.
    latest: Mutex<Option<Frozen>>,
    /// None while it is opened anew.
    rows: RwLock<Option<Database>>,
}

/// The file as it was at one moment.
pub(super) struct Frozen(ReadOnlyTable<&'static [u8], &'static [u8]>);

/// Why a write failed.
pub(super) enum WriteError {
    /// There is no room: nothing was written, and it can be tried again.
    NoRoom(String),
    /// Anything else.
    Failed(LedgerError),
}

impl File {
    /// Opens or creates the file.
    pub(super) fn open(path: &Path) -> Result<Self, LedgerError> {
        let rows = RwLock::new(Some(create(path)?));
        let file = Self { path: path.to_owned(), latest: Mutex::new(None), rows };
        file.write(std::iter::empty::<(&[u8], Option<&[u8]>)>())?;
        sync_folder(path)?;
        if let Some(format) = file.get(row::FORMAT_KEY)? {
            check_format(path, decode(&format)?)?;
        }
        Ok(file)
    }

    /// Opens a file that must be there.
    pub(super) fn existing(path: &Path) -> Result<Self, LedgerError> {
        if !path.is_file() {
            return Err(LedgerError::Unusable(format!(
                "there is no ledger at {}: give the folder that `baton up --data` was given",
                path.display()
            )));
        }
        Self::open(path)
    }

    /// The number of this opening: above that of every earlier one, for certain.
    pub(super) fn raise_epoch(&self) -> Result<u64, LedgerError> {
        let last = self.get(row::EPOCH)?.map(|bytes| decode::<u64>(&bytes)).transpose()?;
        let epoch = last.unwrap_or(0) + 1;
        let rows = [(row::FORMAT_KEY, Some(encode(&FORMAT)?)), (row::EPOCH, Some(encode(&epoch)?))];
        self.write(rows.into_iter())?;
        Ok(epoch)
    }

    /// The value of a row.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, LedgerError> {
        self.latest(|table| {
            let value = table.get(key)?;
            Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
        })
    }

    /// Rows whose key starts with `prefix`, in the direction from `from` on, without it.
    pub(super) fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
        direction: Direction,
    ) -> Result<Found, LedgerError> {
        self.latest(|table| {
            let bounds = match direction {
                Direction::Up => (Bound::Excluded(from), Bound::Unbounded),
                Direction::Down => (Bound::Unbounded, Bound::Excluded(from)),
            };
            let mut range = table.range::<&[u8]>(bounds)?;
            let mut found = Found::new();
            while found.len() < limit {
                let next = match direction {
                    Direction::Up => range.next(),
                    Direction::Down => range.next_back(),
                };
                let Some(row) = next else { break };
                let (key, value) = row?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                found.push((key.value().to_vec(), Bytes::copy_from_slice(value.value())));
            }
            Ok(found)
        })
    }

    /// Looks something up: finding the table again each time would cost more than the rest.
    fn latest<T>(
        &self,
        look: impl FnOnce(&ReadOnlyTable<&'static [u8], &'static [u8]>) -> Result<T, redb::Error>,
    ) -> Result<T, LedgerError> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let frozen = match latest.take() {
            Some(frozen) => frozen,
            None => self.freeze()?,
        };
        let found = look(&latest.insert(frozen).0);
        found.map_err(|error| failed(&error))
    }

    fn table(&self) -> Result<ReadOnlyTable<&'static [u8], &'static [u8]>, redb::Error> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let rows = rows.as_ref().ok_or(redb::Error::PreviousIo)?;
        Ok(rows.begin_read()?.open_table(ROWS)?)
    }

    /// The file as it is now, whatever is written later.
    pub(super) fn freeze(&self) -> Result<Frozen, LedgerError> {
        self.table().map(Frozen).map_err(|error| failed(&error))
    }

    /// Whether every page of the file is as it was written. What can be repaired is.
    pub(super) fn is_sound(&mut self) -> Result<bool, LedgerError> {
        *self.latest.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        let rows = self.rows.get_mut().unwrap_or_else(PoisonError::into_inner);
        match rows {
            Some(rows) => rows.check_integrity().map_err(|error| unusable(&self.path, &error)),
            None => Ok(false),
        }
    }

    /// Writes all rows or none; they are durable when this returns.
    pub(super) fn write<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        rows: impl Iterator<Item = (K, Option<V>)>,
    ) -> Result<(), LedgerError> {
        self.try_write(rows).map_err(|error| match error {
            WriteError::Failed(error) => error,
            WriteError::NoRoom(error) => LedgerError::Unusable(format!(
                "there is no room to write {} ({error}): make room, then start again",
                self.path.display()
            )),
        })
    }

    /// Like [`File::write`], for whoever can wait for room.
    pub(super) fn try_write<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        rows: impl Iterator<Item = (K, Option<V>)>,
    ) -> Result<(), WriteError> {
        let write = || -> Result<_, redb::Error> {
            let database = self.rows.read().unwrap_or_else(PoisonError::into_inner);
            let database = database.as_ref().ok_or(redb::Error::PreviousIo)?;
            let mut write = database.begin_write()?;
            // Transactions are few and large: what makes opening after a crash quick
            // costs little here.
            write.set_quick_repair(true);
            {
                let mut table = write.open_table(ROWS)?;
                for (key, value) in rows {
                    match value {
                        Some(value) => table.insert(key.as_ref(), value.as_ref())?,
                        None => table.remove(key.as_ref())?,
                    };
                }
            }
            Ok(write.commit()?)
        };
        let written = write();
        // What was written is seen from now on.
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = None;
        written.map_err(|error| match error {
            redb::Error::Io(error) if is_no_room(&error) => WriteError::NoRoom(error.to_string()),
            redb::Error::PreviousIo => WriteError::NoRoom("it failed before".into()),
            error => WriteError::Failed(failed(&error)),
        })
    }

    /// Opens the file anew: after an error of the disk, `redb` takes no more writes.
    pub(super) fn reopen(&self) -> Result<(), LedgerError> {
        // In this order everywhere; and whoever looks something up waits meanwhile.
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        *latest = None;
        *rows = None;
        *rows = Some(create(&self.path)?);
        Ok(())
    }
}

impl Frozen {
    /// Every row, in the order of the keys, until `each` fails.
    pub(super) fn each(
        &self,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let range = self.0.range::<&[u8]>(..).map_err(|error| failed(&error.into()))?;
        for row in range {
            let (key, value) = row.map_err(|error| failed(&error.into()))?;
            each(key.value(), value.value())?;
        }
        Ok(())
    }
}

fn create(path: &Path) -> Result<Database, LedgerError> {
    let rows = Database::builder().set_cache_size(CACHE_BYTES).create(path);
    rows.map_err(|error| unusable(path, &error))
}

/// Whether it could be written if there were more room.
pub(super) fn is_no_room(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// The format of the ledger in a file, read without changing it; none where the file was
/// not closed in order.
pub(super) fn format_of(path: &Path) -> Result<Option<u32>, LedgerError> {
    let rows = match Database::builder().open_read_only(path) {
        Ok(rows) => rows,
        Err(DatabaseError::RepairAborted) => return Ok(None),
        Err(error) => return Err(unusable(path, &error)),
    };
    let get = || -> Result<_, redb::Error> {
        let value = rows.begin_read()?.open_table(ROWS)?.get(row::FORMAT_KEY)?;
        Ok(value.map(|value| decode(value.value())))
    };
    match get().map_err(|error| failed(&error))?.transpose()? {
        None => Ok(None),
        Some(format) => check_format(path, format).map(|()| Some(format)),
    }
}

pub(super) fn check_format(path: &Path, found: u32) -> Result<(), LedgerError> {
    if !(FORMAT_MIN..=FORMAT).contains(&found) {
        return Err(LedgerError::Unusable(format!(
            "{} is a ledger of format {found}, this program reads format {FORMAT}: run the version that wrote it, or give another file",
            path.display()
        )));
    }
    Ok(())
}

/// Where a file lies.
pub(super) fn folder(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// A new file is only there for certain when its folder is on disk, too.
pub(super) fn sync_folder(path: &Path) -> Result<(), LedgerError> {
    let folder = folder(path);
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| {
        LedgerError::Unusable(format!("{} cannot be made durable: {error}", folder.display()))
    })
}

fn failed(error: &redb::Error) -> LedgerError {
    LedgerError::Unusable(format!(
        "the ledger's file failed ({error}): see to the disk, then restart; what was acknowledged is safe"
    ))
}

fn unusable(path: &Path, error: &DatabaseError) -> LedgerError {
    let path = path.display();
    let text = match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            format!("{path} is in use by another process: stop that process, or give another file")
        }
        DatabaseError::UpgradeRequired(found) => format!(
            "{path} was written by an older version (file format {found}): run that version, or give another file"
        ),
        DatabaseError::Storage(StorageError::Io(error))
            if error.kind() != std::io::ErrorKind::InvalidData =>
        {
            format!("{path} cannot be opened: {error}")
        }
        error => format!(
            "{path} is no ledger or is corrupt ({error}): restore it from a backup, or give another file"
        ),
    };
    LedgerError::Unusable(text)
}
