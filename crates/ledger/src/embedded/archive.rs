//! Backups: all rows of a ledger in one stream of checksummed records.
//!
//! The first record says what it is, the last one how many rows there were: an archive
//! that ends early is noticed, as is any changed byte.

use super::{
    disk::logs,
    file::File,
    log::{next_record, sealed},
    row::{self, Change, FORMAT, decode, encode},
    snapshot::Snapshot,
};
use crate::LedgerError;
use std::{
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

/// The key of the first record's row; its value is the rows' format.
const BEGIN: &[u8] = b"0backup";
/// The key of the last record's row; its value is the number of rows.
const END: &[u8] = b"0end";
/// Bytes of rows in one record, as far as whole rows go.
const RECORD_BYTES: usize = 1024 * 1024;
/// A restored ledger's epoch is higher by this than the saved one: more restarts than a
/// ledger goes through between a backup and the loss of its disk, so that no lease that
/// was given in between is accepted.
const EPOCHS: u64 = 4096;

/// What an archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Archived {
    /// Rows of all kinds.
    pub rows: u64,
    /// Length of the archive in bytes.
    pub bytes: u64,
}

/// Writes a snapshot as an archive.
pub(super) fn write(snapshot: &Snapshot, to: impl Write) -> Result<Archived, LedgerError> {
    let mut to = BufWriter::new(to);
    let mut done = Archived { rows: 0, bytes: 0 };
    let mut put = |changes: &[Change]| -> Result<u64, LedgerError> {
        let record = sealed(changes).map_err(|error| unwritten(&error))?;
        to.write_all(&record).map_err(|error| unwritten(&error))?;
        Ok(record.len() as u64)
    };
    done.bytes += put(&[(BEGIN.to_vec(), Some(encode(&FORMAT)?))])?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    snapshot.each(|key, value| {
        bytes += key.len() + value.len();
        rows.push((key.to_vec(), Some(value.to_vec())));
        done.rows += 1;
        if bytes >= RECORD_BYTES {
            done.bytes += put(&rows)?;
            rows.clear();
            bytes = 0;
        }
        Ok(())
    })?;
    if !rows.is_empty() {
        done.bytes += put(&rows)?;
    }
    done.bytes += put(&[(END.to_vec(), Some(encode(&done.rows)?))])?;
    to.flush().map_err(|error| unwritten(&error))?;
    Ok(done)
}

/// Reads an archive to its end, and gives its rows record by record.
fn read(
    from: impl Read,
    mut take: impl FnMut(Vec<Change>) -> Result<(), LedgerError>,
) -> Result<Archived, LedgerError> {
    let mut from = Counted { from: BufReader::new(from), bytes: 0 };
    let mut record = || next_record(&mut from).map_err(|error| unread(&error));
    let format = single(record()?, BEGIN).ok_or_else(no_archive)?;
    super::file::check_format(Path::new("the archive"), decode(&format)?)?;
    let mut rows = 0;
    loop {
        let Some(changes) = record()? else { return Err(cut_off()) };
        if let Some(count) = single(Some(changes.clone()), END) {
            let count: u64 = decode(&count)?;
            if count != rows {
                return Err(damaged(&format!("it holds {rows} rows of {count}")));
            }
            if record()?.is_some() {
                return Err(damaged("it goes on behind its end"));
            }
            return Ok(Archived { rows, bytes: from.bytes });
        }
        rows += changes.len() as u64;
        take(changes)?;
    }
}

/// The value of a record's only row, if that has this key.
fn single(record: Option<Vec<Change>>, key: &[u8]) -> Option<Vec<u8>> {
    match <[Change; 1]>::try_from(record?) {
        Ok([(found, value)]) if found == key => value,
        Ok(_) | Err(_) => None,
    }
}

/// Reads an archive to its end without keeping anything.
///
/// # Errors
/// [`LedgerError::Unusable`] where it is damaged, cut off, none, or of another format.
pub fn verify_backup(from: impl Read) -> Result<Archived, LedgerError> {
    read(from, |_| Ok(()))
}

/// Makes the ledger at `path` of an archive. The epoch is raised so far that no lease
/// given after the backup is accepted.
///
/// # Errors
/// [`LedgerError::Unusable`] where there is a ledger already, the archive is not whole, or
/// the ledger cannot be written. Then there is none at `path` afterwards.
pub fn restore_backup(from: impl Read, path: &Path) -> Result<Archived, LedgerError> {
    let there = path.exists() || logs(path).is_ok_and(|logs| !logs.is_empty());
    if there {
        return Err(LedgerError::Unusable(format!(
            "there is a ledger at {} already: restore into another folder, or move it away",
            path.display()
        )));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    let making = path.with_file_name(name);
    let made = make(from, &making);
    if made.is_err() {
        // What is left of the attempt is of no use; the error that is told is the first.
        let _ = std::fs::remove_file(&making);
    }
    let archived = made?;
    let moved = std::fs::rename(&making, path);
    moved.map_err(|error| unwritten(&error))?;
    super::file::sync_folder(path)?;
    Ok(archived)
}

fn make(from: impl Read, path: &PathBuf) -> Result<Archived, LedgerError> {
    // Of an attempt that died.
    let _ = std::fs::remove_file(path);
    let file = File::open(path)?;
    let archived = read(from, |changes| file.write(changes.into_iter()))?;
    let saved: u64 = file.get(row::EPOCH)?.map_or(Ok(0), |bytes| decode(&bytes))?;
    file.write(std::iter::once((row::EPOCH, Some(encode(&(saved + EPOCHS))?))))?;
    Ok(archived)
}

/// Counts what is read.
struct Counted<R> {
    from: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

fn unwritten(error: &io::Error) -> LedgerError {
    LedgerError::Unusable(format!("it cannot be written: {error}"))
}

fn unread(error: &io::Error) -> LedgerError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => cut_off(),
        io::ErrorKind::InvalidData => damaged(&error.to_string()),
        _ => LedgerError::Unusable(format!("the archive cannot be read: {error}")),
    }
}

fn damaged(how: &str) -> LedgerError {
    LedgerError::Unusable(format!("the archive is damaged ({how}): use another backup"))
}

fn cut_off() -> LedgerError {
    damaged("it is cut off")
}

fn no_archive() -> LedgerError {
    LedgerError::Unusable(
        "this is no backup of a ledger: give a file that `baton ledger backup` wrote".into(),
    )
}
