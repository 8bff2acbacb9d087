//! A configuration that was read again, and whether a running cluster can take it.

use super::{Live, Secrets};
use crate::{connections::Connections, settings::InForce};
use baton_gateway::check_keys;
use baton_registry::{Auth, Complaint, Origins, ServerSettings, Settings, SettingsFaults};
use std::{net::SocketAddr, path::PathBuf};

/// What the command line says in the place of the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overrides {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) data: Option<PathBuf>,
    pub(crate) metrics_listen: Option<SocketAddr>,
}

impl Overrides {
    /// Says it.
    pub(crate) fn over(&self, server: ServerSettings) -> ServerSettings {
        ServerSettings {
            listen: self.listen.unwrap_or(server.listen),
            data: self.data.clone().unwrap_or(server.data),
            metrics_listen: self.metrics_listen.or(server.metrics_listen),
        }
    }
}

/// What is ready to come into force.
pub(super) struct Candidate {
    pub(super) settings: Settings,
    pub(super) connections: Connections,
    pub(super) secrets: Secrets,
    /// Settings that stay as they are until a restart.
    pub(super) restart: Vec<String>,
}

impl Live {
    /// Reads all files, and checks everything that can be wrong with them here and now.
    pub(super) fn candidate(&self) -> Result<Candidate, SettingsFaults> {
        // What the whole cluster shares goes before what this process has of its own.
        let pushed = self.registry.documents().and_then(|pushed| pushed.borrow().clone());
        let (mut read, file) = match &pushed {
            Some(document) => (InForce::of(document)?, document.source()),
            None => {
                let file = self.pool.config.as_ref().map(|file| file.display().to_string());
                let file = file.unwrap_or_else(|| "environment".to_owned());
                (InForce::read(&self.pool)?, file)
            }
        };
        let origins = read.text.as_deref().map(Origins::of).unwrap_or_default();
        let mut wrong = Complaints { origins, found: Vec::new() };
        // An editor that empties a file before it writes must not empty the configuration.
        if read.text.as_deref().is_some_and(|text| text.trim().is_empty()) {
            wrong.add(&[], "the file is empty: while Baton runs, that is taken for a mistake");
        }
        match &self.simulated {
            Some(url) => read.simulated_at(url.clone()),
            None if read.simulated => wrong.add(
                &[],
                "there are no agents any more, and the simulated pool was not started: \
                 name providers and agents, or restart",
            ),
            None => {}
        }
        let mut settings = read.settings;
        let in_force = self.registry.settings();
        let wanted = self.overrides.over(settings.server);
        let mut restart = differing(&wanted, &in_force.server);
        settings.server = in_force.server.clone();
        if settings.sandbox != in_force.sandbox {
            restart.push("sandbox".into());
            settings.sandbox = in_force.sandbox.clone();
        }
        if let Err(reason) = check_exposure(settings.server.listen, &settings) {
            wrong.add(&["keys"], reason);
        }
        for error in check_keys(&settings.auth).err().into_iter().flatten() {
            wrong.add(&["keys"], error.to_string());
        }
        let connections = self.connections.of(&settings);
        for (name, reason) in connections.as_ref().err().into_iter().flatten() {
            wrong.add(&["providers", name], reason);
        }
        let secrets = Secrets::of(&settings);
        match connections {
            Ok(connections) if wrong.found.is_empty() => {
                Ok(Candidate { settings, connections, secrets, restart })
            }
            Ok(_) | Err(_) => Err(SettingsFaults::new(file, wrong.found)),
        }
    }
}

/// Complaints about values that are well-formed, with the lines where they stand.
struct Complaints {
    origins: Origins,
    found: Vec<Complaint>,
}

impl Complaints {
    fn add(&mut self, path: &[&str], reason: impl Into<String>) {
        let line = self.origins.line(&path.join("."));
        self.found.push(Complaint { line, column: line.map(|_| 1), reason: reason.into() });
    }
}

/// Beyond loopback anybody could spend the owner's money.
pub(crate) fn check_exposure(listen: SocketAddr, settings: &Settings) -> Result<(), String> {
    match &settings.auth {
        Auth::Keys(_) => Ok(()),
        Auth::Open(_) if listen.ip().is_loopback() => Ok(()),
        Auth::Open(_) => Err(format!(
            "refusing to listen on {listen} without keys: anybody could spend your money. \
             Listen on 127.0.0.1, or configure [[keys]]"
        )),
    }
}

fn differing(wanted: &ServerSettings, in_force: &ServerSettings) -> Vec<String> {
    let pairs = [
        ("server.listen", wanted.listen != in_force.listen),
        ("server.data", wanted.data != in_force.data),
        ("server.metrics_listen", wanted.metrics_listen != in_force.metrics_listen),
    ];
    pairs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned()).collect()
}
