//! Child processes that are started again when they end, and stopped in order.

use crate::{
    exit::Failure,
    output::{BAD, DIM, PLAIN},
    running::LEAVE_WITH_PARENT,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{ffi::OsString, path::PathBuf, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Before a process that ended is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// How long a process may take to stop: its own drain limits, one after the other.
const STOP_LIMIT: Duration = Duration::from_secs(45);

/// A process that is kept running.
pub(super) struct Kept {
    name: String,
    stop: CancellationToken,
    keeping: JoinHandle<()>,
    /// What it said of where it listens, once it has.
    place: watch::Receiver<Option<String>>,
}

impl Kept {
    /// Starts this program with other arguments, and again whenever it ends.
    pub(super) fn start(name: String, args: Vec<OsString>) -> Result<Self, Failure> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::other(format!("this program is not to be found: {error}")))?;
        let (say, place) = watch::channel(None);
        let stop = CancellationToken::new();
        let keeping = tokio::spawn(keep(program, name.clone(), args, stop.clone(), say));
        Ok(Self { name, stop, keeping, place })
    }

    /// Waits until it says where it listens.
    pub(super) async fn place(&mut self, limit: Duration) -> Result<String, Failure> {
        let said = timeout(limit, self.place.wait_for(Option::is_some)).await;
        let place = said.ok().and_then(Result::ok).and_then(|place| place.clone());
        let name = &self.name;
        place.ok_or_else(|| {
            let seconds = limit.as_secs();
            Failure::other(format!("{name} does not listen within {seconds} s: see what it said"))
        })
    }

    /// Has it stop in its own order, and waits for it.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        // A task that panicked has dropped its process, which ends with it.
        let _ended = self.keeping.await;
    }
}

async fn keep(
    program: PathBuf,
    name: String,
    args: Vec<OsString>,
    stop: CancellationToken,
    place: watch::Sender<Option<String>>,
) {
    while !stop.is_cancelled() {
        let mut command = Command::new(&program);
        command.args(&args).env(LEAVE_WITH_PARENT, "1").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        match command.spawn() {
            Ok(child) => serve(child, &name, &stop, &place).await,
            Err(error) => anstream::eprintln!("{name} {BAD}cannot be started{PLAIN}: {error}"),
        }
        if stop.run_until_cancelled(sleep(RESTART_PAUSE)).await.is_none() {
            return;
        }
    }
}

/// Until it ends, by itself or because it is told to.
async fn serve(
    mut child: Child,
    name: &str,
    stop: &CancellationToken,
    place: &watch::Sender<Option<String>>,
) {
    // Held as long as the process may run: it stops when nobody holds it any more.
    let _input = child.stdin.take();
    let told = child.stderr.take().map(|said| {
        let (name, place) = (name.to_owned(), place.clone());
        tokio::spawn(async move {
            let mut lines = BufReader::new(said).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(address) = address_in(&line) {
                    place.send_replace(Some(address));
                }
                anstream::eprintln!("{DIM}{name:<15}{PLAIN} {line}");
            }
        })
    });
    let ended = tokio::select! {
        ended = child.wait() => ended,
        () = stop.cancelled() => {
            terminate(&child);
            match timeout(STOP_LIMIT, child.wait()).await {
                Ok(ended) => ended,
                Err(_elapsed) => {
                    anstream::eprintln!("{name} does not stop and is killed");
                    child.kill().await.map(|()| std::process::ExitStatus::default())
                }
            }
        }
    };
    if let Some(told) = told {
        // It ends with the process's last line.
        let _all_said = told.await;
    }
    match ended {
        Ok(_) if stop.is_cancelled() => {}
        Ok(status) => {
            anstream::eprintln!("{name} {BAD}ended{PLAIN} ({status}): it is started again");
        }
        Err(error) => anstream::eprintln!("{name} {BAD}is lost{PLAIN}: {error}"),
    }
}

fn terminate(child: &Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended a moment ago.
        let _sent = kill_process(pid, Signal::TERM);
    }
}

/// The address in a greeting such as `baton conductor listens on http://…`.
fn address_in(line: &str) -> Option<String> {
    let line = anstream::adapter::strip_str(line).to_string();
    let at = line.find(" on http://").map(|at| at + " on ".len())?;
    let address = line.get(at..)?.split_whitespace().next()?;
    let greets = line.starts_with("baton ") || line.starts_with("SIMULATED models ");
    greets.then(|| address.trim_end_matches([',', ':']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_say_where_a_process_listens() {
        let check = |line: &str, expected: Option<&str>| {
            assert_eq!(address_in(line).as_deref(), expected, "{line}");
        };
        check(
            "\u{1b}[1mbaton conductor\u{1b}[0m listens on http://127.0.0.1:4317 (cluster x)",
            Some("http://127.0.0.1:4317"),
        );
        check(
            "SIMULATED models on http://127.0.0.1:8485/v1: a, b",
            Some("http://127.0.0.1:8485/v1"),
        );
        check("2026-01-01 INFO calling on http://127.0.0.1:1/v1", None);
    }
}
