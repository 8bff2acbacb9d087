//! The bound: a loop that does nothing but make the same bytes durable, as often.

use crate::exit::Failure;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
    time::Instant,
};
use tokio::sync::{mpsc, oneshot};

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
}

type Write = oneshot::Sender<()>;

/// Runs a second of a writer that joins whatever waits into one write and one fdatasync.
pub(super) async fn group_commit(folder: &Path, bound: Bound) -> Result<f64, Failure> {
    let path = folder.join("bound");
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let file = file.map_err(|error| Failure::other(format!("{}: {error}", path.display())))?;
    let bytes = (bound.bytes_per_run / f64::from(bound.waits_in_a_run)) as usize;
    let (writes, waiting) = mpsc::channel(BATCH_MAX);
    let writer = tokio::task::spawn_blocking(move || write_all(file, waiting, bytes));
    let began = Instant::now();
    let runs_each = bound.runs / bound.in_flight.max(1);
    let runs = (0..bound.in_flight).map(|_| {
        let writes = writes.clone();
        async move {
            for _ in 0..runs_each * bound.waits_in_a_run {
                let (write, durable) = oneshot::channel();
                if writes.send(write).await.is_err() || durable.await.is_err() {
                    return;
                }
            }
        }
    });
    futures::future::join_all(runs.map(tokio::spawn)).await;
    let took = began.elapsed().as_secs_f64();
    drop(writes);
    let written = writer.await.map_err(|error| Failure::other(error.to_string()))?;
    written.map_err(|error| Failure::other(format!("{}: {error}", path.display())))?;
    Ok(f64::from(runs_each * bound.in_flight) / took)
}

fn write_all(mut file: File, mut waiting: mpsc::Receiver<Write>, bytes: usize) -> io::Result<()> {
    let record = vec![b'x'; bytes];
    let mut batch = Vec::new();
    while waiting.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
        file.write_all(&record.repeat(batch.len()))?;
        file.sync_data()?;
        for write in batch.drain(..) {
            // Whoever asked may have gone.
            let _gone = write.send(());
        }
    }
    Ok(())
}
