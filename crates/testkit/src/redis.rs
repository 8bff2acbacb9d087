//! A Redis server of the tests' own: loopback only, its data in a temporary folder.
//!
//! The server is started by a shell that waits for its own input to end. That input is
//! held by the test's process, so the server is gone whenever the test is, even when the
//! test is killed or its runner never drops anything.

use std::{
    io::{Error, ErrorKind, Result, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::OnceCell,
    time::{sleep, timeout},
};

/// How long a server may take to answer its first command.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Pause between two attempts to reach a server that starts.
const RETRY: Duration = Duration::from_millis(10);
/// Attempts to find a port that nobody takes before the server does.
const PORTS_MAX: usize = 5;
/// The file of settings in the server's folder.
const SETTINGS: &str = "redis.conf";
/// Where the server says why it ended.
const LOG: &str = "log";
/// What the shell ends with when there is no program to start.
const NO_SERVER: i32 = 127;
/// Which program to start in the place of `redis-server`, for all tests: such as
/// `valkey-server`.
const PROGRAM: &str = "BATON_REDIS_SERVER";
/// Kills the server on a line of input and keeps the folder; at the end of input without
/// a line, which is the end of the test, removes it too.
const KEEPER: &str = r#"
command -v "$2" >/dev/null || exit 127
"$2" redis.conf >log 2>&1 &
server=$!
if read -r line; then kept=1; fi
kill -9 $server
wait $server
[ -n "$kept" ] || rm -rf -- "$1"
"#;

/// A running `redis-server` with an append-only file that is synced before each answer
/// (`appendfsync always`).
pub struct RedisServer {
    program: String,
    folder: TempDir,
    port: u16,
    keeper: Child,
}

impl RedisServer {
    /// Starts a server on a free port of 127.0.0.1 and waits until it answers.
    /// Fails, saying how to install it, where `redis-server` is not found.
    pub async fn start() -> Result<Self> {
        Self::start_with(&["appendonly yes", "appendfsync always"]).await
    }

    /// Starts a server with these lines of configuration in place of the durable ones.
    pub async fn start_with(settings: &[&str]) -> Result<Self> {
        let program = std::env::var(PROGRAM).unwrap_or_else(|_| "redis-server".into());
        Self::start_as(&program, settings).await
    }

    /// The same with another program that is one: Valkey's is `valkey-server`.
    pub async fn start_as(program: &str, settings: &[&str]) -> Result<Self> {
        let mut last = None;
        for _ in 0..PORTS_MAX {
            let folder = tempfile::Builder::new().prefix("baton-redis-").tempdir()?;
            let port = free_port()?;
            let own = [format!("port {port}\nbind 127.0.0.1\nsave \"\"\nloglevel notice\n")];
            let lines = settings.iter().map(|line| format!("{line}\n"));
            let text: String = own.into_iter().chain(lines).collect();
            std::fs::write(folder.path().join(SETTINGS), text)?;
            match spawn(program, folder.path(), port).await {
                Ok(keeper) => {
                    return Ok(Self { program: program.to_owned(), folder, port, keeper });
                }
                Err(error) if error.kind() == ErrorKind::AddrInUse => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::other("no port was tried")))
    }

    /// The one server that all tests of a process share; each brings a prefix of its own.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<RedisServer> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Where to connect: `redis://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills the server as a crash would (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut input) = self.keeper.stdin.take() {
            input.write_all(b"kill\n")?;
        }
        self.keeper.wait().map(|_| ())
    }

    /// Length of what the append-only file holds at the moment, in bytes.
    pub fn appended(&self) -> Result<u64> {
        Ok(std::fs::metadata(self.append_only_file()?)?.len())
    }

    /// Cuts the append-only file off behind so many bytes, as a loss of power does to what was
    /// not synced. For use between [`Self::kill`] and [`Self::restart`].
    pub fn forget(&self, bytes: u64) -> Result<()> {
        let file = std::fs::OpenOptions::new().write(true).open(self.append_only_file()?)?;
        file.set_len(bytes)
    }

    fn append_only_file(&self) -> Result<std::path::PathBuf> {
        let mut files = std::fs::read_dir(self.folder.path().join("appendonlydir"))?;
        let file = files.find_map(|file| {
            let path = file.ok()?.path();
            path.to_str()?.ends_with(".incr.aof").then_some(path)
        });
        file.ok_or_else(|| Error::other("there is no append-only file"))
    }

    /// Starts the server again on the same port and data, and waits until it has read
    /// them. For use after [`Self::kill`].
    pub async fn restart(&mut self) -> Result<()> {
        self.keeper = spawn(&self.program, self.folder.path(), self.port).await?;
        Ok(())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // Nothing can be done about a failure here, and the folder is removed either way.
        let _ended = self.keeper.wait();
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    Ok(listener.local_addr()?.port())
}

async fn spawn(program: &str, folder: &Path, port: u16) -> Result<Child> {
    let mut keeper = Command::new("sh")
        .args(["-c", KEEPER, "keeper"])
        .arg(folder)
        .arg(program)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let until = Instant::now() + START_LIMIT;
    while !answers(port).await {
        if keeper.try_wait()?.is_some_and(|status| status.code() == Some(NO_SERVER)) {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "{program} was not found: install Redis 7 or later (Debian and Ubuntu: \
                     apt-get install redis-server; macOS: brew install redis)"
                ),
            ));
        }
        let log = std::fs::read_to_string(folder.join(LOG)).unwrap_or_default();
        if log.contains("Failed listening") {
            return Err(Error::new(ErrorKind::AddrInUse, log));
        }
        if Instant::now() > until {
            return Err(Error::other(format!("redis-server does not answer; its log: {log}")));
        }
        sleep(RETRY).await;
    }
    Ok(keeper)
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
