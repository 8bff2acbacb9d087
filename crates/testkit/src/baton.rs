//! The real program `baton`: built when it is stale, started as a process, ended with the
//! test.
//!
//! Beside each process a shell waits for its own input to end. That input is held by the
//! test's process, so `baton` is gone whenever the test is, even when the test is killed
//! or keeps it in a `static` that is never dropped.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    thread::{JoinHandle, sleep},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long a process may take to be ready: it may have a long log to read.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Pause between two looks at a process that starts or ends.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Names a program that is already built.
const PROGRAM: &str = "BATON_BIN";
/// Variables that would change what a test asks for.
pub const VARIABLES: [&str; 41] = [
    "BATON_ADVERTISE",
    "BATON_API_KEY",
    "BATON_CLUSTER",
    "BATON_CONFIG",
    "BATON_CUT_TRACE",
    "BATON_DURABILITY",
    "BATON_ENDPOINT",
    "BATON_ETCD",
    "BATON_ETCD_CA",
    "BATON_ETCD_CERT",
    "BATON_ETCD_KEY",
    "BATON_ETCD_PASSWORD",
    "BATON_ETCD_PASSWORD_FILE",
    "BATON_ETCD_USER",
    "BATON_GRPC_LISTEN",
    "BATON_LEASE_MS",
    "BATON_LOG",
    "BATON_METRICS_LISTEN",
    "BATON_MODELS",
    "BATON_NOISE",
    "BATON_NOTICE_SECONDS",
    "BATON_OUTPUT",
    "BATON_PROFILE",
    "BATON_REDIS",
    "BATON_REDIS_CA",
    "BATON_REDIS_CERT",
    "BATON_REDIS_KEY",
    "BATON_REDIS_LANES",
    "BATON_REDIS_PASSWORD",
    "BATON_REDIS_PASSWORD_FILE",
    "BATON_REDIS_PREFIX",
    "BATON_REDIS_REPLICAS",
    "BATON_REDIS_SHARDS",
    "BATON_REDIS_USER",
    "BATON_SABOTAGE",
    "BATON_SIM",
    "CLICOLOR_FORCE",
    "NO_COLOR",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "RUST_LOG",
];
/// A folder of settings that is none, so that nobody's profiles speak either.
pub const NOBODYS_SETTINGS: &str = "/dev/null/none";
/// Kills the process when its input ends without a line, which is the end of the test,
/// and removes the folder that the process was given.
const KEEPER: &str = r#"read -r line || { kill -9 "$1"; [ -z "$2" ] || rm -rf -- "$2"; }"#;

/// The program: the one that `BATON_BIN` names, else this workspace's, built here once in
/// the profile of the test itself.
///
/// # Errors
/// When it cannot be built; Cargo has said why on stderr.
pub fn program() -> Result<&'static Path> {
    static BUILT: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| match std::env::var_os(PROGRAM) {
        Some(program) => Ok(program.into()),
        None => build().map_err(|error| error.to_string()),
    });
    built.as_deref().map_err(|error| Error::other(error.as_str()))
}

fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let mut command = Command::new(cargo);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(["build", "--quiet", "-p", "baton-cli", "--bin", "baton"]);
    command.arg("--message-format=json-render-diagnostics");
    // Beside the test itself: TARGET/PROFILE/deps/TEST.
    if let Some(target) = std::env::current_exe()?.ancestors().nth(3) {
        command.arg("--target-dir").arg(target);
    }
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let built = command.stderr(Stdio::inherit()).output()?;
    if !built.status.success() {
        return Err(Error::other("`cargo build -p baton-cli` failed"));
    }
    let lines = built.stdout.split(|byte| *byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    let mut programs =
        messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    programs.next_back().ok_or_else(|| Error::other("`cargo build -p baton-cli` made no program"))
}

/// The program with these arguments, as if nothing in the environment spoke to it.
///
/// # Errors
/// As [`program`].
pub fn command<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Result<Command> {
    let mut command = Command::new(program()?);
    for name in VARIABLES {
        command.env_remove(name);
    }
    // All others of Baton's and of OpenTelemetry's too.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("BATON_") || text.starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    command.env("XDG_CONFIG_HOME", NOBODYS_SETTINGS);
    command.args(args).stdin(Stdio::null());
    Ok(command)
}

/// A running `baton`.
pub struct Baton {
    child: Child,
    keeper: Option<(Child, ChildStdin)>,
    address: SocketAddr,
    stderr: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    folder: Option<TempDir>,
}

impl Baton {
    /// `baton up` on a free port of 127.0.0.1 with this data, ready to be asked.
    ///
    /// # Errors
    /// When it ends instead, with what it said.
    pub fn up(data: &Path, args: &[&str]) -> Result<Self> {
        let mut command = command(["up", "--listen", "127.0.0.1:0", "--data"])?;
        command.arg(data).args(args);
        Self::start(command)
    }

    /// As [`Self::up`], with data of its own that is removed with it.
    ///
    /// # Errors
    /// As [`Self::up`].
    pub fn up_anew(args: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("baton-data-").tempdir()?;
        let mut command = command(["up", "--listen", "127.0.0.1:0", "--data"])?;
        command.arg(folder.path()).args(args);
        Self::spawn(command, Some(folder))?.ready()
    }

    /// `baton sim` on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When it ends instead, with what it said.
    pub fn sim(args: &[&str]) -> Result<Self> {
        let mut command = command(["sim", "--listen", "127.0.0.1:0"])?;
        command.args(args);
        Self::spawn(command, None)
    }

