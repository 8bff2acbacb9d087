//! The ways in which files change, each on a real file system.

use super::*;
use std::{fs, os::unix::fs::symlink};

/// Longest wait for a notice.
const LIMIT: Duration = Duration::from_secs(20);

struct Folder {
    folder: tempfile::TempDir,
    watched: WatchedFiles,
}

impl Folder {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn watch(&mut self, name: &str) {
        self.watched.set([self.path(name)]).unwrap();
    }

    /// Changes something, and is told of it.
    async fn told(&mut self, what: &str, name: &str, change: impl FnOnce(&Self)) {
        change(self);
        let told = tokio::time::timeout(LIMIT, self.watched.changed()).await;
        assert!(told.is_ok(), "not told: {what}");
        self.watch(name);
    }
}

fn folder() -> Folder {
    let folder = tempfile::tempdir().unwrap();
    Folder { folder, watched: WatchedFiles::new().unwrap() }
}

#[tokio::test]
async fn a_file_may_be_written_replaced_removed_and_come_back() {
    let mut folder = folder();
    fs::write(folder.path("a"), "1").unwrap();
    folder.watch("a");
    folder.told("written in place", "a", |f| fs::write(f.path("a"), "2").unwrap()).await;
    let replace = |f: &Folder| {
        fs::write(f.path("a.new"), "3").unwrap();
        fs::rename(f.path("a.new"), f.path("a")).unwrap();
    };
    folder.told("replaced", "a", replace).await;
    folder.told("replaced again", "a", replace).await;
    folder.told("removed", "a", |f| fs::remove_file(f.path("a")).unwrap()).await;
    folder.told("come back", "a", |f| fs::write(f.path("a"), "4").unwrap()).await;
}

#[tokio::test]
async fn a_folder_may_be_removed_and_come_back() {
    let mut folder = folder();
    fs::create_dir(folder.path("conf")).unwrap();
    fs::write(folder.path("conf/a"), "1").unwrap();
    folder.watch("conf/a");
    folder.told("removed", "conf/a", |f| fs::remove_dir_all(f.path("conf")).unwrap()).await;
    folder.told("folder back", "conf/a", |f| fs::create_dir(f.path("conf")).unwrap()).await;
    folder.told("file back", "conf/a", |f| fs::write(f.path("conf/a"), "2").unwrap()).await;
}

#[tokio::test]
async fn a_mounted_config_map_is_followed() {
    let mut folder = folder();
    let publish = |f: &Folder, version: &str| {
        fs::create_dir(f.path(version)).unwrap();
        fs::write(f.path(version).join("a"), version).unwrap();
        symlink(version, f.path("..data_tmp")).unwrap();
        fs::rename(f.path("..data_tmp"), f.path("..data")).unwrap();
    };
    publish(&folder, "..1");
    symlink("..data/a", folder.path("a")).unwrap();
    folder.watch("a");
    for version in ["..2", "..3"] {
        folder.told(version, "a", |f| publish(f, version)).await;
        assert_eq!(fs::read_to_string(folder.path("a")).unwrap(), version);
    }
}

#[tokio::test]
async fn a_link_from_elsewhere_is_followed_on_both_ends() {
    let mut folder = folder();
    for name in ["etc", "one", "two"] {
        fs::create_dir(folder.path(name)).unwrap();
        fs::write(folder.path(name).join("real"), name).unwrap();
    }
    symlink(folder.path("one/real"), folder.path("etc/a")).unwrap();
    folder.watch("etc/a");
    folder.told("target", "etc/a", |f| fs::write(f.path("one/real"), "x").unwrap()).await;
    let turn = |f: &Folder| {
        symlink(f.path("two/real"), f.path("etc/b")).unwrap();
        fs::rename(f.path("etc/b"), f.path("etc/a")).unwrap();
    };
    folder.told("link", "etc/a", turn).await;
    folder.told("new target", "etc/a", |f| fs::write(f.path("two/real"), "y").unwrap()).await;
}

#[tokio::test]
async fn reading_is_no_change_and_links_in_a_ring_lead_nowhere() {
    use notify::event::{AccessKind, AccessMode};
    assert!(!is_change(&EventKind::Access(AccessKind::Open(AccessMode::Any))));
    assert!(!is_change(&EventKind::Access(AccessKind::Close(AccessMode::Read))));
    assert!(is_change(&EventKind::Access(AccessKind::Close(AccessMode::Write))));
    let mut folder = folder();
    symlink("b", folder.path("a")).unwrap();
    symlink("a", folder.path("b")).unwrap();
    folder.watch("a");
}
