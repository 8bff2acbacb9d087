//! The folder that holds the private folders of level `lsm`. It goes with its sandbox, and when a
//! service was killed, with the next one that starts there.

use crate::cgroup;
use std::{
    fs::{self, DirBuilder, File, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

const PREFIX: &str = "baton-sandbox-";
/// Programs of another user pass through it to theirs, and see nothing else.
const MODE: u32 = 0o711;

#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    name: String,
    /// Held as long as the process lives, whatever number it has to whom.
    _lock: File,
}

impl Folder {
    pub(crate) fn new(parent: &Path) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        sweep(parent)?;
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!("{PREFIX}{}-{number}", process::id());
            let path = parent.join(&name);
            DirBuilder::new().mode(MODE).create(&path)?;
            let lock = File::open(&path)?;
            lock.lock()?;
            // Whatever the mask.
            match fs::set_permissions(&path, Permissions::from_mode(MODE)) {
                Ok(()) => return Ok(Self { path, name, _lock: lock }),
                // Somebody swept it before it was locked.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its name, and that of its control groups.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes what belongs to nobody: nobody holds its lock. What cannot be read or removed is
/// another user's.
fn sweep(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)?.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let free = File::open(entry.path()).is_ok_and(|folder| folder.try_lock().is_ok());
        if free && fs::remove_dir_all(entry.path()).is_ok() {
            cgroup::sweep(name);
        }
    }
    Ok(())
}
