//! What a provider is told once, when it is made.

use crate::{Secret, SecretError};
use std::collections::BTreeMap;

/// How long a call may wait, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the connection, TLS included.
    pub connect_ms: u64,
    /// From the start of the call to the first text; streams only.
    pub first_token_ms: u64,
    /// From one piece of the answer to the next; streams only. Comments that keep the
    /// connection alive do not count, because a stuck server sends those too.
    pub between_tokens_ms: u64,
    /// For the whole call.
    pub total_ms: u64,
}

impl Default for Timeouts {
    /// 5 s and 600 s are what OpenAI's own client waits; the two between leave room for
    /// a queue in front of the model.
    fn default() -> Self {
        Self {
            connect_ms: 5_000,
            first_token_ms: 120_000,
            between_tokens_ms: 60_000,
            total_ms: 600_000,
        }
    }
}

/// How large a reply may be. A provider is not trusted with our memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyLimits {
    /// Bytes in one event of a stream.
    pub event_bytes_max: usize,
    /// Bytes in the whole body. A streamed token takes some 250 bytes of it.
    pub reply_bytes_max: usize,
}

impl Default for ReplyLimits {
    fn default() -> Self {
        Self { event_bytes_max: 1024 * 1024, reply_bytes_max: 64 * 1024 * 1024 }
    }
}

/// Which field tells the provider the most tokens to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaxTokensField {
    /// `max_tokens`: understood by every compatible server.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`: demanded by OpenAI's reasoning models.
    MaxCompletionTokens,
}

/// What a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// OpenAI's Chat Completions.
    #[default]
    ChatCompletions,
    /// Anthropic's Messages.
    Messages,
}

/// What a provider is told once, when it is made.
#[derive(Debug, Clone)]
pub struct HttpProviderOptions {
    /// Name of the provider in the configuration; used in errors.
    pub name: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// Where its API begins, such as `https://api.openai.com/v1`. Of an address that
    /// speaks Messages the `/v1` may be missing, as Anthropic's own clients leave it out.
    pub base_url: String,
    /// Sent as a bearer token; as `x-api-key` to whoever speaks Messages.
    pub key: Option<Secret>,
    /// How long a call may wait.
    pub timeouts: Timeouts,
    /// Whether to ask for the answer token by token.
    pub stream: bool,
    /// Which field limits the answer.
    pub max_tokens_field: MaxTokensField,
    /// Further headers. Their values are treated as secrets, since some providers take
    /// keys in headers of their own.
    pub headers: BTreeMap<String, Secret>,
    /// How large a reply may be.
    pub limits: ReplyLimits,
}

impl HttpProviderOptions {
    /// Streaming, without a key, with the defaults of everything else.
    pub fn new(name: impl Into<String>, base_url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            protocol: Protocol::default(),
            base_url: base_url.into(),
            key: None,
            timeouts: Timeouts::default(),
            stream: true,
            max_tokens_field: MaxTokensField::default(),
            headers: BTreeMap::new(),
            limits: ReplyLimits::default(),
        }
    }
}

/// Why options do not make a provider.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The address cannot be called.
    #[error(
        "provider {name}: base_url {url:?} cannot be used ({reason}): expected http:// or https://, without user, query or fragment, such as https://api.openai.com/v1"
    )]
    BaseUrl {
        /// The provider.
        name: String,
        /// The address, without user and password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A header's name is not one.
    #[error("provider {name}: {header:?} is not the name of an HTTP header")]
    HeaderName {
        /// The provider.
        name: String,
        /// The name.
        header: String,
    },
    /// The process was started without cryptography.
    #[error(
        "provider {name}: no cryptography is installed: call rustls::crypto::ring::default_provider().install_default() first thing in main"
    )]
    NoCrypto {
        /// The provider.
        name: String,
    },
    /// The key cannot be had.
    #[error("provider {name}: the key cannot be used")]
    Key {
        /// The provider.
        name: String,
        /// Why not.
        source: SecretError,
    },
    /// The HTTP client cannot be built.
    #[error("provider {name}: the HTTP client cannot be built: {reason}")]
    Client {
        /// The provider.
        name: String,
        /// Why not.
        reason: String,
    },
}
