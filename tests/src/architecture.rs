//! Who may depend on what. ARCHITECTURE.md gives the reasons; the checker says what a
//! manifest, a source or the lockfile does that it must not.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use toml::{Table, Value};

/// The crates, layer by layer. A crate may depend on lower layers only.
const LAYERS: [&[&str]; 8] = [
    &["codes", "workflow"],
    &["planner", "engine", "checks"],
    &["proto", "telemetry", "actor"],
    &["ledger", "registry", "provider"],
    &["ledger-redis", "registry-etcd", "provider-http", "sandbox", "call", "briefing"],
    &["gateway", "conductor", "worker-agent", "verifier", "sim"],
    &["train", "eval"],
    &["cli"],
];
/// Beside the layers: free to use all of them, for tests only.
const OUTSIDE: [&str; 2] = ["testkit", "tests"];
/// How many of the lowest layers are pure.
const PURE_LAYERS: usize = 2;
/// What a pure crate cannot name: runtimes, clocks, chance and the world outside.
const IMPURE_CRATES: [&str; 15] = [
    "async-",
    "chrono",
    "fastrand",
    "futures",
    "getrandom",
    "jiff",
    "log",
    "mio",
    "rand",
    "smol",
    "time",
    "tokio",
    "tracing",
    "ulid",
    "uuid",
];
/// The same in its source.
const IMPURE_WORDS: [&str; 16] = [
    ".await",
    "Instant::now",
    "SystemTime",
    "async fn",
    "async move",
    "async {",
    "dbg!",
    "print!",
    "println!",
    "rand::",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "tokio",
];
/// Vendors, by the beginning of their crates' names, with the crates that may name them.
const DOORS: [(&str, &[&str]); 17] = [
    ("axum", &["cli", "gateway", "sim", "telemetry"]),
    ("clap", &["cli"]),
    // Its build needs a `protoc`; `registry-etcd` has etcd's calls generated.
    ("etcd-client", &[]),
    ("hyper", &[]),
    ("landlock", &["sandbox"]),
    ("notify", &["registry"]),
    ("opentelemetry", &["telemetry", "testkit"]),
    ("prost", &["proto", "registry-etcd", "testkit"]),
    ("prometheus-client", &["telemetry"]),
    ("protox", &["proto", "registry-etcd"]),
    ("redb", &["ledger"]),
    ("redis", &["ledger-redis"]),
    ("reqwest", &["provider-http"]),
    ("seccompiler", &["sandbox"]),
    ("tonic-prost", &["proto", "registry-etcd"]),
    ("tracing-opentelemetry", &["telemetry"]),
    ("tracing-subscriber", &["telemetry"]),
];
/// One copy of each, because their types meet across crates.
const ONCE: [&str; 4] = ["hyper", "prost", "rustls", "tonic"];
/// Native code that no machine must be asked for.
const NEVER: [&str; 6] =
    ["aws-lc-rs", "aws-lc-sys", "native-tls", "openssl", "openssl-sys", "protobuf-src"];

/// A crate of the workspace, as far as the rules look at it.
#[derive(Debug, Clone, Default)]
pub struct Crate {
    /// Without `baton-`.
    pub name: String,
    /// Packages that it is made of, and that make it.
    pub dependencies: Vec<String>,
    /// Packages that its tests need.
    pub dev_dependencies: Vec<String>,
    /// Places and texts of its source.
    pub sources: Vec<(PathBuf, String)>,
}

impl Crate {
    /// Reads a manifest.
    pub fn of(manifest: &str) -> Self {
        let manifest: Table = manifest.parse().unwrap();
        let name = manifest["package"]["name"].as_str().unwrap();
        let mut found = Self { name: plain(name).into(), ..Self::default() };
        found.take(&manifest);
        let targets = manifest.get("target").and_then(Value::as_table).into_iter().flatten();
        targets.filter_map(|(_, target)| target.as_table()).for_each(|table| found.take(table));
        found
    }

    fn take(&mut self, table: &Table) {
        self.dependencies.extend(packages(table, "dependencies"));
        self.dependencies.extend(packages(table, "build-dependencies"));
        self.dev_dependencies.extend(packages(table, "dev-dependencies"));
    }

    /// Reads a crate's folder.
    pub fn read(folder: &Path) -> Self {
        let mut found = Self::of(&fs::read_to_string(folder.join("Cargo.toml")).unwrap());
        sources(&folder.join("src"), &mut found.sources);
        found
    }

    fn layer(&self) -> Option<usize> {
        layer(&self.name)
    }
}

/// The packages in one section of a manifest, by their own names.
fn packages(table: &Table, section: &str) -> Vec<String> {
    let entries = table.get(section).and_then(Value::as_table).into_iter().flatten();
    let name = |(name, entry): (&String, &Value)| {
        let package = entry.get("package").and_then(Value::as_str);
        package.unwrap_or(name).to_owned()
    };
    entries.map(name).collect()
}

fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !path.ends_with("tests.rs")
        {
            found.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
}

fn plain(name: &str) -> &str {
    name.strip_prefix("baton-").unwrap_or(name)
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

/// Every rule that the crates break, one line each.
pub fn faults(crates: &[Crate]) -> Vec<String> {
    let mut faults = Vec::new();
    for found in crates {
        layers(found, &mut faults);
        purity(found, &mut faults);
        doors(found, &mut faults);
    }
    faults
}

fn layers(found: &Crate, faults: &mut Vec<String>) {
    let name = &found.name;
    let outside = OUTSIDE.contains(&name.as_str());
    if found.layer().is_none() && !outside {
        faults.push(format!("{name} has no layer: give it one in ARCHITECTURE.md and here"));
    }
    for other in found.dependencies.iter().filter_map(|other| other.strip_prefix("baton-")) {
        let below = match (found.layer(), layer(other)) {
            (Some(mine), Some(its)) => its < mine,
            (None, _) => outside,
            (Some(_), None) => false,
        };
        if !below {
            faults.push(format!("{name} depends on {other}, which is not in a lower layer"));
        }
    }
    for other in found.dev_dependencies.iter().filter_map(|other| other.strip_prefix("baton-")) {
        let below = layer(other).is_some_and(|its| found.layer().is_none_or(|mine| its < mine));
        if !below && other != name && other != "testkit" {
            faults.push(format!("{name}'s tests use {other}, which is not in a lower layer"));
        }
    }
}

fn purity(found: &Crate, faults: &mut Vec<String>) {
    if found.layer().is_none_or(|layer| layer >= PURE_LAYERS) {
        return;
    }
    let name = &found.name;
    for other in found.dependencies.iter().chain(&found.dev_dependencies) {
        if IMPURE_CRATES.iter().any(|impure| begins(other, impure)) {
            faults.push(format!("{name} is pure, and depends on {other}"));
        }
    }
    for (path, text) in &found.sources {
        // Tests may read files; they are no part of what the crate is.
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
        for (number, line) in (1..).zip(text.lines()) {
            let code = code(line);
            for word in IMPURE_WORDS.iter().filter(|word| says(code, word)) {
                faults.push(format!("{}:{number}: {name} is pure: {word}", path.display()));
            }
        }
    }
}

/// Whether a line says a word, and not merely a longer one that begins like it: what awaits
/// is not what is awaited.
fn says(code: &str, word: &str) -> bool {
    let longer = |rest: &str| rest.starts_with(|next: char| next.is_alphanumeric());
    let whole = word.ends_with(char::is_alphanumeric);
    code.match_indices(word).any(|(place, _)| {
        let rest = code.get(place + word.len()..).unwrap_or_default();
        !whole || !longer(rest)
    })
}

/// Whether a crate is the named one, or of its family: `prost` has `prost-types`.
fn begins(name: &str, family: &str) -> bool {
    let rest = name.strip_prefix(family);
    rest.is_some_and(|rest| {
        family.ends_with('-') || rest.is_empty() || rest.starts_with(['-', '_'])
    })
}

/// A line without its comment.
fn code(line: &str) -> &str {
    let line = line.trim_start();
    if line.starts_with("//") { "" } else { line.split(" //").next().unwrap_or(line) }
}

/// Tests may knock at any door: what they are made of reaches nobody.
fn doors(found: &Crate, faults: &mut Vec<String>) {
    for other in &found.dependencies {
        let family = DOORS.iter().filter(|(vendor, _)| begins(other, vendor));
        if let Some((_, keepers)) = family.max_by_key(|(vendor, _)| vendor.len())
            && !keepers.contains(&found.name.as_str())
        {
            let keepers = if keepers.is_empty() { "nobody".into() } else { keepers.join(", ") };
            let name = &found.name;
            faults.push(format!("{name} depends on {other}, which {keepers} alone may name"));
        }
    }
}

/// What the lockfile must not hold, one line each.
pub fn lock_faults(lock: &str) -> Vec<String> {
    let lock: Table = lock.parse().unwrap();
    let mut versions = BTreeMap::<&str, Vec<&str>>::new();
    for package in lock["package"].as_array().into_iter().flatten() {
        let text = |name: &str| package[name].as_str().unwrap();
        versions.entry(text("name")).or_default().push(text("version"));
    }
    let mut faults = Vec::new();
    for name in ONCE {
        let found = versions.get(name).cloned().unwrap_or_default();
        if found.len() != 1 {
            let found = found.join(", ");
            faults.push(format!("{name} is there in versions [{found}]: expected exactly one"));
        }
    }
    for name in NEVER.iter().filter(|name| versions.contains_key(**name)) {
        faults.push(format!("{name} is there: everything is Rust, with ring underneath"));
    }
    faults
}
