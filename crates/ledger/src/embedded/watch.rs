//! Telling watchers what happens to a run, in order, and never waiting for them.

use super::{EmbeddedLedger, state::Page};
use crate::{LedgerError, Observation, Watched};
use baton_workflow::RunId;
use bytes::Bytes;
use futures::stream;
use futures_core::stream::BoxStream;
use std::collections::{HashMap, HashSet, VecDeque};
use tokio::sync::mpsc;

/// What a watcher may lag behind, in observations; past that it is cut off.
const WATCHER_LAG_MAX: usize = 1024;
/// Watchers at the same time.
const WATCHERS_MAX: usize = 16 * 1024;

/// All watchers, by what they watch.
#[derive(Default)]
pub(super) struct Watchers {
    by_run: HashMap<RunId, Vec<Watcher>>,
    /// Runs with something to be sent.
    stirred: HashSet<RunId>,
}

struct Watcher {
    sender: mpsc::Sender<Watched>,
    /// To be sent when it is durable.
    waiting: Vec<Watched>,
}

/// What a watcher is shown, and where the rest will come from.
pub(super) struct Shown {
    page: Page,
    /// None where there is more to read first, or nothing to come.
    live: Option<mpsc::Receiver<Watched>>,
}

impl Watchers {
    /// Shows a page; where it goes up to the present, the watcher is told what follows.
    pub(super) fn show(&mut self, run: &RunId, page: Page) -> Result<Shown, LedgerError> {
        if page.more || page.end.is_some() {
            return Ok(Shown { page, live: None });
        }
        self.by_run.retain(|_, watchers| {
            watchers.retain(|watcher| !watcher.sender.is_closed());
            !watchers.is_empty()
        });
        let watchers: usize = self.by_run.values().map(Vec::len).sum();
        if watchers >= WATCHERS_MAX {
            return Err(LedgerError::Unavailable(format!("{watchers} runs are watched already")));
        }
        let (sender, live) = mpsc::channel(WATCHER_LAG_MAX);
        let watcher = Watcher { sender, waiting: Vec::new() };
        self.by_run.entry(run.clone()).or_default().push(watcher);
        Ok(Shown { page, live: Some(live) })
    }

    /// Keeps what happened for those who watch it now.
    pub(super) fn note(&mut self, notices: Vec<(RunId, Watched)>) {
        for (run, watched) in notices {
            let Some(watchers) = self.by_run.get_mut(&run) else { continue };
            for watcher in watchers {
                watcher.waiting.push(watched.clone());
            }
            self.stirred.insert(run);
        }
    }

    /// Sends what was noted. Whoever has no room for it is cut off.
    pub(super) fn send(&mut self) {
        for run in self.stirred.drain() {
            let Some(watchers) = self.by_run.get_mut(&run) else { continue };
            watchers.retain_mut(Watcher::send);
            if watchers.is_empty() {
                self.by_run.remove(&run);
            }
        }
    }
}

impl Watcher {
    /// Whether there is more to come.
    fn send(&mut self) -> bool {
        self.waiting.drain(..).all(|watched| {
            let last = matches!(watched, Watched::Ended(_));
            self.sender.try_send(watched).is_ok() && !last
        })
    }
}

/// Where a stream is.
struct Reader {
    run: RunId,
    /// Journal entries seen.
    position: u64,
    ready: VecDeque<Watched>,
    then: Then,
}

enum Then {
    /// Read on from the position.
    Read(EmbeddedLedger),
    /// Wait for what comes.
    Follow(mpsc::Receiver<Watched>),
    /// Nothing comes any more.
    Close,
}

/// The stream of one watcher, from its first page on. Once it is up to the present it
/// does not keep the ledger open.
pub(super) fn follow(
    ledger: EmbeddedLedger,
    run: RunId,
    from: u64,
    shown: Shown,
) -> BoxStream<'static, Result<Watched, LedgerError>> {
    let mut reader = Reader { run, position: from, ready: VecDeque::new(), then: Then::Close };
    reader.turn(ledger, shown);
    Box::pin(stream::unfold(reader, |mut reader| async {
        let item = reader.next().await?;
        Some((item, reader))
    }))
}

impl Reader {
    /// Takes in a page.
    fn turn(&mut self, ledger: EmbeddedLedger, shown: Shown) {
        let Shown { page, live } = shown;
        let Page { entries, more, held, end } = page;
        self.position = entries.last().map_or(self.position, |entry| entry.seq);
        self.ready.extend(entries.into_iter().map(Watched::Entry));
        if more {
            self.then = Then::Read(ledger);
            return;
        }
        self.present(held, end);
        self.then = live.map_or(Then::Close, Then::Follow);
    }

    fn present(&mut self, held: Vec<Observation>, end: Option<Bytes>) {
        self.ready.extend(held.into_iter().map(Watched::Observed));
        self.ready.extend(end.map(Watched::Ended));
    }

    async fn next(&mut self) -> Option<Result<Watched, LedgerError>> {
        loop {
            if let Some(watched) = self.ready.pop_front() {
                return Some(Ok(watched));
            }
            match std::mem::replace(&mut self.then, Then::Close) {
                Then::Close => return None,
                Then::Read(ledger) => match ledger.show(&self.run, self.position).await {
                    Ok(shown) => self.turn(ledger, shown),
                    Err(error) => return Some(Err(error)),
                },
                Then::Follow(mut live) => {
                    let Some(watched) = live.recv().await else { return Some(Err(cut_off())) };
                    if !matches!(watched, Watched::Ended(_)) {
                        self.then = Then::Follow(live);
                    }
                    return Some(Ok(watched));
                }
            }
        }
    }
}

fn cut_off() -> LedgerError {
    LedgerError::Unavailable(format!(
        "the watcher was more than {WATCHER_LAG_MAX} observations behind, or the ledger was closed: watch again from the last entry seen"
    ))
}
