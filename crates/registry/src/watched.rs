//! Files that are watched for changes, by the system's notices and without looking again
//! and again.
//!
//! A notice is about a folder's entry, so folders are watched and not files: editors write
//! another file and rename it over the old one, and Kubernetes keeps files behind a link
//! (`..data`) that it renames as a whole. Every folder on the way to a file in which a
//! link stands is watched as well; of a file that is gone, the nearest folder there is.

use notify::{
    Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use std::{
    collections::BTreeSet,
    ffi::OsString,
    io,
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// A change is told of once nothing more has come for so long: a file is written in parts.
const QUIET: Duration = Duration::from_millis(100);
/// Under steady changes it is told of nevertheless, this long after the first.
const LONGEST: Duration = Duration::from_secs(1);
/// Links followed on the way to one file, as many as systems follow.
const LINKS_MAX: usize = 40;

/// Files that are watched.
pub struct WatchedFiles {
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    changed: Arc<Notify>,
}

impl WatchedFiles {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// Where the system has no notices (left).
    pub fn new() -> io::Result<Self> {
        let changed = Arc::new(Notify::new());
        let told = changed.clone();
        let tell = move |event: notify::Result<Event>| {
            // After an error too: what was lost may have been a change.
            if event.map_or(true, |event| is_change(&event.kind)) {
                told.notify_one();
            }
        };
        let watcher = RecommendedWatcher::new(tell, Config::default()).map_err(io::Error::other)?;
        Ok(Self { watcher, folders: BTreeSet::new(), changed })
    }

    /// Watches these files and no others. To be told again after each change: links may
    /// lead elsewhere by then.
    ///
    /// # Errors
    /// The system's, about the first folder that cannot be watched; the others are.
    pub fn set(&mut self, files: impl IntoIterator<Item = PathBuf>) -> io::Result<()> {
        let mut wanted = BTreeSet::new();
        for file in files {
            wanted.extend(folders(&std::path::absolute(file)?));
        }
        for gone in self.folders.difference(&wanted) {
            // A folder that was removed is not watched any more: that is no fault.
            let _removed = self.watcher.unwatch(gone);
        }
        let mut result = Ok(());
        // The ones that are watched already too: a folder may have been replaced by another
        // of its name, and watching twice is watching once.
        for folder in &wanted {
            if let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                result = result.and(Err(io::Error::other(error)));
            }
        }
        self.folders = wanted;
        result
    }

    /// Waits until something changed near the files and it is quiet again. Told too often
    /// rather than too seldom: whoever asks compares what he reads.
    pub async fn changed(&self) {
        self.changed.notified().await;
        let end = Instant::now() + LONGEST;
        loop {
            let quiet = (Instant::now() + QUIET).min(end);
            if tokio::time::timeout_at(quiet, self.changed.notified()).await.is_err() {
                return;
            }
        }
    }
}

/// Reading is no change, and the reader would wake itself.
fn is_change(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}

/// The folders whose entries decide what an absolute path leads to, as far as they exist.
fn folders(file: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    let mut ahead: Vec<OsString> = parts(file);
    let (mut here, mut links) = (PathBuf::from("/"), 0);
    while let Some(part) = ahead.pop() {
        if part == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&part);
        let link = std::fs::read_link(&next).ok().filter(|_| links < LINKS_MAX);
        match link {
            Some(target) => {
                links += 1;
                folders.insert(here.clone());
                if target.is_absolute() {
                    here = PathBuf::from("/");
                }
                ahead.extend(parts(&target));
            }
            None if ahead.is_empty() || !next.is_dir() => {
                folders.insert(here);
                return folders;
            }
            None => here = next,
        }
    }
    folders
}

/// The parts of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let named = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(named).collect()
}

#[cfg(test)]
mod tests;
