//! What a process has used of the machine, by the kernel's account.

use crate::exit::Failure;
use std::{fs, time::Duration};

/// Linux counts CPU time for user space in hundredths of a second, whatever the kernel's
/// own tick.
const TICKS_A_SECOND: u64 = 100;

/// A process as the kernel accounts for it.
#[derive(Debug, Clone)]
pub(super) struct Account(String);

impl Account {
    /// This process.
    pub(super) fn own() -> Self {
        Self("self".into())
    }

    /// Another one.
    pub(super) fn of(process: u32) -> Self {
        Self(process.to_string())
    }

    /// CPU time spent so far, in user space and in the kernel, by threads that have ended too.
    pub(super) fn cpu(&self) -> Result<Duration, Failure> {
        let stat = self.read("stat")?;
        // Behind the name in parentheses, which may contain anything: state is the third field.
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        let fields: Vec<_> = fields.split_whitespace().collect();
        let ticks = |n: usize| fields.get(n - 3).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
        let (user, system) = (ticks(14), ticks(15));
        Ok(Duration::from_millis((user + system) * 1000 / TICKS_A_SECOND))
    }

    /// CPU time of the running threads whose names begin so.
    pub(super) fn cpu_of_threads(&self, name: &str) -> Result<Duration, Failure> {
        let folder = format!("/proc/{}/task", self.0);
        let threads = fs::read_dir(&folder)
            .map_err(|error| Failure::other(format!("{folder}: {error}")))?
            .filter_map(|entry| Some(entry.ok()?.path()));
        let named = threads.filter(|thread| {
            fs::read_to_string(thread.join("comm")).is_ok_and(|found| found.starts_with(name))
        });
        // A thread that has ended meanwhile counts for nothing.
        let spent = named.filter_map(|thread| {
            let stat = fs::read_to_string(thread.join("schedstat")).ok()?;
            stat.split_whitespace().next()?.parse::<u64>().ok()
        });
        Ok(Duration::from_nanos(spent.sum()))
    }

    /// CPU time of the calling thread.
    pub(super) fn cpu_of_thread() -> Result<Duration, Failure> {
        let path = "/proc/thread-self/schedstat";
        let stat = fs::read_to_string(path);
        let stat = stat.map_err(|error| Failure::other(format!("{path}: {error}")))?;
        let nanos = stat.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
        Ok(Duration::from_nanos(nanos.unwrap_or_default()))
    }

    /// Memory that is resident, in bytes.
    pub(super) fn resident(&self) -> Result<u64, Failure> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok());
        let kib: u64 = kib.ok_or_else(|| Failure::other("/proc does not count memory"))?;
        Ok(kib * 1024)
    }

    /// Bytes sent to the disk so far.
    pub(super) fn written(&self) -> Result<u64, Failure> {
        let io = self.read("io")?;
        let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
        let bytes = line.and_then(|bytes| bytes.trim().parse().ok());
        bytes.ok_or_else(|| Failure::other("/proc does not count written bytes"))
    }

    fn read(&self, file: &str) -> Result<String, Failure> {
        let path = format!("/proc/{}/{file}", self.0);
        fs::read_to_string(&path).map_err(|error| Failure::other(format!("{path}: {error}")))
    }
}
