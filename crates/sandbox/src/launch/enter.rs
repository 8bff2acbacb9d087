//! The two calls that Rust cannot check, and all that depends on them: descriptors that nobody
//! meant to leave open, and what a process does between its birth and the program.

#![allow(unsafe_code, reason = "fork and close_range have no safe form in any library here")]

use super::{At, Failure, Streams, confine::Confinement, say};
use crate::wire::Report;
use rustix::{
    fs::Mode,
    io::{FdFlags, fcntl_setfd},
    pipe::{PipeFlags, pipe_with},
};
use std::{
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::process::CommandExt,
    },
    process::{Child, Command, Stdio},
};

/// Nothing of the service's is left but the three standard ones: a descriptor that somebody
/// forgot to mark would else be the program's.
pub(super) fn close_inherited() {
    // SAFETY: `launched` calls this first in `main`: no object of this process owns a descriptor
    // from 3 on, so none of them loses its own.
    let _ = unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
}

/// Starts the program in its cage, and gives it with Landlock's version. Nothing when the new
/// process has said itself over the socket where it stopped.
pub(super) fn start(
    confinement: Confinement,
    arguments: &[String],
    streams: Streams,
    socket: BorrowedFd<'_>,
) -> Result<Option<(Child, u32)>, Failure> {
    let [stdin, stdout, stderr, control] = streams;
    let tell = socket.try_clone_to_owned().at("copy its socket")?;
    let (alive, mine) = pipe_with(PipeFlags::CLOEXEC).at("make a pipe")?;
    let (told, tells) = pipe_with(PipeFlags::CLOEXEC).at("make a pipe")?;
    // Past `exec` lives what is meant for the program, and nothing else.
    fcntl_setfd(&control, FdFlags::empty()).at("hand over the control descriptor")?;

    let mut command = Command::new(&confinement.setup.interpreter.executable);
    command.args(["-I", "-S", "-B"]).args(arguments);
    command.arg(control.as_raw_fd().to_string()).current_dir(&confinement.room);
    command
        .env_clear()
        .env("LANG", "C.UTF-8")
        .env("HOME", &confinement.room)
        .env("PATH", "/usr/bin");
    command.stdin(stdin).stdout(stdout).stderr(stderr);
    let mut mine = Some(mine);
    let enter = move || {
        // The launcher's end stays open in the launcher alone.
        drop(mine.take());
        rustix::process::umask(Mode::from_raw_mode(0o077));
        match confinement.apply(&alive) {
            Ok(abi) => rustix::io::write(&tells, &[abi]).map(drop).map_err(io::Error::from),
            Err(Failure { stage, why }) => {
                say(tell.as_fd(), &Report::Failed { stage: stage.into(), why });
                Err(io::Error::from_raw_os_error(libc::ECANCELED))
            }
        }
    };
    // SAFETY: this process has one thread, so the new one finds no lock taken and no structure
    // half changed, and may do all that this one may.
    unsafe { command.pre_exec(enter) };
    match command.spawn() {
        Ok(child) => {
            let mut abi = [0];
            File::from(told).read_exact(&mut abi).at("hear of its program")?;
            // The program alone holds its streams now. What is left of the command keeps the
            // pipe's end that says that the launcher lives.
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            std::mem::forget(command);
            Ok(Some((child, abi[0].into())))
        }
        Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => Ok(None),
        Err(error) => Err(error).at("start the interpreter"),
    }
}
