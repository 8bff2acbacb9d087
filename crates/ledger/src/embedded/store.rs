//! Where rows lie: the seam between the state machine and a file.

use super::{recent::Rows, row::Change, snapshot::Snapshot};
use crate::LedgerError;
use bytes::Bytes;
use std::{collections::BTreeMap, ops::Bound, sync::Arc};

/// Rows that were found, with their keys.
pub(super) type Found = Vec<(Vec<u8>, Bytes)>;

/// What is said once a write is durable.
pub(super) type Answer = Box<dyn FnOnce() + Send>;

/// Which way rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// From small keys to large ones.
    Up,
    /// From large keys to small ones.
    Down,
}

/// Rows in the order of their keys.
pub(super) trait Store: Send {
    /// The value of a row.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, LedgerError>;

    /// Rows whose key starts with `prefix` and lies behind `after`, in order.
    fn behind(&self, prefix: &[u8], after: &[u8], limit: usize) -> Result<Found, LedgerError>;

    /// Rows whose key starts with `prefix` and lies before `until`, from the last one back.
    fn before(&self, prefix: &[u8], until: &[u8], limit: usize) -> Result<Found, LedgerError>;

    /// All rows as they are now, whatever is written later.
    fn snapshot(&self) -> Result<Snapshot, LedgerError>;

    /// Writes all changes or none. Readings see them at once; `answers` are given when
    /// they, and all that was written before, will outlive the process and the machine's
    /// power, and never if they will not. Where nothing is `urgent`, more may be waited for.
    fn write(
        &mut self,
        changes: Vec<Change>,
        answers: Vec<Answer>,
        urgent: bool,
    ) -> Result<(), LedgerError>;
}

/// Rows that live as long as the process.
#[derive(Default)]
pub(super) struct Memory {
    rows: BTreeMap<Vec<u8>, Bytes>,
}

impl Store for Memory {
    fn snapshot(&self) -> Result<Snapshot, LedgerError> {
        let mut rows = Rows::default();
        self.rows.iter().for_each(|(key, value)| {
            rows.put(Bytes::from(key.clone()), Some(value.clone()));
        });
        Ok(Snapshot::new(None, vec![Arc::new(rows)]))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, LedgerError> {
        Ok(self.rows.get(key).cloned())
    }

    fn behind(&self, prefix: &[u8], after: &[u8], limit: usize) -> Result<Found, LedgerError> {
        let rows = self.rows.range::<[u8], _>((Bound::Excluded(after), Bound::Unbounded));
        let rows = rows.take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        Ok(rows.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn before(&self, prefix: &[u8], until: &[u8], limit: usize) -> Result<Found, LedgerError> {
        let rows = self.rows.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(until)));
        let rows = rows.rev().take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        Ok(rows.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn write(
        &mut self,
        changes: Vec<Change>,
        answers: Vec<Answer>,
        _urgent: bool,
    ) -> Result<(), LedgerError> {
        for (key, value) in changes {
            match value {
                Some(value) => self.rows.insert(key, value.into()),
                None => self.rows.remove(&key),
            };
        }
        answers.into_iter().for_each(|answer| answer());
        Ok(())
    }
}
