//! `baton config push`, `history` and `rollback`: the configuration that the processes of a
//! cluster share.

use crate::{
    etcd::{EtcdArgs, failure},
    exit::Failure,
    output::{DIM, GOOD, PLAIN, STRONG},
    settings,
};
use baton_codes::StartCode;
use baton_registry::{Document, SettingsFaults, read_shared};
use baton_registry_etcd::{ConfigStore, PushError};
use clap::Args;
use serde_json::{Value, json};
use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, UNIX_EPOCH},
};

/// How a configuration is replaced.
#[derive(Debug, Args)]
pub(super) struct Change {
    /// Only on top of this revision; 0 is none at all.
    #[arg(long, value_name = "REVISION")]
    expect: Option<u64>,
    /// Why.
    #[arg(long, default_value = "", value_name = "TEXT")]
    comment: String,
    /// Who; your user and this machine unless said.
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
}

impl Change {
    fn author(&self) -> String {
        let user = || std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
        self.author.clone().unwrap_or_else(|| {
            let user = user().unwrap_or_else(|_| "somebody".to_owned());
            let machine = rustix::system::uname();
            format!("{user}@{}", machine.nodename().to_string_lossy())
        })
    }
}

/// The one that is current.
pub(super) async fn current(etcd: &EtcdArgs) -> Result<Document, Failure> {
    let store = store(etcd).await?;
    let current = store.current().await.map_err(|error| failure(&error))?;
    current.ok_or_else(|| {
        Failure::other("the cluster shares no configuration yet: `baton config push FILE`")
    })
}

/// Gives a file's configuration to the cluster.
pub(super) async fn push(
    file: &Path,
    change: &Change,
    etcd: &EtcdArgs,
    json: bool,
) -> Result<ExitCode, Failure> {
    let faults = |faults: SettingsFaults| Failure::settings(&faults);
    let text = settings::read(file).map_err(faults)?;
    // Before etcd is asked, and under the name that its writer knows.
    read_shared(&text, &file.display().to_string()).map_err(faults)?;
    let store = store(etcd).await?;
    let pushed = store.push(&text, &change.author(), &change.comment, change.expect).await;
    told(&pushed.map_err(not_pushed)?, json)
}

/// Gives an earlier configuration to the cluster again.
pub(super) async fn rollback(
    revision: u64,
    change: &Change,
    etcd: &EtcdArgs,
    json: bool,
) -> Result<ExitCode, Failure> {
    let store = store(etcd).await?;
    let pushed = store.rollback(revision, &change.author(), &change.comment, change.expect).await;
    told(&pushed.map_err(not_pushed)?, json)
}

/// Lists the kept configurations.
pub(super) async fn history(etcd: &EtcdArgs, json: bool) -> Result<ExitCode, Failure> {
    let kept = store(etcd).await?.history().await.map_err(|error| failure(&error))?;
    if json {
        let kept: Vec<_> = kept.iter().map(|document| described(document, true)).collect();
        let document = json!({ "object": "baton.config.history", "revisions": kept });
        anstream::println!("{document:#}");
        return Ok(ExitCode::SUCCESS);
    }
    if kept.is_empty() {
        anstream::println!("the cluster shares no configuration yet");
    }
    for Document { revision, author, at_ms, comment, text } in &kept {
        let (at, lines) = (time(*at_ms), text.lines().count());
        anstream::println!(
            "{STRONG}{revision}{PLAIN} {DIM}{at}{PLAIN} {author} ({lines} lines) {comment}"
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn store(etcd: &EtcdArgs) -> Result<ConfigStore, Failure> {
    ConfigStore::connect(etcd.options()?).await.map_err(|error| failure(&error))
}

fn not_pushed(error: PushError) -> Failure {
    match error {
        PushError::Faults(faults) => Failure::settings(&faults),
        PushError::Registry(error) => failure(&error),
        PushError::Conflict { .. } => {
            Failure::other(error.to_string()).named(StartCode::ConfigConflict)
        }
        PushError::NoSuchRevision(_) => Failure::usage(error.to_string()),
    }
}

fn told(pushed: &Document, json: bool) -> Result<ExitCode, Failure> {
    if json {
        let mut document = described(pushed, false);
        document["object"] = "baton.config.push".into();
        anstream::println!("{document:#}");
    } else {
        let revision = pushed.revision;
        anstream::println!(
            "{GOOD}revision {revision}{PLAIN} is current; `baton config status` says at each \
             endpoint whether it is in force there"
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn described(document: &Document, text: bool) -> Value {
    let Document { revision, author, at_ms, comment, text: words } = document;
    let mut described = json!({
        "revision": revision, "author": author, "at_ms": at_ms, "comment": comment,
    });
    if text {
        described["text"] = words.as_str().into();
    }
    described
}

fn time(at_ms: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(at_ms))
}
