//! Redis and etcd of the harness's own: killed, and started again on the same data.

use crate::exit::Failure;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

/// The settings that the documentation recommends.
const REDIS: &str = include_str!("../../../../deploy/stores/redis.conf");
const ETCD: &str = include_str!("../../../../deploy/stores/etcd.yml");
/// What Redis is set to where nothing is to be kept: a negative control.
const FORGETFUL: &str = "appendonly no\nmaxmemory-policy noeviction\nsave \"\"\n";
/// Starts a server, says its id, and kills it when the harness is gone.
const KEEPER: &str = r#""$@" >>log 2>&1 </dev/null & echo $!; read -r line; kill -9 $!; wait $!"#;
/// How long a server may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long one question to it may take.
const ASK_LIMIT: Duration = Duration::from_secs(1);
/// Between two looks at a server that starts.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A server.
pub(crate) struct Store {
    folder: PathBuf,
    words: Vec<String>,
    /// Where clients reach it.
    pub(crate) address: SocketAddr,
    /// What tells that it is ready: where to ask, what, and what it answers.
    probe: (SocketAddr, &'static str, &'static str),
    process: Option<(Child, Pid)>,
}

impl Store {
    /// Redis, with its data in this folder.
    pub(crate) async fn redis(folder: &Path, keeps: bool) -> Result<Self, Failure> {
        let [address] = free_places()?;
        let settings = if keeps { REDIS } else { FORGETFUL };
        let own = format!("bind 127.0.0.1\nport {}\nloglevel notice\n", address.port());
        write(folder, "redis.conf", &format!("{settings}\n{own}"))?;
        let words = ["redis-server", "redis.conf"].map(str::to_owned).to_vec();
        Self::start(folder, words, address, (address, "PING\r\n", "+PONG")).await
    }

    /// etcd, with its data in this folder.
    pub(crate) async fn etcd(folder: &Path) -> Result<Self, Failure> {
        let [address, peer, health] = free_places()?;
        let own = format!(
            "name: baton\ndata-dir: data\nlisten-client-urls: http://{address}\n\
             advertise-client-urls: http://{address}\nlisten-peer-urls: http://{peer}\n\
             initial-advertise-peer-urls: http://{peer}\ninitial-cluster: baton=http://{peer}\n\
             listen-metrics-urls: http://{health}\n"
        );
        write(folder, "etcd.yml", &format!("{ETCD}\n{own}"))?;
        let words = ["etcd", "--config-file", "etcd.yml"].map(str::to_owned).to_vec();
        let probe = (health, "GET /health HTTP/1.0\r\n\r\n", "\"health\":\"true\"");
        Self::start(folder, words, address, probe).await
    }

    async fn start(
        folder: &Path,
        words: Vec<String>,
        address: SocketAddr,
        probe: (SocketAddr, &'static str, &'static str),
    ) -> Result<Self, Failure> {
        let mut store = Self { folder: folder.to_owned(), words, address, probe, process: None };
        store.begin().await?;
        Ok(store)
    }

    /// Its process, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        let (_, pid) = self.process.as_ref()?;
        u32::try_from(pid.as_raw_nonzero().get()).ok()
    }

    fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Starts it (again), and waits until it answers.
    pub(crate) async fn begin(&mut self) -> Result<(), Failure> {
        let name = self.name().to_owned();
        let failed = |what: &str| Failure::other(format!("{name}: {what}"));
        let mut command = Command::new("sh");
        // Variables speak to etcd as loudly as its settings do.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"ETCD") {
                command.env_remove(name);
            }
        }
        command.args(["-c", KEEPER, "keeper"]).args(&self.words).current_dir(&self.folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| failed(&error.to_string()))?;
        let output = child.stdout.take().ok_or_else(|| failed("no output"))?;
        let mut said = String::new();
        let read = BufReader::new(output).read_line(&mut said).await;
        read.map_err(|error| failed(&error.to_string()))?;
        let pid = said.trim().parse().ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| failed(&format!("{said:?} is no id of a process")))?;
        self.process = Some((child, pid));
        let until = Instant::now() + START_LIMIT;
        while !self.answers().await {
            if Instant::now() > until {
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                let end = log.lines().rev().take(5).collect::<Vec<_>>();
                let end: Vec<_> = end.into_iter().rev().collect();
                return Err(failed(&format!(
                    "does not answer after {} s (is {name} installed?); its log ends: {}",
                    START_LIMIT.as_secs(),
                    end.join(" | ")
                )));
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Kills it as a crash would, and waits until it is gone.
    pub(crate) async fn kill(&mut self) -> Result<(), Failure> {
        let Some((mut child, pid)) = self.process.take() else { return Ok(()) };
        let killed = kill_process(pid, Signal::KILL);
        killed.map_err(|error| Failure::other(format!("{}: {error}", self.name())))?;
        // Its keeper reads the end of its input, reaps the server, and ends.
        drop(child.stdin.take());
        let ended = child.wait().await;
        ended.map(|_| ()).map_err(|error| Failure::other(format!("{}: {error}", self.name())))
    }

    async fn answers(&self) -> bool {
        let (address, question, expected) = self.probe;
        let asking = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(question.as_bytes()).await?;
            let mut answer = Vec::new();
            let mut piece = [0; 1024];
            loop {
                let read = stream.read(&mut piece).await?;
                answer.extend_from_slice(&piece[..read]);
                let found = String::from_utf8_lossy(&answer).contains(expected);
                if found || read == 0 || answer.len() > piece.len() {
                    return Ok::<_, std::io::Error>(found);
                }
            }
        };
        timeout(ASK_LIMIT, asking).await.is_ok_and(|answered| answered.unwrap_or(false))
    }
}

fn write(folder: &Path, name: &str, text: &str) -> Result<(), Failure> {
    let file = folder.join(name);
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&file, text));
    written.map_err(|error| Failure::other(format!("{}: {error}", file.display())))
}

/// Where ports begin that the system gives to no outgoing connection: one of those could
/// take a port between its choice and the start of the process that is to listen there.
const PORTS_FROM: u16 = 20_000;
/// Ports that one harness chooses from, and how many harnesses can choose at the same time.
const PORTS_OF_ONE: u16 = 120;
const HARNESSES_MAX: u16 = 100;

/// Ports of the loopback interface that nobody uses at the moment.
pub(crate) fn free_places<const N: usize>() -> Result<[SocketAddr; N], Failure> {
    static CHOSEN: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % u32::from(HARNESSES_MAX)).unwrap_or_default();
    let first = PORTS_FROM + own * PORTS_OF_ONE;
    let mut places = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for place in &mut places {
        let free = (0..PORTS_OF_ONE).find_map(|_| {
            let next = CHOSEN.fetch_add(1, Ordering::Relaxed) % PORTS_OF_ONE;
            let place = SocketAddr::from((Ipv4Addr::LOCALHOST, first + next));
            TcpListener::bind(place).is_ok().then_some(place)
        });
        *place = free.ok_or_else(|| {
            let last = first + PORTS_OF_ONE - 1;
            Failure::other(format!("no port from {first} to {last} is free"))
        })?;
    }
    Ok(places)
}
