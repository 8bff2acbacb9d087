//! The files of a ledger: the sorted one, and the logs beside it.

use super::file::folder;
use crate::{FileStats, LedgerError};
use std::{io, path::Path};

/// What the ledger at `path` occupies, by file. What is deleted meanwhile is left out.
pub(super) fn sizes(path: &Path) -> Result<Vec<FileStats>, LedgerError> {
    let failed = |error: io::Error| {
        LedgerError::Unavailable(format!("{} cannot be looked at: {error}", path.display()))
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut sizes = Vec::new();
    let entries = match std::fs::read_dir(folder(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(sizes),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let Ok(found) = entry.file_name().into_string() else { continue };
        if !found.starts_with(&name) {
            continue;
        }
        match entry.metadata() {
            Ok(file) => sizes.push(FileStats { name: found, bytes: file.len() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    sizes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(sizes)
}
