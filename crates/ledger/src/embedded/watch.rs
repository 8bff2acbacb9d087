//! Telling watchers what happens to a run, in order, and never waiting for them.

use super::{EmbeddedLedger, state::Page, store::Answer};
use crate::{END, LedgerError, Observation, Watched};
use baton_workflow::RunId;
use bytes::Bytes;
use foldhash::{HashMap, HashSet};
use futures::stream;
use futures_core::stream::BoxStream;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::mpsc;

/// What a watcher may lag behind, in observations; past that it is cut off.
const WATCHER_LAG_MAX: usize = 1024;
/// Watchers at the same time.
const WATCHERS_MAX: usize = 16 * 1024;

/// So few that nobody looks whether they are still there.
const PRUNE_MIN: usize = 64;

/// All watchers, by what they watch.
#[derive(Default)]
pub(super) struct Watchers {
    by_run: HashMap<RunId, Vec<Watcher>>,
    /// Runs with something to be sent.
    stirred: HashSet<RunId>,
    /// How many there are, those who left since the last look included.
    present: usize,
    /// At how many to look again.
    prune_at: usize,
}

struct Watcher {
    line: Line,
    /// The position from which it watches.
    from: u64,
    /// To be sent when it is durable.
    waiting: Vec<Watched>,
}

/// The way to a watcher; none once it has heard the end or was cut off.
type Line = Arc<Mutex<Option<mpsc::Sender<Watched>>>>;

/// What a watcher is shown, and where the rest will come from.
pub(super) struct Shown {
    page: Page,
    /// None where there is more to read first, or nothing to come.
    live: Option<mpsc::Receiver<Watched>>,
}

impl Watchers {
    /// Shows a page; where it goes up to the present, the watcher is told what follows.
    pub(super) fn show(
        &mut self,
        run: &RunId,
        from: u64,
        page: Page,
    ) -> Result<Shown, LedgerError> {
        if page.more || page.end.is_some() {
            return Ok(Shown { page, live: None });
        }
        if self.present >= self.prune_at {
            self.prune();
        }
        if self.present >= WATCHERS_MAX {
            let watchers = self.present;
            return Err(LedgerError::Unavailable(format!("{watchers} runs are watched already")));
        }
        let (sender, live) = mpsc::channel(WATCHER_LAG_MAX);
        let line = Arc::new(Mutex::new(Some(sender)));
        let watcher = Watcher { line, from, waiting: Vec::new() };
        self.by_run.entry(run.clone()).or_default().push(watcher);
        self.present += 1;
        Ok(Shown { page, live: Some(live) })
    }

    /// Forgets those who are gone. Done when there are twice as many as were left the last
    /// time, so that it costs little for each.
    fn prune(&mut self) {
        self.by_run.retain(|_, watchers| {
            watchers.retain(Watcher::is_there);
            !watchers.is_empty()
        });
        self.present = self.by_run.values().map(Vec::len).sum();
        self.prune_at = (2 * self.present).clamp(PRUNE_MIN, WATCHERS_MAX);
    }

    /// Keeps what happened for those who watch it now.
    pub(super) fn note(&mut self, notices: Vec<(RunId, Watched)>) {
        for (run, watched) in notices {
            let Some(watchers) = self.by_run.get_mut(&run) else { continue };
            for watcher in watchers.iter_mut().filter(|watcher| watcher.wants(&watched)) {
                watcher.waiting.push(watched.clone());
            }
            self.stirred.insert(run);
        }
    }

    /// Takes what was noted, to be sent once it is durable; none where nobody waits.
    pub(super) fn take(&mut self) -> Option<Answer> {
        let mut news = Vec::new();
        for run in self.stirred.drain() {
            let Some(watchers) = self.by_run.get_mut(&run) else { continue };
            let before = watchers.len();
            watchers.retain_mut(|watcher| {
                let waiting = std::mem::take(&mut watcher.waiting);
                let goes_on = !ends(&waiting);
                if !waiting.is_empty() {
                    news.push((watcher.line.clone(), waiting));
                }
                goes_on
            });
            self.present -= before - watchers.len();
            if watchers.is_empty() {
                self.by_run.remove(&run);
            }
        }
        (!news.is_empty()).then(|| -> Answer {
            Box::new(move || news.into_iter().for_each(|(line, news)| send(&line, news)))
        })
    }
}

fn ends(news: &[Watched]) -> bool {
    matches!(news.last(), Some(Watched::Ended(_)))
}

/// Whoever has no room for all of it is cut off.
fn send(line: &Line, news: Vec<Watched>) {
    // Whoever panicked, a line is whole: there is a sender or there is none.
    let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
    let last = ends(&news);
    let sent = line.as_ref().is_some_and(|to| news.into_iter().all(|one| to.try_send(one).is_ok()));
    if last || !sent {
        *line = None;
    }
}

impl Watcher {
    fn is_there(&self) -> bool {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.as_ref().is_some_and(|sender| !sender.is_closed())
    }

    fn wants(&self, watched: &Watched) -> bool {
        match watched {
            Watched::Entry(entry) => entry.seq > self.from,
            Watched::Observed(_) => self.from != END,
            Watched::Ended(_) => true,
        }
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
