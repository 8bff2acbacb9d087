//! The launcher's eye on its program: what the kernel does not bound by itself, or bounds without
//! a name.

use crate::{
    config::{Limit, Limits},
    wire::Report,
};
use nix::sys::resource::{UsageWho, getrusage};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags, openat},
    process::{Pid, PidfdFlags, pidfd_open},
};
use std::{
    fs::{self, File},
    io::{self, Read},
    os::{
        fd::BorrowedFd,
        unix::{fs::MetadataExt, process::ExitStatusExt},
    },
    path::Path,
    process::Child,
    time::{Duration, Instant},
};

/// How often it looks. What a program can do in this time is what limits are passed by.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The kernel's unit of time in `/proc`, whatever its own clock does.
const TICK_MS: u64 = 10;

/// Waits for the program's end, and brings it about at a limit, or when the service hangs up.
pub(super) fn until_over(
    mut child: Child,
    limits: &Limits,
    room: &Path,
    socket: BorrowedFd<'_>,
    processes: BorrowedFd<'_>,
    landlock_abi: u32,
) -> io::Result<Report> {
    let started = Instant::now();
    let left = || Duration::from_millis(limits.wall_ms).saturating_sub(started.elapsed());
    let pid = Pid::from_child(&child);
    let program = pidfd_open(pid, PidfdFlags::empty())?;
    let mut hit = None;
    loop {
        let wait = left().min(LOOK_EVERY);
        let wait = Timespec { tv_sec: 0, tv_nsec: wait.as_nanos() as _ };
        let mut fds = [PollFd::new(&program, PollFlags::IN), PollFd::new(&socket, PollFlags::IN)];
        match poll(&mut fds, Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [over, hung_up] = fds.map(|fd| !fd.revents().is_empty());
        if over {
            break;
        }
        hit =
            if left().is_zero() { Some(Limit::Wall) } else { look(processes, pid, limits, room)? };
        if hung_up || hit.is_some() {
            child.kill()?;
            break;
        }
    }
    let status = child.wait()?;
    let wall = started.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros =
        |time: nix::sys::time::TimeVal| (time.tv_sec() as u64) * 1_000_000 + time.tv_usec() as u64;
    let cpu_us = micros(usage.user_time()) + micros(usage.system_time());
    if hit.is_none() && cpu_us / 1_000 > limits.cpu_ms {
        hit = Some(Limit::Cpu);
    }
    Ok(Report::Over {
        code: status.code(),
        signal: status.signal(),
        hit,
        wall_us: wall.as_micros() as u64,
        cpu_us,
        peak_bytes: (usage.max_rss() as u64) << 10,
        landlock_abi,
    })
}

/// One look at the process and its folder.
fn look(
    processes: BorrowedFd<'_>,
    pid: Pid,
    limits: &Limits,
    room: &Path,
) -> io::Result<Option<Limit>> {
    let path = format!("{}/stat", pid.as_raw_nonzero());
    let file = openat(processes, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let mut text = String::new();
    // Gone since: the next turn hears of it.
    let Ok(file) = file else { return Ok(None) };
    if File::from(file).read_to_string(&mut text).is_err() {
        return Ok(None);
    }
    // After the name, which is the program's to choose, come the fields from the third on.
    let fields = text.rsplit(')').next().unwrap_or_default();
    let fields: Vec<u64> =
        fields.split_whitespace().map(|field| field.parse().unwrap_or_default()).collect();
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or_default();
    let (cpu_ms, threads) = ((field(14) + field(15)) * TICK_MS, field(20));
    let resident = field(24) * rustix::param::page_size() as u64;
    if cpu_ms > limits.cpu_ms {
        return Ok(Some(Limit::Cpu));
    }
    if threads > limits.threads {
        return Ok(Some(Limit::Threads));
    }
    if resident > limits.memory_bytes {
        return Ok(Some(Limit::Memory));
    }
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(room)? {
        files += 1;
        bytes += entry?.metadata().map_or(0, |data| data.blocks() * 512);
        if files > limits.files || bytes > limits.folder_bytes {
            return Ok(Some(Limit::Files));
        }
    }
    Ok(None)
}
