//! The record of every call that was received, for counting what was called twice.

use crate::{Fault, answering::Usage};
use serde::Serialize;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// Calls that are kept; the oldest give way.
pub(crate) const CALLS_MAX: usize = 65_536;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It has not.
    Running,
    /// All of it was sent.
    Done,
    /// It was refused.
    Refused,
    /// It was broken off on purpose.
    Cut,
    /// The client went away before it had all of it.
    Gone,
}

/// One call, as a line of `GET /sim/calls`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Record {
    /// Counted from 1, in the order of arrival.
    pub(crate) seq: u64,
    /// `openai`, or the name of another surface.
    pub(crate) surface: &'static str,
    pub(crate) model: String,
    pub(crate) idempotency_key: Option<String>,
    /// Start of the BLAKE3 hash of everything that was said; absent if it could not be read.
    pub(crate) prompt: Option<String>,
    /// The same of what it said; absent if it was refused.
    pub(crate) reply: Option<String>,
    /// How often this model has been asked this, this time included.
    pub(crate) occasion: Option<u64>,
    pub(crate) stream: bool,
    #[serde(serialize_with = "by_name")]
    pub(crate) fault: Option<Fault>,
    /// The HTTP status; 0 while there is none.
    pub(crate) status: u16,
    pub(crate) outcome: Outcome,
    /// What it used in truth, whatever was reported.
    #[serde(flatten)]
    pub(crate) usage: Option<Usage>,
    /// What that costs at the model's price, in dollars.
    pub(crate) usd: f64,
    /// Milliseconds since 1970.
    pub(crate) begun_ms: u64,
    pub(crate) ended_ms: Option<u64>,
}

fn by_name<S: serde::Serializer>(fault: &Option<Fault>, out: S) -> Result<S::Ok, S::Error> {
    fault.map(Fault::name).serialize(out)
}

/// The calls that are kept.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    records: VecDeque<Record>,
    /// Number of the last one that came.
    last: u64,
}

impl Kept {
    /// Where a call stands, if it is still kept.
    fn place(&self, seq: u64) -> Option<usize> {
        let first = self.records.front()?.seq;
        usize::try_from(seq.checked_sub(first)?).ok()
    }
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Calls {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a call down; whoever holds what this gives says how it ends.
    pub(crate) fn begin(self: &Arc<Self>, record: Record) -> Recording {
        let mut kept = self.kept();
        kept.last += 1;
        let seq = kept.last;
        kept.records.push_back(Record { seq, ..record });
        if kept.records.len() > CALLS_MAX {
            kept.records.pop_front();
        }
        drop(kept);
        Recording { calls: self.clone(), seq, ended: false }
    }

    /// How many came, and how many of them are kept.
    pub(crate) fn count(&self) -> (u64, usize) {
        let kept = self.kept();
        (kept.last, kept.records.len())
    }

    /// At most `max` calls with a higher number than `after`, in order.
    pub(crate) fn page(&self, after: u64, max: usize) -> Vec<Record> {
        let kept = self.kept();
        let start = kept.place(after.saturating_add(1)).unwrap_or_else(|| {
            // Numbers that have given way: begin with the oldest that is kept.
            if kept.records.front().is_some_and(|oldest| oldest.seq > after) {
                0
            } else {
                kept.records.len()
            }
        });
        kept.records.iter().skip(start).take(max).cloned().collect()
    }
}

/// The end of a call, to be told. Dropped untold, the client has gone away.
#[derive(Debug)]
pub(crate) struct Recording {
    calls: Arc<Calls>,
    seq: u64,
    ended: bool,
}

impl Recording {
    /// Changes what is known of the call.
    pub(crate) fn note(&self, change: impl FnOnce(&mut Record)) {
        let mut kept = self.calls.kept();
        let found = kept.place(self.seq).and_then(|place| kept.records.get_mut(place));
        if let Some(record) = found {
            change(record);
        }
    }

    /// The call has ended like this.
    pub(crate) fn end(mut self, outcome: Outcome) {
        self.ended = true;
        self.write(outcome);
    }

    fn write(&self, outcome: Outcome) {
        let now = now_ms();
        self.note(|record| {
            record.outcome = outcome;
            record.ended_ms = Some(now);
        });
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if !self.ended {
            self.write(Outcome::Gone);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            seq: 0,
            surface: "openai",
            model: "m".into(),
            idempotency_key: Some("k".into()),
            prompt: None,
            reply: None,
            occasion: None,
            stream: false,
            fault: Some(Fault::Cut),
            status: 200,
            outcome: Outcome::Running,
            usage: None,
            usd: 0.0,
            begun_ms: 1,
            ended_ms: None,
        }
    }

    #[test]
    fn calls_are_numbered_and_the_oldest_give_way() {
        let calls = Arc::new(Calls::default());
        let first = calls.begin(record());
        for _ in 0..CALLS_MAX {
            calls.begin(record()).end(Outcome::Done);
        }
        // It is no longer kept, and to say how it ended does no harm.
        first.end(Outcome::Cut);
        assert_eq!(calls.count(), (CALLS_MAX as u64 + 1, CALLS_MAX));
        let seqs =
            |after, max| calls.page(after, max).iter().map(|record| record.seq).collect::<Vec<_>>();
        assert_eq!(seqs(0, 2), [2, 3]);
        assert_eq!(seqs(CALLS_MAX as u64 - 1, 9), [CALLS_MAX as u64, CALLS_MAX as u64 + 1]);
        assert_eq!(seqs(CALLS_MAX as u64 + 1, 9), Vec::<u64>::new());
        assert!(calls.page(0, CALLS_MAX).iter().all(|record| record.outcome == Outcome::Done));
    }

    #[test]
    fn a_call_that_nobody_ends_was_left() {
        let calls = Arc::new(Calls::default());
        let recording = calls.begin(record());
        assert_eq!(calls.page(0, 1)[0].outcome, Outcome::Running);
        drop(recording);
        let line = serde_json::to_value(&calls.page(0, 1)[0]).unwrap();
        assert_eq!((&line["outcome"], &line["fault"]), (&"gone".into(), &"cut".into()));
        assert!(line["ended_ms"].is_u64());
    }
}
