//! One run, watched: what is seen of it, and the text of whoever writes its answer, be that
//! the holder of a step or, level below level, a child run.

use super::{
    follow::{Follow, Seen},
    progress::{Progress, Writer},
    tokens,
};
use crate::{error::ApiError, peers::Peers};
use baton_proto::v1::{Delta, GetReply, JournalEntry};
use baton_workflow::{RunId, TenantId};
use futures::{Stream, StreamExt, stream::BoxStream};
use std::{collections::HashMap, sync::Arc};

/// What a run gives to be told.
pub(super) enum Given {
    /// What is going on.
    Note(String),
    /// A piece of the text that is the answer, unless its writer fails.
    Delta(Delta),
    /// The run, or the turn, has ended, and so.
    Ended(Box<GetReply>),
}

/// A lease, as observed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lease {
    attempt: u32,
    holder: String,
}

/// Whose text is read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reading {
    Task(u32, Lease),
    Child(u32),
}

/// A run that is watched.
pub(super) struct Level {
    peers: Arc<Peers>,
    tenant: TenantId,
    run: String,
    follow: Follow,
    /// What is told: this turn, and not those before it.
    turn: u32,
    progress: Progress,
    /// Who has which task in hands.
    leases: HashMap<u32, Lease>,
    reading: Option<Reading>,
    deltas: Option<BoxStream<'static, Delta>>,
}

impl Level {
    /// As far as the turn of this number, where the run may await results of tools.
    pub(super) fn new(peers: Arc<Peers>, tenant: TenantId, run: String, turn: Option<u32>) -> Self {
        Self {
            follow: Follow::new(peers.clone(), &tenant, &run, 0).until_turn(turn),
            turn: turn.unwrap_or(0),
            peers,
            tenant,
            run,
            progress: Progress::default(),
            leases: HashMap::new(),
            reading: None,
            deltas: None,
        }
    }

    /// The next thing. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Result<Given, ApiError> {
        loop {
            let given = tokio::select! {
                seen = self.follow.next() => self.seen(seen?),
                delta = next_delta(&mut self.deltas) => self.delta(delta),
            };
            if let Some(given) = given {
                return Ok(given);
            }
        }
    }

    fn seen(&mut self, seen: Seen) -> Option<Given> {
        let note = match seen {
            Seen::Entry(entry) => self.entry(&entry).map(Given::Note),
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
            Seen::Ended(reply) => return Some(Given::Ended(reply)),
        };
        self.read_the_writer();
        note
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

    /// Reads the text of whoever writes the answer, and nobody else's.
    fn read_the_writer(&mut self) {
        let wanted = match self.progress.writer() {
            Some(Writer::Task(task)) => {
                self.leases.get(&task).map(|lease| Reading::Task(task, lease.clone()))
            }
            Some(Writer::Child(child)) => Some(Reading::Child(child)),
            None => None,
        };
        if wanted == self.reading {
            return;
        }
        let peers = self.peers.clone();
        self.deltas = match &wanted {
            Some(Reading::Task(task, lease)) => {
                Some(tokens::read(peers, self.run.clone(), *task, lease.holder.clone()).boxed())
            }
            Some(Reading::Child(child)) => {
                let child = RunId::new(&self.run).and_then(|run| run.child(*child));
                let tenant = self.tenant.clone();
                child.ok().map(|child| answer_of(peers, tenant, child.to_string()).boxed())
            }
            None => None,
        };
        self.reading = wanted;
    }

    fn delta(&mut self, delta: Option<Delta>) -> Option<Given> {
        let Some(delta) = delta else {
            self.deltas = None;
            return None;
        };
        match &self.reading {
            // A holder that lost its lease and does not know it yet may still write. One of an
            // earlier version does not say which attempt it is at.
            Some(Reading::Task(task, lease))
                if delta.attempt != 0 && (delta.task, delta.attempt) != (*task, lease.attempt) =>
            {
                None
            }
            // The child's own level has looked.
            Some(Reading::Task(..) | Reading::Child(_)) => Some(Given::Delta(delta)),
            None => None,
        }
    }
}

/// What is written of a child run's answer; nothing more where the child cannot be watched:
/// the whole text comes with the end of the run above it.
fn answer_of(
    peers: Arc<Peers>,
    tenant: TenantId,
    run: String,
) -> impl Stream<Item = Delta> + Send + 'static {
    async_stream::stream! {
        let mut level = Level::new(peers, tenant, run.clone(), None);
        loop {
            match level.next().await {
                Ok(Given::Delta(delta)) => yield delta,
                Ok(Given::Note(_)) => {}
                Ok(Given::Ended(_)) => return,
                Err(error) => {
                    tracing::debug!(run, code = %error.code, "a child run cannot be watched");
                    return;
                }
            }
        }
    }
}

async fn next_delta(deltas: &mut Option<BoxStream<'static, Delta>>) -> Option<Delta> {
    match deltas {
        Some(deltas) => deltas.next().await,
        None => std::future::pending().await,
    }
}
