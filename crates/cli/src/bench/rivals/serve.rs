//! The rivals' processes.

use crate::{
    bench::{
        cpu::Account,
        http::{Connection, Target},
    },
    exit::Failure,
};
use std::{
    fs::File,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Time for a rival to listen.
const START_MAX: Duration = Duration::from_secs(60);
/// Between two looks whether it does.
const START_PAUSE: Duration = Duration::from_millis(100);

/// What serves one rival; it ends when this is dropped.
pub(in crate::bench) struct Rival {
    processes: Vec<Running>,
    /// Where runs are asked for.
    pub(in crate::bench) url: String,
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Rival {
    /// LangGraph behind uvicorn, with its checkpoints in this folder.
    pub(super) async fn langgraph(
        installed: &Path,
        folder: &Path,
        model: &str,
    ) -> Result<Self, Failure> {
        let port = port()?;
        let mut command = Command::new(installed.join("venv/bin/python"));
        let port_text = port.to_string();
        command.args(["-m", "uvicorn", "app:app", "--log-level", "warning"]);
        command.args(["--host", "127.0.0.1", "--port", &port_text]);
        command.current_dir(installed).env("MODEL_URL", model);
        command.env("DATABASE", absolute(folder)?.join("checkpoints.sqlite"));
        let process = start(command, folder, "langgraph")?;
        listens(port, "LangGraph").await?;
        Ok(Self { processes: vec![process], url: format!("http://127.0.0.1:{port}/run") })
    }

    /// Restate's server, with its data in this folder, and the service that it calls.
    pub(in crate::bench) async fn restate(
        installed: &Path,
        folder: &Path,
        model: &str,
    ) -> Result<Self, Failure> {
        let (node, service, ingress, admin) = (port()?, port()?, port()?, port()?);
        let mut command = Command::new("node");
        command.arg("service.mjs").current_dir(installed);
        command.env("MODEL_URL", model).env("PORT", service.to_string());
        let handler = start(command, folder, "restate-service")?;
        let at = |port: u16| format!("127.0.0.1:{port}");
        let mut command = Command::new(server(installed)?);
        command.arg("--no-logo").current_dir(folder);
        for (name, value) in [
            ("RESTATE_BASE_DIR", absolute(folder)?.join("restate").display().to_string()),
            ("RESTATE_LISTEN_MODE", "tcp".into()),
            ("RESTATE_BIND_ADDRESS", at(node)),
            ("RESTATE_INGRESS__BIND_ADDRESS", at(ingress)),
            ("RESTATE_ADMIN__BIND_ADDRESS", at(admin)),
            ("RESTATE_DISABLE_TELEMETRY", "true".into()),
            ("RUST_LOG", "error".into()),
        ] {
            command.env(name, value);
        }
        let server = start(command, folder, "restate-server")?;
        for port in [service, ingress, admin] {
            listens(port, "Restate").await?;
        }
        register(admin, service).await?;
        let url = format!("http://{}/team/run", at(ingress));
        Ok(Self { processes: vec![server, handler], url })
    }

    /// What all its processes use.
    pub(in crate::bench) fn accounts(&self) -> Vec<Account> {
        self.processes.iter().map(|process| Account::of(process.0.id())).collect()
    }
}

/// Tells Restate of the service, until it has taken it: it listens before it is ready.
async fn register(admin: u16, service: u16) -> Result<(), Failure> {
    let target = Target::new(&format!("http://127.0.0.1:{admin}"), "/deployments");
    let body = format!(r#"{{"uri":"http://127.0.0.1:{service}"}}"#);
    let began = Instant::now();
    loop {
        let mut connection = Connection::open(&target).await?;
        match connection.post(&target, &body).await {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > START_MAX => return Err(error),
            Err(_) => tokio::time::sleep(START_PAUSE).await,
        }
    }
}

/// The server's own program: what the package starts is only a wrapper around it.
fn server(installed: &Path) -> Result<PathBuf, Failure> {
    let scope = installed.join("node_modules/@restatedev");
    let mut found = std::fs::read_dir(&scope).into_iter().flatten().filter_map(|entry| {
        let program = entry.ok()?.path().join("bin/restate-server");
        program.exists().then_some(program)
    });
    found
        .next()
        .ok_or_else(|| Failure::other(format!("{}: no server for this machine", scope.display())))
}

/// A port that is free at the moment.
fn port() -> Result<u16, Failure> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|bound| bound.local_addr());
    bound.map(|bound| bound.port()).map_err(|error| Failure::other(format!("no port: {error}")))
}

fn absolute(folder: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(folder).map_err(|error| Failure::other(error.to_string()))
}

/// What it says goes to a file of the folder, which goes with it.
fn start(mut command: Command, folder: &Path, name: &str) -> Result<Running, Failure> {
    let failed = |error: std::io::Error| Failure::other(format!("cannot start {name}: {error}"));
    let log = File::create(folder.join(format!("{name}.log"))).map_err(failed)?;
    let errors = log.try_clone().map_err(failed)?;
    command.stdin(Stdio::null()).stdout(log).stderr(errors);
    command.spawn().map(Running).map_err(failed)
}

async fn listens(port: u16, name: &str) -> Result<(), Failure> {
    let target = Target::new(&format!("http://127.0.0.1:{port}"), "");
    let began = Instant::now();
    while let Err(error) = Connection::open(&target).await {
        if began.elapsed() > START_MAX {
            return Err(Failure::other(format!("{name} does not start: {error}")));
        }
        tokio::time::sleep(START_PAUSE).await;
    }
    Ok(())
}
