//! Another `baton`, watched from outside.

use super::{cpu::Account, team::configuration};
use crate::exit::Failure;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
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
        // What the user has set for a cluster of his own is not meant for this one.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"BATON_") && name != "BATON_LOG" {
                command.env_remove(name);
            }
        }
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

/// A simulated model and a `baton up` that asks it.
pub(super) struct Cluster {
    pub(super) up: Process,
    pub(super) sim: Process,
}

impl Cluster {
    /// With its data and its configuration in this folder.
    pub(super) async fn start(folder: &Path) -> Result<Self, Failure> {
        let sim = Process::start(&["sim", "--listen", "127.0.0.1:0", "--time-scale", "0"]).await?;
        let up = Self::up(folder, &sim.url).await?;
        Ok(Self { up, sim })
    }

    /// Only `baton up`, with the provider there.
    pub(super) async fn up(folder: &Path, provider: &str) -> Result<Process, Failure> {
        let (config, data) = (folder.join("baton.toml"), folder.join("data"));
        let written = fs::write(&config, configuration(provider));
        written.map_err(|error| Failure::other(format!("{}: {error}", config.display())))?;
        let (config, data) = (config.display().to_string(), data.display().to_string());
        let args = ["up", "--listen", "127.0.0.1:0", "--data", &data, "--config", &config];
        Process::start(&args).await
    }
}

/// The endpoint in a word such as `http://127.0.0.1:8484/v1,` with its colours.
fn url_in(word: &str) -> Option<String> {
    let url = word.get(word.find("http://")?..)?;
    let end = url.find([',', '\u{1b}']).unwrap_or(url.len());
    url.get(..end).map(|url| url.trim_end_matches(':').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_stand_in_greetings() {
        let check = |word: &str, expected: Option<&str>| {
            assert_eq!(url_in(word).as_deref(), expected, "{word}");
        };
        check("http://127.0.0.1:1/v1:", Some("http://127.0.0.1:1/v1"));
        check("\u{1b}[1mhttp://127.0.0.1:1/v1\u{1b}[0m,", Some("http://127.0.0.1:1/v1"));
        check("http://127.0.0.1:4317", Some("http://127.0.0.1:4317"));
        check("listens", None);
    }
}
