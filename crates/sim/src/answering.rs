//! An answer on its way: at its model's pace, or failing on purpose.

use crate::{
    Fault,
    calls::{Outcome, Recording},
    pace::Pace,
    simulator::{Stop, Told},
    tokens,
    tooling::ToolCall,
    words::REFUSAL,
};
use serde::Serialize;
use std::{future::pending, io};
use tokio::time::{Instant, sleep_until};

/// Tokens that a call used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Usage {
    /// Read, those from the cache included.
    pub(crate) tokens_in: u64,
    /// Read from the cache.
    pub(crate) cached_in: u64,
    /// Written.
    pub(crate) tokens_out: u64,
}

/// A piece of an answer on its way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// More of the text.
    Text(String),
    /// Something that is no part of any answer, and that the surface passes on as it is.
    Garbage(&'static str),
    /// The end.
    End(End),
}

/// How an answer ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) stop: Stop,
    /// The calls of tools that are asked for.
    pub(crate) calls: Vec<ToolCall>,
    /// What is reported; with a fault, not what was used.
    pub(crate) usage: Option<Usage>,
}

/// An answer that comes in one piece.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    Done(String, End),
    /// The surface sends the first half of it and breaks off: see [`broken_off`].
    Cut(String, End),
    /// Instead of an answer.
    Garbage(&'static str),
}

/// What a proxy says that lost its provider.
const GARBAGE: &str = "<h1>Bad gateway</h1>";

/// The error that makes a server break a connection off.
pub(crate) fn broken_off() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "cut on purpose")
}

/// What happens to an answer after it is taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Smooth,
    StallFirst,
    Stall,
    Cut,
    Garbage,
}

impl Course {
    fn of(fault: Option<Fault>) -> Self {
        match fault {
            // Those that are refusals do not come as far as this, and the others are in
            // what is said.
            None
            | Some(
                Fault::RateLimited
                | Fault::Internal
                | Fault::Unavailable
                | Fault::Empty
                | Fault::WrongUsage
                | Fault::Refusal
                | Fault::Filter,
            ) => Self::Smooth,
            Some(Fault::StallFirst) => Self::StallFirst,
            Some(Fault::Stall) => Self::Stall,
            Some(Fault::Cut) => Self::Cut,
            Some(Fault::Garbage) => Self::Garbage,
        }
    }
}

impl Told {
    /// Makes of what is said what a fault leaves of it; whether it leaves no calls of tools.
    pub(crate) fn fail(&mut self, fault: Option<Fault>) -> bool {
        match fault {
            Some(Fault::Empty) => self.text.clear(),
            Some(Fault::Refusal) => (self.text, self.stop) = (REFUSAL.to_owned(), Stop::Refused),
            Some(Fault::Filter) => {
                let half = tokens::split(&self.text).count().div_ceil(2);
                self.text = tokens::split(&self.text).take(half).collect();
                self.stop = Stop::Filtered;
            }
            None
            | Some(
                Fault::RateLimited
                | Fault::Internal
                | Fault::Unavailable
                | Fault::StallFirst
                | Fault::Stall
                | Fault::Cut
                | Fault::Garbage
                | Fault::WrongUsage,
            ) => return false,
        }
        self.tokens_out = tokens::of(&self.text);
        true
    }
}

/// An answer, ready to be sent.
pub(crate) struct Answering {
    pub(crate) told: Told,
    /// The calls of tools that are asked for.
    pub(crate) calls: Vec<ToolCall>,
    /// The usage that is reported.
    pub(crate) reported: Option<Usage>,
    pub(crate) pace: Pace,
    pub(crate) fault: Option<Fault>,
    pub(crate) started: Instant,
    pub(crate) recording: Recording,
}

impl Answering {
    fn end(&self) -> End {
        End { stop: self.told.stop, calls: self.calls.clone(), usage: self.reported }
    }

    /// The answer in one piece, after all the time that it takes.
    pub(crate) async fn whole(self) -> Whole {
        sleep_until(self.pace.at(self.started, self.told.tokens_out)).await;
        let end = self.end();
        match Course::of(self.fault) {
            Course::StallFirst | Course::Stall => pending().await,
            Course::Garbage => {
                self.recording.end(Outcome::Done);
                Whole::Garbage(GARBAGE)
            }
            Course::Cut => {
                self.recording.end(Outcome::Cut);
                Whole::Cut(self.told.text, end)
            }
            Course::Smooth => {
                self.recording.end(Outcome::Done);
                Whole::Done(self.told.text, end)
            }
        }
    }

    /// The answer piece by piece, each when its time has come. An error breaks it off.
    pub(crate) fn events(self) -> impl futures::Stream<Item = io::Result<Event>> + Send {
        async_stream::stream! {
            let end = self.end();
            let Self { told, pace, fault, started, recording, calls: _, reported: _ } = self;
            let course = Course::of(fault);
            let burst = pace.burst();
            let tokens: Vec<&str> = tokens::split(&told.text).collect();
            let mut chunks: Vec<String> = tokens.chunks(burst).map(<[&str]>::concat).collect();
            match course {
                Course::Smooth => {}
                Course::StallFirst => pending().await,
                Course::Stall | Course::Cut => chunks.truncate(chunks.len().div_ceil(2)),
                Course::Garbage => {
                    recording.end(Outcome::Done);
                    yield Ok(Event::Garbage(GARBAGE));
                    return;
                }
            }
            for (at, text) in chunks.into_iter().enumerate() {
                if !pace.is_none() {
                    sleep_until(pace.at(started, (at * burst) as u64)).await;
                }
                yield Ok(Event::Text(text));
            }
            match course {
                Course::StallFirst | Course::Stall => pending().await,
                Course::Cut => {
                    recording.end(Outcome::Cut);
                    yield Err(broken_off());
                }
                Course::Smooth | Course::Garbage => {
                    // Before it is handed over: whoever waits for the last piece may look
                    // into the record at once.
                    recording.end(Outcome::Done);
                    yield Ok(Event::End(end));
                }
            }
        }
    }
}
