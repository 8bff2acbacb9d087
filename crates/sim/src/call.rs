//! One call to a simulated model, in words that belong to no wire.
//!
//! A surface (`openai.rs`) reads a request into a [`Call`], hands it to [`Service::take`],
//! and writes what comes of it in its own form: [`Refused`], or the [`Event`]s of
//! [`Answering::events`], or the [`Whole`] of [`Answering::whole`]. Faults, waiting, the
//! cache of prompts and the record of calls are the same for all surfaces.

use crate::{
    Ask, Fault,
    calls::{Calls, Outcome, Record, Recording, now_ms},
    draw::Draws,
    faults::names,
    occasions::Occasions,
    pace::Pace,
    prefixes::{Prefixes, prefixes},
    simulator::{AskError, Simulator, Stop, Told},
    tokens,
    tooling::{ToolCall, Wants},
};
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use std::{
    future::pending,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Instant as StdInstant,
};
use tokio::time::{Instant, sleep_until};

/// Names what shall go wrong with this one call, or `none`.
pub(crate) const FAULT_HEADER: &str = "x-sim-fault";
/// The client's name for the call.
const KEY_HEADER: &str = "idempotency-key";
/// Longest name that is kept, in characters.
const KEY_CHARS_MAX: usize = 256;
/// How much of the hash of a prompt is told, in characters.
const PROMPT_CHARS: usize = 32;
/// How many times too much a wrong count of tokens may be.
const WRONG_FACTOR: u64 = 1_000;

/// A request, as any surface hands it over.
pub(crate) struct Call {
    /// The surface's name, for the record.
    pub(crate) surface: &'static str,
    /// What is asked.
    pub(crate) ask: Ask,
    /// Whether the answer is to come in parts.
    pub(crate) stream: bool,
    /// What is wanted beside text.
    pub(crate) wants: Wants,
}

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

/// Why a call is refused, for the surface to say in its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The request cannot be meant.
    Invalid,
    /// It asks for what simulated models cannot do.
    Unsupported,
    /// There is nothing at this address.
    Nowhere,
    UnknownModel,
    TooLong,
    RateLimited,
    Internal,
    Unavailable,
}

impl Reason {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Invalid | Self::Unsupported | Self::TooLong => StatusCode::BAD_REQUEST,
            Self::Nowhere | Self::UnknownModel => StatusCode::NOT_FOUND,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A call that is not answered.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) reason: Reason,
    pub(crate) message: String,
    /// The part of the request that is wrong.
    pub(crate) param: Option<&'static str>,
    /// When to come again, in milliseconds.
    pub(crate) retry_after_ms: Option<u64>,
}

impl Refused {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), param: None, retry_after_ms: None }
    }

    pub(crate) fn of(self, param: &'static str) -> Self {
        Self { param: Some(param), ..self }
    }
}

impl From<AskError> for Refused {
    fn from(error: AskError) -> Self {
        let (reason, param) = match &error {
            AskError::UnknownModel(_) => (Reason::UnknownModel, "model"),
            AskError::Nothing => (Reason::Invalid, "messages"),
            AskError::TooLong { .. } => (Reason::TooLong, "messages"),
        };
        Self::new(reason, error.to_string()).of(param)
    }
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

/// The simulated provider behind its surfaces.
pub(crate) struct Service {
    pub(crate) simulator: Simulator,
    pub(crate) calls: Arc<Calls>,
    occasions: Mutex<Occasions>,
    prefixes: Mutex<Prefixes>,
}

/// What is known of a call before it is answered.
struct Met {
    prompt: String,
    occasion: u64,
    fault: Option<Fault>,
}

impl Service {
    pub(crate) fn new(simulator: Simulator) -> Self {
        let (occasions, prefixes) = (Mutex::default(), Mutex::default());
        Self { simulator, calls: Arc::default(), occasions, prefixes }
    }

    /// Writes down a request that could not be read, and gives the refusal back.
    pub(crate) fn unread(
        &self,
        surface: &'static str,
        headers: &HeaderMap,
        refused: Refused,
    ) -> Refused {
        let record = record(surface, String::new(), false, headers, None);
        self.calls
            .begin(Record { status: refused.reason.status().as_u16(), ..record })
            .end(Outcome::Refused);
        refused
    }

