//! A door for operators: a socket in the data folder, open to the folder's owner alone.
//!
//! One line asks, the rest of the connection answers: `stats` with a JSON document,
//! `backup` with an archive. It lets nobody in who could not read the ledger's file.

use baton_actor::Supervisor;
use baton_ledger::{EmbeddedLedger, Ledger as _};
use std::{
    convert::Infallible,
    fs, io,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixListener,
};

/// The socket's name in the data folder.
const SOCKET: &str = "control.sock";
/// Longest question, in bytes.
const ASKED_BYTES_MAX: u64 = 64;
/// How long one read or write of an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who listens in a data folder, if anybody does.
pub(crate) fn connect(folder: &Path) -> Option<UnixStream> {
    let stream = UnixStream::connect(folder.join(SOCKET)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    Some(stream)
}

/// Serves operators. A folder where no socket can be made is served without one: that is
/// told, and nothing else depends on it.
pub(crate) fn serve(services: &mut Supervisor, folder: &Path, ledger: &EmbeddedLedger) {
    let (path, ledger) = (folder.join(SOCKET), ledger.clone());
    services.spawn("control", move |stop| {
        let (path, ledger) = (path.clone(), ledger.clone());
        async move {
            match bind(&path) {
                Ok(listener) => {
                    stop.run_until_cancelled(accept(listener, ledger)).await;
                    // Whoever comes later finds nobody there either way.
                    let _ = fs::remove_file(&path);
                }
                Err(error) => {
                    let socket = path.display();
                    tracing::warn!(%error, %socket, "no control socket: baton ledger cannot ask this process");
                    stop.cancelled().await;
                }
            }
            Ok::<(), Infallible>(())
        }
    });
}

fn bind(path: &PathBuf) -> io::Result<UnixListener> {
    // Of a process that was killed: the ledger's own lock says that there is no other.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn accept(listener: UnixListener, ledger: EmbeddedLedger) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let ledger = ledger.clone();
                tokio::spawn(async move {
                    if let Err(error) = answer(stream, ledger).await {
                        tracing::warn!(%error, "an operator's question was not answered");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket takes no connection");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn answer(stream: tokio::net::UnixStream, ledger: EmbeddedLedger) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut asked = String::new();
    let mut question = (&mut stream).take(ASKED_BYTES_MAX);
    let asking = question.read_line(&mut asked);
    tokio::time::timeout(PATIENCE, asking).await.map_err(io::Error::other)??;
    let mut stream = stream.into_inner();
    match asked.trim() {
        "stats" => {
            let stats = ledger.stats().await.map_err(io::Error::other)?;
            stream.write_all(&serde_json::to_vec(&stats)?).await
        }
        "backup" => {
            let stream = stream.into_std()?;
            stream.set_nonblocking(false)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            let archived = ledger.backup(stream).await.map_err(io::Error::other)?;
            tracing::info!(rows = archived.rows, bytes = archived.bytes, "backup written");
            Ok(())
        }
        other => Err(io::Error::other(format!("{other:?} is no question: stats or backup"))),
    }
}
