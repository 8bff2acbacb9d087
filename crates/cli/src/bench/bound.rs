//! The bound: a loop that does nothing but make the same bytes durable, as often.

use crate::exit::Failure;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// Writes in one batch, as the ledger has it.
const BATCH_MAX: usize = 256;

/// What the loop has to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub(super) runs: u32,
    pub(super) in_flight: u32,
    /// Writes of one run, each of which waits for the one before to be durable.
    pub(super) waits_in_a_run: u32,
    pub(super) bytes_per_run: f64,
    /// What a sync takes at least.
    pub(super) sync_min: Duration,
}

impl Bound {
    /// The loop, ready to write as much at once as a run does between two waits.
    pub(super) fn start(self, folder: &Path) -> Result<GroupCommit, Failure> {
        let path = folder.join("bound");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(|error| failed(&path, &error))?;
        let bytes = (self.bytes_per_run / f64::from(self.waits_in_a_run)) as usize;
        let (writes, waiting) = mpsc::channel(BATCH_MAX);
        let work = move || write_all(file, waiting, bytes, self.sync_min);
        Ok(GroupCommit { path, writes: Writes(writes), writer: tokio::task::spawn_blocking(work) })
    }
}

/// A writer that joins whatever waits into one write and one fdatasync.
pub(super) struct GroupCommit {
    path: PathBuf,
    pub(super) writes: Writes,
    writer: JoinHandle<io::Result<()>>,
}

/// Whoever writes there.
#[derive(Debug, Clone)]
pub(super) struct Writes(mpsc::Sender<oneshot::Sender<()>>);

impl Writes {
    /// Writes, and waits until that is durable; false where the writer has failed.
    pub(super) async fn write(&self) -> bool {
        let (write, durable) = oneshot::channel();
        self.0.send(write).await.is_ok() && durable.await.is_ok()
    }
}

impl GroupCommit {
    /// Ends once nobody writes any more.
    pub(super) async fn finish(self) -> Result<(), Failure> {
        drop(self.writes);
        let written = self.writer.await.map_err(|error| Failure::other(error.to_string()))?;
        written.map_err(|error| failed(&self.path, &error))
    }
}

/// Runs a second of the bare loop.
pub(super) async fn group_commit(folder: &Path, bound: Bound) -> Result<f64, Failure> {
    let commits = bound.start(folder)?;
    let began = Instant::now();
    let runs_each = bound.runs / bound.in_flight.max(1);
    let runs = (0..bound.in_flight).map(|_| {
        let writes = commits.writes.clone();
        async move {
            for _ in 0..runs_each * bound.waits_in_a_run {
                if !writes.write().await {
                    return;
                }
            }
        }
    });
    futures::future::join_all(runs.map(tokio::spawn)).await;
    let took = began.elapsed().as_secs_f64();
    commits.finish().await?;
    Ok(f64::from(runs_each * bound.in_flight) / took)
}

fn write_all(
    mut file: File,
    mut waiting: mpsc::Receiver<oneshot::Sender<()>>,
    bytes: usize,
    sync_min: Duration,
) -> io::Result<()> {
    let record = vec![b'x'; bytes];
    let mut batch = Vec::new();
    while waiting.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
        file.write_all(&record.repeat(batch.len()))?;
        let began = Instant::now();
        file.sync_data()?;
        thread::sleep(sync_min.saturating_sub(began.elapsed()));
        for write in batch.drain(..) {
            // Whoever asked may have gone.
            let _gone = write.send(());
        }
    }
    Ok(())
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::other(format!("{}: {error}", path.display()))
}
