//! Configurations over the simulated pool of a `baton sim`.

use baton_testkit::baton::Baton;
use std::{fmt::Write as _, fs, path::PathBuf};
use tempfile::{NamedTempFile, TempDir};

/// A provider of this name at this address.
pub fn provider(name: &str, url: &str) -> String {
    format!("[providers.{name}]\nbase_url = \"{url}/v1\"\n")
}

/// An agent with a simulated model.
pub fn agent(id: &str, provider: &str, model: &str) -> String {
    format!(
        "[[agents]]\nid = \"{id}\"\nprovider = \"{provider}\"\nmodel = \"{model}\"\n\
         price = {{ input = 0.3, output = 1.2 }}\ncontext_tokens = 32768\noutput_tokens = 2048\n"
    )
}

/// The parameters of the simulated pool with a change, in a file.
pub fn parameters(change: impl FnOnce(&mut toml::Table)) -> NamedTempFile {
    let built_in = include_str!("../../crates/sim/parameters.toml");
    let mut parameters: toml::Table = built_in.parse().unwrap();
    change(&mut parameters);
    let file = NamedTempFile::new().unwrap();
    fs::write(&file, parameters.to_string()).unwrap();
    file
}

/// The simulated Conductor as the policy.
pub fn policy(provider: &str) -> String {
    format!(
        "[policy]\nprovider = \"{provider}\"\nmodel = \"sim-conductor\"\n\
         price = {{ input = 0.5, output = 2.0 }}\ncontext_tokens = 65536\noutput_tokens = 4096\n"
    )
}

fn whole(parts: &[String]) -> String {
    let mut text = String::new();
    for part in parts {
        writeln!(text, "{part}").unwrap();
    }
    text
}

/// Parts of a configuration, in a file of its own.
pub struct Config {
    folder: TempDir,
}

impl Config {
    /// Writes the file.
    pub fn new(parts: &[String]) -> Self {
        let config = Self { folder: tempfile::tempdir().unwrap() };
        config.write(parts);
        config
    }

    /// Writes it again, in place.
    pub fn write(&self, parts: &[String]) {
        std::fs::write(self.path(), whole(parts)).unwrap();
    }

    /// Puts another file in its place, as editors do.
    pub fn replace(&self, parts: &[String]) {
        let new = self.file("baton.toml.new");
        std::fs::write(&new, whole(parts)).unwrap();
        std::fs::rename(new, self.path()).unwrap();
    }

    /// A file beside it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its place.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("baton.toml")
    }

    /// `baton up` with it.
    pub fn up(&self) -> Baton {
        Baton::up_anew(&["--config", self.path().to_str().unwrap()]).unwrap()
    }
}
