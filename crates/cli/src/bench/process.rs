//! Another `baton`, watched from outside.

use super::cpu::Account;
use crate::exit::Failure;
use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

/// A running `baton`, killed when dropped.
pub(super) struct Process {
    child: Child,
    /// Where it listens, up to and including `/v1`.
    pub(super) url: String,
}

impl Process {
    /// Starts one and waits until it says where it listens.
    pub(super) async fn start(args: &[&str]) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::other(format!("cannot start baton: {error}"));
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let stderr = child.stderr.take();
        let stderr = stderr.ok_or_else(|| Failure::other("baton has no stderr"))?;
        let (found, url) = tokio::sync::oneshot::channel();
        // It reads on for as long as the process writes: a full pipe would stop it.
        std::thread::spawn(move || {
            let mut found = Some(found);
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let url = line.split_whitespace().find_map(url_in);
                if let Some((url, found)) = url.and_then(|url| Some((url, found.take()?))) {
                    let _gone = found.send(url);
                }
            }
        });
        let url = url.await;
        let mut process = Self { child, url: String::new() };
        let ended = |_| Failure::other(format!("`baton {}` ended at once", args.join(" ")));
        process.url = url.map_err(ended)?;
        Ok(process)
    }

    /// What it uses.
    pub(super) fn account(&self) -> Account {
        Account::of(self.child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The endpoint in a word such as `http://127.0.0.1:8484/v1,` with its colours.
fn url_in(word: &str) -> Option<String> {
    let start = word.find("http://")?;
    let end = word.find("/v1")? + "/v1".len();
    word.get(start..end).map(str::to_owned)
}
