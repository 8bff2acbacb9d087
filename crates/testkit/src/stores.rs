//! Redis and etcd as the documentation starts them: `deploy/local-stores`, on free ports.
//!
//! Beside the command a shell waits for its own input to end. That input is held by the
//! test's process, so both servers are gone whenever the test is.

use std::{
    io::{BufRead, BufReader, Error, Read, Result},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// The command.
const COMMAND: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/local-stores");
/// Attempts to find ports that nobody takes before the servers do.
const PORTS_MAX: usize = 5;
/// Ends the command at the end of input, which is the end of the test, and removes its data.
const KEEPER: &str = r#"
folder=$1
shift
"$@" 2>&1 </dev/null &
stores=$!
read -r line
kill -TERM $stores
wait $stores
rm -rf -- "$folder"
"#;

/// Running servers.
pub struct LocalStores {
    ports: [u16; 2],
    keeper: Child,
    _folder: TempDir,
}

impl LocalStores {
    /// Starts both, and waits until both answer.
    ///
    /// # Errors
    /// With what the command says.
    pub fn start() -> Result<Self> {
        let mut last = None;
        for _ in 0..PORTS_MAX {
            match Self::on(free_ports()?) {
                Ok(started) => return Ok(started),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::other("no port was tried")))
    }

    fn on(ports: [u16; 2]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("baton-stores-").tempdir()?;
        let [redis, etcd] = ports.map(|port| port.to_string());
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(folder.path())
            .args([COMMAND, "--redis-port", &redis, "--etcd-port", &etcd, "--data"])
            .arg(folder.path().join("data"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = keeper.stdout.take().ok_or_else(|| Error::other("there is no output"))?;
        let mut output = BufReader::new(output);
        let mut said = String::new();
        // The first line that is no news of an installation.
        while output.read_line(&mut said)? > 0 {
            if said.contains("redis://") {
                let started = Self { ports, keeper, _folder: folder };
                // Nothing more is said, but nobody should be stopped by a full pipe.
                std::thread::spawn(move || output.read_to_end(&mut Vec::new()));
                return Ok(started);
            }
            if said.contains("local-stores: port") || said.contains("has ended") {
                break;
            }
        }
        drop(keeper.stdin.take());
        keeper.wait()?;
        Err(Error::other(said))
    }

    /// Where Redis listens.
    pub fn redis(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[0]))
    }

    /// Where etcd listens: `http://127.0.0.1:PORT`.
    pub fn etcd_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[1])
    }
}

impl Drop for LocalStores {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // Nothing can be done about a failure here.
        let _ended = self.keeper.wait();
    }
}

/// One for Redis, and the first of three in a row for etcd.
fn free_ports() -> Result<[u16; 2]> {
    let listen = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let redis = listen(0)?;
    for _ in 0..PORTS_MAX {
        let first = listen(0)?;
        let port = first.local_addr()?.port();
        let next = |more| port.checked_add(more).is_some_and(|port| listen(port).is_ok());
        if next(1) && next(2) {
            return Ok([redis.local_addr()?.port(), port]);
        }
    }
    Err(Error::other("no three ports in a row are free"))
}
