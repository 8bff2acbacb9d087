//! The launcher: a process of one thread that prepares a cage, runs one program in it, watches
//! it, and reports.

mod confine;
mod enter;
mod namespaces;
mod syscalls;
mod watch;

use crate::{
    config::Level,
    wire::{DESCRIPTORS, ENTRANCES_MAX, Job, Report, Setup},
};
use confine::Confinement;
use rustix::{
    fs::{Mode, OFlags, open},
    net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg},
};
use std::{
    env,
    fs::{self, DirBuilder, File},
    io::{self, IoSliceMut, Read, Seek, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::DirBuilderExt,
    },
    path::{Path, PathBuf},
    process::{self, ExitCode},
};

/// The first argument that makes a binary a launcher.
pub(crate) const ARGUMENT: &str = "sandbox-launch";

/// Where an execution stopped before it was one.
#[derive(Debug)]
pub(crate) struct Failure {
    stage: &'static str,
    why: String,
}

/// Names the stage at which something failed.
pub(crate) trait At<T> {
    fn at(self, stage: &'static str) -> Result<T, Failure>;
}

impl<T, E: ToString> At<T> for Result<T, E> {
    fn at(self, stage: &'static str) -> Result<T, Failure> {
        self.map_err(|error| Failure { stage, why: error.to_string() })
    }
}

/// To be called first in `main`, before a thread or a runtime starts: when this process is a
/// launcher, it does its work and gives what `main` is to return at once.
pub fn launched() -> Option<ExitCode> {
    let mut arguments = env::args().skip(1);
    if arguments.next()? != ARGUMENT {
        return None;
    }
    enter::close_inherited();
    let stdin = io::stdin();
    let socket = stdin.as_fd();
    let setup = arguments.next().unwrap_or_default();
    let report = match serve(&setup, socket) {
        Ok(Some(report)) => report,
        Ok(None) => return Some(ExitCode::SUCCESS),
        Err(Failure { stage, why }) => Report::Failed { stage: stage.into(), why },
    };
    say(socket, &report);
    Some(ExitCode::SUCCESS)
}

/// Without a reader there is nobody to tell.
fn say(socket: BorrowedFd<'_>, report: &Report) {
    let text = serde_json::to_vec(report).unwrap_or_default();
    let _ = rustix::io::write(socket, &text);
}

/// Nothing when the service goes before it has a job.
fn serve(setup: &str, socket: BorrowedFd<'_>) -> Result<Option<Report>, Failure> {
    let setup: Setup = serde_json::from_str(setup).at("read its settings")?;
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let processes = open("/proc", folder, Mode::empty()).at("open /proc")?;
    let prepared = match setup.level {
        Level::Ns => namespaces::prepare(&setup),
        Level::Lsm => Ok(()),
    };
    let allowed = syscalls::allowed();
    // Before it says what failed: a socket that is closed with something unread loses what was
    // said over it.
    let Some((job, streams, groups)) = receive(socket)? else { return Ok(None) };
    prepared?;
    let room = match setup.level {
        Level::Ns => namespaces::room(&job.limits)?,
        Level::Lsm => PrivateFolder::new(&setup)?,
    };
    for (name, text) in &job.files {
        let path = room.path.join(name);
        File::create_new(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .at("write the program's files")?;
    }
    let (limits, path) = (job.limits, room.path.clone());
    let confinement = Confinement { setup, limits, room: path, allowed: allowed?, groups };
    let child = enter::start(confinement, &job.arguments, streams, socket)?;
    let Some((child, landlock_abi)) = child else { return Ok(None) };
    watch::until_over(child, &job.limits, &room.path, socket, processes.as_fd(), landlock_abi)
        .map(Some)
        .at("watch the program")
}

/// Standard input, output, error, and the control descriptor.
pub(crate) type Streams = [OwnedFd; DESCRIPTORS - 1];

/// With the job and the program's streams come the control groups' entrances.
type Order = (Job, Streams, Vec<OwnedFd>);

fn receive(socket: BorrowedFd<'_>) -> Result<Option<Order>, Failure> {
    const MAX: usize = DESCRIPTORS + ENTRANCES_MAX;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut parts = [IoSliceMut::new(&mut byte)];
    let got =
        recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC).at("receive its job")?;
    if got.bytes == 0 {
        return Ok(None);
    }
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    let wrong = |got: Vec<_>| format!("{} descriptors came, not {DESCRIPTORS}", got.len());
    let groups = descriptors.split_off(DESCRIPTORS.min(descriptors.len()));
    let [job, streams @ ..]: [OwnedFd; DESCRIPTORS] =
        descriptors.try_into().map_err(wrong).at("receive its job")?;
    let mut text = String::new();
    let mut file = File::from(job);
    file.rewind().and_then(|()| file.read_to_string(&mut text)).at("read its job")?;
    Ok(Some((serde_json::from_str(&text).at("read its job")?, streams, groups)))
}

/// The program's working folder. What is on disk goes with the launcher.
pub(crate) struct PrivateFolder {
    path: PathBuf,
    on_disk: bool,
}

impl PrivateFolder {
    fn new(setup: &Setup) -> Result<Self, Failure> {
        let path = setup.folder.join(process::id().to_string());
        DirBuilder::new().mode(0o700).create(&path).at("make a private folder")?;
        let room = Self { path, on_disk: true };
        if let Some(uid) = setup.uid {
            std::os::unix::fs::chown(&room.path, Some(uid), Some(uid))
                .at("give the private folder away")?;
        }
        Ok(room)
    }

    pub(crate) fn in_memory(path: &Path) -> Self {
        Self { path: path.to_owned(), on_disk: false }
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        if self.on_disk {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