    /// Takes a call: an answer that is ready to be sent, or the reason why there is none.
    pub(crate) async fn take(
        self: &Arc<Self>,
        call: Call,
        headers: &HeaderMap,
    ) -> Result<Answering, Refused> {
        let started = Instant::now();
        let wanted = match wanted_fault(headers) {
            Ok(wanted) => wanted,
            Err(refused) => return Err(self.unread(call.surface, headers, refused)),
        };
        let met = self.meet(&call.ask, wanted);
        let record = record(call.surface, call.ask.model.clone(), call.stream, headers, Some(&met));
        let recording = self.calls.begin(record);
        match self.answer(call, met).await {
            Ok((told, usage, reported, pace, fault)) => {
                let usd = self.price(&told.model, &usage);
                recording.note(|record| {
                    record.status = StatusCode::OK.as_u16();
                    record.usage = Some(usage);
                    record.usd = usd;
                });
                Ok(Answering {
                    told: told.told,
                    calls: told.calls,
                    reported,
                    pace,
                    fault,
                    started,
                    recording,
                })
            }
            Err(refused) => {
                let status = refused.reason.status().as_u16();
                recording.note(|record| record.status = status);
                recording.end(Outcome::Refused);
                Err(refused)
            }
        }
    }

    /// Which occasion this is of asking this, and what will go wrong. Both hang on what is
    /// asked and not on the order in which calls happen to arrive.
    fn meet(&self, ask: &Ask, wanted: Option<Option<Fault>>) -> Met {
        let prompt = ask.hash();
        let mut occasions = self.occasions.lock().unwrap_or_else(PoisonError::into_inner);
        let occasion = occasions.next(&ask.model, &prompt);
        drop(occasions);
        let fault = wanted.unwrap_or_else(|| {
            let draws = self.lots("fault", &ask.model, &prompt, occasion);
            self.simulator.options().faults.draw(draws)
        });
        Met { prompt, occasion, fault }
    }

    fn lots(&self, topic: &str, model: &str, prompt: &str, occasion: u64) -> Draws {
        Draws::of(&[topic, self.simulator.seed(), model, prompt, &occasion.to_string()])
    }

    async fn answer(
        self: &Arc<Self>,
        call: Call,
        met: Met,
    ) -> Result<(Spoken, Usage, Option<Usage>, Pace, Option<Fault>), Refused> {
        if let Some(refused) = met.fault.and_then(|fault| self.refusal(fault)) {
            return Err(refused);
        }
        let service = self.clone();
        // Solvers search: that does not belong on the threads that serve.
        let spoken = tokio::task::spawn_blocking(move || service.speak(&call, &met)).await;
        spoken.map_err(|error| {
            Refused::new(Reason::Internal, format!("the simulation broke: {error}"))
        })?
    }

    fn speak(
        &self,
        call: &Call,
        met: &Met,
    ) -> Result<(Spoken, Usage, Option<Usage>, Pace, Option<Fault>), Refused> {
        let Call { ask, wants, .. } = call;
        let mut told = self.simulator.tell(ask)?;
        let mut calls = wants.apply(ask, &mut told, &format!("{}{}", met.prompt, met.occasion));
        if met.fault == Some(Fault::Empty) {
            (told.text, told.tokens_out) = (String::new(), 0);
            calls.clear();
        }
        let cache = self.simulator.parameters().cache();
        let names = prefixes(&ask.model, &ask.messages, cache);
        let mut seen = self.prefixes.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = seen.read(&names, cache, StdInstant::now());
        drop(seen);
        let usage = Usage {
            tokens_in: told.tokens_in,
            cached_in: cached.min(told.tokens_in),
            tokens_out: told.tokens_out,
        };
        let lots = |topic| self.lots(topic, &ask.model, &met.prompt, met.occasion);
        let reported = match met.fault {
            Some(Fault::WrongUsage) => wrong(usage, &mut lots("usage")),
            Some(_) | None => Some(usage),
        };
        let model = self.simulator.parameters().model(&ask.model);
        let time_scale = self.simulator.options().time_scale;
        let pace = model.map(|model| Pace::draw(model, time_scale, &mut lots("pace")));
        let spoken = Spoken { model: ask.model.clone(), told, calls };
        Ok((spoken, usage, reported, pace.unwrap_or_default(), met.fault))
    }

    /// Faults that are refusals.
    fn refusal(&self, fault: Fault) -> Option<Refused> {
        let retry_after_ms = Some(self.simulator.parameters().retry_after_ms());
        match fault {
            Fault::RateLimited => Some(Refused {
                retry_after_ms,
                ..Refused::new(Reason::RateLimited, "too many calls (simulated)")
            }),
            Fault::Internal => {
                Some(Refused::new(Reason::Internal, "the model stumbled (simulated)"))
            }
            Fault::Unavailable => {
                Some(Refused::new(Reason::Unavailable, "the model is not available (simulated)"))
            }
            Fault::StallFirst
            | Fault::Stall
            | Fault::Cut
            | Fault::Empty
            | Fault::Garbage
            | Fault::WrongUsage => None,
        }
    }

