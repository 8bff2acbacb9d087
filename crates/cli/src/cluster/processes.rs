//! Child processes that are started again when they end, and stopped in order.

use crate::{
    exit::Failure,
    output::{BAD, DIM, PLAIN},
    running::LEAVE_WITH_PARENT,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{ffi::OsString, io::Write as _, path::PathBuf, process::Stdio, time::Duration};
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

/// What to keep running: this program with other arguments.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) args: Vec<OsString>,
    /// Variables of its environment, beside those of this process.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// Where its lines go; to stderr, behind its name, unless said.
    pub(crate) log: Option<PathBuf>,
    /// What the user has set for a cluster of his own is not meant for it.
    pub(crate) alone: bool,
}

impl Program {
    pub(crate) fn new(name: impl Into<String>, args: Vec<OsString>) -> Self {
        Self { name: name.into(), args, variables: Vec::new(), log: None, alone: false }
    }
}

/// What is known of the process at the moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Life {
    pub(crate) pid: Option<Pid>,
    /// Where it listens, once it has said so; what it said last, while it is started again.
    pub(crate) place: Option<String>,
    /// Its name in registry and ledger, once it has said so.
    pub(crate) holder: Option<String>,
}

/// A process that is kept running.
pub(crate) struct Kept {
    name: String,
    stop: CancellationToken,
    keeping: JoinHandle<()>,
    life: watch::Receiver<Life>,
}

impl Kept {
    /// Starts a program, and again whenever it ends.
    pub(crate) fn start(program: Program) -> Result<Self, Failure> {
        let file = std::env::current_exe()
            .map_err(|error| Failure::other(format!("this program is not to be found: {error}")))?;
        let (say, life) = watch::channel(Life::default());
        let stop = CancellationToken::new();
        let name = program.name.clone();
        let keeping = tokio::spawn(keep(file, program, stop.clone(), say));
        Ok(Self { name, stop, keeping, life })
    }

    /// As the cluster calls it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The process as it is now.
    pub(crate) fn life(&self) -> Life {
        self.life.borrow().clone()
    }

    /// Waits until it says where it listens.
    pub(crate) async fn place(&mut self, limit: Duration) -> Result<String, Failure> {
        let said = timeout(limit, self.life.wait_for(|life| life.place.is_some())).await;
        let place = said.ok().and_then(Result::ok).and_then(|life| life.place.clone());
        let name = &self.name;
        place.ok_or_else(|| {
            let seconds = limit.as_secs();
            Failure::other(format!("{name} does not listen within {seconds} s: see what it said"))
        })
    }

    /// Has it stop in its own order, and waits for it.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        // A task that panicked has dropped its process, which ends with it.
        let _ended = self.keeping.await;
    }
}

async fn keep(file: PathBuf, program: Program, stop: CancellationToken, life: watch::Sender<Life>) {
    let Program { name, args, variables, log, alone } = program;
    while !stop.is_cancelled() {
        let mut command = Command::new(&file);
        for (name, _) in std::env::vars_os().filter(|_| alone) {
            if name.as_encoded_bytes().starts_with(b"BATON_") && name != "BATON_LOG" {
                command.env_remove(name);
            }
        }
        command.args(&args).envs(variables.iter().cloned()).kill_on_drop(true);
        command.env(LEAVE_WITH_PARENT, "1");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let said = Said { name: name.clone(), log: log.clone() };
        match command.spawn() {
            Ok(child) => serve(child, said, &stop, &life).await,
            Err(error) => said.say(&format!("cannot be started: {error}")),
        }
        if stop.run_until_cancelled(sleep(RESTART_PAUSE)).await.is_none() {
            return;
        }
    }
}

/// Where a process's lines go.
#[derive(Debug, Clone)]
struct Said {
    name: String,
    log: Option<PathBuf>,
}

impl Said {
    fn say(&self, line: &str) {
        let Self { name, log } = self;
        let Some(log) = log else { return anstream::eprintln!("{DIM}{name:<15}{PLAIN} {line}") };
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log);
        let line = anstream::adapter::strip_str(line);
        if let Err(error) = file.and_then(|mut file| writeln!(file, "{line}")) {
            anstream::eprintln!("{}: {error}", log.display());
        }
    }
}

/// Until it ends, by itself or because it is told to.
async fn serve(mut child: Child, said: Said, stop: &CancellationToken, life: &watch::Sender<Life>) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    life.send_modify(|life| *life = Life { pid, holder: None, place: life.place.take() });
    // Held as long as the process may run: it stops when nobody holds it any more.
    let _input = child.stdin.take();
    let told = child.stderr.take().map(|stderr| {
        let (said, life) = (said.clone(), life.clone());
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((place, holder)) = greeting_in(&line) {
                    life.send_modify(|life| {
                        life.place = Some(place);
                        life.holder = holder;
                    });
                }
                said.say(&line);
            }
        })
    });
    let ended = tokio::select! {
        ended = child.wait() => ended,
        () = stop.cancelled() => {
            terminate(pid);
            match timeout(STOP_LIMIT, child.wait()).await {
                Ok(ended) => ended,
                Err(_elapsed) => {
                    said.say("does not stop and is killed");
                    child.kill().await.map(|()| std::process::ExitStatus::default())
                }
            }
        }
    };
    // An id that is no longer its own must not be signalled.
    life.send_modify(|life| life.pid = None);
    if let Some(told) = told {
        // It ends with the process's last line.
        let _all_said = told.await;
    }
    match ended {
        Ok(_) if stop.is_cancelled() => {}
        Ok(status) => said.say(&format!("{BAD}ended{PLAIN} ({status}): it is started again")),
        Err(error) => said.say(&format!("{BAD}is lost{PLAIN}: {error}")),
    }
}

fn terminate(pid: Option<Pid>) {
    if let Some(pid) = pid {
        // It may have ended a moment ago.
        let _sent = kill_process(pid, Signal::TERM);
    }
}

/// Where a process listens and what it is called, in a greeting such as
/// `baton conductor listens on http://… (cluster CLUSTER, HOLDER)`.
fn greeting_in(line: &str) -> Option<(String, Option<String>)> {
    let line = anstream::adapter::strip_str(line).to_string();
    let at = line.find(" on http://").map(|at| at + " on ".len())?;
    let (address, rest) = line.get(at..)?.split_once(' ').unwrap_or((line.get(at..)?, ""));
    let holder = rest.rsplit_once(", ").and_then(|(_, holder)| holder.strip_suffix(')'));
    let greets = line.starts_with("baton ") || line.starts_with("SIMULATED models ");
    greets.then(|| (address.trim_end_matches([',', ':']).to_owned(), holder.map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_say_where_a_process_listens() {
        let check = |line: &str, expected: Option<(&str, Option<&str>)>| {
            let found = greeting_in(line);
            let found = found.as_ref().map(|(place, holder)| (place.as_str(), holder.as_deref()));
            assert_eq!(found, expected, "{line}");
        };
        check(
            "\u{1b}[1mbaton conductor\u{1b}[0m listens on http://127.0.0.1:4317 (cluster x, c-1)",
            Some(("http://127.0.0.1:4317", Some("c-1"))),
        );
        check(
            "SIMULATED models on http://127.0.0.1:8485/v1: a, b",
            Some(("http://127.0.0.1:8485/v1", None)),
        );
        check("2026-01-01 INFO calling on http://127.0.0.1:1/v1", None);
    }
}
