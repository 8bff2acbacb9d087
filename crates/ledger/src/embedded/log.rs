//! An append-only file of batches of changes, each with its length and checksum.
//!
//! A record is whole or it is not there: what a dying machine wrote half of, and nobody
//! was told of, fails its checksum and ends the log. A record that was synced, and fails
//! its checksum all the same, is damage: what lies behind it was acknowledged.

use super::row::Change;
use bytes::Bytes;
use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Bytes of a record's length.
const LEN_BYTES: usize = 8;
/// Bytes of the checksum of the length alone.
const LEN_SUM_BYTES: usize = 8;
/// Bytes of a record's checksum.
const SUM_BYTES: usize = 16;
/// Bytes of a row's two lengths.
const ROW_HEAD_BYTES: usize = 8;
/// Bytes before a record's body.
pub(super) const HEAD_BYTES: usize = LEN_BYTES + LEN_SUM_BYTES + SUM_BYTES;
/// What a disk writes as a whole, in bytes.
const SECTOR_BYTES: usize = 512;
/// Largest record read from a stream, in bytes: a body, and the rows beside it.
const RECORD_BYTES_MAX: usize = 256 * 1024 * 1024;
/// What stands in place of a value's length where the row is deleted.
const DELETED: u32 = u32::MAX;

/// A log that is being written.
pub(super) struct Log {
    path: PathBuf,
    file: File,
    /// What is known to be durable, in bytes.
    synced: u64,
    /// The last sync was not done to its end.
    failed: bool,
    record: Vec<u8>,
}

impl Log {
    /// A new, empty log.
    pub(super) fn create(path: PathBuf) -> io::Result<Self> {
        let file = File::create(&path)?;
        Ok(Self { path, file, synced: 0, failed: false, record: Vec::new() })
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds changes, as [`pack`] gives them, to the record that [`Log::sync`] will write.
    pub(super) fn add(&mut self, packed: &[u8]) {
        if self.record.is_empty() {
            self.record.resize(HEAD_BYTES, 0);
        }
        self.record.extend_from_slice(packed);
    }

    /// Writes what was added since the last time as one record; it is durable when this
    /// returns. One record a sync: that is how a torn end is told from damage. Gives the
    /// bytes that were written: none where nothing was added. After an error it can be
    /// tried again.
    pub(super) fn sync(&mut self) -> io::Result<u64> {
        if self.record.is_empty() {
            return Ok(0);
        }
        seal(&mut self.record);
        if self.failed {
            // What was written of this record is written again.
            self.file.set_len(self.synced)?;
            self.file.seek(SeekFrom::Start(self.synced))?;
        }
        self.failed = true;
        self.file.write_all(&self.record)?;
        self.file.sync_data()?;
        let bytes = self.record.len() as u64;
        self.synced += bytes;
        self.failed = false;
        self.record.clear();
        Ok(bytes)
    }
}

/// Fills in the head of a record whose body is there.
fn seal(record: &mut [u8]) {
    let (head, body) = record.split_at_mut(HEAD_BYTES);
    let len = (body.len() as u64).to_le_bytes();
    let sums = [len.as_slice(), &short_sum(&len), &checksum(body)].concat();
    head.copy_from_slice(&sums);
}

/// Changes as a whole record, for wherever else records are kept.
pub(super) fn sealed(changes: &[Change]) -> io::Result<Vec<u8>> {
    let mut record = vec![0; HEAD_BYTES];
    record.extend_from_slice(&pack(changes)?);
    seal(&mut record);
    Ok(record)
}

/// Changes as they stand in a record.
pub(super) fn pack(changes: &[Change]) -> io::Result<Vec<u8>> {
    let value_len = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
    let size = |(key, value): &Change| ROW_HEAD_BYTES + key.len() + value_len(value);
    let mut packed = Vec::with_capacity(changes.iter().map(size).sum());
    for (key, value) in changes {
        put(&mut packed, key.len())?;
        match value {
            Some(value) => put(&mut packed, value.len())?,
            None => packed.extend_from_slice(&DELETED.to_le_bytes()),
        }
        packed.extend_from_slice(key);
        packed.extend_from_slice(value.as_deref().unwrap_or_default());
    }
    Ok(packed)
}

/// The same changes, as parts of what [`pack`] made of them.
pub(super) fn parts<'a>(
    packed: &'a Bytes,
    changes: &'a [Change],
) -> impl Iterator<Item = (Bytes, Option<Bytes>)> + 'a {
    let mut at = 0;
    changes.iter().map(move |(key, value)| {
        at += ROW_HEAD_BYTES;
        let mut part = |len: usize| {
            at += len;
            packed.slice(at - len..at)
        };
        (part(key.len()), value.as_ref().map(|value| part(value.len())))
    })
}

