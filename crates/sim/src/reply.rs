//! Puts a reply on the wire at its model's pace, or fails to on purpose.

use crate::{
    faults::Fault,
    parameters::Model,
    simulator::Told,
    tokens,
    wire::{Header, choice, finish, usage},
};
use axum::{
    Json,
    body::{Body, Bytes},
    response::{
        Html, IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use std::{io, time::Duration};
use tokio::time::{Instant, sleep_until};

/// Tokens in one chunk when nothing is waited for.
const BURST_TOKENS: usize = 8;

/// When tokens come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    first: Duration,
    token: Duration,
}

impl Pace {
    pub(crate) fn of(model: &Model, time_scale: f64) -> Self {
        let scaled =
            |seconds: f64| Duration::try_from_secs_f64(seconds * time_scale).unwrap_or_default();
        let rate = f64::from(model.tokens_per_second);
        Self {
            first: scaled(model.first_token_ms as f64 / 1000.0),
            token: if rate > 0.0 { scaled(1.0 / rate) } else { Duration::ZERO },
        }
    }

    /// When so many tokens have been written.
    fn at(self, started: Instant, tokens: u64) -> Instant {
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        started + self.first + self.token.saturating_mul(tokens)
    }

    fn is_none(self) -> bool {
        self.first.is_zero() && self.token.is_zero()
    }

    /// Tokens in one chunk.
    fn burst(self) -> usize {
        if self.is_none() { BURST_TOKENS } else { 1 }
    }
}

/// A reply on its way.
pub(crate) struct Reply {
    pub(crate) header: Header,
    pub(crate) told: Told,
    pub(crate) pace: Pace,
    pub(crate) started: Instant,
    pub(crate) wants_usage: bool,
}

fn broken_off() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "cut on purpose")
}

impl Reply {
    /// As one body.
    pub(crate) async fn whole(self, fault: Option<Fault>) -> Response {
        sleep_until(self.pace.at(self.started, self.told.tokens_out)).await;
        let reply = self.header.whole(&self.told);
        match fault {
            None | Some(Fault::RateLimited | Fault::ServerError) => Json(reply).into_response(),
            Some(Fault::Stall) => std::future::pending().await,
            Some(Fault::Garbage) => Html("<h1>Bad gateway</h1>").into_response(),
            Some(Fault::Cut) => {
                let mut half = reply.to_string().into_bytes();
                half.truncate(half.len() / 2);
                let parts = [Ok(Bytes::from(half)), Err(broken_off())];
                let body = Body::from_stream(stream::iter(parts));
                ([("content-type", "application/json")], body).into_response()
            }
        }
    }

    /// Token by token.
    pub(crate) fn streamed(self, fault: Option<Fault>) -> Response {
        let texts = (tokens::of(&self.told.text) as usize).div_ceil(self.pace.burst());
        // The chunk that names the role, and half of those with text.
        let half = 1 + texts.div_ceil(2);
        let chunks = self.chunks();
        match fault {
            None | Some(Fault::RateLimited | Fault::ServerError) => {
                Sse::new(chunks).into_response()
            }
            Some(Fault::Stall) => {
                Sse::new(chunks.take(half).chain(stream::pending())).into_response()
            }
            Some(Fault::Cut) => {
                let cut = stream::iter([Err(broken_off())]);
                Sse::new(chunks.take(half).chain(cut)).into_response()
            }
            Some(Fault::Garbage) => {
                let garbage = Event::default().data("<h1>Bad gateway</h1>");
                Sse::new(stream::iter([Ok::<_, io::Error>(garbage)])).into_response()
            }
        }
    }

    fn chunks(self) -> impl futures::Stream<Item = Result<Event, io::Error>> + Send {
        let Self { header, told, pace, started, wants_usage } = self;
        let event = |chunk: Value| Ok(Event::default().data(chunk.to_string()));
        let no_usage = wants_usage.then_some(Value::Null);
        async_stream::stream! {
            let role = choice(json!({"role": "assistant", "content": ""}), None);
            yield event(header.chunk(role, no_usage.clone()));
            let tokens: Vec<&str> = tokens::split(&told.text).collect();
            for (at, some) in tokens.chunks(pace.burst()).enumerate() {
                if !pace.is_none() {
                    sleep_until(pace.at(started, at as u64)).await;
                }
                let text = choice(json!({"content": some.concat()}), None);
                yield event(header.chunk(text, no_usage.clone()));
            }
            let end = choice(json!({}), Some(finish(told.stop)));
            yield event(header.chunk(end, no_usage));
            if wants_usage {
                yield event(header.chunk(json!([]), Some(usage(&told))));
            }
            yield Ok(Event::default().data("[DONE]"));
        }
    }
}
