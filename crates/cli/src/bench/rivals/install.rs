//! Puts the rivals, at the versions and hashes that are pinned, into a folder of the cache.

use crate::exit::Failure;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tokio::process::Command;

/// Files of a rival: name and content.
type Files = &'static [(&'static str, &'static str)];

const LANGGRAPH: Files = &[
    ("app.py", include_str!("../../../../../tests/rivals/langgraph/app.py")),
    ("requirements.txt", include_str!("../../../../../tests/rivals/langgraph/requirements.txt")),
];
const RESTATE: Files = &[
    ("service.mjs", include_str!("../../../../../tests/rivals/restate/service.mjs")),
    ("package.json", include_str!("../../../../../tests/rivals/restate/package.json")),
    ("package-lock.json", include_str!("../../../../../tests/rivals/restate/package-lock.json")),
];
/// There once everything of a rival is installed.
const DONE: &str = "installed";

/// Where LangGraph is, installed if it was not.
pub(super) async fn langgraph(cache: Option<&Path>) -> Result<PathBuf, Failure> {
    let langgraph = prepare(&folder(cache)?, "langgraph", LANGGRAPH)?;
    if !langgraph.join(DONE).exists() {
        anstream::eprintln!("installing LangGraph into {}", langgraph.display());
        run(&langgraph, "python3", &["-m", "venv", "venv"]).await?;
        let pip = langgraph.join("venv/bin/pip").display().to_string();
        let args = ["install", "--quiet", "--require-hashes", "-r", "requirements.txt"];
        run(&langgraph, &pip, &args).await?;
        write(&langgraph.join(DONE), "")?;
    }
    Ok(langgraph)
}

/// Where Restate is, installed if it was not.
pub(in crate::bench) async fn restate(cache: Option<&Path>) -> Result<PathBuf, Failure> {
    let restate = prepare(&folder(cache)?, "restate", RESTATE)?;
    if !restate.join(DONE).exists() {
        anstream::eprintln!("installing Restate into {}", restate.display());
        let args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        run(&restate, "npm", &args).await?;
        write(&restate.join(DONE), "")?;
    }
    Ok(restate)
}

fn folder(cache: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(folder) = cache {
        return Ok(folder.to_owned());
    }
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    let cache = cache.ok_or_else(|| Failure::usage("there is no HOME: say --cache DIR"))?;
    Ok(cache.join("baton/rivals"))
}

/// A folder of its own for every state of the files, so that a new version is installed anew.
fn prepare(cache: &Path, name: &str, files: Files) -> Result<PathBuf, Failure> {
    let all: String = files.iter().map(|(_, content)| *content).collect();
    let version = baton_ledger::Body::new(all).name.hash;
    let version: String = version.chars().take(12).collect();
    let folder = cache.join(format!("{name}-{version}"));
    let made = fs::create_dir_all(&folder);
    made.map_err(|error| Failure::other(format!("{}: {error}", folder.display())))?;
    for (file, content) in files {
        write(&folder.join(file), content)?;
    }
    // It is started in another folder.
    fs::canonicalize(&folder)
        .map_err(|error| Failure::other(format!("{}: {error}", folder.display())))
}

fn write(path: &Path, content: &str) -> Result<(), Failure> {
    fs::write(path, content).map_err(|error| Failure::other(format!("{}: {error}", path.display())))
}

async fn run(folder: &Path, program: &str, args: &[&str]) -> Result<(), Failure> {
    let said = format!("`{program} {}` in {}", args.join(" "), folder.display());
    let done = Command::new(program).args(args).current_dir(folder).output().await;
    let done = done.map_err(|error| {
        Failure::other(format!("cannot run {said}: {error}; the rivals need python3 and node"))
    })?;
    if done.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&done.stderr);
    let from = stderr.lines().count().saturating_sub(8);
    let last: Vec<_> = stderr.lines().skip(from).collect();
    Err(Failure::other(format!("{said} failed ({}): {}", done.status, last.join("\n"))))
}
