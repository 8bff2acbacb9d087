//! Folds what comes over the wire into events, in the protocol that is spoken. No IO, no
//! clock.

use crate::{Protocol, chat::ChatReader, failure, messages::MessagesReader, said::Said};
use baton_provider::{ChatEvent, ProviderError};
use serde::de::DeserializeOwned;

/// What is read of one reply.
#[derive(Debug)]
pub(crate) enum Reader {
    Chat(ChatReader),
    Messages(MessagesReader),
}

impl Reader {
    pub(crate) fn new(protocol: Protocol) -> Self {
        match protocol {
            Protocol::ChatCompletions => Self::Chat(ChatReader::default()),
            Protocol::Messages => Self::Messages(MessagesReader::default()),
        }
    }

    /// Reads one event of a stream, or one whole reply.
    pub(crate) fn read(&mut self, json: &str) -> Result<Vec<ChatEvent>, ProviderError> {
        match self {
            Self::Chat(reader) => reader.read(json),
            Self::Messages(reader) => reader.read(json),
        }
    }

    pub(crate) fn said(&self) -> &Said {
        match self {
            Self::Chat(reader) => &reader.said,
            Self::Messages(reader) => &reader.said,
        }
    }

    /// The last event, once nothing more comes. `whole` where nothing could be missing.
    pub(crate) fn end(self, whole: bool) -> Result<ChatEvent, ProviderError> {
        let mut said = match self {
            Self::Chat(reader) => reader.said,
            Self::Messages(reader) => reader.said,
        };
        if whole {
            said.done();
        }
        said.end()
    }
}

/// JSON as the protocol has it.
pub(crate) fn parsed<T: DeserializeOwned>(json: &str, what: &str) -> Result<T, ProviderError> {
    serde_json::from_str(json).map_err(|error| {
        let json = failure::shortened(json);
        ProviderError::Malformed(format!("expected {what}: {error}: {json}"))
    })
}
