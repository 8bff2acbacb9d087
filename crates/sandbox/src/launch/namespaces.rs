//! Level `ns`: namespaces of its own, and a root that holds the interpreter alone.

use super::{At, Failure, PrivateFolder, confine::become_somebody};
use crate::{
    config::{Limits, NOBODY},
    wire::Setup,
};
use nix::sched::{CloneFlags, unshare};
use rustix::{
    fs::{CWD, symlinkat},
    mount::{
        MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change,
        mount_remount, unmount,
    },
    process::{DumpableBehavior, getgid, getuid, pivot_root, set_dumpable_behavior},
};
use std::{
    env,
    ffi::CString,
    fs::{self, File},
    path::{Path, PathBuf},
};

/// Every system has this folder, and no interpreter is in it: the new root is built on it, and
/// the launcher's own view of it stays open.
const BUILT_ON: &str = "/proc";
const ROOM: &str = "/box";
const DEVICES: [&str; 2] = ["/dev/null", "/dev/urandom"];
const QUIET: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// Leaves the machine's namespaces. The launcher has rights in the new ones; what it starts will
/// be the first process of its own, so that nothing of it outlives it.
pub(super) fn prepare(setup: &Setup) -> Result<(), Failure> {
    if let Some(uid) = setup.uid {
        become_somebody(uid)?;
        // A change of uid closes `/proc/self` to this process itself.
        set_dumpable_behavior(DumpableBehavior::Dumpable).at("open its own /proc/self")?;
    }
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    let all = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    unshare(all).at("make namespaces")?;
    let map = "map its user";
    fs::write("/proc/self/setgroups", "deny").at(map)?;
    fs::write("/proc/self/uid_map", format!("{NOBODY} {uid} 1")).at(map)?;
    fs::write("/proc/self/gid_map", format!("{NOBODY} {gid} 1")).at(map)?;
    root(&setup.interpreter.visible)
}

fn root(visible: &[PathBuf]) -> Result<(), Failure> {
    let stage = "build a root";
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).at(stage)?;
    mount("tmpfs", BUILT_ON, "tmpfs", QUIET, c"size=64k,nr_inodes=128,mode=755").at(stage)?;
    env::set_current_dir(BUILT_ON).at(stage)?;
    for path in visible {
        show(path)?;
    }
    for path in DEVICES.map(Path::new) {
        bind(path)?;
    }
    fs::create_dir(inside(Path::new(ROOM))).at(stage)?;
    pivot_root(".", ".").at("change its root")?;
    unmount(".", UnmountFlags::DETACH).at("leave the old root")?;
    mount_remount("/", QUIET | MountFlags::RDONLY, "").at(stage)
}

/// The private folder, which goes with the mount namespace. Nothing in it can be executed.
pub(super) fn room(limits: &Limits) -> Result<PrivateFolder, Failure> {
    // The folder itself is an inode too.
    let options = format!(
        "size={},nr_inodes={},mode=700",
        limits.folder_bytes,
        limits.files.saturating_add(1)
    );
    let options = CString::new(options).at("make a private folder")?;
    mount("tmpfs", ROOM, "tmpfs", QUIET | MountFlags::NOEXEC, options.as_c_str())
        .at("make a private folder")?;
    Ok(PrivateFolder::in_memory(Path::new(ROOM)))
}

/// An absolute path, under the folder that becomes the root.
fn inside(path: &Path) -> PathBuf {
    Path::new(BUILT_ON).join(path.strip_prefix("/").unwrap_or(path))
}

/// Makes it visible, read only.
fn show(path: &Path) -> Result<(), Failure> {
    let stage = "build a root";
    if let Ok(target) = fs::read_link(path) {
        return symlinkat(&target, CWD, inside(path)).at(stage);
    }
    bind(path)?;
    let flags = QUIET | MountFlags::RDONLY | MountFlags::BIND;
    mount_remount(inside(path), flags, "").at("make a mount read only")
}

fn bind(path: &Path) -> Result<(), Failure> {
    let stage = "build a root";
    let place = inside(path);
    if path.is_dir() {
        fs::create_dir_all(&place).at(stage)?;
    } else {
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).at(stage)?;
        }
        File::create(&place).at(stage)?;
    }
    mount_bind_recursive(path, &place).at(stage)
}
