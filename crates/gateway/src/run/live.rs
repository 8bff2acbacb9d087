//! A run while a client watches it: what can be told, and what of the answer stands.

use super::{
    level::{Given, Level},
    sent::{Piece, Sent},
};
use crate::{error::ApiError, gateway::Shared, limits::KEEP_ALIVE_EVERY};
use baton_proto::v1::{Delta, GetReply};
use baton_workflow::TenantId;
use std::sync::Arc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// What can be told to a client that waits.
#[derive(Debug)]
pub(crate) enum Told {
    /// More of the answer, for good.
    Text(String),
    /// More of what the answer's agent thinks.
    Reasoning(String),
    /// What is going on.
    Note(String),
    /// Nothing, for a while.
    Quiet,
    /// The text that was sent is not the answer's any more.
    Contradiction,
    /// The run has ended, and so.
    Ended(Box<GetReply>),
    /// The gateway stops; the run goes on.
    Stopping,
}

/// A run that a client watches.
pub(crate) struct Live {
    shared: Arc<Shared>,
    level: Level,
    /// Seen together with what was told last.
    also: Option<Told>,
    pub(crate) sent: Sent,
    quiet: Interval,
}

impl Live {
    /// As far as the turn of this number, where the run may await results of tools.
    pub(crate) fn new(
        shared: Arc<Shared>,
        tenant: &TenantId,
        run: &str,
        turn: Option<u32>,
    ) -> Self {
        let mut quiet = interval_at(Instant::now() + KEEP_ALIVE_EVERY, KEEP_ALIVE_EVERY);
        quiet.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let level = Level::new(shared.peers.clone(), tenant.clone(), run.to_owned(), turn);
        Self { shared, level, also: None, sent: Sent::default(), quiet }
    }

    /// The next thing to tell.
    pub(crate) async fn next(&mut self) -> Result<Told, ApiError> {
        if let Some(told) = self.also.take() {
            return Ok(told);
        }
        loop {
            let told = tokio::select! {
                given = self.level.next() => match given? {
                    Given::Note(words) => Some(Told::Note(words)),
                    Given::Delta(delta) => self.delta(delta),
                    Given::Ended(reply) => Some(Told::Ended(reply)),
                },
                _ = self.quiet.tick() => Some(Told::Quiet),
                () = self.shared.closing.cancelled() => Some(Told::Stopping),
            };
            let Some(told) = told else { continue };
            // Not every client is told the rest.
            if matches!(told, Told::Text(_)) {
                self.quiet.reset();
            }
            return Ok(told);
        }
    }

    fn delta(&mut self, delta: Delta) -> Option<Told> {
        let reasoning = (!delta.reasoning.is_empty()).then_some(Told::Reasoning(delta.reasoning));
        let text = match self.sent.take(delta.offset, &delta.text) {
            Piece::New(text) => Some(Told::Text(text)),
            Piece::Contradiction => return Some(Told::Contradiction),
            Piece::Nothing => None,
        };
        // Models think before they speak.
        match reasoning {
            Some(reasoning) => {
                self.also = text;
                Some(reasoning)
            }
            None => text,
        }
    }
}
