//! Following a run: the journal from a position on, what happens, the end.

use crate::{
    request::Arguments,
    scripts::Name,
    store::{Answer, Store},
    waker::Waker,
};
use async_stream::try_stream;
use baton_ledger::{END, JournalEntry, LedgerError, Observation, Watched};
use baton_workflow::RunId;
use bytes::Bytes;
use futures::Stream;
use std::sync::Arc;

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
struct News {
    entries: Vec<JournalEntry>,
    observed: Vec<Observation>,
    end: Option<Bytes>,
    more: bool,
}

/// Opens the stream; fails at once where there is no such run. Nothing is fetched ahead of
/// the watcher, so that a slow one costs no memory and misses no entry.
pub(crate) async fn open(
    store: Arc<Store>,
    waker: Arc<Waker>,
    run: &RunId,
    from: u64,
) -> Result<impl Stream<Item = Result<Watched, LedgerError>> + Send + use<>, LedgerError> {
    let mut place = Place { run: run.clone(), at: from, cursor: String::new() };
    // Behind the journal there is nothing to be seen before the end.
    let next = move |run: &RunId| match from {
        END => waker.end(run.as_str()),
        _ => waker.run(run.as_str()),
    };
    let mut wait = next(run);
    let mut news = fetch(&store, &mut place).await?;
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