fn put(record: &mut Vec<u8>, len: usize) -> io::Result<()> {
    let len = u32::try_from(len).ok().filter(|len| *len != DELETED);
    let len = len.ok_or_else(|| io::Error::other("a row of 4 GiB"))?;
    record.extend_from_slice(&len.to_le_bytes());
    Ok(())
}

fn short_sum(len: &[u8; LEN_BYTES]) -> [u8; LEN_SUM_BYTES] {
    let mut sum = [0; LEN_SUM_BYTES];
    blake3::Hasher::new().update(len).finalize_xof().fill(&mut sum);
    sum
}

fn checksum(body: &[u8]) -> [u8; SUM_BYTES] {
    let mut sum = [0; SUM_BYTES];
    blake3::Hasher::new().update(body).finalize_xof().fill(&mut sum);
    sum
}

/// How a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// With a whole record.
    Whole,
    /// With the part of a record that nobody was told of.
    Torn,
    /// With a record that must have been whole once, and others behind it.
    Damaged,
}

/// All changes of a log, in order, and how it ends.
pub(super) fn replay(path: &Path) -> io::Result<(Vec<Change>, Ending)> {
    let bytes = std::fs::read(path)?;
    let (mut changes, mut at) = (Vec::new(), 0);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        match record(rest) {
            Some(body) if unpack(body, &mut changes).is_some() => at += HEAD_BYTES + body.len(),
            Some(_) | None => return Ok((changes, broken(rest, at))),
        }
    }
    Ok((changes, Ending::Whole))
}

/// What a record is that is not whole. The next one is written only after it was synced,
/// so a half-written one reaches to the end of the file, or its head is not all there yet.
/// A head that is there has a checksum of its own: a length that is damaged does not make
/// the records behind it look like a torn end.
fn broken(bytes: &[u8], at: usize) -> Ending {
    let Some((head, behind)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
        return Ending::Torn;
    };
    match length(head) {
        Some(len) if len < behind.len() => Ending::Damaged,
        Some(_) => Ending::Torn,
        None if is_unwritten(head, at) => Ending::Torn,
        None => Ending::Damaged,
    }
}

/// Whether a sector of a head, or all of it, is as it was before it was written: zeros.
fn is_unwritten(head: &[u8; HEAD_BYTES], at: usize) -> bool {
    let zeros = |part: &[u8]| part.iter().all(|byte| *byte == 0);
    let first = SECTOR_BYTES - at % SECTOR_BYTES;
    let (here, next) = head.split_at(first.min(HEAD_BYTES));
    zeros(here) || (!next.is_empty() && zeros(next))
}

/// The length in a record's head, if it is what was written.
fn length(head: &[u8; HEAD_BYTES]) -> Option<usize> {
    let (len, rest) = head.split_first_chunk::<LEN_BYTES>()?;
    let right = rest.starts_with(&short_sum(len));
    usize::try_from(u64::from_le_bytes(*len)).ok().filter(|len| right && *len > 0)
}

