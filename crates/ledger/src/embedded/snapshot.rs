//! All rows of a ledger at one moment, whatever is written later.

use super::{
    disk::{broken, check_ending, logs},
    file::{File, Frozen},
    log::replay,
    recent::Rows,
};
use crate::LedgerError;
use bytes::Bytes;
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// Rows by key; none where the row is deleted.
type Above = BTreeMap<Bytes, Option<Bytes>>;

/// Rows of the sorted file, and what lies above them, the newest last.
pub(super) struct Snapshot {
    file: Option<Frozen>,
    above: Above,
}

impl Snapshot {
    pub(super) fn new(file: Option<Frozen>, layers: Vec<Arc<Rows>>) -> Self {
        let mut above = Above::new();
        for layer in layers {
            above.extend(layer.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        Self { file, above }
    }

    /// Of a ledger that no process has open. Nothing is changed: its logs stay where they
    /// are, and their rows are held in memory.
    pub(super) fn of(path: &Path, file: &File) -> Result<Self, LedgerError> {
        let logs = logs(path).map_err(|error| broken(path, &error))?;
        let mut above = Above::new();
        for (place, log) in logs.values().enumerate() {
            let (changes, ending) = replay(log).map_err(|error| broken(log, &error))?;
            check_ending(log, ending, place + 1 == logs.len())?;
            let changes = changes.into_iter();
            above.extend(changes.map(|(key, value)| (key.into(), value.map(Bytes::from))));
        }
        Ok(Self { file: Some(file.freeze()?), above })
    }

    /// Every row, in the order of the keys, until `each` fails.
    pub(super) fn each(
        &self,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let mut above = self.above.iter().peekable();
        if let Some(file) = &self.file {
            file.each(|key, value| {
                while let Some((newer, changed)) = above.next_if(|(newer, _)| ***newer < *key) {
                    if let Some(value) = changed {
                        each(newer, value)?;
                    }
                }
                match above.next_if(|(newer, _)| ***newer == *key) {
                    Some((_, Some(changed))) => each(key, changed),
                    Some((_, None)) => Ok(()),
                    None => each(key, value),
                }
            })?;
        }
        for (key, value) in above {
            if let Some(value) = value {
                each(key, value)?;
            }
        }
        Ok(())
    }
}
