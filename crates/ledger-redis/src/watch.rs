//! Following a run: the journal from a position on, what happens, the end.

use crate::{
    request::Arguments,
    scripts::Name,
    store::{Answer, Store},
    waker::{Wait, Waker},
};
use async_stream::try_stream;
use baton_ledger::{END, JournalEntry, LedgerError, Observation, Watched};
use baton_workflow::RunId;
use bytes::Bytes;
use futures::Stream;
use lru::LruCache;
use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

/// Most entries, and most observations, fetched at once for a watcher.
const FETCH_MAX: usize = 128;

/// Where a watcher is.
struct Place {
    run: RunId,
    /// The last entry that was sent.
    at: u64,
    /// Id of the last observation; empty until the present holders were sent.
    cursor: String,
}

/// What a watcher had not seen.
#[derive(Default)]
struct News {
    entries: Vec<JournalEntry>,
    observed: Vec<Observation>,
    end: Option<Bytes>,
    more: bool,
}

/// Runs that were submitted here not long ago, each with a wait for its end that began
/// before it was recorded.
pub(crate) struct Ends(Mutex<LruCache<RunId, Wait>>);

/// Submissions that nobody has watched yet: each is watched within moments, or never.
const UNWATCHED_MAX: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

impl Default for Ends {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(UNWATCHED_MAX)))
    }
}

impl Ends {
    pub(crate) fn keep(&self, run: &RunId, wait: Wait) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(run.clone(), wait);
    }

    pub(crate) fn take(&self, run: &RunId) -> Option<Wait> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop(run)
    }
}

/// Opens the stream; fails at once where there is no such run. Nothing is fetched ahead of
/// the watcher, so that a slow one costs no memory and misses no entry. Who watches with a
/// wait that has `begun` knows that there is a run, and that it had not ended then.
pub(crate) async fn open(
    store: Arc<Store>,
    waker: Arc<Waker>,
    run: &RunId,
    from: u64,
    begun: Option<Wait>,
) -> Result<impl Stream<Item = Result<Watched, LedgerError>> + Send + use<>, LedgerError> {
    let mut place = Place { run: run.clone(), at: from, cursor: String::new() };
    // Behind the journal there is nothing to be seen before the end.
    let next = move |run: &RunId| match from {
        END => waker.end(run.as_str()),
        _ => waker.run(run.as_str()),
    };
    let (mut wait, mut news) = match begun {
        Some(wait) => (wait, News::default()),
        None => (next(run), fetch(&store, &mut place).await?),
    };
    Ok(try_stream! {
        loop {
            for entry in news.entries {
                yield Watched::Entry(entry);
            }
            for observed in news.observed {
                yield Watched::Observed(observed);
            }
            if let Some(end) = news.end {
                yield Watched::Ended(end);
                return;
            }
            if !news.more {
                wait.as_mut().await;
            }
            // Waiting begins before the look, so that nothing falls in between.
            wait = next(&place.run);
            news = fetch(&store, &mut place).await?;
        }
    })
}

async fn fetch(store: &Arc<Store>, place: &mut Place) -> Result<News, LedgerError> {
    let arguments = Arguments::new()
        .bytes(place.run.as_str())
        .number(place.at)
        .bytes(&place.cursor)
        .count(FETCH_MAX);
    let mut reply = match store.call(Name::Watch, arguments).await? {
        Answer::Ok(reply) => reply,
        Answer::Refused(..) => return Err(LedgerError::NoSuchRun(place.run.clone())),
    };
    let entries = reply.list(|reply| reply.entry())?;
    let observed = reply.list(|reply| reply.observation())?;
    place.cursor = reply.text()?;
    let end = reply.maybe()?;
    let more = reply.flag()?;
    if let Some(last) = entries.last() {
        place.at = last.seq;
    }
    Ok(News { entries, observed, end, more })
}