/// The first record's body, if it is whole.
fn record(bytes: &[u8]) -> Option<&[u8]> {
    let (head, behind) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let body = behind.get(..length(head)?)?;
    head.ends_with(&checksum(body)).then_some(body)
}

/// The next record of a stream, and none at its end between two records. An error of kind
/// `InvalidData` where it is not what was written, `UnexpectedEof` where it is cut off.
pub(super) fn next_record(from: &mut impl io::Read) -> io::Result<Option<Vec<Change>>> {
    let mut head = [0; HEAD_BYTES];
    let got = from.read(&mut head)?;
    let Some(rest) = head.get_mut(got..).filter(|_| got > 0) else { return Ok(None) };
    from.read_exact(rest)?;
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a checksum does not match");
    let len = length(&head).filter(|len| *len <= RECORD_BYTES_MAX).ok_or_else(damaged)?;
    let mut body = vec![0; len];
    from.read_exact(&mut body)?;
    let mut changes = Vec::new();
    let whole = head.ends_with(&checksum(&body)) && unpack(&body, &mut changes).is_some();
    if whole { Ok(Some(changes)) } else { Err(damaged()) }
}

fn unpack(mut body: &[u8], changes: &mut Vec<Change>) -> Option<()> {
    while !body.is_empty() {
        let (key_len, rest) = body.split_first_chunk::<4>()?;
        let (value_len, rest) = rest.split_first_chunk::<4>()?;
        let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*key_len) as usize)?;
        let (value, rest) = match u32::from_le_bytes(*value_len) {
            DELETED => (None, rest),
            len => {
                let (value, rest) = rest.split_at_checked(len as usize)?;
                (Some(value.to_vec()), rest)
            }
        };
        changes.push((key.to_vec(), value));
        body = rest;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(log: &mut Log, changes: &[Change]) {
        log.add(&pack(changes).unwrap());
        log.sync().unwrap();
    }

    fn bytes(log: &Log) -> usize {
        usize::try_from(log.file.metadata().unwrap().len()).unwrap()
    }

    fn change(key: &str, value: Option<&str>) -> Change {
        (key.into(), value.map(|value| value.as_bytes().to_vec()))
    }

    #[test]
    fn a_log_cut_anywhere_keeps_its_whole_records() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = Log::create(path.clone()).unwrap();
        let batches = [
            vec![change("a", Some("1")), change("b", None)],
            vec![change("c", Some(""))],
            vec![change("a", None), change("d", Some("a longer value"))],
        ];
        let mut ends = vec![0];
        for batch in &batches {
            append(&mut log, batch);
            ends.push(bytes(&log));
        }
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole.len(), ends[3]);
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (changes, ending) = replay(&path).unwrap();
            let records = ends.iter().filter(|end| **end <= cut).count() - 1;
            assert_eq!(changes, batches[..records].concat(), "cut at {cut}");
            let expected = if ends.contains(&cut) { Ending::Whole } else { Ending::Torn };
            assert_eq!(ending, expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_changed_byte_ends_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        append(&mut Log::create(path.clone()).unwrap(), &[change("key", Some("value"))]);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            let (changes, ending) = replay(&path).unwrap();
            assert_eq!(changes, Vec::new(), "byte {at}");
            assert_ne!(ending, Ending::Whole, "byte {at}");
        }
    }

    #[test]
    fn damage_before_other_records_is_no_torn_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = Log::create(path.clone()).unwrap();
        append(&mut log, &[change("first", Some("value"))]);
        append(&mut log, &[change("second", Some("value"))]);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..bytes(&log) / 2 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(replay(&path).unwrap(), (Vec::new(), Ending::Damaged), "byte {at}");
        }
        // A file that was made longer before its bytes were written.
        let zeros = [whole.as_slice(), &[0; 4096]].concat();
        std::fs::write(&path, zeros).unwrap();
        assert_eq!(replay(&path).unwrap().1, Ending::Torn);
    }
}
