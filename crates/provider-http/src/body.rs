//! The bytes of a reply: counted against the limits, timed, read into events.

use crate::{
    Protocol, ReplyLimits,
    clock::{Clock, Wait},
    failure,
    reader::Reader,
};
use async_stream::try_stream;
use baton_provider::{ChatEvent, ProviderError};
use bytes::Bytes;
use eventsource_stream::{EventStreamError, Eventsource};
use futures::{Stream, StreamExt};
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait, in milliseconds, for the usage after the model has said that it is done.
const USAGE_WAIT_MS: u64 = 2_000;

/// Why no more bytes come.
#[derive(Debug)]
pub(crate) enum BytesError {
    /// Something is larger than its limit.
    TooLarge { what: &'static str, bytes_max: usize },
    /// The connection broke.
    Broken(String),
}

impl BytesError {
    fn into_provider_error(self, received: usize) -> ProviderError {
        match self {
            Self::TooLarge { what, bytes_max } => {
                ProviderError::Malformed(format!("{what} has more than {bytes_max} bytes"))
            }
            Self::Broken(reason) => ProviderError::Cut { received, reason },
        }
    }
}

/// The bytes of `response`, up to the limit of the whole.
fn limited(
    response: reqwest::Response,
    limits: ReplyLimits,
) -> impl Stream<Item = Result<Bytes, BytesError>> + Send {
    let mut total = 0;
    response.bytes_stream().map(move |bytes| {
        let bytes = bytes.map_err(|error| BytesError::Broken(failure::reason(&error)))?;
        total += bytes.len();
        let bytes_max = limits.reply_bytes_max;
        if total > bytes_max {
            return Err(BytesError::TooLarge { what: "the reply", bytes_max });
        }
        Ok(bytes)
    })
}

/// Counts the bytes since the last empty line: an event ends there, and until then it is
/// held in memory.
#[derive(Default)]
struct EventSize {
    bytes: usize,
    at_line_start: bool,
}

impl EventSize {
    fn add(&mut self, bytes: &[u8], bytes_max: usize) -> Result<(), BytesError> {
        for byte in bytes {
            match byte {
                b'\n' if self.at_line_start => self.bytes = 0,
                b'\n' => self.at_line_start = true,
                b'\r' => {}
                _ => {
                    self.at_line_start = false;
                    self.bytes += 1;
                }
            }
        }
        if self.bytes > bytes_max {
            return Err(BytesError::TooLarge { what: "an event", bytes_max });
        }
        Ok(())
    }
}

/// Events of a reply that comes as a stream.
pub(crate) fn streamed(
    response: reqwest::Response,
    clock: Clock,
    limits: ReplyLimits,
    protocol: Protocol,
) -> impl Stream<Item = Result<ChatEvent, ProviderError>> + Send {
    try_stream! {
        let mut size = EventSize::default();
        let bytes = limited(response, limits).map(move |bytes| {
            let bytes = bytes?;
            size.add(&bytes, limits.event_bytes_max)?;
            Ok::<_, BytesError>(bytes)
        });
        let mut frames = Box::pin(bytes.eventsource());
        let mut reader = Reader::new(protocol);
        let mut last = Instant::now();
        while !reader.said().finished() && !reader.said().is_done() {
            let wait = if reader.said().spoke() { Wait::NextToken(last) } else { Wait::FirstToken };
            let Some(frame) = clock.within(wait, frames.next()).await? else { break };
            let frame = frame.map_err(|error| of_frame(error, reader.said().text_bytes()))?;
            last = Instant::now();
            for event in reader.read(&frame.data)? {
                yield event;
            }
        }
        if reader.said().finished() {
            read_usage(&mut reader, &mut frames).await;
        }
        yield reader.end(false)?;
    }
}

/// What comes after the answer is welcome, but no failure of it spoils the answer.
async fn read_usage<E>(
    reader: &mut Reader,
    frames: &mut (impl Stream<Item = Result<eventsource_stream::Event, E>> + Unpin),
) {
    let read = async {
        while !reader.said().is_done()
            && let Some(Ok(frame)) = frames.next().await
        {
            if reader.read(&frame.data).is_err() {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(USAGE_WAIT_MS), read).await;
}

fn of_frame(error: EventStreamError<BytesError>, received: usize) -> ProviderError {
    match error {
        EventStreamError::Transport(error) => error.into_provider_error(received),
        EventStreamError::Utf8(error) => ProviderError::Malformed(error.to_string()),
        EventStreamError::Parser(error) => {
            ProviderError::Malformed(failure::shortened(&error.to_string()))
        }
    }
}

/// Events of a reply that comes whole.
pub(crate) async fn whole(
    response: reqwest::Response,
    clock: Clock,
    limits: ReplyLimits,
    protocol: Protocol,
) -> Result<Vec<ChatEvent>, ProviderError> {
    let mut bytes = Box::pin(limited(response, limits));
    let mut body = Vec::new();
    while let Some(more) = clock.within(Wait::Rest, bytes.next()).await? {
        body.extend_from_slice(&more.map_err(|error| error.into_provider_error(0))?);
    }
    let body = String::from_utf8(body)
        .map_err(|error| ProviderError::Malformed(format!("the reply is no text: {error}")))?;
    let mut reader = Reader::new(protocol);
    let mut events = reader.read(&body)?;
    events.push(reader.end(true)?);
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_ends_at_an_empty_line() {
        let mut size = EventSize::default();
        for _ in 0..100 {
            assert!(size.add(b"data: 123456\r\n\r\n", 16).is_ok());
            assert!(size.add(b"data: 123456\n\n", 16).is_ok());
        }
        assert!(size.add(b"data: 12345678", 16).is_ok());
        assert!(size.add(b"901234", 16).is_err());
    }
}
