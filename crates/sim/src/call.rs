//! One call to a simulated model, in words that belong to no wire.
//!
//! A surface (`openai.rs`) reads a request into a [`Call`], hands it to [`Service::take`],
//! and writes what comes of it in its own form: a [`Refused`], or the events of
//! [`Answering::events`], or the one piece of [`Answering::whole`]. Faults, waiting, the
//! cache of prompts and the record of calls are the same for all surfaces.

use crate::{
    Ask, Fault,
    answering::{Answering, Usage},
    calls::{Calls, Outcome, Record, now_ms},
    draw::Draws,
    faults::names,
    occasions::Occasions,
    pace::Pace,
    prefixes::{Prefixes, prefixes},
    refused::{Reason, Refused},
    simulator::{Simulator, Told},
    tooling::{ToolCall, Wants},
};
use axum::http::{HeaderMap, StatusCode};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant as StdInstant,
};
use tokio::time::Instant;

/// Names what shall go wrong with this one call, or `none`.
pub(crate) const FAULT_HEADER: &str = "x-sim-fault";
/// The client's name for the call.
const KEY_HEADER: &str = "idempotency-key";
/// Longest name that is kept, in characters.
const KEY_CHARS_MAX: usize = 256;
/// How much of the hash of a prompt or a reply is told, in characters.
const HASH_CHARS: usize = 32;
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
            Ok(ready) => {
                recording.note(|record| {
                    record.status = StatusCode::OK.as_u16();
                    let hash = blake3::hash(ready.told.text.as_bytes()).to_hex();
                    record.reply = Some(hash.chars().take(HASH_CHARS).collect());
                    record.usage = Some(ready.usage);
                    record.usd = ready.usd;
                });
                let Ready { told, calls, reported, pace, fault, .. } = ready;
                Ok(Answering { told, calls, reported, pace, fault, started, recording })
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

    async fn answer(self: &Arc<Self>, call: Call, met: Met) -> Result<Ready, Refused> {
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

    fn speak(&self, call: &Call, met: &Met) -> Result<Ready, Refused> {
        let Call { ask, wants, .. } = call;
        let mut told = self.simulator.tell(ask)?;
        let mut calls = wants.apply(ask, &mut told, &format!("{}{}", met.prompt, met.occasion));
        if told.fail(met.fault) {
            calls.clear();
        }
        let usage = Usage {
            tokens_in: told.tokens_in,
            cached_in: self.cached(ask).min(told.tokens_in),
            tokens_out: told.tokens_out,
        };
        let lots = |topic| self.lots(topic, &ask.model, &met.prompt, met.occasion);
        let reported = if met.fault == Some(Fault::WrongUsage) {
            wrong(usage, &mut lots("usage"))
        } else {
            Some(usage)
        };
        let model = self.simulator.parameters().model(&ask.model);
        let time_scale = self.simulator.options().time_scale;
        let pace = model.map(|model| Pace::draw(model, time_scale, &mut lots("pace")));
        let usd = self.price(&ask.model, &usage);
        let (pace, fault) = (pace.unwrap_or_default(), met.fault);
        Ok(Ready { told, calls, usage, usd, reported, pace, fault })
    }

    /// Tokens of a prompt that the model has in its cache; from now on, all of them.
    fn cached(&self, ask: &Ask) -> u64 {
        let cache = self.simulator.parameters().cache();
        let names = prefixes(&ask.model, &ask.messages, cache);
        let mut seen = self.prefixes.lock().unwrap_or_else(PoisonError::into_inner);
        seen.read(&names, cache, StdInstant::now())
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
            | Fault::WrongUsage
            | Fault::Refusal
            | Fault::Filter => None,
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

/// What will be sent, and what it is worth.
struct Ready {
    told: Told,
    calls: Vec<ToolCall>,
    usage: Usage,
    usd: f64,
    reported: Option<Usage>,
    pace: Pace,
    fault: Option<Fault>,
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
        prompt: met.map(|met| met.prompt.chars().take(HASH_CHARS).collect()),
        reply: None,
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
