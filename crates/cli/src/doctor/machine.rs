//! Limits of this machine, and of what it allows this process.

use super::check::Check;
use rustix::process::{Resource, getrlimit};
use std::fs;

/// A connection is a file, and a gateway takes 4096 requests, each with one of its own.
const OPEN_FILES_WARNING: u64 = 8192;
/// Below this nothing starts reliably.
const OPEN_FILES_FAILED: u64 = 256;
/// The ledger's cache takes 64 MiB, a run under way some tens of KiB.
const MEMORY_WARNING_BYTES: u64 = 512 << 20;
const MEMORY_FAILED_BYTES: u64 = 128 << 20;

pub(crate) fn open_files() -> Check {
    let check = Check::ok("open files");
    let Some(most) = getrlimit(Resource::Nofile).current else {
        return check.found("no limit");
    };
    let found = format!("at most {most}");
    let advice =
        format!("raise it: ulimit -n {OPEN_FILES_WARNING}, or LimitNOFILE= of the service");
    match most {
        0..OPEN_FILES_FAILED => check.fail(found).advise(advice),
        OPEN_FILES_FAILED..OPEN_FILES_WARNING => check.warn(found).advise(advice),
        _enough => check.found(found),
    }
}

/// What is available, within the limit of the container if there is one.
pub(crate) fn memory() -> Check {
    let check = Check::ok("memory");
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let Some(available) = machine.as_deref().and_then(available) else {
        return check.found("the system does not say how much is available");
    };
    let number = |name: &str| {
        let text = fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let left = number("memory.max").zip(number("memory.current"));
    let left = left.map(|(most, used)| most.saturating_sub(used));
    let free = left.unwrap_or(u64::MAX).min(available);
    let found = format!("{} MiB available", free >> 20);
    let advice = "give it more: the process is killed when memory ends";
    match free {
        0..MEMORY_FAILED_BYTES => check.fail(found).advise(advice),
        MEMORY_FAILED_BYTES..MEMORY_WARNING_BYTES => check.warn(found).advise(advice),
        _enough => check.found(found),
    }
}

/// In bytes; the file counts in KiB.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}
