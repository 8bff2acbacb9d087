//! An etcd server of the tests' own: loopback only, its data in a temporary folder, with the
//! settings that the documentation recommends.
//!
//! The server is started by a shell that waits for its own input to end. That input is
//! held by the test's process, so the server is gone whenever the test is, even when the
//! test is killed or its runner never drops anything.

use crate::certificates::Certificates;
use std::{
    io::{BufRead, BufReader, Error, ErrorKind, Result, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::OnceCell,
    time::{sleep, timeout},
};

/// How long a server may take to be ready: it elects itself first.
const START_LIMIT: Duration = Duration::from_secs(20);
/// Pause between two attempts to reach a server that starts.
const RETRY: Duration = Duration::from_millis(20);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(1);
/// Attempts to find ports that nobody takes before the server does.
const PORTS_MAX: usize = 5;
/// The recommended settings.
const RECOMMENDED: &str = include_str!("../../../deploy/stores/etcd.yml");
/// The file of settings in the server's folder.
const SETTINGS: &str = "etcd.yml";
/// Where the server says why it ended.
const LOG: &str = "log";
/// What the shell ends with when there is no program to start.
const NO_SERVER: i32 = 127;
/// Does what each line of input says to the server. At the end of input without `kill`,
/// which is the end of the test, removes the folder too.
const KEEPER: &str = r#"
command -v etcd >/dev/null || exit 127
etcd --config-file etcd.yml >log 2>&1 &
server=$!
echo started
while read -r line; do
  case $line in
    stop) kill -STOP $server ;;
    cont) kill -CONT $server ;;
    kill) kept=1; break ;;
  esac
  echo "$line"
done
kill -9 $server
wait $server
[ -n "$kept" ] || rm -rf -- "$1"
"#;

/// A running `etcd`.
pub struct EtcdServer {
    folder: TempDir,
    ports: [u16; 3],
    tls: Option<Certificates>,
    keeper: Keeper,
}

struct Keeper {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl EtcdServer {
    /// Starts a server on a free port of 127.0.0.1 and waits until it can be written to.
    /// Fails, saying how to install it, where `etcd` is not found.
    pub async fn start() -> Result<Self> {
        Self::start_with(None).await
    }

    /// As [`Self::start`], with TLS on both sides: clients show a certificate of this CA.
    pub async fn start_tls() -> Result<Self> {
        Self::start_with(Some(Certificates::new()?)).await
    }

    async fn start_with(tls: Option<Certificates>) -> Result<Self> {
        let mut last = None;
        for _ in 0..PORTS_MAX {
            let folder = tempfile::Builder::new().prefix("baton-etcd-").tempdir()?;
            let ports = free_ports()?;
            std::fs::write(folder.path().join(SETTINGS), settings(ports, tls.as_ref()))?;
            match spawn(folder.path(), ports).await {
                Ok(keeper) => return Ok(Self { folder, ports, tls, keeper }),
                Err(error) if error.kind() == ErrorKind::AddrInUse => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::other("no port was tried")))
    }

    /// The one server that all tests of a process share; each brings a cluster's name of
    /// its own, and leaves the server in peace.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<EtcdServer> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Where to connect.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[0]))
    }

    /// Where it says how it is, over plain HTTP.
    pub fn health_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[2])
    }

    /// Switches authentication on, for a server without TLS: `user` may read and write all
    /// of Baton's keys, a user `stranger` with the same password none of them.
    pub async fn enable_auth(&mut self, user: &str, password: &str) -> Result<()> {
        for name in ["root", user, "stranger"] {
            let words = format!(r#"{{"name":"{name}","password":"{password}"}}"#);
            self.post("/v3/auth/user/add", &words).await?;
        }
        for role in ["root", "baton"] {
            self.post("/v3/auth/role/add", &format!(r#"{{"name":"{role}"}}"#)).await?;
        }
        // From "/baton/" to "/baton0", in base64 as etcd's gateway takes keys.
        let permission = r#"{"name":"baton","perm":{"permType":"READWRITE","key":"L2JhdG9uLw==",
            "range_end":"L2JhdG9uMA=="}}"#;
        self.post("/v3/auth/role/grant", permission).await?;
        for (user, role) in [("root", "root"), (user, "baton")] {
            let words = format!(r#"{{"user":"{user}","role":"{role}"}}"#);
            self.post("/v3/auth/user/grant", &words).await?;
        }
        self.post("/v3/auth/enable", "{}").await
    }

    /// Has the server forget the tokens of a user, as it does with old ones: by giving it
    /// the password that it has.
    pub async fn forget_tokens(&mut self, user: &str, password: &str) -> Result<()> {
        let root = format!(r#"{{"name":"root","password":"{password}"}}"#);
        let answer = self.post_as("", "/v3/auth/authenticate", &root).await?;
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        let body: serde_json::Value = serde_json::from_str(body)?;
        let token = body["token"].as_str().unwrap_or_default();
        let words = format!(r#"{{"name":"{user}","password":"{password}"}}"#);
        self.post_as(token, "/v3/auth/user/changepw", &words).await.map(drop)
    }

    async fn post(&self, path: &str, words: &str) -> Result<()> {
        self.post_as("", path, words).await.map(drop)
    }

    async fn post_as(&self, token: &str, path: &str, words: &str) -> Result<String> {
        let length = words.len();
        let token = match token {
            "" => String::new(),
            token => format!("Authorization: {token}\r\n"),
        };
        let request = format!(
            "POST {path} HTTP/1.0\r\nHost: localhost\r\n{token}Content-Length: {length}\r\n\r\n{words}"
        );
        let answer = ask(self.ports[0], &request).await?;
        match answer.starts_with("HTTP/1.0 200") {
            true => Ok(answer),
            false => Err(Error::other(format!("{path}: {answer}"))),
        }
    }

    /// The certificates that it was started with.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.tls.as_ref()
    }

    /// Freezes the server (SIGSTOP): connections stand, and nothing is answered.
    pub fn freeze(&mut self) -> Result<()> {
        self.keeper.tell("stop")
    }

    /// Lets a frozen server go on (SIGCONT).
    pub fn thaw(&mut self) -> Result<()> {
        self.keeper.tell("cont")
    }

    /// Kills the server as a crash would (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut input) = self.keeper.input.take() {
            input.write_all(b"kill\n")?;
        }
        self.keeper.child.wait().map(|_| ())
    }

    /// Starts the server again on the same ports and data. For use after [`Self::kill`].
    pub async fn restart(&mut self) -> Result<()> {
        self.keeper = spawn(self.folder.path(), self.ports).await?;
        Ok(())
    }

    /// Starts the server again on the same ports and data, from now on with TLS.
    pub async fn restart_with_tls(&mut self) -> Result<()> {
        self.kill()?;
        let tls = Certificates::new()?;
        std::fs::write(self.folder.path().join(SETTINGS), settings(self.ports, Some(&tls)))?;
        self.tls = Some(tls);
        self.restart().await
    }

    /// Forgets all data. For use after [`Self::kill`].
    pub fn forget(&mut self) -> Result<()> {
        std::fs::remove_dir_all(self.folder.path().join("data"))
    }
}

