//! Follows a run over its journal, from one Conductor to the next if need be.

use crate::{
    error::{ApiError, Retry},
    limits::{CALL_RETRY_PAUSE, CALL_TIMEOUT, CONDUCTOR_AWAY_MAX},
    peers::{Conductor, Peers, plain},
};
use baton_proto::v1::{
    Expired, GetReply, JournalEntry, Leased, WatchReply, WatchRequest, watch_reply::What,
};
use baton_workflow::TenantId;
use std::{sync::Arc, time::Instant};
use tonic::Streaming;

/// What is seen of a run.
#[derive(Debug)]
pub(crate) enum Seen {
    Entry(JournalEntry),
    Leased(Leased),
    Expired(Expired),
    /// After the last entry: what came of the run, or of the turn.
    Ended(Box<GetReply>),
}

/// A watch that outlives the Conductors it is kept with: each entry is seen once.
pub(crate) struct Follow {
    peers: Arc<Peers>,
    tenant: String,
    run: String,
    seq: u64,
    end_only: bool,
    /// The turn that is waited for, where the run may await results of tools.
    turn: Option<u32>,
    stream: Option<Streaming<WatchReply>>,
    /// Since when nobody has said anything.
    away: Option<Instant>,
}

impl Follow {
    /// Behind this position of the journal; 0 is its beginning.
    pub(crate) fn new(peers: Arc<Peers>, tenant: &TenantId, run: &str, from: u64) -> Self {
        let (tenant, run) = (tenant.to_string(), run.to_owned());
        Self {
            peers,
            tenant,
            run,
            seq: from,
            end_only: false,
            turn: None,
            stream: None,
            away: None,
        }
    }

    /// For whoever waits for nothing but the end, or a turn.
    pub(crate) fn ending(self) -> Self {
        Self { end_only: true, ..self }
    }

    /// The same, as far as the turn of this number.
    pub(crate) fn until_turn(self, turn: Option<u32>) -> Self {
        Self { turn, ..self }
    }

    /// Makes sure that the run is there to be followed.
    pub(crate) async fn open(&mut self) -> Result<(), ApiError> {
        let (tenant, run) = (self.tenant.clone(), self.run.clone());
        let request =
            WatchRequest { tenant, run, from: self.seq, end_only: self.end_only, turn: self.turn };
        let watch = |mut conductor: Conductor| {
            let request = request.clone();
            async move { conductor.watch(request).await }
        };
        self.stream = Some(self.peers.ask(CALL_TIMEOUT, watch).await?);
        Ok(())
    }

    /// The next thing that happens. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Seen, ApiError> {
        loop {
            let Some(stream) = &mut self.stream else {
                if let Err(error) = self.open().await {
                    self.absent(error)?;
                    tokio::time::sleep(CALL_RETRY_PAUSE).await;
                }
                continue;
            };
            match stream.message().await {
                Ok(Some(WatchReply { what: Some(what) })) => {
                    self.away = None;
                    if let Some(seen) = self.take(what) {
                        return Ok(seen);
                    }
                }
                Ok(Some(WatchReply { what: None })) => {}
                // The Conductor stops or is gone; the run has not ended.
                Ok(None) => {
                    self.stream = None;
                    self.absent(ApiError::unavailable("the Conductor ended the watch"))?;
                    tokio::time::sleep(CALL_RETRY_PAUSE).await;
                }
                Err(status) => {
                    tracing::debug!(run = self.run, %status, "a watch broke");
                    self.stream = None;
                    self.absent(plain(status).into())?;
                    tokio::time::sleep(CALL_RETRY_PAUSE).await;
                }
            }
        }
    }

    /// Refusals are final; absence is borne for a while.
    fn absent(&mut self, error: ApiError) -> Result<(), ApiError> {
        let since = *self.away.get_or_insert_with(Instant::now);
        if error.retry == Retry::Never || since.elapsed() > CONDUCTOR_AWAY_MAX {
            return Err(error);
        }
        Ok(())
    }

    fn take(&mut self, what: What) -> Option<Seen> {
        match what {
            What::Entry(entry) if entry.seq <= self.seq => None,
            What::Entry(entry) => {
                self.seq = entry.seq;
                Some(Seen::Entry(entry))
            }
            What::Leased(leased) => Some(Seen::Leased(leased)),
            What::Expired(expired) => Some(Seen::Expired(expired)),
            What::Awaiting(awaiting) if Some(awaiting.turn) != self.turn => None,
            What::Awaiting(awaiting) => {
                Some(Seen::Ended(Box::new(awaiting.run.unwrap_or_default())))
            }
            What::Ended(ended) => Some(Seen::Ended(Box::new(ended.run.unwrap_or_default()))),
        }
    }
}
