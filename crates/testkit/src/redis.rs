//! A Redis server of the test's own: loopback only, its data in a temporary folder.

use std::{
    io::{Error, ErrorKind, Result},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::{Child, Command},
    time::{sleep, timeout},
};

/// How long a server may take to answer its first command.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Pause between two attempts to reach a server that starts.
const RETRY: Duration = Duration::from_millis(10);
/// The file of settings in the server's folder.
const SETTINGS: &str = "redis.conf";
/// Attempts to find a port that nobody takes before the server does.
const PORTS_MAX: usize = 5;

/// A running `redis-server` with an append-only file that is synced before each answer
/// (`appendfsync always`); killed when dropped.
pub struct RedisServer {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl RedisServer {
    /// Starts a server on a free port of 127.0.0.1 and waits until it answers.
    /// Fails, saying how to install it, where `redis-server` is not found.
    pub async fn start() -> Result<Self> {
        Self::start_with(&["appendonly yes", "appendfsync always"]).await
    }

    /// Starts a server with these lines of configuration in place of the durable ones.
    pub async fn start_with(settings: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("baton-redis-").tempdir()?;
        let mut last = None;
        for _ in 0..PORTS_MAX {
            let port = free_port()?;
            let mut lines = vec![format!("port {port}"), "bind 127.0.0.1".into()];
            lines.push("save \"\"".into());
            lines.extend(settings.iter().map(|&line| line.to_owned()));
            std::fs::write(folder.path().join(SETTINGS), lines.join("\n"))?;
            match spawn(folder.path(), port).await {
                Ok(child) => return Ok(Self { folder, port, child }),
                Err(error) if error.kind() == ErrorKind::NotFound => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::other("no port was tried")))
    }

    /// Where to connect: `redis://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills the server as a crash would (SIGKILL) and waits until it is gone.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await
    }

    /// Starts the server again on the same port and data, and waits until it has read
    /// them. For use after [`Self::kill`].
    pub async fn restart(&mut self) -> Result<()> {
        self.child = spawn(self.folder.path(), self.port).await?;
        Ok(())
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    Ok(listener.local_addr()?.port())
}

async fn spawn(folder: &Path, port: u16) -> Result<Child> {
    let log = std::fs::File::create(folder.join("log"))?;
    let started = Command::new("redis-server")
        .arg(SETTINGS)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child = started.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::new(
            ErrorKind::NotFound,
            "redis-server was not found: install Redis 7 or later (Debian and Ubuntu: \
             apt-get install redis-server; macOS: brew install redis)",
        ),
        _ => error,
    })?;
    let until = Instant::now() + START_LIMIT;
    while !answers(port).await {
        if let Some(status) = child.try_wait()? {
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            return Err(Error::other(format!("redis-server ended at once ({status}): {log}")));
        }
        if Instant::now() > until {
            return Err(Error::new(ErrorKind::TimedOut, "redis-server did not answer"));
        }
        sleep(RETRY).await;
    }
    Ok(child)
}

/// Whether the server has read its data and answers a command.
async fn answers(port: u16) -> bool {
    let asking = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.write_all(b"PING\r\n").await?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await?;
        Ok::<_, Error>(&answer == b"+PONG")
    };
    matches!(timeout(START_LIMIT, asking).await, Ok(Ok(true)))
}
