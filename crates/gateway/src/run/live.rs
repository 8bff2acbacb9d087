//! A run while a client watches it: what can be told, and what of the answer stands.

use super::{
    follow::{Follow, Seen},
    progress::Progress,
    sent::{Piece, Sent},
    tokens,
};
use crate::{error::ApiError, gateway::Shared, limits::KEEP_ALIVE_EVERY};
use baton_proto::v1::{Delta, GetReply, JournalEntry};
use baton_workflow::TenantId;
use futures::{StreamExt, stream::BoxStream};
use std::{collections::HashMap, sync::Arc};
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

/// A lease, as observed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lease {
    attempt: u32,
    holder: String,
}

/// A run that is watched.
pub(crate) struct Live {
    shared: Arc<Shared>,
    run: String,
    follow: Follow,
    /// What is told: this turn, and not those before it.
    turn: u32,
    progress: Progress,
    /// Who has which task in hands.
    leases: HashMap<u32, Lease>,
    /// The lease whose tokens are read.
    reading: Option<(u32, Lease)>,
    tokens: Option<BoxStream<'static, Delta>>,
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
        Self {
            follow: Follow::new(shared.peers.clone(), tenant, run, 0).until_turn(turn),
            turn: turn.unwrap_or(0),
            run: run.to_owned(),
            shared,
            progress: Progress::default(),
            leases: HashMap::new(),
            reading: None,
            tokens: None,
            also: None,
            sent: Sent::default(),
            quiet,
        }
    }

    /// The next thing to tell.
    pub(crate) async fn next(&mut self) -> Result<Told, ApiError> {
        if let Some(told) = self.also.take() {
            return Ok(told);
        }
        loop {
            let told = tokio::select! {
                seen = self.follow.next() => self.seen(seen?),
                delta = next_delta(&mut self.tokens) => self.delta(delta),
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

    fn seen(&mut self, seen: Seen) -> Option<Told> {
        let told = match seen {
            Seen::Entry(entry) => self.entry(&entry).map(Told::Note),
            Seen::Leased(leased) => {
                let lease = Lease { attempt: leased.attempt, holder: leased.holder };
                self.leases.insert(leased.task, lease);
                None
            }
            Seen::Expired(expired) => {
                self.leases
                    .retain(|task, lease| *task != expired.task || lease.attempt > expired.attempt);
                None
            }
            Seen::Ended(reply) => return Some(Told::Ended(reply)),
        };
        self.read_the_writer();
        told
    }

    fn entry(&mut self, entry: &JournalEntry) -> Option<String> {
        match baton_engine::version::read(&entry.event_json) {
            Ok(event) => {
                let words = self.progress.take(&event);
                words.filter(|_| self.progress.turn() >= self.turn)
            }
            // Written by a newer Conductor: the answer still comes with the end.
            Err(error) => {
                tracing::warn!(run = self.run, seq = entry.seq, %error, "unknown journal entry");
                None
            }
        }
    }

    /// Reads the tokens of the answer's task, and of no other.
    fn read_the_writer(&mut self) {
        let writer = self.progress.writer();
        let wanted = writer.and_then(|task| Some((task, self.leases.get(&task)?.clone())));
        if wanted == self.reading {
            return;
        }
        self.tokens = wanted.as_ref().map(|(task, lease)| {
            let peers = self.shared.peers.clone();
            tokens::read(peers, self.run.clone(), *task, lease.holder.clone()).boxed()
        });
        self.reading = wanted;
    }

    fn delta(&mut self, delta: Option<Delta>) -> Option<Told> {
        let Some(delta) = delta else {
            self.tokens = None;
            return None;
        };
        // A holder that lost its lease and does not know it yet may still write. One of an
        // earlier version does not say which attempt it is at.
        let read = self.reading.as_ref().map(|(task, lease)| (*task, lease.attempt));
        if delta.attempt != 0 && read != Some((delta.task, delta.attempt)) {
            return None;
        }
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

async fn next_delta(tokens: &mut Option<BoxStream<'static, Delta>>) -> Option<Delta> {
    match tokens {
        Some(tokens) => tokens.next().await,
        None => std::future::pending().await,
    }
}
