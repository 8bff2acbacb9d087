//! Rows in one file, by redb.

use super::{
    row::{self, Change, FORMAT, corrupt, decode, encode},
    store::Store,
};
use crate::LedgerError;
use bytes::Bytes;
use redb::{Database, DatabaseError, ReadableDatabase, StorageError, TableDefinition};
use std::{ops::Bound, path::Path};

/// All rows lie in one table: their keys keep the kinds apart.
const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
/// Pages held in memory, in bytes. What is under way is in memory anyway.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// An open file, which no other process can open.
pub(super) struct File {
    rows: Database,
}

impl File {
    /// Opens or creates the file, and raises its epoch.
    pub(super) fn open(path: &Path) -> Result<(Self, u64), LedgerError> {
        let rows = Database::builder().set_cache_size(CACHE_BYTES).create(path);
        let mut file = Self { rows: rows.map_err(|error| unusable(path, &error))? };
        file.write(Vec::new())?;
        let epoch = match file.get(row::FORMAT_KEY)? {
            Some(format) => file.next_epoch(path, &format)?,
            None => 1,
        };
        file.write(vec![
            (row::FORMAT_KEY.to_vec(), Some(encode(&FORMAT)?)),
            (row::EPOCH.to_vec(), Some(encode(&epoch)?)),
        ])?;
        sync_folder(path)?;
        Ok((file, epoch))
    }

    fn next_epoch(&self, path: &Path, format: &[u8]) -> Result<u64, LedgerError> {
        let found: u32 = decode(format)?;
        if found != FORMAT {
            return Err(LedgerError::Unusable(format!(
                "{} is a ledger of format {found}, this program reads format {FORMAT}: run the version that wrote it, or give another file",
                path.display()
            )));
        }
        let epoch = self.get(row::EPOCH)?.ok_or_else(|| corrupt("it has no epoch"))?;
        Ok(decode::<u64>(&epoch)? + 1)
    }

    fn range(
        &self,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
        prefix: &[u8],
        limit: usize,
        backward: bool,
    ) -> Result<Vec<(Vec<u8>, Bytes)>, redb::Error> {
        let table = self.rows.begin_read()?.open_table(ROWS)?;
        let mut range = table.range::<&[u8]>(bounds)?;
        let mut found = Vec::new();
        while found.len() < limit {
            let next = if backward { range.next_back() } else { range.next() };
            let Some(row) = next else { break };
            let (key, value) = row?;
            if !key.value().starts_with(prefix) {
                break;
            }
            found.push((key.value().to_vec(), Bytes::copy_from_slice(value.value())));
        }
        Ok(found)
    }

    fn commit(&self, changes: Vec<Change>) -> Result<(), redb::Error> {
        let write = self.rows.begin_write()?;
        {
            let mut table = write.open_table(ROWS)?;
            for (key, value) in changes {
                match value {
                    Some(value) => table.insert(key.as_slice(), value.as_slice())?,
                    None => table.remove(key.as_slice())?,
                };
            }
        }
        // Durable when this returns: redb's default.
        Ok(write.commit()?)
    }
}

impl Store for File {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, LedgerError> {
        let get = || -> Result<_, redb::Error> {
            let value = self.rows.begin_read()?.open_table(ROWS)?.get(key)?;
            Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
        };
        get().map_err(|error| failed(&error))
    }

    fn behind(
        &self,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Bytes)>, LedgerError> {
        let bounds = (Bound::Excluded(after), Bound::Unbounded);
        self.range(bounds, prefix, limit, false).map_err(|error| failed(&error))
    }

    fn before(
        &self,
        prefix: &[u8],
        until: &[u8],
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Bytes)>, LedgerError> {
        let bounds = (Bound::Unbounded, Bound::Excluded(until));
        self.range(bounds, prefix, limit, true).map_err(|error| failed(&error))
    }

    fn write(&mut self, changes: Vec<Change>) -> Result<(), LedgerError> {
        self.commit(changes).map_err(|error| failed(&error))
    }
}

/// A new file is only there for certain when its folder is on disk, too.
fn sync_folder(path: &Path) -> Result<(), LedgerError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
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