impl Keeper {
    fn tell(&mut self, what: &str) -> Result<()> {
        let input = self.input.as_mut().ok_or_else(|| Error::other("the server was killed"))?;
        input.write_all(format!("{what}\n").as_bytes())?;
        let mut done = String::new();
        self.output.read_line(&mut done)?;
        match done.trim() == what {
            true => Ok(()),
            false => Err(Error::other(format!("the server's keeper says {done:?}"))),
        }
    }
}

impl Drop for EtcdServer {
    fn drop(&mut self) {
        drop(self.keeper.input.take());
        // Nothing can be done about a failure here, and the folder is removed either way.
        let _ended = self.keeper.child.wait();
    }
}

fn settings([client, peer, health]: [u16; 3], tls: Option<&Certificates>) -> String {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut text = format!(
        "{RECOMMENDED}\nname: baton\ndata-dir: data\n\
         listen-client-urls: {scheme}://127.0.0.1:{client}\n\
         advertise-client-urls: {scheme}://127.0.0.1:{client}\n\
         listen-peer-urls: http://127.0.0.1:{peer}\n\
         initial-advertise-peer-urls: http://127.0.0.1:{peer}\n\
         initial-cluster: baton=http://127.0.0.1:{peer}\n\
         listen-metrics-urls: http://127.0.0.1:{health}\n\
         enable-grpc-gateway: true\n"
    );
    if let Some(tls) = tls {
        let path = |path: PathBuf| path.display().to_string();
        text.push_str(&format!(
            "client-transport-security:\n  cert-file: {}\n  key-file: {}\n  trusted-ca-file: {}\n  \
             client-cert-auth: true\n",
            path(tls.server()),
            path(tls.server_key()),
            path(tls.ca()),
        ));
    }
    text
}

/// For clients, for other servers, and for whoever asks how it is.
fn free_ports() -> Result<[u16; 3]> {
    let listen = || TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let all = [listen()?, listen()?, listen()?];
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
    Ok([port(&all[0])?, port(&all[1])?, port(&all[2])?])
}

async fn spawn(folder: &Path, ports: [u16; 3]) -> Result<Keeper> {
    let mut command = Command::new("sh");
    // Variables speak to etcd as loudly as its settings do.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ETCD") {
            command.env_remove(name);
        }
    }
    let mut child = command
        .args(["-c", KEEPER, "keeper"])
        .arg(folder)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let output = output.ok_or_else(|| Error::other("the server's keeper has no output"))?;
    let mut keeper = Keeper { child, input, output: BufReader::new(output) };
    let mut started = String::new();
    keeper.output.read_line(&mut started)?;
    let until = Instant::now() + START_LIMIT;
    while !is_healthy(ports[2]).await {
        if keeper.child.try_wait()?.is_some_and(|status| status.code() == Some(NO_SERVER)) {
            return Err(Error::new(
                ErrorKind::NotFound,
                "etcd was not found: install etcd 3.4 or later (Debian and Ubuntu: apt-get \
                 install etcd-server; macOS: brew install etcd)",
            ));
        }
        let log = std::fs::read_to_string(folder.join(LOG)).unwrap_or_default();
        if log.contains("address already in use") {
            return Err(Error::new(ErrorKind::AddrInUse, log));
        }
        if Instant::now() > until {
            return Err(Error::other(format!("etcd does not get ready; its log: {log}")));
        }
        sleep(RETRY).await;
    }
    Ok(keeper)
}

/// Whether the server has a leader and answers.
async fn is_healthy(port: u16) -> bool {
    let asking = ask(port, "GET /health HTTP/1.0\r\n\r\n");
    let answer = timeout(ATTEMPT, asking).await;
    answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.contains("\"health\":\"true\"")))
}

async fn ask(port: u16, request: &str) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