    /// Any `baton serve`, once it has said where it listens.
    ///
    /// # Errors
    /// When it ends instead, with what it said.
    pub fn serve(command: Command) -> Result<Self> {
        Self::spawn(command, None)
    }

    /// Any `baton up`, ready to be asked.
    ///
    /// # Errors
    /// When it ends instead, with what it said.
    pub fn start(command: Command) -> Result<Self> {
        Self::spawn(command, None)?.ready()
    }

    fn spawn(mut command: Command, folder: Option<TempDir>) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let keeper = keep(child.id(), folder.as_ref().map(TempDir::path))?;
        let Some(pipe) = child.stderr.take() else { return Err(Error::other("no stderr")) };
        let stderr = Arc::new(Mutex::new(String::new()));
        let reader = std::thread::spawn({
            let stderr = stderr.clone();
            move || {
                for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                    let mut text = lock(&stderr);
                    text.push_str(&String::from_utf8_lossy(&line));
                    text.push('\n');
                }
            }
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let keeper = Some(keeper);
        let mut baton = Self { child, keeper, address, stderr, reader: Some(reader), folder };
        baton.address = baton.until("listen", |baton| announced(&lock(&baton.stderr)))?;
        Ok(baton)
    }

    fn ready(mut self) -> Result<Self> {
        self.until_ready()?;
        Ok(self)
    }

    /// Waits until the HTTP endpoint takes requests.
    ///
    /// # Errors
    /// When it ends instead, with what it said.
    pub fn until_ready(&mut self) -> Result<()> {
        self.until("be ready", |baton| answers(baton.address, "/readyz").then_some(()))
    }

    /// Looks again and again, as long as the process runs.
    fn until<T>(&mut self, what: &str, look: impl Fn(&Self) -> Option<T>) -> Result<T> {
        let until = Instant::now() + START_LIMIT;
        loop {
            if let Some(found) = look(self) {
                return Ok(found);
            }
            if let Some(status) = self.child.try_wait()? {
                self.finish_reading();
                return Err(Error::other(format!("baton ended ({status}): {}", self.stderr())));
            }
            if Instant::now() > until {
                let stderr = self.stderr();
                return Err(Error::new(
                    ErrorKind::TimedOut,
                    format!("baton does not {what}: {stderr}"),
                ));
            }
            sleep(LOOK_AGAIN);
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has said on stderr so far.
    pub fn stderr(&self) -> String {
        lock(&self.stderr).clone()
    }

    /// The folder of [`Self::up_anew`].
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(TempDir::path)
    }

    /// Sends a signal, such as `INT`.
    ///
    /// # Errors
    /// When there is no such process or signal.
    pub fn signal(&self, name: &str) -> Result<()> {
        let pid = self.child.id().to_string();
        let script = "kill -s \"$1\" \"$2\"";
        let sent = Command::new("sh").args(["-c", script, "kill", name, &pid]).status()?;
        if sent.success() { Ok(()) } else { Err(Error::other(format!("no {name} for {pid}"))) }
    }

    /// Waits until it has ended by itself, and gives all that it said on stderr.
    ///
    /// # Errors
    /// When it takes longer than `limit`.
    pub fn wait(mut self, limit: Duration) -> Result<(ExitStatus, String)> {
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.finish_reading();
                return Ok((status, self.stderr()));
            }
            if Instant::now() > until {
                let stderr = self.stderr();
                return Err(Error::new(
                    ErrorKind::TimedOut,
                    format!("baton has not ended within {limit:?}: {stderr}"),
                ));
            }
            sleep(LOOK_AGAIN);
        }
    }

    /// Kills it as a crash would (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// The system's.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }

    fn finish_reading(&mut self) {
        if let Some(reader) = self.reader.take() {
            // It does not panic, and a line that is missing harms nobody.
            let _ended = reader.join();
        }
    }
}

impl Drop for Baton {
    fn drop(&mut self) {
        // An error means that it has ended.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
        if let Some((mut keeper, mut input)) = self.keeper.take() {
            let _told = input.write_all(b"gone\n");
            drop(input);
            let _ended = keeper.wait();
        }
    }
}

fn keep(pid: u32, folder: Option<&Path>) -> Result<(Child, ChildStdin)> {
    let mut keeper = Command::new("sh");
    keeper.args(["-c", KEEPER, "keeper"]).arg(pid.to_string()).arg(folder.unwrap_or(Path::new("")));
    let mut keeper =
        keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let input = keeper.stdin.take().ok_or_else(|| Error::other("no input"))?;
    Ok((keeper, input))
}

fn lock(text: &Mutex<String>) -> MutexGuard<'_, String> {
    // Text is whole between any two of its lines, whoever panicked.
    text.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The address in the greeting of `up`, `serve` and `sim`.
fn announced(stderr: &str) -> Option<SocketAddr> {
    let greeting = stderr.lines().find_map(|line| {
        let place = ["listens on http", "models on http"];
        place.iter().find_map(|words| line.split_once(words).map(|(_, rest)| rest))
    })?;
    let place = greeting.split_once("://")?.1;
    place.split(|char: char| char == '/' || char.is_whitespace()).next()?.parse().ok()
}

/// Whether a GET is answered with 200.
fn answers(address: SocketAddr, path: &str) -> bool {
    let ask = || -> Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, START_LIMIT)?;
        stream.set_read_timeout(Some(START_LIMIT))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        Ok(reply.starts_with("HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}
