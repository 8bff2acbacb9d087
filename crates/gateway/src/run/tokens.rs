//! Reads a step's tokens from the worker-agent that has it in hands.

use crate::{
    limits::{STEP_WATCH_PAUSE, STEP_WATCH_TRIES_MAX},
    peers::Peers,
};
use baton_proto::v1::{Delta, WatchStepRequest};
use futures::Stream;
use std::sync::Arc;
use tonic::{Code, Streaming};

/// The tokens; none if the holder is not to be found. The whole text comes with the
/// run's end in any case, so no failure here is one of the run.
pub(super) fn read(
    peers: Arc<Peers>,
    run: String,
    task: u32,
    holder: String,
) -> impl Stream<Item = Delta> + Send {
    async_stream::stream! {
        let Some(mut deltas) = open(&peers, &run, task, &holder).await else { return };
        loop {
            match deltas.message().await {
                Ok(Some(delta)) => {
                    let last = delta.last;
                    yield delta;
                    if last {
                        return;
                    }
                }
                Ok(None) => return,
                Err(status) => {
                    tracing::debug!(run, task, holder, %status, "a step's tokens broke off");
                    return;
                }
            }
        }
    }
}

async fn open(peers: &Peers, run: &str, task: u32, holder: &str) -> Option<Streaming<Delta>> {
    for attempt in 0..STEP_WATCH_TRIES_MAX {
        if attempt > 0 {
            tokio::time::sleep(STEP_WATCH_PAUSE * 2_u32.pow(attempt - 1)).await;
        }
        // A member that the registry has not told of yet, or a call that has not begun.
        let Some(mut worker) = peers.worker(holder) else { continue };
        let request = WatchStepRequest { run: run.to_owned(), task };
        match worker.watch(request).await {
            Ok(deltas) => return Some(deltas.into_inner()),
            Err(status) if matches!(status.code(), Code::NotFound | Code::Unavailable) => {}
            Err(status) => {
                tracing::debug!(run, task, holder, %status, "a step cannot be watched");
                return None;
            }
        }
    }
    None
}