    fn price(&self, model: &str, usage: &Usage) -> f64 {
        let model = self.simulator.parameters().model(model);
        model.map_or(0.0, |model| {
            let fresh = usage.tokens_in - usage.cached_in;
            let millionths = fresh as f64 * model.usd_in
                + usage.cached_in as f64 * model.usd_cached
                + usage.tokens_out as f64 * model.usd_out;
            millionths / 1e6
        })
    }
}

struct Spoken {
    model: String,
    told: Told,
    calls: Vec<ToolCall>,
}

fn record(
    surface: &'static str,
    model: String,
    stream: bool,
    headers: &HeaderMap,
    met: Option<&Met>,
) -> Record {
    let key = headers.get(KEY_HEADER).and_then(|key| key.to_str().ok());
    Record {
        seq: 0,
        surface,
        model,
        idempotency_key: key.map(|key| key.chars().take(KEY_CHARS_MAX).collect()),
        prompt: met.map(|met| met.prompt.chars().take(PROMPT_CHARS).collect()),
        occasion: met.map(|met| met.occasion),
        stream,
        fault: met.and_then(|met| met.fault),
        status: 0,
        outcome: Outcome::Running,
        usage: None,
        usd: 0.0,
        begun_ms: now_ms(),
        ended_ms: None,
    }
}

/// What the header asks for: `None` leaves it to the lots.
fn wanted_fault(headers: &HeaderMap) -> Result<Option<Option<Fault>>, Refused> {
    let Some(value) = headers.get(FAULT_HEADER) else { return Ok(None) };
    let name = value.to_str().unwrap_or_default().trim();
    if name == "none" {
        return Ok(Some(None));
    }
    let fault = Fault::named(name).ok_or_else(|| {
        let message = format!("{FAULT_HEADER} is {name:?}: expected none, or one of {}", names());
        Refused::new(Reason::Invalid, message).of(FAULT_HEADER)
    })?;
    Ok(Some(Some(fault)))
}

/// Missing, nothing at all, or far too much.
fn wrong(usage: Usage, draws: &mut Draws) -> Option<Usage> {
    match draws.below(3) {
        0 => None,
        1 => Some(Usage { tokens_in: 0, cached_in: 0, tokens_out: 0 }),
        _ => Some(Usage {
            tokens_in: usage.tokens_in.saturating_mul(WRONG_FACTOR),
            cached_in: usage.cached_in,
            tokens_out: usage.tokens_out.saturating_mul(WRONG_FACTOR),
        }),
    }
}

/// An answer, ready to be sent.
pub(crate) struct Answering {
    told: Told,
    calls: Vec<ToolCall>,
    reported: Option<Usage>,
    pace: Pace,
    fault: Option<Fault>,
    started: Instant,
    recording: Recording,
}

impl Answering {
    fn end(&self) -> End {
        End { stop: self.told.stop, calls: self.calls.clone(), usage: self.reported }
    }

    /// The answer in one piece, after all the time that it takes.
    pub(crate) async fn whole(self) -> Whole {
        sleep_until(self.pace.at(self.started, self.told.tokens_out)).await;
        let end = self.end();
        match self.fault {
            Some(Fault::StallFirst | Fault::Stall) => pending().await,
            Some(Fault::Garbage) => {
                self.recording.end(Outcome::Done);
                Whole::Garbage(GARBAGE)
            }
            Some(Fault::Cut) => {
                self.recording.end(Outcome::Cut);
                Whole::Cut(self.told.text, end)
            }
            None
            | Some(
                Fault::RateLimited
                | Fault::Internal
                | Fault::Unavailable
                | Fault::Empty
                | Fault::WrongUsage,
            ) => {
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
            let burst = pace.burst();
            let tokens: Vec<&str> = tokens::split(&told.text).collect();
            let chunks: Vec<String> = tokens.chunks(burst).map(<[&str]>::concat).collect();
            let half = chunks.len().div_ceil(2);
            match fault {
                Some(Fault::StallFirst) => pending::<()>().await,
                Some(Fault::Garbage) => {
                    recording.end(Outcome::Done);
                    yield Ok(Event::Garbage(GARBAGE));
                    return;
                }
                None | Some(_) => {}
            }
            for (at, text) in chunks.into_iter().enumerate() {
                if at == half && fault == Some(Fault::Stall) {
                    pending::<()>().await;
                }
                if at == half && fault == Some(Fault::Cut) {
                    break;
                }
                if !pace.is_none() {
                    sleep_until(pace.at(started, (at * burst) as u64)).await;
                }
                yield Ok(Event::Text(text));
            }
            match fault {
                // With a single chunk there is no half to stop at.
                Some(Fault::Stall) => pending::<()>().await,
                Some(Fault::Cut) => {
                    recording.end(Outcome::Cut);
                    yield Err(broken_off());
                }
                None | Some(_) => {
                    // Ended before it is handed over: whoever waits for the last piece may
                    // look into the record at once.
                    recording.end(Outcome::Done);
                    yield Ok(Event::End(end));
                }
            }
        }
    }
}
